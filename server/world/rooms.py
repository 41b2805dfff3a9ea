"""Reads the room files an operator writes and refuses what would not work, naming file, line and what is allowed.

Owns what the types of `scene` cannot say: doors that lead somewhere, bodies that fit, numbers that add up. The
demonstration hospital lies beside this file. Never changes a room after it was read.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from server.config import Limits
from server.world import room_text
from server.world.commands import ROLES
from server.world.plan import ARRIVE_M, Block, bed_block, blocks_of, device_block, floor_of, free, mm, plans_of, spot_of
from server.world.policy import TABLE, Right, granted, may, may_admit, must_wait
from server.world.scene import Room

HOSPITAL = Path(__file__).parent / "hospital"
FILE_BYTES_MAX = 256 * 1024
INDEX_MAX = 256  # rooms and beds of the world are one byte on the wire
SEATS_MAX = 2048
THINGS_SHOWN_MAX = 255
THING_SLOTS_MAX = 1024  # ten bits on the wire
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
GRANTS: tuple[Right, ...] = ("speak", "see_twin", "order", "grab", "moderate")

Where = room_text.Path


class RoomFileError(ValueError):
    """A room file (or the folder) is refused. The message names file, line, what was got and what is allowed."""

    def __init__(self, file: str, line: int, text: str) -> None:
        super().__init__(f"{file}, line {line}: {text}" if line else f"{file}: {text}")
        self.file, self.line = file, line


class Problem(NamedTuple):
    """Something wrong in a room, where in its file, and what is allowed instead."""

    slug: str
    where: Where
    text: str


def load_rooms(folder: Path | None, limits: Limits | None = None) -> tuple[Room, ...]:
    """The rooms of a folder's *.toml (None: the demonstration hospital), sorted by slug. Raises RoomFileError."""
    folder = HOSPITAL if folder is None else folder
    if not folder.is_dir():
        raise RoomFileError(str(folder), 0, "is no folder; room files are *.toml in one folder")
    files = sorted(folder.glob("*.toml"), key=lambda file: file.stem)
    if not files:
        raise RoomFileError(str(folder), 0, "holds no *.toml, at least one room file is needed")
    texts = {file.stem: _text(file) for file in files}
    rooms = tuple(read_room(slug, text) for slug, text in texts.items())
    for problem in check(rooms, Limits() if limits is None else limits):
        line = room_text.line_of(texts[problem.slug], problem.where)
        raise RoomFileError(f"{problem.slug}.toml", line, problem.text)
    return rooms


def _text(file: Path) -> str:
    if not SLUG.fullmatch(file.stem):
        raise RoomFileError(file.name, 0, "a room file's name has 1 to 40 characters of a-z, 0-9 and -")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise RoomFileError(file.name, 0, f"cannot be read: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise RoomFileError(file.name, 0, f"has {len(data)} bytes, allowed are {FILE_BYTES_MAX}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RoomFileError(file.name, line, "is not UTF-8 here; room files are UTF-8") from error


def read_room(slug: str, text: str) -> Room:
    """One room from its TOML text, checked by type only. Raises RoomFileError."""
    file = f"{slug}.toml"
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        line = int(at.group(1)) if at else len(text.splitlines())
        raise RoomFileError(file, line, f"is no TOML here: {error}") from error
    if "slug" in tree:
        raise RoomFileError(file, room_text.line_of(text, ("slug",)), "slug is not allowed, the file's name is it")
    try:
        return msgspec.convert({**tree, "slug": slug}, Room)
    except msgspec.ValidationError as error:
        raise _of_type(file, text, error) from error


def _of_type(file: str, text: str, error: msgspec.ValidationError) -> RoomFileError:
    """What msgspec found, with its line and what is allowed there."""
    message, _, at = str(error).partition(" - at `")
    where = room_text.parse_path(at)
    allowed = room_text.allowed_at(where)
    if unknown := re.search(r"unknown field `([^`]*)`", message):
        where = (*where, unknown.group(1))
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where).lstrip(".")
    return RoomFileError(file, room_text.line_of(text, where), f"{name or 'the file'}: {message}; allowed: {allowed}")


# --- what types cannot say -------------------------------------------------------------------------------------------


def check(rooms: Sequence[Room], limits: Limits) -> Iterator[Problem]:
    """Everything wrong with a house, room by room; the first of a kind may hide others that depend on it."""
    yield from _check_house(rooms, limits)
    by_slug = {room.slug: room for room in rooms}
    for room in rooms:
        roles, doors = _check_roles(room, by_slug), _check_doors(room, by_slug)
        found = chain(_check_numbers(room, limits), roles, _check_names(room), doors)
        yield from (Problem(room.slug, where, text) for where, text in found)
    if all(door.to in by_slug for room in rooms for door in room.door):
        yield from _check_ways(rooms)
        yield from _check_floors(rooms, limits)


