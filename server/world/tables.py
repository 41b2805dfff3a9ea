"""The world's tables: who is here, in which slot, and everything else that is not a column.

Owns the shape of the state, look-ups, and how an event is noted. Changes nothing by itself: the modules beside it do,
one for each kind of command. Whatever a client can cause is refused by raising `Refusal`, before anything was changed.
"""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from server.config import Limits
from server.sim.grid import Grids, grid_of, grids_of
from server.sim.motion import HEAD_SPEED_MM_S, Rules
from server.sim.poses import AWAY, POINTING, RAISED, SPEAKING
from server.sim.ring import Ring, new_ring
from server.sim.state import IDENTITY, new_avatars, new_intents, new_things
from server.twin.bedside import Bedside
from server.world.commands import Role
from server.world.events import Audience, Event, Person, PersonCame
from server.world.plan import RoomPlan, floor_of, mm, plans_of
from server.world.policy import Right, may, who_may
from server.world.scene import BedPlace, Room

SLOT_BITS = 12
GENERATION_MAX = (1 << 20) - 1
THING_GENERATION = 1  # things neither come nor go while a world lives
NOBODY = 0  # client number of the shard; no person has it
SEEN_LEAVES_MAX = 4096  # leaves that are remembered after they were answered


class Refusal(Exception):
    """A command is refused: a stable `code` and a sentence with what was got and what is allowed."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Resident(msgspec.Struct):
    """One person in the world, connected or away."""

    client: int
    slot: int
    name: str
    role: Role
    person: bytes
    resume_hash: bytes
    room: int
    seat: int = -1
    away_since: int = -1  # tick, -1 while connected
    chat_due: int = 0  # tick * 1000 until which earlier lines of chat count
    gesture_due: int = 0  # the same of pointing and touching


class Invite(msgspec.Struct):
    """A code that lets somebody in. While `made_tick` >= 0, `expires_s` is not known yet."""

    room: str
    role: Role
    uses: int
    expires_s: int
    by: bytes = b""
    made_tick: int = -1
    valid_s: int = 0


class Pending(msgspec.Struct):
    """A clinical event that waits for its ledger entry; `bed` -1 is an enrolment."""

    client: int
    seq: int
    bed: int
    by: str
    entry: bytes
    blob: bytes
    wrapped_key: bytes
    content: bytes


class BedRow(msgspec.Struct, frozen=True):
    """A bed of the world: where it is and the pseudonym of who lies there."""

    room: int
    name: str  # "room/id"
    patient: bytes
    place: BedPlace


class ThingRow(msgspec.Struct, frozen=True):
    """What a thing is."""

    name: str
    kind: str


def pseudonym(seed: int, bed: str) -> bytes:
    """The 16-byte pseudonym of the patient in a bed ("room/id")."""
    return hashlib.blake2b(bed.encode(), digest_size=16, key=f"asclepion/bed/{seed}".encode()).digest()


def rules_of(limits: Limits, tick_hz: int) -> Rules:
    """The limits of motion, per tick."""
    return Rules(
        tick_hz=tick_hz,
        speed_mm_s=int(limits.speed_mm_s_max),
        wish_ticks=max(1, round(limits.wish_timeout_s * tick_hz)),
        radius_mm=int(limits.body_radius_mm),
        space_mm=int(limits.personal_space_mm),
        reach_mm=int(limits.reach_mm_max),
        hand_step_mm=int(limits.hand_speed_mm_s_max) // tick_hz,
        head_step_mm=HEAD_SPEED_MM_S // tick_hz,
    )


def size_mm(room: Room) -> tuple[int, int]:
    """The floor of a room, x and z in mm."""
    return mm(room.size_m[0]), mm(room.size_m[2])


def is_hall(room: Room, limits: Limits) -> bool:
    """Whether a room is for so many people that each sees only those near in full."""
    return room.capacity > limits.view_people_max


class Tables:
    """All state of a world. The first block never changes; the rest is what `world.dump` writes."""

    def __init__(self, rooms: Sequence[Room], limits: Limits, tick_hz: int, seed: int) -> None:
        self.rooms, self.limits, self.tick_hz, self.seed = tuple(rooms), limits, tick_hz, seed
        self.plans: tuple[RoomPlan, ...] = plans_of(self.rooms)
        self.floor, self.rules = floor_of(self.plans), rules_of(limits, tick_hz)
        self.grids = tuple(grid_of(*size_mm(room), int(limits.cell_mm), is_hall(room, limits)) for room in self.rooms)
        self.cells: Grids = grids_of(list(self.grids), [size_mm(room) for room in self.rooms], int(limits.cell_mm))
        self.in_hall: npt.NDArray[np.bool_] = np.array([grid.cells > 1 for grid in self.grids], np.bool_)
        self.room_index = {room.slug: index for index, room in enumerate(self.rooms)}
        self.beds = [
            BedRow(index, f"{room.slug}/{bed.id}", pseudonym(seed, f"{room.slug}/{bed.id}"), bed)
            for index, room in enumerate(self.rooms)
            for bed in room.bed
        ]
        self.thing_rows = [ThingRow(thing.name, thing.kind) for room in self.rooms for thing in room.thing]
        self.events: list[Event] = []

        slots = int(limits.avatars_max)
        self.tick = 0
        self.avatars, self.intents = new_avatars(slots), new_intents(slots)
        self.things = new_things(len(self.thing_rows))
        self.ring: Ring = new_ring(max(1, round(limits.rewind_s * tick_hz)), slots, len(self.thing_rows))
        self.generation: npt.NDArray[np.int64] = np.zeros(slots, np.int64)
        self.hero_until: npt.NDArray[np.int64] = np.zeros(slots, np.int64)  # tick; 0 is nobody's hero
        self.slots_used = 0  # rows from here on were never used
        self.residents: dict[int, Resident] = {}
        self.client_at: dict[int, int] = {}  # slot -> client
        self._stays: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None  # clients ascending, their slots
        self.resumes: dict[bytes, int] = {}  # resume hash -> client
        self.seated: dict[tuple[int, int], int] = {}  # (room, seat) -> client
        self.person_rows: dict[int, Person] = {}  # slot -> what others were last told of who is in it
        self.bonds: dict[tuple[int, int], int] = {}  # two clients -> tick until which each is near for the other
        self.offers: dict[int, int] = {}  # thing slot -> slot of the avatar it is held out to
        self.waiting: dict[int, int] = {}  # client -> room, in the order they came
        self.locked = [False] * len(self.rooms)
        self.next_spawn = [0] * len(self.rooms)
        self.invites: dict[str, Invite] = {}
        self.bans: dict[bytes, str] = {}  # person -> reason
        self.mutes: dict[bytes, str] = {}
        self.unix_at_zero = -1  # Unix time of tick 0 by the newest command that told the time; -1 not known
        self.viewing: dict[tuple[int, int], int] = {}  # (client, bed) -> log index of the access
        self.asking: dict[tuple[int, int], int] = {}  # (client, bed) -> tick to ask again
        self.pending: dict[bytes, Pending] = {}  # leaf -> what waits for it
        self.seen: dict[bytes, None] = {}  # leaves already answered, oldest first
        self.bedside = Bedside([bed.place.patient for bed in self.beds], tick_hz, seed, int(limits.waves_hz))
        self._lay_out_things()

    def _lay_out_things(self) -> None:
        specs = ((index, thing) for index, room in enumerate(self.rooms) for thing in room.thing)
        for slot, (index, thing) in enumerate(specs):
            self.things.alive[slot], self.things.room[slot] = True, index
            self.things.pos_mm[slot] = [mm(value) for value in thing.at]
            self.things.rot[slot] = IDENTITY

    # --- look-ups ----------------------------------------------------------------------------------------------------

    def handle(self, slot: int) -> int:
        """The avatar handle of a slot."""
        return int(self.generation[slot]) << SLOT_BITS | slot

    def resident_at(self, handle: int) -> Resident | None:
        """Who has this avatar handle; None for a stale one."""
        client = self.client_at.get(handle & (1 << SLOT_BITS) - 1)
        return self.residents[client] if client is not None and self.handle_of(client) == handle else None

    def handle_of(self, client: int) -> int:
        """The avatar handle of a resident."""
        return self.handle(self.residents[client].slot)

    def stays_changed(self) -> None:
        """Somebody came or went: whoever changes `residents` says so."""
        self._stays = None

    def moving_slots(self, clients: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """The slot of each client; -1 for those who are not here, or away."""
        if self._stays is None:
            here = np.fromiter(self.residents, np.int64, len(self.residents))
            slots = np.fromiter((who.slot for who in self.residents.values()), np.int64, len(self.residents))
            order = np.argsort(here)
            self._stays = here[order], slots[order]
        here, slots = self._stays
        if not len(here):
            return np.full(len(clients), -1, np.int64)
        at = np.minimum(np.searchsorted(here, clients), len(here) - 1)
        found = slots[at]
        moving: npt.NDArray[np.int64] = np.where(
            (here[at] == clients) & (self.avatars.flags[found] & AWAY == 0), found, np.int64(-1)
        )
        return moving

    def members(self, room: int) -> npt.NDArray[np.int64]:
        """Slots of the avatars in a room, ascending."""
        return np.flatnonzero(self.avatars.alive & (self.avatars.room == room))

    def people_in(self, room: int) -> Iterator[Resident]:
        """The residents of a room, slots ascending."""
        return (self.residents[self.client_at[int(slot)]] for slot in self.members(room))

    def things_in(self, room: int) -> npt.NDArray[np.int64]:
        """Slots of the things in a room, held ones too, ascending."""
        return np.flatnonzero(self.things.alive & (self.things.room == room))

    def beds_in(self, room: int) -> range:
        """World bed indices of a room's beds."""
        first = self.plans[room].first_bed
        return range(first, first + len(self.rooms[room].bed))

    def held_by(self, slot: int) -> npt.NDArray[np.int64]:
        """Slots of the things an avatar holds, ascending."""
        return np.flatnonzero(self.things.owner == slot)

    def place(self, slot: int) -> tuple[int, int]:
        """Where an avatar stands: x, z in mm."""
        return int(self.avatars.head_mm[slot, 0]), int(self.avatars.head_mm[slot, 2])

    def room_of(self, who: Resident) -> Room:
        """The room somebody is in."""
        return self.rooms[who.room]

    def may(self, who: Resident, right: Right) -> bool:
        """Whether somebody has a right in the room they are in."""
        return may(who.role, right, self.rooms[who.room])

    def need(self, who: Resident, right: Right) -> None:
        """Refuse unless they have the right where they are."""
        room = self.rooms[who.room]
        if not may(who.role, right, room):
            name = right.replace("_", "-")
            raise Refusal(
                f"may-not-{name}", f"a {who.role} may not {name} in {room.slug}, allowed are: {who_may(right, room)}"
            )

    def muted(self, who: Resident) -> bool:
        """Whether a moderator has muted them."""
        return who.person in self.mutes

    def rate_due(self, due: int, per_s: float, burst_s: float) -> int:
        """When one more of something that is allowed `per_s` times a second is used up (tick * 1000); -1: too many."""
        now = self.tick * 1000
        later = max(due, now) + round(1000 * self.tick_hz / per_s)
        return later if later - now <= round(1000 * self.tick_hz * burst_s) else -1

    def person_row(self, who: Resident) -> Person:
        """Somebody as others were last told."""
        row = self.person_rows.get(who.slot)
        return self._new_person_row(who) if row is None else row

    def _new_person_row(self, who: Resident) -> Person:
        away, muted = who.away_since >= 0, self.muted(who)
        row = Person(self.handle(who.slot), who.name, who.role, who.person, muted=muted, away=away)
        self.person_rows[who.slot] = row
        return row

    def flags_allowed(self, who: Resident) -> int:
        """The flag bits their poses may set now."""
        speak = self.may(who, "speak") and not self.muted(who) and who.away_since < 0
        return RAISED | POINTING | (SPEAKING if speak else 0)

    # --- events ------------------------------------------------------------------------------------------------------

    def tell(self, client: int, body: object) -> None:
        """Note an event for one client."""
        self.events.append(Event(Audience("client", client), body))

    def tell_room(self, room: int, body: object) -> None:
        """Note an event for everybody in a room."""
        self.events.append(Event(Audience("room", room), body))

    def tell_of(self, who: Resident) -> None:
        """Note for everybody in their room that somebody came or changed."""
        self.tell_room(who.room, PersonCame(self._new_person_row(who)))

    def tell_bed(self, bed: int, body: object) -> None:
        """Note an event for the viewers of a bed."""
        self.events.append(Event(Audience("bed", bed), body))

    def tell_shard(self, body: object) -> None:
        """Note an event for the shard only."""
        self.events.append(Event(Audience("shard", 0), body))
