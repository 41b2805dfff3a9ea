"""The shape of a room file: what an operator writes (TOML) and what a client is sent to build the scene (MessagePack).

Owns the types and their plain ranges. `world.rooms` reads the files and checks what types cannot say.
Axes: x right, y up, z towards the viewer, metres; the room spans -size/2 .. size/2 on x and z and 0 .. height on y.
`facing_deg`: 0 looks along -z, counter-clockwise from above.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from server.world.commands import Role, Slug

Metres = Annotated[float, Meta(ge=-32.0, le=32.0)]
Size = Annotated[float, Meta(gt=0.0, le=64.0)]
Degrees = Annotated[float, Meta(ge=-360.0, le=360.0)]
Label = Annotated[str, Meta(min_length=1, max_length=60)]
RoomKind = Literal["lobby", "consult", "ward", "theatre", "rehab", "lecture"]
BoxKind = Literal[
    "desk", "table", "chair", "cabinet", "screen", "plant", "counter", "bench", "podium", "machine", "block"
]
ThingKind = Literal["clipboard", "stethoscope", "cup", "ball", "syringe", "tablet", "pen", "model", "box"]


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of everything in a room file: unknown keys are refused."""


class Wall(Part):
    """An inner wall, a box of the room's height along one axis or the other (from and to share x or z)."""

    start: tuple[Metres, Metres]
    end: tuple[Metres, Metres]
    thickness_m: Annotated[float, Meta(ge=0.02, le=1.0)] = 0.1


class Box(Part):
    """Furniture: an axis-aligned box standing at `at` (x, z of its centre) with size (x, y, z)."""

    kind: BoxKind
    at: tuple[Metres, Metres]
    size_m: tuple[Size, Size, Size]
    name: str = ""


class Door(Part):
    """A way to another room; who comes through appears at that room's door back, or its first spawn point."""

    to: Slug
    at: tuple[Metres, Metres]
    facing_deg: Degrees  # the way one looks when coming in
    width_m: Annotated[float, Meta(ge=0.6, le=4.0)] = 1.2


class Spawn(Part):
    """Where newcomers appear, in turn."""

    at: tuple[Metres, Metres]
    facing_deg: Degrees = 0.0


class Seat(Part):
    """A place to sit: `height_m` is the eye height when seated."""

    at: tuple[Metres, Metres]
    facing_deg: Degrees = 0.0
    height_m: Annotated[float, Meta(ge=0.6, le=1.6)] = 1.15


class ThingSpec(Part):
    """A loose object that can be carried."""

    kind: ThingKind
    name: Label
    at: tuple[Metres, Annotated[float, Meta(ge=0.0, le=4.0)], Metres]  # x, y, z


class PatientSpec(Part):
    """Who lies in the bed, for the model. Names here are for simulated patients only."""

    name: Label
    sex: Literal["female", "male"]
    age_y: Annotated[int, Meta(ge=1, le=110)]
    height_cm: Annotated[float, Meta(ge=60, le=220)]
    weight_kg: Annotated[float, Meta(ge=8, le=250)]
    condition: Literal["healthy", "hypertension", "heart-failure", "sepsis", "hypovolaemia", "copd"] = "healthy"


class BedPlace(Part):
    """A bed with its patient and monitor. `id` is unique in the room; "room/id" names it outside."""

    id: Slug
    at: tuple[Metres, Metres]
    patient: PatientSpec
    facing_deg: Degrees = 0.0
    monitor_at: tuple[Metres, Metres] | None = None  # default: at the head end


class Device(Part):
    """A device that stands in the room and is shown; it acts through orders only."""

    kind: Literal["monitor", "ventilator", "pump", "screen", "defibrillator"]
    at: tuple[Metres, Metres]
    bed: str = ""


class Room(Part):
    """One room file; `slug` is the file's name and is set by the loader."""

    title: Label
    kind: RoomKind
    size_m: tuple[Size, Annotated[float, Meta(ge=2.0, le=4.0)], Size]  # x, height, z
    capacity: Annotated[int, Meta(ge=1, le=4096)]
    enter: list[Role]
    speak: list[Role]
    see_twin: list[Role] = []
    order: list[Role] = []
    grab: list[Role] = []
    moderate: list[Role] = []
    present: list[Role] = []  # in a hall: who is seen by everybody as if near while they speak
    waiting_room: str = ""  # slug; if set, roles not in admit_free wait there until admitted
    admit_free: list[Role] = []
    wall: list[Wall] = []
    box: list[Box] = []
    door: list[Door] = []
    spawn: list[Spawn] = []
    seat: list[Seat] = []
    thing: list[ThingSpec] = []
    bed: list[BedPlace] = []
    device: list[Device] = []
    slug: str = ""