def _check_house(rooms: Sequence[Room], limits: Limits) -> Iterator[Problem]:
    last = rooms[-1].slug
    rooms_max = min(int(limits.rooms_max), INDEX_MAX)
    if len(rooms) > rooms_max:
        yield Problem(last, (), f"this is room {len(rooms)}, allowed are {rooms_max}")
    things_max = min(int(limits.things_max), THING_SLOTS_MAX)
    if (things := sum(len(room.thing) for room in rooms)) > things_max:
        yield Problem(last, ("thing", 0), f"all rooms together have {things} things, allowed are {things_max}")
    if (beds := sum(len(room.bed) for room in rooms)) > INDEX_MAX:
        yield Problem(last, ("bed", 0), f"all rooms together have {beds} beds, allowed are {INDEX_MAX}")


def _check_numbers(room: Room, limits: Limits) -> Iterator[tuple[Where, str]]:
    if room.capacity > limits.avatars_max:
        yield ("capacity",), f"capacity is {room.capacity}, the house has room for {int(limits.avatars_max)}"
    if len(room.thing) > THINGS_SHOWN_MAX:
        yield ("thing", THINGS_SHOWN_MAX), f"{len(room.thing)} things, allowed are {THINGS_SHOWN_MAX}"
    if len(room.seat) > SEATS_MAX:
        yield ("seat", SEATS_MAX), f"{len(room.seat)} seats, allowed are {SEATS_MAX}"
    if not room.spawn:
        yield (), "no spawn point, at least one [[spawn]] is needed"


def _check_roles(room: Room, by_slug: dict[str, Room]) -> Iterator[tuple[Where, str]]:
    for right in GRANTS:
        for number, role in enumerate(granted(room, right)):
            if right not in TABLE[role]:
                allowed = ", ".join(r for r in ROLES if right in TABLE[r])
                yield (right, number), f"{right} names {role}, who never may in this house; allowed: {allowed}"
    for number, role in enumerate(room.present):
        if role not in room.speak:
            yield ("present", number), f"present names {role}, who may not speak here; allowed: {', '.join(room.speak)}"
    for role in room.admit_free:
        if role not in room.enter:
            yield ("admit_free",), f"admit_free names {role}, who may not enter; allowed: {', '.join(room.enter)}"
    if not room.waiting_room:
        if room.admit_free:
            yield ("admit_free",), "admit_free is given without a waiting_room: give both or neither"
        return
    yield from _check_waiting(room, by_slug.get(room.waiting_room))


def _check_waiting(room: Room, place: Room | None) -> Iterator[tuple[Where, str]]:
    at: Where = ("waiting_room",)
    if place is None or place is room:
        yield at, f'waiting_room is "{room.waiting_room}", allowed is the name of another room file'
        return
    if place.waiting_room:
        yield at, f'waiting_room "{place.slug}" has a waiting room itself, allowed is one that has none'
    for role in ROLES:
        if role in room.enter and must_wait(role, room) and not may(role, "enter", place):
            yield at, f"a {role} must wait in {place.slug} but may not enter it; allowed: enter there, admit_free here"
    if not any(may_admit(role, room) for role in ROLES):
        yield at, "nobody could admit those who wait; allowed: a role that may admit, in enter and admit_free"


def _check_names(room: Room) -> Iterator[tuple[Where, str]]:
    seen: set[str] = set()
    for number, bed in enumerate(room.bed):
        if bed.id in seen:
            yield ("bed", number, "id"), f'bed id "{bed.id}" is given twice, allowed is each once'
        seen.add(bed.id)
        if bed.facing_deg % 90:
            yield ("bed", number, "facing_deg"), f"a bed faces {bed.facing_deg:g}, allowed are multiples of 90"
    for number, device in enumerate(room.device):
        if device.bed and device.bed not in seen:
            allowed = ", ".join(sorted(seen))
            yield ("device", number, "bed"), f'bed "{device.bed}" is not in this room, allowed: {allowed}'
    names: set[str] = set()
    for number, thing in enumerate(room.thing):
        if thing.name in names:
            yield ("thing", number, "name"), f'thing "{thing.name}" is given twice, allowed is each name once'
        names.add(thing.name)


def _check_doors(room: Room, by_slug: dict[str, Room]) -> Iterator[tuple[Where, str]]:
    targets: set[str] = set()
    for number, door in enumerate(room.door):
        at: Where = ("door", number, "to")
        if door.to not in by_slug or door.to == room.slug:
            others = ", ".join(slug for slug in by_slug if slug != room.slug)
            yield at, f'a door leads to "{door.to}", allowed: {others or "no room, there is no other"}'
        if door.to in targets:
            yield at, f'two doors lead to "{door.to}", allowed is one'
        targets.add(door.to)


