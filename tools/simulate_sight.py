"""What people in the simulation are told, against what they may know.

Owns the notes of who was where, and of what was posted to whom. What they are shown is checked against
`tools.simulate_truth`. Reads everything, changes nothing.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from server.ledger.writer import Writer
from server.net.messages import Several, server_decoder
from server.net.session import FIRST_MESSAGE_BYTE
from server.net.wire import Peer
from server.world import events
from server.world.commands import Role
from server.world.policy import may, may_admit
from server.world.world import World
from tools.simulate_checks import entry_at, need
from tools.simulate_truth import Truth
from tools.waves import WAVE_KIND as WAVE
from tools.waves import read_wave


class Told:
    """What was posted to one connection and has not come out yet."""

    def __init__(self) -> None:
        self.due: deque[bytes] = deque()

    def came_out(self, message: Sequence[bytes]) -> bytes | None:
        """A message comes out at the end of a connection: what was posted, in order; its snapshot, if it has one.

        Wave blocks may be left out, nothing else may.
        """
        frames = list(message)
        snapshot = frames.pop(0) if frames and frames[0][0] < FIRST_MESSAGE_BYTE and frames[0][0] != WAVE else None
        for frame in frames:
            skipped = 0
            while self.due and self.due[0] != frame:
                need(self.due.popleft()[0] == WAVE, "delivery", "a control frame was left out or overtaken")
                skipped += 1
            need(bool(self.due), "delivery", "a frame came out that was never posted to this connection")
            self.due.popleft()
        return snapshot


class Sight:
    """The checks of one simulation. Call `before` and `after` around every tick of the shard."""

    def __init__(self, far_parts: int) -> None:
        self.told: dict[Peer, Told] = {}
        self.client_of: dict[Peer, int] = {}
        self.truth = Truth(far_parts)
        self._rooms_before: dict[int, int] = {}
        self._who: dict[int, tuple[Role, bytes]] = {}  # client -> role and person, of all who were here in the tick
        self._rooms: dict[int, int] = {}
        self._at_before: dict[int, int] = {}
        self._at: dict[int, int] = {}
        self._things_before = np.zeros(0, np.int16)
        self._open: dict[tuple[int, int], int] = {}  # (client, bed) -> log index of the access that opened it

    # --- what there is ------------------------------------------------------------------------------------------------

    def before(self, world: World) -> None:
        """Note who is where before a tick."""
        self._rooms_before = {client: world.room_of(client) for client in world.clients()}
        self._at_before = {world.handle(world.slot_of(client)): room for client, room in self._rooms_before.items()}
        self._things_before = world.things.room.copy()
        self._who = self._present(world)

    def _present(self, world: World) -> dict[int, tuple[Role, bytes]]:
        return {client: (world.role_of(client), world.person_of(client)) for client in world.clients()}

    def after(self, world: World, connected: dict[Peer, int]) -> None:
        """Note who is where after a tick, on which connection, and what there is to be seen."""
        self._rooms = {client: world.room_of(client) for client in world.clients()}
        self._at = {world.handle(world.slot_of(client)): room for client, room in self._rooms.items()}
        self._who.update(self._present(world))
        self.client_of.update(connected)
        self.truth.note(world)

    def start_anew(self) -> None:
        """The shard is another one: no connection of before lives on."""
        self.told.clear()
        self.client_of.clear()

    # --- what is said -------------------------------------------------------------------------------------------------

    def said(self, said: list[tuple[tuple[Peer, ...], bytes]], world: World, log: Writer) -> None:
        """Everything posted in a tick goes to nobody who may not know it."""
        for peers, frame in said:
            for peer in peers:
                self.told.setdefault(peer, Told()).due.append(frame)
            clients = [self.client_of[peer] for peer in peers if peer in self.client_of]
            if frame[0] == WAVE:
                self._waves(read_wave(frame).bed, clients, world)
            else:
                self._message(server_decoder.decode(frame), clients, world, log)

    def _message(self, message: object, clients: list[int], world: World, log: Writer) -> None:
        if isinstance(message, Several):
            for frame in message.messages:
                self._message(server_decoder.decode(frame), clients, world, log)
            return
        for client in clients:
            self._may_know(message, client, world, log)

    def _may_know(self, message: object, client: int, world: World, log: Writer) -> None:
        match message:
            case events.Said(avatar=handle) | events.Pointed(by=handle) | events.Touched(by=handle):
                self._same_room(client, handle, message)
            case events.PersonCame(who=who):
                self._same_room(client, who.avatar, message)
            case events.ThingTaken(thing=thing) | events.Offered(thing=thing):
                slot = thing & 0xFFF
                rooms = {int(self._things_before[slot]), int(world.things.room[slot])}
                need(bool(rooms & self._rooms_of(client)), "right", f"client {client} heard of thing {slot} elsewhere")
            case events.RoomEntered():
                self._entered(message, client, world)
            case events.WaitingList() if client in self._rooms:
                room = world.rooms[world.room_of(client)]
                need(
                    may_admit(world.role_of(client), room), "right", f"client {client} may not admit and saw who waits"
                )
            case events.BedAccess(bed=bed, index=index):
                self._access(client, bed, index, world, log)
            case events.BedVitals(bed=bed):
                self._waves(bed, [client], world)
            case events.BedChain(bed=bed) | events.Care(bed=bed):
                self._bed(client, bed, world)
            case _:
                return

    def _rooms_of(self, client: int) -> set[int]:
        """Where a client is or was within the tick; whoever came or left within it was there too."""
        return {self._rooms.get(client, -2), self._rooms_before.get(client, self._rooms.get(client, -2))}

    def _same_room(self, client: int, handle: int, message: object) -> None:
        rooms = {self._at.get(handle, -1), self._at_before.get(handle, -1)}
        if rooms == {-1}:
            return  # they came and left within the tick
        kind = type(message).__name__
        need(bool(rooms & self._rooms_of(client)), "right", f"client {client} heard {kind} of rooms {rooms}")

    def _entered(self, entered: events.RoomEntered, client: int, world: World) -> None:
        if client not in self._rooms:
            return  # they came and were sent away within the tick
        room = world.rooms[entered.room_index]
        need(may(world.role_of(client), "enter", room), "right", f"client {client} was let into {room.slug}")
        for person in entered.people:
            rooms = {self._at.get(person.avatar, -1), self._at_before.get(person.avatar, -1)}
            need(
                entered.room_index in rooms or rooms == {-1},
                "right",
                f"client {client} was told of somebody of another room",
            )

    def _bed(self, client: int, bed: int, world: World) -> None:
        slug = world.bed_name(bed).split("/")[0]
        room = world.room_index(slug)
        need(room in self._rooms_of(client), "right", f"client {client} got data of bed {bed} from outside {slug}")
        role, _ = self._who[client]
        need(may(role, "see_twin", world.rooms[room]), "right", f"client {client}, a {role}, got data of bed {bed}")

    def _access(self, client: int, bed: int, index: int, world: World, log: Writer) -> None:
        self._bed(client, bed, world)
        kind, patient, extra = entry_at(log, index)
        need(kind == "access", "record", f"the access of client {client} names entry {index}, of type {kind}")
        need(
            patient == world.patient_of(bed),
            "record",
            f"access entry {index} is about another patient than bed {bed}'s",
        )
        need(
            extra == self._who[client][1],
            "record",
            f"access entry {index} is another person's than client {client}'s",
        )
        self._open[client, bed] = index

    def _waves(self, bed: int, clients: list[int], world: World) -> None:
        """What a monitor shows goes to those who are in the room now, may see it, and are on record."""
        viewers = world.viewers(bed)
        for client in clients:
            self._bed(client, bed, world)
            need(client in viewers, "right", f"client {client} sees bed {bed} without access")
            need((client, bed) in self._open, "record", f"client {client} sees bed {bed} without an entry")

    # --- what is shown ------------------------------------------------------------------------------------------------

    def shown(self, peer: Peer, frame: bytes, world: World) -> None:
        """A snapshot leaves for a connection: it is of the room the client is in now, and of this tick."""
        client = self.client_of.get(peer)
        need(client is not None, "right", "a snapshot went to somebody who is no guest")
        assert client is not None
        room, tick = frame[1], int.from_bytes(frame[2:6], "little")
        need(
            room == self._rooms.get(client),
            "right",
            f"client {client} is shown room {room}, is in {self._rooms.get(client)}",
        )
        need(tick == world.tick & 0xFFFFFFFF, "view", f"a snapshot of tick {tick} goes out in tick {world.tick}")
