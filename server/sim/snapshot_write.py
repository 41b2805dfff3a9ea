"""Snapshot records into bits: full avatar records, delta records against a baseline, things.

Owns the encoder's kernels. Never allocates; never checks: state is on the wire's grid and `put` cuts to the width.
"""

from numba import njit

from server.sim.bits import Words, put
from server.sim.rows import (
    CHANGED,
    CODE_BITS,
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


@njit(cache=True)
def put_row(row: Rows, words: Words, at: int) -> int:
    """Write the full record of one avatar; the position after it."""
    for column in range(row.shape[0]):
        at = put(words, at, row[column], WIDTH[column])
    return at


@njit(cache=True)
def put_full(rows: Rows, words: Words) -> int:
    """Write the full records of all avatars from bit 0 on; the position after them."""
    at = 0
    for i in range(rows.shape[0]):
        at = put_row(rows[i], words, at)
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
def put_position(old: Rows, new: Rows, first: int, words: Words, at: int) -> int:
    """Write three columns as differences of the smallest class that holds them, or in full."""
    low, high = new[first] - old[first], new[first] - old[first]
    for axis in range(1, 3):
        change = new[first + axis] - old[first + axis]
        low, high = min(low, change), max(high, change)
    size = 0
    while size < 3 and not (low >= -(1 << (POSITION_BITS[size] - 1)) and high < 1 << (POSITION_BITS[size] - 1)):
        size += 1
    at = put(words, at, size, 2)
    for axis in range(3):
        column = first + axis
        if size == 3:
            at = put(words, at, new[column], WIDTH[column])
        else:
            bits = POSITION_BITS[size]
            at = put(words, at, new[column] - old[column] + (1 << (bits - 1)), bits)
    return at


@njit(cache=True)
def put_rotation(old: int, new: int, words: Words, at: int) -> int:
    """Write a packed rotation as differences of its three fields, or in full."""
    size = 3
    if old & 3 == new & 3:
        low, high = 0, 0
        for shift in range(2, 32, 10):
            change = (new >> shift & 1023) - (old >> shift & 1023)
            low, high = min(low, change), max(high, change)
        size = 0
        while size < 3 and not (low >= -(1 << (ROTATION_BITS[size] - 1)) and high < 1 << (ROTATION_BITS[size] - 1)):
            size += 1
    at = put(words, at, size, 2)
    if size == 3:
        return put(words, at, new, 32)
    bits = ROTATION_BITS[size]
    for shift in range(2, 32, 10):
        at = put(words, at, (new >> shift & 1023) - (old >> shift & 1023) + (1 << (bits - 1)), bits)
    return at


@njit(cache=True)
def put_change(old: Rows, new: Rows, words: Words, at: int) -> int:
    """Write the delta record of one avatar that is still there."""
    mask = 0
    for group in range(GROUP_COUNT):
        for column in range(GROUPS[group, 1], GROUPS[group, 1] + GROUPS[group, 2]):
            if old[column] != new[column]:
                mask |= 1 << group
    if mask == 0:
        return put(words, at, SAME, CODE_BITS)
    at = put(words, at, CHANGED, CODE_BITS)
    at = put(words, at, mask, GROUP_COUNT)
    for group in range(GROUP_COUNT):
        if mask >> group & 1:
            kind, first = GROUPS[group, 0], GROUPS[group, 1]
            if kind == POSITION:
                at = put_position(old, new, first, words, at)
            elif kind == ROTATION:
                at = put_rotation(old[first], new[first], words, at)
            else:
                for column in range(first, first + GROUPS[group, 2]):
                    at = put(words, at, new[column], WIDTH[column])
    return at


@njit(cache=True)
def put_delta(old: Rows, new: Rows, words: Words) -> tuple[int, int]:
    """Write a record for each old row, then full records of the newcomers; (position after them, newcomers)."""
    at, j, newcomers = 0, 0, 0
    for i in range(old.shape[0]):
        while j < new.shape[0] and new[j, 0] < old[i, 0]:
            j += 1
        if j < new.shape[0] and new[j, 0] == old[i, 0]:
            at = put_change(old[i], new[j], words, at)
        else:
            at = put(words, at, GONE, CODE_BITS)
    i = 0
    for j in range(new.shape[0]):
        while i < old.shape[0] and old[i, 0] < new[j, 0]:
            i += 1
        if i == old.shape[0] or old[i, 0] != new[j, 0]:
            at = put_row(new[j], words, at)
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