def _check_ways(rooms: Sequence[Room]) -> Iterator[Problem]:
    """Whoever goes through a door can come back, be it through other rooms."""
    ways = {room.slug: [door.to for door in room.door] for room in rooms}
    for room in rooms:
        for number, door in enumerate(room.door):
            if room.slug not in _reach(ways, door.to):
                text = f'no way leads back from "{door.to}"; allowed: a door there to "{room.slug}", or a way round'
                yield Problem(room.slug, ("door", number, "to"), text)


def _reach(ways: dict[str, list[str]], start: str) -> set[str]:
    seen, todo = {start}, [start]
    while todo:
        fresh = [slug for slug in ways[todo.pop()] if slug not in seen]
        seen.update(fresh)
        todo += fresh
    return seen


# --- geometry --------------------------------------------------------------------------------------------------------


def _check_floors(rooms: Sequence[Room], limits: Limits) -> Iterator[Problem]:
    plans = plans_of(rooms)
    floor = floor_of(plans)
    radius = int(limits.body_radius_mm)
    for plan, room in zip(plans, rooms, strict=True):
        for where, text in (*_check_inside(room), *_check_walls(room)):
            yield Problem(room.slug, where, text)
        for where, spot in _spots(room):
            if not free(floor, plan.number, radius, spot[0], spot[1]):
                x, z = spot[0] / 1000, spot[1] / 1000
                text = f"nobody can stand at [{x:g}, {z:g}]; allowed: {radius} mm clear of walls and furniture"
                yield Problem(room.slug, where, text)


def _spots(room: Room) -> Iterator[tuple[Where, tuple[int, int]]]:
    """Where somebody must be able to stand: spawn points, seats, and inside each door."""
    for number, spawn in enumerate(room.spawn):
        yield ("spawn", number, "at"), (mm(spawn.at[0]), mm(spawn.at[1]))
    for number, seat in enumerate(room.seat):
        yield ("seat", number, "at"), (mm(seat.at[0]), mm(seat.at[1]))
    for number, door in enumerate(room.door):
        inside = spot_of(door.at, door.facing_deg, ARRIVE_M)
        yield ("door", number, "at"), (inside.x_mm, inside.z_mm)


def _check_walls(room: Room) -> Iterator[tuple[Where, str]]:
    for number, wall in enumerate(room.wall):
        (x0, z0), (x1, z1) = wall.start, wall.end
        if (x0 == x1) == (z0 == z1):
            yield ("wall", number), "a wall goes along x or along z; allowed: start and end that share x or z, not both"


def _check_inside(room: Room) -> Iterator[tuple[Where, str]]:
    half_x, half_z = mm(room.size_m[0] / 2), mm(room.size_m[2] / 2)
    allowed = f"allowed: x within {half_x / 1000:g} and z within {half_z / 1000:g} of the middle"
    for where, block in _parts(room):
        if block.x0 < -half_x or block.x1 > half_x or block.z0 < -half_z or block.z1 > half_z:
            yield where, f"{block.what} reaches out of the room; {allowed}"
        if block.top > mm(room.size_m[1]):
            yield where, f"{block.what} is higher than the room; allowed: {room.size_m[1]:g}"
    for number, door in enumerate(room.door):
        if abs(mm(door.at[0])) > half_x or abs(mm(door.at[1])) > half_z:
            yield ("door", number, "at"), f"door to {door.to} is outside the room; {allowed}"
    for number, thing in enumerate(room.thing):
        x, y, z = (mm(value) for value in thing.at)
        if abs(x) > half_x or abs(z) > half_z or y > mm(room.size_m[1]):
            yield ("thing", number, "at"), f"{thing.name} is outside the room; {allowed}"


def _parts(room: Room) -> Iterator[tuple[Where, Block]]:
    blocks = list(blocks_of(room))
    walls, boxes = len(room.wall), len(room.box)
    for number in range(walls):
        half = mm(room.wall[number].thickness_m / 2)  # a wall may be built into the room's own
        block = blocks[number]
        yield (
            ("wall", number),
            block._replace(x0=block.x0 + half, z0=block.z0 + half, x1=block.x1 - half, z1=block.z1 - half),
        )
    for number in range(boxes):
        yield ("box", number), blocks[walls + number]
    for number, bed in enumerate(room.bed):
        yield ("bed", number), bed_block(bed)
    for number, device in enumerate(room.device):
        yield ("device", number), device_block(device)
