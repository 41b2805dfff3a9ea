"""Moves everybody by one tick: poses become intents, intents become places, within what walls and limits allow.

Owns the kernels of motion. Integers only, so server, replay and `.py_func` agree bit for bit and a client can predict
the same. Checks nothing about who may do what: `world` does. Axes and units as in `server.sim.poses`.

Walking: velocity = wish + push of the personal-space bubbles, cut to the speed limit; the way of a tick is
velocity / hz in whole mm, the rest is carried on to the next tick. The body is a disc: it sweeps along x, then along z,
and stops where it would touch a box or the bounds of the room, so it slides along walls and cannot pass through any.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim.poses import AWAY, MUTED, NO_POSES, POINTING, RAISED, SEATED, SPEAKING, PoseBatch
from server.sim.rotation import coarse
from server.sim.state import AvatarState, Intents, ThingState, new_avatars, new_intents, new_things

CLIENT_FLAGS = SPEAKING | RAISED | POINTING
SERVER_FLAGS = SEATED | AWAY | MUTED
HEAD_Y_MIN_MM, HEAD_Y_MAX_MM = 400, 2300
HEAD_SPEED_MM_S = 3000  # up and down
CEILING_GAP_MM = 100
COORDINATE_MAX_MM = 32_767

Pairs = npt.NDArray[np.int64]

# Columns of a pose table (n, POSE_COLUMNS).
SLOT, ACK, WISH_X, WISH_Z, YAW, HEAD_Y, HEAD_ROT, LEFT, LEFT_ROT, RIGHT, RIGHT_ROT, GRIPS, FLAGS = (
    0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 14, 15, 16
)  # fmt: skip
POSE_COLUMNS = 17


class Rules(NamedTuple):
    """What a body may do in a tick, from Limits and the tick rate."""

    tick_hz: int
    speed_mm_s: int
    wish_ticks: int
    radius_mm: int
    space_mm: int
    reach_mm: int
    hand_step_mm: int  # per tick
    head_step_mm: int  # per tick, up and down


class Floor(NamedTuple):
    """What stands in the way, all rooms: boxes of room r are rows first[r] .. first[r + 1]."""

    bounds: npt.NDArray[np.int32]  # (rooms, 4) x low, z low, x high, z high, mm
    height: npt.NDArray[np.int32]  # (rooms,) mm
    boxes: npt.NDArray[np.int32]  # (boxes, 4) x low, z low, x high, z high, mm
    first: npt.NDArray[np.int32]  # (rooms + 1,)


def pose_table(slots: npt.NDArray[np.int64], poses: PoseBatch) -> Pairs:
    """The poses as (n, POSE_COLUMNS) integers; `slots` (n,) is the avatar of each row, -1 to skip it."""
    rows, table = poses.rows, np.empty((len(slots), POSE_COLUMNS), np.int64)
    table[:, SLOT] = slots
    table[:, ACK] = rows["seq"] & 0xFF
    table[:, WISH_X : WISH_Z + 1] = rows["wish_mm_s"]
    table[:, YAW] = rows["yaw"] & 1023
    table[:, HEAD_Y] = rows["head_y_mm"]
    table[:, HEAD_ROT] = rows["head_rot"]
    table[:, LEFT:LEFT_ROT] = rows["left_mm"]
    table[:, LEFT_ROT] = rows["left_rot"]
    table[:, RIGHT:RIGHT_ROT] = rows["right_mm"]
    table[:, RIGHT_ROT] = rows["right_rot"]
    table[:, GRIPS] = rows["grips"]
    table[:, FLAGS] = rows["flags"] & CLIENT_FLAGS
    return table


@njit(cache=True)
def root(value: int) -> int:
    """Whole square root, rounded down."""
    guess = int(np.sqrt(value))
    while guess * guess > value:
        guess -= 1
    while (guess + 1) * (guess + 1) <= value:
        guess += 1
    return guess


@njit(cache=True)
def part(value: int, times: int, by: int) -> int:
    """Value * times / by, rounded towards zero; by > 0."""
    product = value * times
    return product // by if product >= 0 else -(-product // by)


@njit(cache=True)
def even(mm: int) -> int:
    """The next even number towards zero: hands are on a grid of 2 mm."""
    return part(mm, 1, 2) * 2


@njit(cache=True)
def rotation_ok(packed: int) -> bool:
    """No field of the packed rotation is 1023."""
    return (packed >> 2 & 1023) != 1023 and (packed >> 12 & 1023) != 1023 and (packed >> 22 & 1023) != 1023


@njit(cache=True)
def cut(vector: Pairs, length_max: int) -> None:
    """Shorten an integer vector in place to at most `length_max`."""
    total = 0
    for axis in range(vector.shape[0]):
        total += int(vector[axis]) * int(vector[axis])
    if total > length_max * length_max:
        length = root(total) + 1
        for axis in range(vector.shape[0]):
            vector[axis] = part(int(vector[axis]), length_max, length)


@njit(cache=True)
def apply_poses(avatars: AvatarState, intents: Intents, table: Pairs, rules: Rules) -> int:
    """Write clamped pose rows into the intents; rotations, yaw, grips and flags need no limit and take effect at once.

    Rotations that are none leave the old one. Returns the number of rows applied.
    """
    applied = 0
    wish, hand = np.empty(2, np.int64), np.empty(3, np.int64)
    for row in range(table.shape[0]):
        slot = int(table[row, SLOT])
        if slot < 0:
            continue
        applied += 1
        wish[0], wish[1] = table[row, WISH_X], table[row, WISH_Z]
        cut(wish, rules.speed_mm_s)
        intents.wish_mm_s[slot, 0], intents.wish_mm_s[slot, 1] = wish[0], wish[1]
        intents.wish_ticks[slot] = rules.wish_ticks
        if not avatars.flags[slot] & SEATED:  # the eyes of who sits are at the height of the seat
            intents.head_y_mm[slot] = min(max(int(table[row, HEAD_Y]), HEAD_Y_MIN_MM), HEAD_Y_MAX_MM)
        if rotation_ok(int(table[row, HEAD_ROT])):
            avatars.head_rot[slot] = table[row, HEAD_ROT]
        for side in range(2):
            column = RIGHT if side else LEFT
            for axis in range(3):
                hand[axis] = table[row, column + axis]
            cut(hand, rules.reach_mm - 4)  # rounding on the way there stays within reach
            for axis in range(3):
                intents.hand_mm[slot, side, axis] = even(hand[axis])
            if rotation_ok(int(table[row, column + 3])):
                avatars.hand_rot[slot, side] = coarse(int(table[row, column + 3]))
        avatars.yaw[slot] = table[row, YAW]
        avatars.grips[slot] = table[row, GRIPS]
        kept = int(avatars.flags[slot]) & SERVER_FLAGS
        avatars.flags[slot] = kept | (int(table[row, FLAGS]) & int(intents.flags_allowed[slot]))
        avatars.ack[slot] = table[row, ACK]
    return applied


@njit(cache=True)
def sweep(floor: Floor, room: int, radius: int, axis: int, along: int, across: int, target: int) -> int:
    """How far a disc gets from `along` towards `target` on one axis (0 x, 1 z), standing at `across` on the other."""
    low, high = int(floor.bounds[room, axis]) + radius, int(floor.bounds[room, axis + 2]) - radius
    target = min(max(target, low), high)
    for box in range(floor.first[room], floor.first[room + 1]):
        side_low, side_high = int(floor.boxes[box, 1 - axis]), int(floor.boxes[box, 3 - axis])
        beside = max(side_low - across, across - side_high, 0)
        if beside >= radius:
            continue
        square = radius * radius - beside * beside
        gap = root(square)
        if gap * gap < square:
            gap += 1
        near, far = int(floor.boxes[box, axis]) - gap, int(floor.boxes[box, axis + 2]) + gap
        if along <= near < target:
            target = near
        elif along >= far > target:
            target = far
    return target


@njit(cache=True)
def is_free(floor: Floor, room: int, radius: int, x: int, z: int) -> bool:
    """Whether a disc at (x, z) is inside the bounds and touches no box."""
    bounds = floor.bounds[room]
    if x < bounds[0] + radius or x > bounds[2] - radius or z < bounds[1] + radius or z > bounds[3] - radius:
        return False
    for box in range(floor.first[room], floor.first[room + 1]):
        row = floor.boxes[box]
        dx = max(int(row[0]) - x, x - int(row[2]), 0)
        dz = max(int(row[1]) - z, z - int(row[3]), 0)
        if dx * dx + dz * dz < radius * radius:
            return False
    return True


@njit(cache=True)
def first_clear(spots: Pairs, places: Pairs, start: int, clear: int) -> int:
    """The first of the spots (n, 2), in turn from `start`, with no place (m, 2) nearer than `clear`; else `start`."""
    for step in range(spots.shape[0]):
        spot = (start + step) % spots.shape[0]
        free = True
        for i in range(places.shape[0]):
            dx, dz = places[i, 0] - spots[spot, 0], places[i, 1] - spots[spot, 1]
            if dx * dx + dz * dz < clear * clear:
                free = False
                break
        if free:
            return spot
    return start


@njit(cache=True)
def by_room(avatars: AvatarState, rooms: int, order: Pairs) -> Pairs:
    """Write the live slots grouped by room, ascending in each, into `order`; returns (rooms + 1,) where each begins."""
    first = np.zeros(rooms + 1, np.int64)
    for slot in range(avatars.alive.shape[0]):
        if avatars.alive[slot]:
            first[avatars.room[slot] + 1] += 1
    for room in range(rooms):
        first[room + 1] += first[room]
    filled = first.copy()
    for slot in range(avatars.alive.shape[0]):
        if avatars.alive[slot]:
            room = avatars.room[slot]
            order[filled[room]] = slot
            filled[room] += 1
    return first


@njit(cache=True)
def push_room(head_mm: npt.NDArray[np.int32], slots: Pairs, rules: Rules, push: Pairs) -> None:
    """Add the pushes of the bubbles of one room's avatars to `push` (n, 2) mm/s.

    Nothing at the rim, the speed limit at the middle. Who is nearer than the rim is found by sweeping along x; sums of
    integers do not depend on the order of the sweep.
    """
    x, z = head_mm[:, 0][slots].astype(np.int64), head_mm[:, 2][slots].astype(np.int64)
    order = np.argsort(x, kind="mergesort")
    space, speed = rules.space_mm, rules.speed_mm_s
    for first in range(order.shape[0]):
        i = order[first]
        for second in range(first + 1, order.shape[0]):
            j = order[second]
            dx, dz = x[j] - x[i], z[j] - z[i]
            if dx >= space:
                break
            square = dx * dx + dz * dz
            if square >= space * space:
                continue
            a, b = slots[i], slots[j]
            strength = speed * (space - root(square)) // space
            if square == 0:  # the same spot: part them in a direction that depends on who they are
                a, b = min(a, b), max(a, b)
                dx, dz = 1 + (a ^ b) % 3, 1 + (a + b) % 3
                square = dx * dx + dz * dz
            length = root(square)
            force_x, force_z = part(dx, strength, length), part(dz, strength, length)
            push[a, 0] -= force_x
            push[a, 1] -= force_z
            push[b, 0] += force_x
            push[b, 1] += force_z


@njit(cache=True)
def walk(avatars: AvatarState, intents: Intents, floor: Floor, rules: Rules, slot: int, velocity: Pairs) -> None:
    """Move one body by its wish and `velocity` (2,) mm/s, its push, as far as its room lets it."""
    if intents.wish_ticks[slot] > 0:
        intents.wish_ticks[slot] -= 1
        velocity[0] += intents.wish_mm_s[slot, 0]
        velocity[1] += intents.wish_mm_s[slot, 1]
    cut(velocity, rules.speed_mm_s)
    room = int(avatars.room[slot])
    for axis in range(2):
        if velocity[axis] == 0:
            intents.carry_mm[slot, axis] = 0
            continue
        way = int(velocity[axis]) + int(intents.carry_mm[slot, axis])
        step = part(way, 1, rules.tick_hz)
        intents.carry_mm[slot, axis] = way - step * rules.tick_hz
        along, across = int(avatars.head_mm[slot, 2 * axis]), int(avatars.head_mm[slot, 2 - 2 * axis])
        avatars.head_mm[slot, 2 * axis] = sweep(floor, room, rules.radius_mm, axis, along, across, along + step)


@njit(cache=True)
def gesture(avatars: AvatarState, intents: Intents, floor: Floor, rules: Rules, slot: int, way: Pairs) -> None:
    """Move one head up or down and both hands to where they are wanted, at most a tick's way. `way` is scratch (3,)."""
    head_y = int(avatars.head_mm[slot, 1])
    ceiling = int(floor.height[int(avatars.room[slot])]) - CEILING_GAP_MM
    wanted = min(int(intents.head_y_mm[slot]), ceiling)
    head_y += min(max(wanted - head_y, -rules.head_step_mm), rules.head_step_mm)
    avatars.head_mm[slot, 1] = head_y
    for side in range(2):
        for axis in range(3):
            way[axis] = int(intents.hand_mm[slot, side, axis]) - int(avatars.hand_mm[slot, side, axis])
        cut(way, rules.hand_step_mm)
        for axis in range(3):
            avatars.hand_mm[slot, side, axis] += even(way[axis])
        if avatars.hand_mm[slot, side, 1] < -head_y:
            avatars.hand_mm[slot, side, 1] = even(-head_y)  # not below the floor


