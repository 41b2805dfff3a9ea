"""Room files: the demonstration hospital is good, and every bad file is refused with its line and what is allowed."""

from pathlib import Path

import numpy as np
import pytest
from world_story import house

from server.config import Limits
from server.world.plan import ARRIVE_M, bed_block, floor_of, free, plans_of, rest_height, spot_of, wall_between
from server.world.policy import TABLE, granted
from server.world.rooms import HOSPITAL, RoomFileError, load_rooms
from server.world.scene import BedPlace, PatientSpec

GOOD = """\
title = "Hall"
kind = "lobby"
size_m = [10, 3, 10]
capacity = 8
enter = ["patient", "clinician"]
speak = ["patient"]

[[spawn]]
at = [0, 0]

[[door]]
to = "side"
at = [0, -5]
facing_deg = 180

[[seat]]
at = [2, 2]

[[box]]
kind = "table"
at = [-3, -3]
size_m = [1, 0.7, 1]

[[thing]]
kind = "cup"
name = "Cup"
at = [-3, 0.7, -3]

[[bed]]
id = "one"
at = [3, -3]

[bed.patient]
name = "Model"
sex = "female"
age_y = 50
height_cm = 165
weight_kg = 60

[[bed]]
id = "two"
at = [-3, 3]
patient = {name = "Model", sex = "male", age_y = 50, height_cm = 165, weight_kg = 60}
"""
SIDE = """\
title = "Side"
kind = "rehab"
size_m = [8, 3, 8]
capacity = 4
enter = ["patient", "clinician"]
speak = []

[[spawn]]
at = [0, 0]

[[door]]
to = "hall"
at = [0, 4]
facing_deg = 0
"""


def write(folder: Path, hall: str = GOOD, side: str = SIDE, **others: str) -> Path:
    for slug, text in {"hall": hall, "side": side, **others}.items():
        (folder / f"{slug}.toml").write_text(text)
    return folder


def line_of(text: str, needle: str) -> int:
    return text[: text.index(needle)].count("\n") + 1


def test_good_files_are_read_and_sorted(tmp_path):
    hall, side = load_rooms(write(tmp_path))
    assert (hall.slug, side.slug) == ("hall", "side") and hall.bed[1].patient.sex == "male"


