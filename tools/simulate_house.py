"""The rooms of the simulation: small, and with one of everything that can go wrong in a house.

Owns the rooms: a lobby, a ward with beds, a clinic that one waits for, and a hall of many cells.
"""

from server.world.commands import ROLES, Role
from server.world.scene import BedPlace, Box, Door, PatientSpec, Room, Seat, Spawn, ThingSpec, Wall

ALL: list[Role] = list(ROLES)
STAFF: list[Role] = ["clinician", "operator"]
HALL_M = 28.0


def _lobby() -> Room:
    return Room(
        title="Lobby", kind="lobby", size_m=(10.0, 3.0, 10.0), capacity=24, enter=ALL, speak=ALL, grab=ALL,
        moderate=STAFF, slug="lobby",
        door=[Door("ward", (0.0, -5.0), 180.0), Door("clinic", (5.0, 0.0), 90.0), Door("hall", (0.0, 5.0), 0.0)],
        spawn=[Spawn((0.0, 2.0)), Spawn((1.0, 2.0)), Spawn((-1.0, 2.0)), Spawn((2.0, 2.0)), Spawn((-2.0, 2.0))],
        seat=[Seat((-4.0, 4.0), 270.0), Seat((-3.0, 4.0), 270.0, 1.0)],
        box=[Box("table", (3.0, -3.0), (1.0, 0.7, 1.0))],
        wall=[Wall((-5.0, -2.0), (-2.0, -2.0), 0.2)],
        thing=[ThingSpec("cup", "Cup", (0.4, 0.9, 2.0)), ThingSpec("ball", "Ball", (-0.4, 0.1, 1.6))],
    )  # fmt: skip


def _ward() -> Room:
    beds = [
        BedPlace("bed-1", (2.0, -2.0), PatientSpec("Model One", "female", 44, 165.0, 60.0), 180.0),
        BedPlace("bed-2", (-2.0, -2.0), PatientSpec("Model Two", "male", 61, 178.0, 82.0), 180.0),
    ]
    return Room(
        title="Ward", kind="ward", size_m=(8.0, 3.0, 8.0), capacity=16, enter=ALL[:5], speak=ALL, grab=STAFF,
        moderate=["clinician"], see_twin=["clinician", "student"], order=["clinician"], slug="ward",
        door=[Door("lobby", (0.0, 4.0), 0.0)], spawn=[Spawn((0.0, 2.0)), Spawn((1.0, 2.0))], bed=beds,
        thing=[ThingSpec("syringe", "Syringe", (0.5, 0.8, 1.0)), ThingSpec("tablet", "Tablet", (-0.5, 0.8, 1.0))],
    )  # fmt: skip


def _clinic() -> Room:
    return Room(
        title="Clinic", kind="consult", size_m=(8.0, 3.0, 8.0), capacity=4, enter=ALL, speak=ALL, grab=ALL,
        moderate=["clinician"], waiting_room="lobby", admit_free=["clinician", "operator"], slug="clinic",
        door=[Door("lobby", (-4.0, 0.0), 270.0)], spawn=[Spawn((0.0, 0.0)), Spawn((1.0, 0.0))],
        thing=[ThingSpec("pen", "Pen", (0.3, 0.8, 0.3))],
    )  # fmt: skip


def _hall() -> Room:
    spots = [(x, z) for x in (-11.0, -4.0, 3.0, 11.0) for z in (-11.0, -3.0, 4.0, 10.0)]
    return Room(
        title="Hall", kind="lecture", size_m=(HALL_M, 4.0, HALL_M), capacity=200, enter=ALL, speak=ALL, grab=ALL,
        moderate=STAFF, present=["clinician"], slug="hall", door=[Door("lobby", (0.0, -HALL_M / 2), 180.0)],
        spawn=[Spawn(spot) for spot in spots], seat=[Seat((x, -8.0), 0.0) for x in (-6.0, 0.0, 6.0)],
        thing=[ThingSpec("model", f"Model {n}", (x + 0.5, 0.4, z)) for n, (x, z) in enumerate(spots)],
    )  # fmt: skip


def rooms() -> tuple[Room, ...]:
    """All rooms, sorted by slug as a house reads them."""
    return (_clinic(), _hall(), _lobby(), _ward())