@njit(cache=True)
def advance(avatars: AvatarState, intents: Intents, floor: Floor, rules: Rules) -> None:
    """Move everybody by one tick. Who sits or is away stays where they are, and still keeps others at a distance."""
    slots = avatars.alive.shape[0]
    order, push, way = np.empty(slots, np.int64), np.zeros((slots, 2), np.int64), np.empty(3, np.int64)
    first = by_room(avatars, floor.height.shape[0], order)
    for room in range(floor.height.shape[0]):
        push_room(avatars.head_mm, order[first[room] : first[room + 1]], rules, push)
    for slot in range(slots):
        if not avatars.alive[slot]:
            continue
        if not avatars.flags[slot] & (SEATED | AWAY):
            walk(avatars, intents, floor, rules, slot, push[slot])
        gesture(avatars, intents, floor, rules, slot, way)


@njit(cache=True)
def carry(avatars: AvatarState, things: ThingState) -> None:
    """What is held is where the hand is."""
    for thing in range(things.alive.shape[0]):
        owner = int(things.owner[thing])
        if not things.alive[thing] or owner < 0:
            continue
        side = int(things.hand[thing])
        things.room[thing] = avatars.room[owner]
        things.rot[thing] = avatars.hand_rot[owner, side]
        for axis in range(3):
            place = int(avatars.head_mm[owner, axis]) + int(avatars.hand_mm[owner, side, axis])
            things.pos_mm[thing, axis] = min(max(place, -COORDINATE_MAX_MM), COORDINATE_MAX_MM)
        things.pos_mm[thing, 1] = min(max(int(things.pos_mm[thing, 1]), 0), 4095)


def prime() -> None:
    """Compile the kernels."""
    avatars, things, intents = new_avatars(2), new_things(1), new_intents(2)
    avatars.alive[:], avatars.room[:] = True, 0
    edge = np.array([[-1000, -1000, 1000, 1000]], np.int32)
    floor = Floor(edge, np.array([3000], np.int32), edge // 10 + 500, np.array([0, 1], np.int32))
    rules = Rules(30, 2200, 15, 220, 500, 900, 266, 100)
    apply_poses(avatars, intents, pose_table(np.zeros(0, np.int64), NO_POSES), rules)
    advance(avatars, intents, floor, rules)
    carry(avatars, things)
    is_free(floor, 0, 220, 0, 0)
    first_clear(np.zeros((1, 2), np.int64), np.zeros((1, 2), np.int64), 0, 450)