CHANGES = [  # (replace this, by this, the line that is named starts with, words of the message)
    ('kind = "lobby"', 'kind = "attic"', 'kind = "attic"', '"rehab" or "theatre"'),
    ('kind = "table"', 'kind = "sofa"', 'kind = "sofa"', '"bench" or "block"'),
    ("capacity = 8", "capacity = 0", "capacity", "from 1 to 4096"),
    ("capacity = 8", 'capacity = "8"', "capacity", "a whole number"),
    ("capacity = 8\n", "", "title", "capacity"),
    ("capacity = 8", "capacity = 8\ncolour = 3", "colour", "admit_free"),
    ("size_m = [10, 3, 10]", "size_m = [10, 3]", "size_m", "a number"),
    ("size_m = [10, 3, 10]", "size_m = [80, 3, 10]", "size_m", "from 0 to 64"),
    ("size_m = [10, 3, 10]", "size_m = [10, 9, 10]", "size_m", "from 2 to 4"),
    ('speak = ["patient"]', 'speak = ["doctor"]', "speak", '"carer" or "clinician"'),
    ('speak = ["patient"]', 'speak = []\norder = ["student"]', "order", "allowed: clinician"),
    ('speak = ["patient"]', 'speak = []\nsee_twin = ["clinician", "carer"]', "see_twin", "clinician, student"),
    ('speak = ["patient"]', 'speak = []\nmoderate = ["patient"]', "moderate", "clinician, operator"),
    ('speak = ["patient"]', 'speak = []\nadmit_free = ["patient"]', "admit_free", "waiting_room"),
    ('speak = ["patient"]', 'speak = []\nwaiting_room = "cellar"', "waiting_room", "another room file"),
    ('speak = ["patient"]', 'speak = []\nwaiting_room = "hall"', "waiting_room", "another room file"),
    ('speak = ["patient"]', 'speak = []\nwaiting_room = "side"', "waiting_room", "nobody could admit"),
    (
        'speak = ["patient"]', 'speak = []\nwaiting_room = "side"\nadmit_free = ["carer"]', "admit_free",
        "allowed: patient, clinician",
    ),
    ('enter = ["patient", "clinician"]', 'enter = ["carer", "clinician"]\nwaiting_room = "side"\n'
     'admit_free = ["clinician"]', "waiting_room", "may not enter it"),
    ("speak", 'slug = "other"\nspeak', "slug", "the file's name"),
    ('to = "side"', 'to = "cellar"', "to =", "allowed: side"),
    ('to = "side"', 'to = "hall"', "to =", "allowed: side"),
    ("[[seat]]", '[[door]]\nto = "side"\nat = [0, 5]\nfacing_deg = 0\n[[seat]]', 'to = "side"\nat = [0, 5]', "two"),
    ("facing_deg = 180", "facing_deg = 0", "at = [0, -5]", "nobody can stand"),
    ("at = [0, -5]", "at = [0, -5.5]", "at = [0, -5.5]", "outside the room"),
    ("[[spawn]]\nat = [0, 0]\n", "", "title", "[[spawn]]"),
    ("[[spawn]]\nat = [0, 0]", "[[spawn]]\nat = [-3, -2.4]", "at = [-3, -2.4]", "220 mm clear"),
    ("[[seat]]\nat = [2, 2]", "[[seat]]\nat = [4.9, 2]", "at = [4.9, 2]", "220 mm clear"),
    ("at = [-3, -3]\nsize_m", "at = [-4.6, -3]\nsize_m", "[[box]]", "reaches out of the room"),
    ("size_m = [1, 0.7, 1]", "size_m = [1, 3.5, 1]", "[[box]]", "higher than the room"),
    ("at = [3, -3]", "at = [4.8, -3]", "[[bed]]", "reaches out of the room"),
    ('id = "two"', 'id = "one"', 'id = "one"\nat = [-3, 3]', "each once"),
    ('id = "two"', 'id = "Two"', 'id = "Two"', "a-z, 0-9"),
    ("at = [-3, 3]", "at = [-3, 3]\nfacing_deg = 45", "facing_deg = 45", "multiples of 90"),
    ("age_y = 50\nheight", "age_y = 150\nheight", "age_y = 150", "from 1 to 110"),
    ('name = "Model", sex = "male"', 'name = "Model", sex = "other"', "patient = {", '"female" or "male"'),
    ("[[thing]]", '[[thing]]\nkind = "pen"\nname = "Cup"\nat = [1, 1, 1]\n[[thing]]', 'name = "Cup"\nat = [-3', "once"),
    ("at = [-3, 0.7, -3]", "at = [-3, 0.7, -5.3]", "at = [-3, 0.7, -5.3]", "outside the room"),
    ("[[thing]]", '[[device]]\nkind = "pump"\nat = [1, 1]\nbed = "six"\n[[thing]]', 'bed = "six"', "allowed: one, two"),
    ("[[thing]]", "[[wall]]\nstart = [0, 1]\nend = [2, 3]\n[[thing]]", "[[wall]]", "along x or along z"),
    ("[[thing]]", "[[wall]]\nstart = [0, 1]\nend = [0, 6]\n[[thing]]", "[[wall]]", "reaches out"),
    ("capacity = 8", "capacity = = 8", "capacity", "no TOML"),
    ("capacity = 8", "capacity = 8\ncapacity = 9", "capacity = 9", "no TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "named", "words"), CHANGES)
def test_a_bad_file_is_refused_with_file_line_and_what_is_allowed(tmp_path, old, new, named, words):
    assert old in GOOD
    bad = GOOD.replace(old, new, 1)
    with pytest.raises(RoomFileError) as refused:
        load_rooms(write(tmp_path, bad))
    message = str(refused.value)
    assert message.startswith(f"hall.toml, line {line_of(bad, named)}: "), message
    assert words in message, message


def test_doors_that_trap_people_are_refused_but_a_way_round_is_a_way_back(tmp_path):
    side = SIDE.replace('to = "hall"', 'to = "third"')
    third = SIDE.replace('title = "Side"', 'title = "Third"')
    load_rooms(write(tmp_path, side=side, third=third))
    shut = side[: side.index("[[door]]")]
    with pytest.raises(RoomFileError, match=r'hall.toml, line \d+: no way leads back from "side"'):
        load_rooms(write(tmp_path, side=shut, third=third.replace('"hall"', '"side"')))


def test_too_much_of_anything_is_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(RoomFileError, match=r"side.toml, line 1: this is room 2, allowed are 1"):
        load_rooms(tmp_path, Limits(rooms_max=1))
    with pytest.raises(RoomFileError, match="capacity is 8, the house has room for 5"):
        load_rooms(tmp_path, Limits(avatars_max=5))
    pen = '\n[[thing]]\nkind = "pen"\nname = "Pen {}"\nat = [1, 0, 1]\n'
    many = "".join(pen.format(number) for number in range(256))
    with pytest.raises(RoomFileError, match="257 things, allowed are 255"):
        load_rooms(write(tmp_path, GOOD + many))
    with pytest.raises(RoomFileError, match="all rooms together have 2 things, allowed are 1"):
        load_rooms(write(tmp_path, side=SIDE + pen.format(0)), Limits(things_max=1))


def test_folders_and_files_that_are_none(tmp_path):
    with pytest.raises(RoomFileError, match="is no folder"):
        load_rooms(tmp_path / "none")
    with pytest.raises(RoomFileError, match=r"no \*\.toml"):
        load_rooms(tmp_path)
    (tmp_path / "Bad Name.toml").write_text(SIDE)
    with pytest.raises(RoomFileError, match="a-z, 0-9 and -"):
        load_rooms(tmp_path)
    (tmp_path / "Bad Name.toml").unlink()
    (tmp_path / "hall.toml").write_bytes(b'title = "a"\nkind = "\xff"\n')
    with pytest.raises(RoomFileError, match=r"hall\.toml, line 2: is not UTF-8"):
        load_rooms(tmp_path)
    (tmp_path / "hall.toml").write_bytes(b"#" * 300_000)
    with pytest.raises(RoomFileError, match="300000 bytes"):
        load_rooms(tmp_path)


# --- the demonstration hospital --------------------------------------------------------------------------------------


def test_the_hospital_has_the_rooms_it_is_known_for():
    rooms = {room.slug: room for room in load_rooms(None)}
    assert set(rooms) == {"consult", "lecture", "lobby", "rehab", "theatre", "ward"}
    assert all(room.kind == slug for slug, room in rooms.items())
    assert rooms["consult"].waiting_room == "lobby" and rooms["consult"].admit_free == ["clinician"]
    assert len({bed.patient.condition for bed in rooms["ward"].bed}) == 4
    assert len(rooms["theatre"].bed) == 1 and len(rooms["lecture"].seat) == 48
    assert {door.to for door in rooms["lobby"].door} == set(rooms) - {"lobby"}
    for room in rooms.values():
        for right in ("speak", "see_twin", "order", "grab", "moderate"):
            assert all(right in TABLE[role] for role in granted(room, right))


@pytest.mark.parametrize("slug", [file.stem for file in sorted(HOSPITAL.glob("*.toml"))])
def test_every_place_of_the_hospital_can_be_walked_to(slug):
    """Flood the free floor on a grid of 100 mm from the first spawn point; all other places must get wet."""
    rooms = load_rooms(None)
    plans = plans_of(rooms)
    plan, floor = next(plan for plan in plans if plan.room.slug == slug), floor_of(plans)
    step, half_x, half_z = 100, plan.room.size_m[0] * 500, plan.room.size_m[2] * 500
    xs, zs = np.arange(-half_x, half_x + 1, step), np.arange(-half_z, half_z + 1, step)
    dry = {(x, z) for x in xs for z in zs if free(floor, plan.number, 220, int(x), int(z))}
    todo = [min(dry, key=lambda p: (p[0] - plan.spawns[0].x_mm) ** 2 + (p[1] - plan.spawns[0].z_mm) ** 2)]
    wet = set(todo)
    while todo:
        x, z = todo.pop()
        fresh = {(x + step, z), (x - step, z), (x, z + step), (x, z - step)} & dry
        fresh -= wet
        wet |= fresh
        todo += fresh
    spots = [*plan.spawns, *(seat.spot for seat in plan.seats), *(door.arrive for door in plan.doors)]
    besides = [(bed.at[0] * 1000 + side * 750, bed.at[1] * 1000) for bed in plan.room.bed for side in (-1, 1)]
    for x, z in [(spot.x_mm, spot.z_mm) for spot in spots] + besides:
        assert any((x - wx) ** 2 + (z - wz) ** 2 <= 150**2 for wx, wz in wet), (x, z)


def test_things_of_the_hospital_lie_on_something():
    for plan in plans_of(load_rooms(None)):
        for thing in plan.room.thing:
            x, y, z = (round(v * 1000) for v in thing.at)
            rest = rest_height(plan, x, z, y)
            assert rest is not None and 0 <= y - rest <= 150, (plan.room.slug, thing.name)


# --- geometry --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("degrees", "yaw", "x", "z"),
    [(0, 0, 0, -700), (90, 256, -700, 0), (180, 512, 0, 700), (270, 768, 700, 0), (-90, 768, 700, 0)],
)
def test_facing_is_counter_clockwise_from_minus_z(degrees, yaw, x, z):
    assert spot_of((0.0, 0.0), degrees, ARRIVE_M) == (x, z, yaw)


@pytest.mark.parametrize("facing", [0, 90, 180, 270, -90])
def test_a_bed_lies_the_way_it_faces(facing):
    block = bed_block(BedPlace("a", (0.0, 0.0), PatientSpec("A", "male", 40, 170.0, 70.0), float(facing)))
    size = (block.x1 - block.x0, block.z1 - block.z0)
    assert size == ((1000, 2100) if facing % 180 == 0 else (2100, 1000))


@pytest.mark.parametrize(
    ("start", "end", "crossed"),
    [
        ((-3000, -1500), (-3000, -2500), True),
        ((-3000, -1500), (0, -1500), False),
        ((-1500, -1500), (-1500, -2500), False),
        ((-5000, -1900), (-1000, -1900), True),
        ((-2500, -1000), (-1000, -2600), False),
        ((-3000, -2500), (-3000, -1500), True),
        ((-3000, -1500), (-3000, -1500), False),
        ((-3000, -2000), (-3000, -2000), True),
    ],
)
def test_walls_between_two_places(start, end, crossed):
    hall = plans_of(house())[1]
    assert wall_between(hall, *start, *end) is crossed
    assert wall_between(hall, *end, *start) is crossed
