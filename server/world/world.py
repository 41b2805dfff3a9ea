"""The world: state, and the only code that changes it, one tick at a time. Same commands, same world, same digest.

Owns the order of things in a tick. Never sends, sleeps, reads a clock, a file or a die; what a client can cause never
raises out of `step`, it becomes `Refused`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from server.config import Limits
from server.sim.grid import Grid, assign
from server.sim.motion import advance, apply_poses, carry, pose_table
from server.sim.poses import PoseBatch
from server.sim.ring import remember
from server.sim.state import AvatarState, ThingState
from server.world import beds, commands, doors, dump, gestures, heroes, invites, moderation, people, things
from server.world.commands import Command, Role
from server.world.events import Event, Person, Refused, ToRecord
from server.world.policy import Right
from server.world.scene import Room
from server.world.tables import NOBODY, Invite, Refusal, Resident, Tables

OfResident = Callable[[Tables, Resident, Any], None]
OfClient = Callable[[Tables, int, Any], None]
OfShard = Callable[[Tables, Any], None]

ASKED: dict[type, OfResident] = {
    commands.Teleport: people.teleport,
    commands.Sit: people.sit,
    commands.Stand: people.stand,
    commands.Say: people.say,
    commands.Go: doors.go,
    commands.Admit: doors.admit,
    commands.Lock: doors.lock,
    commands.Grab: things.grab,
    commands.Release: things.release,
    commands.Offer: things.offer,
    commands.Moderate: moderation.moderate,
    commands.MakeInvite: invites.make,
    commands.RevokeInvite: invites.revoke,
    commands.AckAlarm: beds.ack_alarm,
    commands.Point: gestures.point,
    commands.Touch: gestures.touch,
    commands.OrderSigned: beds.order_signed,
    commands.EnrolSigned: beds.enrol_signed,
}
"""What somebody in the world asks."""
STAYS: dict[type, OfClient] = {
    commands.Join: people.join,
    commands.Detach: people.detach,
    commands.Resume: people.resume,
    commands.Leave: people.leave,
}
"""What the shard says about a client."""
SHARD: dict[type, OfShard] = {
    commands.Redeem: invites.redeem,
    commands.SetInvite: invites.set_invite,
    commands.Recorded: beds.recorded,
    commands.Unrecorded: beds.unrecorded,
    commands.AccessRecorded: beds.access_recorded,
    commands.DeviceBlock: beds.device_block,
}
"""What the shard says for itself."""


class World:
    """Rooms, people, things and patients of one shard. Made from rooms that `load_rooms` checked."""

    def __init__(self, rooms: tuple[Room, ...], limits: Limits, tick_hz: int, seed: int) -> None:
        self._t = Tables(rooms, limits, tick_hz, seed)

    # --- the tick ------------------------------------------------------------------------------------------------

    def step(self, asked: Sequence[Command], poses: PoseBatch) -> list[Event]:
        """Advance one tick: commands in their order, then bodies, then patients. Returns what happened."""
        t = self._t
        t.tick += 1
        t.events = []
        for command in asked:
            self._apply(command)
        people.end_held_seats(t)
        beds.ask_again(t)
        self._move(poses)
        beds.step(t)
        return t.events

    def _apply(self, command: Command) -> None:
        t, kind = self._t, type(command.body)
        try:
            if kind in ASKED:
                ASKED[kind](t, self._present(command.client), command.body)
            elif kind in STAYS:
                STAYS[kind](t, command.client, command.body)
            else:
                assert command.client == NOBODY, "only the shard speaks for itself"
                SHARD[kind](t, command.body)
        except Refusal as refusal:
            seq = getattr(command.body, "seq", 0)
            t.tell(command.client, Refused(seq, refusal.code, str(refusal)))

    def _present(self, client: int) -> Resident:
        who = self._t.residents.get(client)
        if who is None:
            raise Refusal("not-here", "you are not in this house (any more)")
        return who

    def _move(self, poses: PoseBatch) -> None:
        t = self._t
        if len(poses.client):
            apply_poses(t.avatars, t.intents, pose_table(t.moving_slots(poses.client), poses), t.rules)
        advance(t.avatars, t.intents, t.floor, t.rules)
        carry(t.avatars, t.things)
        assign(t.avatars, t.things, t.cells)
        heroes.update(t)
        remember(t.ring, t.tick, t.avatars, t.things, t.slots_used)

    # --- the whole state ----------------------------------------------------------------------------------------

    def digest(self) -> bytes:
        """16 bytes over everything that matters: equal for equal worlds."""
        return dump.digest(self._t)

    def pulse(self) -> bytes:
        """4 bytes over the tick and the avatars: equal for equal worlds, and cheap."""
        return dump.pulse(self._t)

    def dump(self) -> bytes:
        """Everything needed to go on from here, versioned."""
        return dump.dump(self._t)

    @classmethod
    def load(cls, data: bytes, rooms: tuple[Room, ...], limits: Limits, tick_hz: int, seed: int) -> Self:
        """The world as it was dumped, with an equal digest. Raises DumpError."""
        world = cls.__new__(cls)
        world._t = dump.load(data, rooms, limits, tick_hz, seed)
        return world

    def succeed(self, old: "World") -> None:
        """Go on after `old`, whose rooms were others: with its tick, invites, bans and open entries, not its people.

        To be called once, on a world that has not been stepped.
        """
        dump.succeed(self._t, old._t)

    def pending(self) -> list[ToRecord]:
        """Orders and enrolments not yet answered by the ledger, oldest first."""
        return [beds.to_record(leaf, row) for leaf, row in self._t.pending.items()]

    # --- what may be read ---------------------------------------------------------------------------------------

    @property
    def tick(self) -> int:
        """Ticks stepped so far."""
        return self._t.tick

    @property
    def rooms(self) -> tuple[Room, ...]:
        """The rooms, by room index."""
        return self._t.rooms

    @property
    def avatars(self) -> AvatarState:
        """The avatars' columns. To be read only."""
        return self._t.avatars

    @property
    def things(self) -> ThingState:
        """The things' columns. To be read only."""
        return self._t.things

    def room_index(self, slug: str) -> int:
        """Index of a room that exists; KeyError otherwise."""
        return self._t.room_index[slug]

    def members(self, room: int) -> npt.NDArray[np.int64]:
        """Slots of the avatars in a room, ascending."""
        return self._t.members(room)

    def things_in(self, room: int) -> npt.NDArray[np.int64]:
        """Slots of the things in a room, held ones too, ascending."""
        return self._t.things_in(room)

    def cells(self, room: int) -> Grid:
        """The cells of a room's floor: one for a room of few people, a grid for a hall."""
        return self._t.grids[room]

    def cell_of(self, client: int) -> int:
        """The cell a client that is here stands in; KeyError otherwise."""
        return int(self._t.avatars.cell[self._t.residents[client].slot])

    def heroes(self, room: int) -> npt.NDArray[np.int64]:
        """Slots of those whom everybody in a hall sees as if near (`limits.heroes_max`), ascending."""
        return heroes.heroes(self._t, room)

    def heroes_of(self, client: int) -> tuple[int, ...]:
        """Slots of those whom a client that is here sees as if near (`limits.own_heroes_max`), ascending."""
        return heroes.partners(self._t, self._t.residents[client])

    def all_heroes_of(self) -> dict[int, tuple[int, ...]]:
        """`heroes_of` for every client for whom it is not empty, by client."""
        return heroes.all_partners(self._t)

    @property
    def bonds(self) -> int:
        """How many pairs of people have to do with each other now; 0 means that `heroes_of` is empty for all."""
        return len(self._t.bonds)

    def people_in(self, room: int) -> list[Person]:
        """The people of a room as others see them, slots ascending."""
        return [self._t.person_row(who) for who in self._t.people_in(room)]

    def clients(self) -> list[int]:
        """All client numbers in the world, connected or away, ascending."""
        return sorted(self._t.residents)

    def attached(self) -> list[int]:
        """Client numbers that are not away, ascending."""
        return sorted(client for client, who in self._t.residents.items() if who.away_since < 0)

    def is_here(self, client: int) -> bool:
        """Whether a client is in the world, connected or away."""
        return client in self._t.residents

    def slot_of(self, client: int) -> int:
        """The slot of a client that is here; KeyError otherwise."""
        return self._t.residents[client].slot

    def client_of(self, slot: int) -> int:
        """The client in a live slot; KeyError otherwise."""
        return self._t.client_at[slot]

    def handle(self, slot: int) -> int:
        """The avatar handle of a slot."""
        return self._t.handle(slot)

    def person_of(self, client: int) -> bytes:
        """Fingerprint of the key of a client that is here; KeyError otherwise."""
        return self._t.residents[client].person

    def name_of(self, client: int) -> str:
        """Name of a client that is here; KeyError otherwise."""
        return self._t.residents[client].name

    def role_of(self, client: int) -> Role:
        """Role of a client that is here; KeyError otherwise."""
        return self._t.residents[client].role

    def room_of(self, client: int) -> int:
        """Room index of a client that is here; KeyError otherwise."""
        return self._t.residents[client].room

    def may(self, client: int, right: Right) -> bool:
        """Whether a client is here and has a right in the room they are in."""
        who = self._t.residents.get(client)
        return who is not None and self._t.may(who, right)

    def resume_client(self, resume_hash: bytes) -> int | None:
        """The client whose resume secret has this SHA-256, if their seat is held."""
        return self._t.resumes.get(resume_hash)

    def banned(self, person: bytes) -> bool:
        """Whether a person is banned from this house."""
        return person in self._t.bans

    def invite(self, code: str) -> Invite | None:
        """An invite by its code. To be read only."""
        return self._t.invites.get(code)

    @property
    def bed_count(self) -> int:
        """How many beds there are."""
        return len(self._t.beds)

    def bed_index(self, name: str) -> int | None:
        """World index of the bed "room/id"."""
        return next((index for index, bed in enumerate(self._t.beds) if bed.name == name), None)

    def bed_name(self, bed: int) -> str:
        """The bed's name outside its room: "room/id"."""
        return self._t.beds[bed].name

    def patient_of(self, bed: int) -> bytes:
        """Pseudonym of who lies in a bed."""
        return self._t.beds[bed].patient

    def bed_of(self, patient: bytes) -> int | None:
        """The bed of a patient, by pseudonym."""
        return next((index for index, bed in enumerate(self._t.beds) if bed.patient == patient), None)

    def viewers(self, bed: int) -> list[int]:
        """Clients to whom a bed's monitor is open, ascending."""
        return beds.viewers(self._t, bed)
