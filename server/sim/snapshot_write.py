"""Snapshot bodies into bits: full avatar records, delta records against a baseline, things.

Owns the encoder's kernels. Never checks: state is on the wire's grid and `put` cuts to the width.
"""

import numpy as np
from numba import njit

from server.sim.bits import Words, put
from server.sim.rows import (
    CHANGED,
    CODE_BITS,
    COLUMNS,
    GONE,
    GROUP_COUNT,
    GROUPS,
    POSITION,
    POSITION_BITS,
    ROTATION,
    ROTATION_BITS,
    SAME,
    SLOT_BITS,
    THING_SLOT_BITS,
    WIDTH,
    Rows,
)

THINGS_MAX = 255  # thing records in one body
PIECE_BITS = 63  # what `put` takes at once


@njit(cache=True)
def put_row(rows: Rows, row: int, words: Words, at: int) -> int:
    """Write the full record of one avatar; the position after it. Neighbouring columns go out in one piece."""
    piece, size = 0, 0
    for column in range(COLUMNS):
        width = WIDTH[column]
        if size + width > PIECE_BITS:
            at = put(words, at, piece, size)
            piece, size = 0, 0
        piece |= (rows[row, column] & ((1 << width) - 1)) << size
        size += width
    return put(words, at, piece, size)


@njit(cache=True)
def put_full(rows: Rows, words: Words, at: int) -> int:
    """Write the full records of all avatars; the position after them."""
    for row in range(rows.shape[0]):
        at = put_row(rows, row, words, at)
    return at


@njit(cache=True)
def put_things(rows: Rows, words: Words, at: int) -> int:
    """Write thing records; the position after them."""
    for i in range(rows.shape[0]):
        at = put(words, at, rows[i, 0], THING_SLOT_BITS)
        at = put(words, at, rows[i, 1], 1)
        if rows[i, 1] == 1:
            at = put(words, at, rows[i, 2], SLOT_BITS)
            at = put(words, at, rows[i, 3], 1)
        else:
            for axis in range(3):
                at = put(words, at, rows[i, 4 + axis], WIDTH[2 + axis])
            at = put(words, at, rows[i, 7], 32)
    return at


@njit(cache=True)
def put_position(old: Rows, i: int, new: Rows, j: int, first: int, words: Words, at: int) -> int:
    """Write three columns as differences of the smallest class that holds them, or in full."""
    x = new[j, first] - old[i, first]
    y = new[j, first + 1] - old[i, first + 1]
    z = new[j, first + 2] - old[i, first + 2]
    low, high = min(x, y, z), max(x, y, z)
    for size in range(3):
        bits = POSITION_BITS[size]
        half = 1 << (bits - 1)
        if low >= -half and high < half:
            piece = size | (x + half) << 2 | (y + half) << (2 + bits) | (z + half) << (2 + 2 * bits)
            return put(words, at, piece, 2 + 3 * bits)
    piece, bits = 3, 2
    for column in range(first, first + 3):
        piece |= (new[j, column] & ((1 << WIDTH[column]) - 1)) << bits
        bits += WIDTH[column]
    return put(words, at, piece, bits)


@njit(cache=True)
def put_rotation(old: int, new: int, words: Words, at: int) -> int:
    """Write a packed rotation as differences of its three fields, or in full."""
    if old & 3 == new & 3:
        a = (new >> 2 & 1023) - (old >> 2 & 1023)
        b = (new >> 12 & 1023) - (old >> 12 & 1023)
        c = (new >> 22 & 1023) - (old >> 22 & 1023)
        low, high = min(a, b, c), max(a, b, c)
        for size in range(3):
            bits = ROTATION_BITS[size]
            half = 1 << (bits - 1)
            if low >= -half and high < half:
                piece = size | (a + half) << 2 | (b + half) << (2 + bits) | (c + half) << (2 + 2 * bits)
                return put(words, at, piece, 2 + 3 * bits)
    return put(words, at, 3 | new << 2, 34)


