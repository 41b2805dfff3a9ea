"""What must hold after every tick of the simulation, whatever went wrong. A check that fails raises `Broken`.

Owns the invariants of the world, of the record and of the bounds. What people are told and shown is in
`tools.simulate_sight`. Reads everything, changes nothing.
"""

from collections import Counter

import numpy as np

from server.config import Limits
from server.ledger.entry import EntryError, open_entry
from server.ledger.writer import Writer
from server.shard import Shard
from server.world.events import Care, Event
from server.world.world import World
from tools.link_memory import BUFFER_BYTES
from tools.simulate_wire import TappedWire


class Broken(Exception):
    """An invariant does not hold: its name and what was found."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


def need(holds: bool, name: str, text: str) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(name, text)


def places(world: World, shard: Shard) -> None:
    """Nobody is in two places, nobody is twice, and the shard routes each to the room they are in."""
    avatars, clients = world.avatars, world.clients()
    slots = [world.slot_of(client) for client in clients]
    persons = Counter(world.person_of(client) for client in clients)
    twice = [client for client in clients if persons[world.person_of(client)] > 1]
    need(not twice, "place", f"one person is in the house as clients {twice}")
    need(len(set(slots)) == len(slots), "place", f"clients {clients} share slots {slots}")
    live = np.flatnonzero(avatars.alive).tolist()
    need(sorted(slots) == live, "place", f"slots {live} are alive, clients have {sorted(slots)}")
    for client, slot in zip(clients, slots, strict=True):
        room = int(avatars.room[slot])
        need(
            world.client_of(slot) == client, "place", f"slot {slot} is client {client}'s and {world.client_of(slot)}'s"
        )
        need(
            room == world.room_of(client),
            "place",
            f"client {client} is in room {world.room_of(client)}, body in {room}",
        )
        need(0 <= room < len(world.rooms), "place", f"client {client} is in room {room}")
        need(
            0 <= world.cell_of(client) < world.cells(room).cells, "place", f"client {client} is in no cell of its room"
        )
    for room, file in enumerate(world.rooms):
        here = len(world.members(room))
        need(here <= file.capacity, "place", f"{file.slug} holds {here} people, allowed are {file.capacity}")
    connected = {guest.client for guest in shard.guests}
    need(len(connected) == len(shard.guests), "place", "a client has two connections")
    need(connected <= set(clients), "place", f"clients {sorted(connected - set(clients))} are connected and not here")
    odd = sorted(connected ^ set(world.attached()))
    need(not odd, "place", f"clients {odd} are connected or there and not away, but not both")
    for guest in shard.guests:
        room = world.room_of(guest.client)
        need(guest.room == room, "place", f"client {guest.client} is in room {room} and is told of room {guest.room}")


def things(world: World) -> None:
    """A thing has one owner at most, who is in its room; a hand holds one thing."""
    state, hands = world.things, set()
    for thing in np.flatnonzero(state.owner >= 0).tolist():
        owner, hand = int(state.owner[thing]), int(state.hand[thing])
        need(bool(world.avatars.alive[owner]), "thing", f"thing {thing} is held by slot {owner}, where nobody is")
        need(
            int(state.room[thing]) == int(world.avatars.room[owner]),
            "thing",
            f"thing {thing} is not where its holder is",
        )
        need(
            int(state.cell[thing]) == int(world.avatars.cell[owner]),
            "thing",
            f"thing {thing} is in another cell than its holder",
        )
        need((owner, hand) not in hands, "thing", f"hand {hand} of slot {owner} holds two things")
        hands.add((owner, hand))


class Record:
    """What took effect, against what is in the ledger."""

    def __init__(self) -> None:
        self.applied: dict[int, int] = {}  # log index of an order -> tick in which it took effect

    def effects(self, events: list[Event], world: World, log: Writer) -> None:
        """An order takes effect once, after its entry is signed, at the bed of the patient it names."""
        for event in events:
            if isinstance(event.body, Care):
                self._order(event.body, world, log)

    def _order(self, care: Care, world: World, log: Writer) -> None:
        index = care.index
        need(
            index not in self.applied,
            "record",
            f"order {index} took effect in tick {self.applied.get(index)} and again",
        )
        need(index < log.signed_size, "record", f"order {index} took effect, the log has {log.signed_size} entries")
        kind, patient, _ = entry_at(log, index)
        need(kind == "order", "record", f"an effect names entry {index}, which is of type {kind}")
        need(patient == world.patient_of(care.bed), "record", f"order {index} took effect at another patient's bed")
        self.applied[index] = world.tick

    def lost_after(self, tick: int) -> None:
        """The shard forgot what came from this tick on."""
        self.applied = {index: when for index, when in self.applied.items() if when < tick}


def entry_at(log: Writer, index: int) -> tuple[str, bytes, bytes]:
    """(type, patient, extra) of a recorded entry. Raises Broken."""
    try:
        entry = open_entry(log.entry(index)).entry
    except (EntryError, LookupError) as error:
        raise Broken("record", f"entry {index} cannot be read: {error}") from error
    return entry.type, entry.patient, entry.extra


def bounds(shard: Shard, wire: TappedWire, pipes: list[tuple[int, int]]) -> None:
    """Every queue is within its bound. `pipes`: (messages in a pipe, its capacity)."""
    limits = shard.limits
    for held, capacity in pipes:
        need(held <= capacity, "bound", f"a pipe holds {held} messages, allowed are {capacity}")
    for name, held, most in (
        ("strangers", wire.strangers, limits.unverified_peers_max),
        ("bytes for one native peer", wire.queued_bytes_max, limits.outbound_bytes_max),
        ("hellos that wait", shard.intake.hellos_waiting, limits.unverified_peers_max),
        ("entries under way", shard.recorder.link.waiting, 1024),
        ("orders that wait", len(shard.world.pending()), limits.pending_orders_max),
        ("people", len(shard.world.clients()), limits.avatars_max),
    ):
        need(held <= most, "bound", f"{name}: {held}, allowed are {most}")


def wires(lines: list[tuple[str, int]]) -> None:
    """The faulty wires hold what they may, and one message more."""
    for name, held in lines:
        need(held <= BUFFER_BYTES + 65_536, "bound", f"{name}'s wire holds {held} bytes, allowed are {BUFFER_BYTES}")


def browsers(waiting: list[int], limits: Limits) -> None:
    """What waits at an edge for one browser is within the bound of control frames, and one Close frame more."""
    most = limits.outbound_bytes_max + 128
    for held in waiting:
        need(held <= most, "bound", f"{held} bytes wait for a browser, allowed are {most}")
