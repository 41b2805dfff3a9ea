"""A small house and a hand to turn its ticks, for the world's tests."""

from collections.abc import Iterable
from hashlib import sha256

import numpy as np

from server.config import Limits
from server.sim.poses import NO_POSES, POSE, PoseBatch
from server.sim.state import IDENTITY
from server.world.commands import ROLES, AccessRecorded, Body, Command, Join, Role, Teleport
from server.world.events import Event, Refused, ToAccess
from server.world.scene import BedPlace, Box, Door, PatientSpec, Room, Seat, Spawn, ThingSpec, Wall
from server.world.world import World

ALL = list(ROLES)
STAFF: list[Role] = ["clinician", "operator"]
HALL, SIDE, CLINIC = 1, 2, 0  # room indices, by slug


def house(beds: bool = False) -> tuple[Room, ...]:
    """clinic (waits in hall; a bed if asked for), hall (seats, things, walls), side."""
    hall = Room(
        title="Hall", kind="lobby", size_m=(10.0, 3.0, 10.0), capacity=8, enter=ALL, speak=ALL[:5], grab=ALL[:4],
        moderate=STAFF, slug="hall",
        door=[Door("side", (0.0, -5.0), 180.0), Door("clinic", (5.0, 0.0), 90.0)],
        spawn=[Spawn((0.0, 2.0)), Spawn((1.0, 2.0)), Spawn((-1.0, 2.0))],
        seat=[Seat((-4.0, 4.0), 270.0), Seat((-3.0, 4.0), 270.0, 1.0)],
        box=[Box("table", (3.0, -3.0), (1.0, 0.7, 1.0))],
        wall=[Wall((-5.0, -2.0), (-2.0, -2.0), 0.2)],
        thing=[ThingSpec("cup", "Cup", (0.4, 0.9, 2.0)), ThingSpec("ball", "Ball", (-0.4, 0.1, 1.6))],
    )  # fmt: skip
    side = Room(
        title="Side", kind="rehab", size_m=(8.0, 3.0, 8.0), capacity=2, enter=ALL[:5], speak=["clinician"],
        moderate=STAFF, slug="side", door=[Door("hall", (0.0, 4.0), 0.0)], spawn=[Spawn((0.0, 0.0))],
    )  # fmt: skip
    bed = [BedPlace("bed-1", (2.0, -2.0), PatientSpec("Model One", "female", 44, 165.0, 60.0), 180.0)]
    clinic = Room(
        title="Clinic", kind="consult", size_m=(8.0, 3.0, 8.0), capacity=4, enter=ALL, speak=ALL, grab=ALL,
        moderate=["clinician"], see_twin=["clinician", "student"], order=["clinician"], waiting_room="hall",
        admit_free=["clinician", "student"], slug="clinic", door=[Door("hall", (-4.0, 0.0), 270.0)],
        spawn=[Spawn((0.0, 0.0)), Spawn((1.0, 0.0))], bed=bed if beds else [],
    )  # fmt: skip
    return (clinic, hall, side)


def person(number: int) -> bytes:
    """A key's fingerprint."""
    return sha256(b"person %d" % number).digest()[:16]


def secret(number: int, turn: int = 0) -> bytes:
    """A resume secret's hash."""
    return sha256(b"secret %d %d" % (number, turn)).digest()


def bodies(events: Iterable[Event], kind: type, client: int | None = None) -> list:
    """The events of a kind, for one client or for anybody."""
    return [
        e.body for e in events
        if isinstance(e.body, kind) and (client is None or e.audience == ("client", client))
    ]  # fmt: skip


def refusals(events: Iterable[Event]) -> list[str]:
    """The codes of all refusals."""
    return [body.code for body in bodies(events, Refused)]


def pose(seq: int = 1, **fields: object) -> np.ndarray:
    """One pose row of somebody who stands still."""
    row = np.zeros(1, POSE)
    row["kind"], row["seq"], row["head_y_mm"] = 0x10, seq, 1650
    row["head_rot"] = row["left_rot"] = row["right_rot"] = IDENTITY
    row["left_mm"], row["right_mm"] = (-200, -500, -100), (200, -500, -100)
    for name, value in fields.items():
        row[name] = value
    return row


def poses(rows: dict[int, np.ndarray]) -> PoseBatch:
    """A batch of pose rows by client."""
    if not rows:
        return NO_POSES
    clients = sorted(rows)
    return PoseBatch(np.array(clients, np.uint32), np.concatenate([rows[client] for client in clients]))


class Stage:
    """A world, and short words for what tests do with it."""

    def __init__(
        self, rooms: tuple[Room, ...] | None = None, limits: Limits | None = None, seed: int = 7, tick_hz: int = 30
    ) -> None:
        self.limits = Limits() if limits is None else limits
        self.rooms, self.seed, self.tick_hz = house() if rooms is None else rooms, seed, tick_hz
        self.world = World(self.rooms, self.limits, tick_hz, seed)
        self.events: list[Event] = []
        self._seq = 0

    def step(self, *commands: Command, rows: dict[int, np.ndarray] | None = None) -> list[Event]:
        """One tick."""
        ordered = sorted(commands, key=lambda command: (command.client, command.sequence))
        self.events = self.world.step(ordered, poses(rows or {}))
        return self.events

    def wait(self, ticks: int) -> list[Event]:
        """Ticks in which nobody says anything; all their events."""
        return [event for _ in range(ticks) for event in self.step()]

    def do(self, client: int, body: Body) -> list[Event]:
        """One tick with one command."""
        self._seq += 1
        return self.step(Command(client, self._seq, body))

    def ask(self, client: int, kind: type, *fields: object) -> list[Event]:
        """One tick with one command that a client numbers."""
        self._seq += 1
        return self.step(Command(client, self._seq, kind(self._seq, *fields)))

    def join(self, client: int, role: Role = "patient", room: str = "hall", **more: object) -> list[Event]:
        """Somebody comes in."""
        fields = {"name": f"P{client}", "person": person(client), "resume_hash": secret(client), **more}
        return self.do(client, Join(role=role, room=room, **fields))

    def go_to(self, client: int, x_mm: int, z_mm: int) -> None:
        """Jump; the way must be free."""
        assert refusals(self.ask(client, Teleport, x_mm, z_mm)) == []

    def grant(self, *clients: int) -> list[Event]:
        """The ledger answers every open access of these clients."""
        asked = [(c, b) for c in clients for b in range(self.world.bed_count)]
        return self.step(*(Command(0, 0, AccessRecorded(c, b, 100 + c)) for c, b in asked))

    def place(self, client: int) -> tuple[int, int]:
        """Where somebody stands, x and z in mm."""
        slot = self.world.slot_of(client)
        return int(self.world.avatars.head_mm[slot, 0]), int(self.world.avatars.head_mm[slot, 2])

    def handle(self, client: int) -> int:
        """The avatar handle of a client."""
        return self.world.handle(self.world.slot_of(client))

    def wanted(self) -> list[ToAccess]:
        """Access the last tick asked the shard to record."""
        return bodies(self.events, ToAccess)