@njit(cache=True)
def put_change(old: Rows, i: int, new: Rows, j: int, words: Words, at: int) -> int:
    """Write the delta record of one avatar that is still there."""
    mask = 0
    for group in range(GROUP_COUNT):
        first = GROUPS[group, 1]
        for column in range(first, first + GROUPS[group, 2]):
            if old[i, column] != new[j, column]:
                mask |= 1 << group
    if mask == 0:
        return put(words, at, SAME, CODE_BITS)
    at = put(words, at, CHANGED | mask << CODE_BITS, CODE_BITS + GROUP_COUNT)
    for group in range(GROUP_COUNT):
        if mask >> group & 1:
            kind, first = GROUPS[group, 0], GROUPS[group, 1]
            if kind == POSITION:
                at = put_position(old, i, new, j, first, words, at)
            elif kind == ROTATION:
                at = put_rotation(old[i, first], new[j, first], words, at)
            else:
                for column in range(first, first + GROUPS[group, 2]):
                    at = put(words, at, new[j, column], WIDTH[column])
    return at


@njit(cache=True)
def put_delta(old: Rows, new: Rows, words: Words, at: int) -> tuple[int, int]:
    """Write a record for each old row, then full records of the newcomers; (position after them, newcomers)."""
    j, newcomers = 0, 0
    for i in range(old.shape[0]):
        while j < new.shape[0] and new[j, 0] < old[i, 0]:
            j += 1
        if j < new.shape[0] and new[j, 0] == old[i, 0]:
            at = put_change(old, i, new, j, words, at)
        else:
            at = put(words, at, GONE, CODE_BITS)
    i = 0
    for j in range(new.shape[0]):
        while i < old.shape[0] and old[i, 0] < new[j, 0]:
            i += 1
        if i == old.shape[0] or old[i, 0] != new[j, 0]:
            at = put_row(new, j, words, at)
            newcomers += 1
    return at, newcomers


@njit(cache=True)
def diff_things(old: Rows, new: Rows, nobody: int, out: Rows) -> int:
    """Rows of `new` that differ from `old`, and those gone as held by `nobody`, slots ascending; how many."""
    i, j, count = 0, 0, 0
    while i < old.shape[0] or j < new.shape[0]:
        if j == new.shape[0] or (i < old.shape[0] and old[i, 0] < new[j, 0]):
            out[count, :] = 0
            out[count, 0], out[count, 1], out[count, 2] = old[i, 0], 1, nobody
            count += 1
            i += 1
            continue
        same = i < old.shape[0] and old[i, 0] == new[j, 0]
        if same:
            for column in range(new.shape[1]):
                same = same and old[i, column] == new[j, column]
            i += 1
        if not same:
            out[count] = new[j]
            count += 1
        j += 1
    return count


@njit(cache=True)
def absent_slot(rows: Rows) -> int:
    """The lowest slot of nobody in the rows."""
    for i in range(rows.shape[0]):
        if rows[i, 0] != i:
            return i
    return rows.shape[0]


@njit(cache=True)
def put_head(words: Words, at: int, age: int, records: int, newcomers: int, things: int) -> int:
    """Write the head of a body; the position after it."""
    return put(words, at, age | records << 8 | newcomers << 24 | things << 40, 48)


@njit(cache=True)
def put_keyframe_body(rows: Rows, things: Rows, words: Words, at: int) -> int:
    """Write a block whole at a position that is a whole byte; the position after it."""
    shown = things[:THINGS_MAX]
    at = put_head(words, at, 0, rows.shape[0], 0, shown.shape[0])
    return put_things(shown, words, put_full(rows, words, at))


@njit(cache=True)
def put_delta_body(
    rows_before: Rows, rows: Rows, things_before: Rows, things: Rows, age: int, words: Words, at: int
) -> int:
    """Write what turns a block's baseline into what it is now, at a whole byte; the position after it."""
    changed = np.empty((things_before.shape[0] + things.shape[0], things.shape[1]), np.int64)
    count = min(diff_things(things_before, things, absent_slot(rows), changed), THINGS_MAX)
    after, newcomers = put_delta(rows_before, rows, words, at + 48)
    put_head(words, at, age, rows_before.shape[0], newcomers, count)
    return put_things(changed[:count], words, after)
