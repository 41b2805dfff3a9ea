"""A room as integers: where its walls, furniture, doors, seats and things are, in mm. Made once from `scene.Room`.

Owns the geometry that room files imply: what stands in the way, where one arrives at a door, what a thing rests on.
Never changes after it was made; never moves anybody.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from server.sim.motion import Floor, is_free
from server.world.scene import BedPlace, Device, Room

BED_M = (1.0, 0.75, 2.1)  # x, height, z of a bed that faces -z or z
DEVICE_M = {
    "monitor": (0.4, 1.4, 0.4), "ventilator": (0.5, 1.4, 0.5), "pump": (0.35, 1.6, 0.35), "screen": (0.3, 2.0, 0.3),
    "defibrillator": (0.5, 1.1, 0.5),
}  # fmt: skip
ARRIVE_M = 0.7  # who comes through a door stands this far inside
REST_OVER_MM = 300  # a hand may be this far below a surface and still put something on it
FLOOR_MM = 5  # what lies on the floor lies this high


class Spot(NamedTuple):
    """A place on the floor and the way one looks there."""

    x_mm: int
    z_mm: int
    yaw: int  # 1/1024 turn


class SeatSpot(NamedTuple):
    """A seat and the height of the eyes on it."""

    spot: Spot
    eyes_mm: int


class DoorWay(NamedTuple):
    """A door: where it is, where one stands after coming in by it, and the room behind it (index)."""

    x_mm: int
    z_mm: int
    arrive: Spot
    to: int


class Block(NamedTuple):
    """Something that stands in the way, seen from above, and its top. `what` names it in messages about room files."""

    x0: int
    z0: int
    x1: int
    z1: int
    top: int
    wall: bool
    what: str


class RoomPlan(NamedTuple):
    """One room, ready for the tick."""

    room: Room
    number: int  # the room's index
    scene: bytes  # the room file as MessagePack, as clients get it
    blocks: tuple[Block, ...]
    doors: tuple[DoorWay, ...]
    spawns: tuple[Spot, ...]
    spawn_mm: npt.NDArray[np.int64]  # (spawns, 2) x, z
    seats: tuple[SeatSpot, ...]
    first_bed: int


def mm(metres: float) -> int:
    """Metres to whole mm."""
    return round(metres * 1000)


def yaw_of(degrees: float) -> int:
    """Degrees to 1/1024 turn."""
    return round(degrees * 1024 / 360) % 1024


def spot_of(at: tuple[float, float], degrees: float, ahead_m: float = 0.0) -> Spot:
    """The spot `ahead_m` in front of `at`, looking the same way."""
    turn = math.radians(degrees)
    x, z = at[0] - math.sin(turn) * ahead_m, at[1] - math.cos(turn) * ahead_m
    return Spot(mm(x), mm(z), yaw_of(degrees))


def block_of(at: tuple[float, float], size_m: tuple[float, float, float], what: str) -> Block:
    """A box on the floor."""
    half_x, half_z = size_m[0] / 2, size_m[2] / 2
    return Block(
        mm(at[0] - half_x), mm(at[1] - half_z), mm(at[0] + half_x), mm(at[1] + half_z), mm(size_m[1]), False, what
    )


def bed_block(bed: BedPlace) -> Block:
    """The floor a bed takes; it stands along z unless it faces along x."""
    wide, high, long = BED_M
    along_x = round(bed.facing_deg / 90) % 2 == 1
    return block_of(bed.at, (long, high, wide) if along_x else BED_M, f"bed {bed.id}")


def device_block(device: Device) -> Block:
    """The floor a device takes."""
    return block_of(device.at, DEVICE_M[device.kind], f"device {device.kind}")


def blocks_of(room: Room) -> Iterator[Block]:
    """Everything of a room that stands in the way: walls, boxes, beds, devices, in file order."""
    for wall in room.wall:
        (x0, z0), (x1, z1), half = wall.start, wall.end, mm(wall.thickness_m / 2)
        yield Block(
            mm(min(x0, x1)) - half, mm(min(z0, z1)) - half, mm(max(x0, x1)) + half, mm(max(z0, z1)) + half,
            mm(room.size_m[1]), True, "wall",
        )  # fmt: skip
    for box in room.box:
        yield block_of(box.at, box.size_m, f"box {box.kind}")
    yield from map(bed_block, room.bed)
    yield from map(device_block, room.device)


def plans_of(rooms: Sequence[Room]) -> tuple[RoomPlan, ...]:
    """The plans of all rooms, which must have passed `world.rooms.check`."""
    index = {room.slug: number for number, room in enumerate(rooms)}
    plans, beds = [], 0
    for number, room in enumerate(rooms):
        doors = tuple(
            DoorWay(mm(door.at[0]), mm(door.at[1]), spot_of(door.at, door.facing_deg, ARRIVE_M), index[door.to])
            for door in room.door
        )
        spawns = tuple(spot_of(spawn.at, spawn.facing_deg) for spawn in room.spawn)
        seats = tuple(SeatSpot(spot_of(seat.at, seat.facing_deg), mm(seat.height_m)) for seat in room.seat)
        spawn_mm = np.array([(spot.x_mm, spot.z_mm) for spot in spawns], np.int64).reshape(-1, 2)
        scene = msgspec.msgpack.encode(room)
        plans.append(RoomPlan(room, number, scene, tuple(blocks_of(room)), doors, spawns, spawn_mm, seats, beds))
        beds += len(room.bed)
    return tuple(plans)


def floor_of(plans: Sequence[RoomPlan]) -> Floor:
    """What the kernels of motion need of all rooms."""
    bounds = np.zeros((len(plans), 4), np.int32)
    first = np.zeros(len(plans) + 1, np.int32)
    rows: list[tuple[int, int, int, int]] = []
    for plan in plans:
        half_x, half_z = mm(plan.room.size_m[0] / 2), mm(plan.room.size_m[2] / 2)
        bounds[plan.number] = (-half_x, -half_z, half_x, half_z)
        rows += [(block.x0, block.z0, block.x1, block.z1) for block in plan.blocks]
        first[plan.number + 1] = len(rows)
    height = np.array([mm(plan.room.size_m[1]) for plan in plans], np.int32)
    return Floor(bounds, height, np.array(rows, np.int32).reshape(-1, 4), first)


def free(floor: Floor, room: int, radius_mm: int, x_mm: int, z_mm: int) -> bool:
    """Whether a body fits there."""
    return bool(is_free(floor, room, radius_mm, x_mm, z_mm))


def wall_between(plan: RoomPlan, x0: int, z0: int, x1: int, z1: int) -> bool:
    """Whether an inner wall crosses the straight way from (x0, z0) to (x1, z1). Exact: integers only."""
    return any(block.wall and _crosses(block, x0, z0, x1 - x0, z1 - z0) for block in plan.blocks)


def _crosses(block: Block, x: int, z: int, dx: int, dz: int) -> bool:
    """Liang-Barsky clipping of the way x + t dx, z + t dz, 0 <= t <= 1; t is a fraction (numerator, denominator)."""
    enter, leave = (0, 1), (1, 1)
    for way, room in ((-dx, x - block.x0), (dx, block.x1 - x), (-dz, z - block.z0), (dz, block.z1 - z)):
        if way == 0:
            if room < 0:
                return False
        elif way < 0:
            if room * enter[1] * (-1) > enter[0] * -way:
                enter = (-room, -way)
        elif room * leave[1] < leave[0] * way:
            leave = (room, way)
    return enter[0] * leave[1] <= leave[0] * enter[1]


def rest_height(plan: RoomPlan, x_mm: int, z_mm: int, from_mm: int) -> int | None:
    """Height of what a thing let go at (x, z) comes to rest on; None where nothing can lie (in a wall, outside)."""
    half_x, half_z = mm(plan.room.size_m[0] / 2), mm(plan.room.size_m[2] / 2)
    if abs(x_mm) > half_x or abs(z_mm) > half_z:
        return None
    top = FLOOR_MM
    for block in plan.blocks:
        if block.x0 <= x_mm <= block.x1 and block.z0 <= z_mm <= block.z1:
            if block.wall or block.top > from_mm + REST_OVER_MM:
                return None
            top = max(top, block.top)
    return top
