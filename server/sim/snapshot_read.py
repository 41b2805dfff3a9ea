"""Snapshot records out of bits, for clients written in Python, tools and tests.

Owns the decoder's kernels: each returns the position after what it read, or a negative reason. They may read one record
past the end of the data (callers leave `SPARE_BITS` of zeros there) and never further. Never raises, never allocates.
"""

from numba import njit

from server.sim.bits import Words, get
from server.sim.rotation import FIELD_MAX
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

TRUNCATED, BAD_ROTATION, BAD_ORDER, BAD_CODE, EMPTY_MASK, OUT_OF_RANGE = -1, -2, -3, -4, -5, -6
REASONS = {
    TRUNCATED: "the records are cut short",
    BAD_ROTATION: "a rotation field is 1023, allowed is 0 to 1022",
    BAD_ORDER: "slots are not strictly ascending, or a newcomer is in the baseline",
    BAD_CODE: "a record code is 3, allowed is 0 to 2",
    EMPTY_MASK: "a changed record changes nothing",
    OUT_OF_RANGE: "a difference leaves the range of its column",
}


@njit(cache=True)
def rotation_ok(packed: int) -> bool:
    """No field is 1023."""
    return (packed >> 2 & 1023) <= FIELD_MAX and (packed >> 12 & 1023) <= FIELD_MAX and (packed >> 22) <= FIELD_MAX


@njit(cache=True)
def get_full(words: Words, at: int, end: int, rows: Rows, start: int, count: int) -> int:
    """Read `count` full records into rows from `start` on."""
    for row in range(start, start + count):
        for column in range(COLUMNS):
            rows[row, column] = get(words, at, WIDTH[column])
            at += WIDTH[column]
        if at > end:
            return TRUNCATED
        if not (rotation_ok(rows[row, 5]) and rotation_ok(rows[row, 12]) and rotation_ok(rows[row, 16])):
            return BAD_ROTATION
        if row > start and rows[row, 0] <= rows[row - 1, 0]:
            return BAD_ORDER
    return at


@njit(cache=True)
def get_position(words: Words, at: int, row: Rows, first: int) -> int:
    """Apply a position group to the old columns in `row`."""
    size = get(words, at, 2)
    at += 2
    for axis in range(3):
        column = first + axis
        if size == 3:
            bits = WIDTH[column]
            row[column] = get(words, at, bits)
        else:
            bits = POSITION_BITS[size]
            row[column] += get(words, at, bits) - (1 << (bits - 1))
        at += bits
        if row[column] < 0 or row[column] >> WIDTH[column]:
            return OUT_OF_RANGE
    return at


@njit(cache=True)
def get_rotation(words: Words, at: int, row: Rows, column: int) -> int:
    """Apply a rotation group to the old column in `row`."""
    size = get(words, at, 2)
    at += 2
    if size == 3:
        row[column] = get(words, at, 32)
        return at + 32 if rotation_ok(row[column]) else BAD_ROTATION
    bits = ROTATION_BITS[size]
    packed = row[column] & 3
    for shift in range(2, 32, 10):
        field = (row[column] >> shift & 1023) + get(words, at, bits) - (1 << (bits - 1))
        if field < 0 or field > FIELD_MAX:
            return OUT_OF_RANGE
        packed |= field << shift
        at += bits
    row[column] = packed
    return at


@njit(cache=True)
def get_change(words: Words, at: int, row: Rows) -> int:
    """Apply the groups of a changed record to the old columns in `row`."""
    mask = get(words, at, GROUP_COUNT)
    at += GROUP_COUNT
    if mask == 0:
        return EMPTY_MASK
    for group in range(GROUP_COUNT):
        if mask >> group & 1:
            kind, first = GROUPS[group, 0], GROUPS[group, 1]
            if kind == POSITION:
                at = get_position(words, at, row, first)
            elif kind == ROTATION:
                at = get_rotation(words, at, row, first)
            else:
                for column in range(first, first + GROUPS[group, 2]):
                    row[column] = get(words, at, WIDTH[column])
                    at += WIDTH[column]
            if at < 0:
                return at
    return at


@njit(cache=True)
def get_delta(words: Words, end: int, old: Rows, rows: Rows) -> tuple[int, int]:
    """Read one record for each old row into `rows`; (position or reason, rows still there)."""
    at, kept = 0, 0
    for i in range(old.shape[0]):
        code = get(words, at, CODE_BITS)
        at += CODE_BITS
        if code in (SAME, CHANGED):
            rows[kept] = old[i]
            if code == CHANGED:
                at = get_change(words, at, rows[kept])
            kept += 1
        elif code != GONE:
            at = BAD_CODE
        if at < 0:
            return at, kept
        if at > end:
            return TRUNCATED, kept
    return at, kept


@njit(cache=True)
def get_things(words: Words, at: int, end: int, rows: Rows) -> int:
    """Fill zeroed thing rows, slots strictly ascending."""
    for i in range(rows.shape[0]):
        rows[i, 0] = get(words, at, THING_SLOT_BITS)
        rows[i, 1] = get(words, at + THING_SLOT_BITS, 1)
        at += THING_SLOT_BITS + 1
        if rows[i, 1] == 1:
            rows[i, 2] = get(words, at, SLOT_BITS)
            rows[i, 3] = get(words, at + SLOT_BITS, 1)
            at += SLOT_BITS + 1
        else:
            for axis in range(3):
                rows[i, 4 + axis] = get(words, at, WIDTH[2 + axis])
                at += WIDTH[2 + axis]
            rows[i, 7] = get(words, at, 32)
            at += 32
            if not rotation_ok(rows[i, 7]):
                return BAD_ROTATION
        if at > end:
            return TRUNCATED
        if i > 0 and rows[i, 0] <= rows[i - 1, 0]:
            return BAD_ORDER
    return at
