"""Everybody in a hall, heads only and coarsely: the FAR block, a tenth of the room in each tick.

Owns its body (PROTOCOL.md, Snapshots): who is in the class of the tick, in 60 bits each. One body serves every viewer,
near ones are in it too. Never decides what a tick's class is; never smooths.
"""

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim.bits import Words, from_bytes, get, put, to_bytes, words_for
from server.sim.faults import SnapshotError
from server.sim.rows import SLOT_BITS
from server.sim.state import AvatarState

HEAD = struct.Struct("<BBH")  # part, parts, records
STEP_MM, STEP_TURN = 16, 16  # of a length; of yaw, 1/1024 turn
BIAS = 8192
FAR_WIDTH = np.array([SLOT_BITS, 14, 14, 8, 6, 6], np.int64)  # slot, x, z, y, yaw, flags
FAR_BITS = int(FAR_WIDTH.sum())
assert FAR_BITS == 60

Ints = npt.NDArray[np.int64]


class FarRows(NamedTuple):
    """Who is in one class of a room: those with slot % parts == part, slots ascending. Who is not in it has left."""

    part: int
    parts: int
    slot: Ints  # (n,)
    head_mm: Ints  # (n, 3) within 8 mm
    yaw: Ints  # (n,) 1/1024 turn, within 1/128 turn
    flags: Ints  # (n,)


@njit(cache=True)
def put_far(avatars: AvatarState, slots: Ints, part: int, parts: int, words: Words) -> int:
    """Write the records of the avatars in `slots` that are in the class; how many."""
    at, count = 0, 0
    for i in range(slots.shape[0]):
        s = slots[i]
        if s % parts != part:
            continue
        head = avatars.head_mm[s]
        half = STEP_MM // 2
        x, z = (int(head[0]) + half) // STEP_MM + BIAS, (int(head[2]) + half) // STEP_MM + BIAS
        y = min(max((int(head[1]) + half) // STEP_MM, 0), 255)
        yaw = (int(avatars.yaw[s]) + STEP_TURN // 2) // STEP_TURN & 63
        record = s | x << 12 | z << 26 | y << 40 | yaw << 48 | (int(avatars.flags[s]) & 63) << 54
        at = put(words, at, record, FAR_BITS)
        count += 1
    return count


@njit(cache=True)
def get_far(words: Words, part: int, parts: int, rows: Ints) -> bool:
    """Fill (n, 6) raw fields; False if slots do not ascend or are of another class."""
    at = 0
    for i in range(rows.shape[0]):
        for column in range(6):
            rows[i, column] = get(words, at, FAR_WIDTH[column])
            at += FAR_WIDTH[column]
        if rows[i, 0] % parts != part or (i > 0 and rows[i, 0] <= rows[i - 1, 0]):
            return False
    return True


def far_body(avatars: AvatarState, slots: npt.NDArray[np.integer], part: int, parts: int) -> bytes:
    """The body of the class `part` of `parts` (1..255) of the avatars in `slots`, ascending."""
    assert 0 <= part < parts <= 255
    words = words_for(FAR_BITS * len(slots))
    count = put_far(avatars, np.ascontiguousarray(slots, np.int64), part, parts, words)
    return HEAD.pack(part, parts, count) + to_bytes(words, FAR_BITS * count)


def decode_far(body: bytes) -> FarRows:
    """The rows of a FAR body. Raises SnapshotError for anything malformed; nothing else."""
    if len(body) < HEAD.size:
        raise SnapshotError(f"a far block has {len(body)} bytes, at least {HEAD.size} are needed")
    part, parts, count = HEAD.unpack_from(body)
    if part >= parts:
        raise SnapshotError(f"part {part} of {parts} is none")
    data = body[HEAD.size :]
    if len(data) != FAR_BITS * count + 7 >> 3:
        raise SnapshotError(f"{len(body)} bytes are not {count} far records")
    words, rows = from_bytes(data, 0), np.empty((count, len(FAR_WIDTH)), np.int64)
    if not get_far(words, part, parts, rows):
        raise SnapshotError("slots of a far block do not ascend, or are of another part")
    if count & 1 and data[-1] >> 4:
        raise SnapshotError("there is something after the last record")
    head_mm = (rows[:, [1, 3, 2]] - np.array((BIAS, 0, BIAS), np.int64)) * STEP_MM
    return FarRows(part, parts, rows[:, 0], head_mm, rows[:, 4] * STEP_TURN, rows[:, 5])
