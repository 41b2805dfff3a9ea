"""Snapshot bodies out of bits, for clients written in Python, tools and tests.

Owns the decoder's kernels: each returns the position after what it read, or a negative reason. They may read one record
past the end of the data (callers leave `SPARE_BITS` of zeros there) and never further. Never raises; allocates for what
the data can hold at most.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim.bits import Words, get, window
from server.sim.code import (
    ACK,
    ACK_AGES,
    ACK_ESCAPE,
    CONTEXTS,
    ESCAPE,
    GONE,
    HAND,
    HAND_ROT,
    HEAD,
    HEAD_ROT,
    LENGTH_MAX,
    LOOKUP,
    MASK_LENGTH_MAX,
    MASK_LOOKUP,
    SWITCHED,
    YAW,
    get_piece,
    next_row,
)
from server.sim.rotation import COARSE_MAX, FIELD_MAX, expected_fields
from server.sim.rows import (
    COLUMNS,
    COUNT_BITS,
    FULL_BITS_MIN,
    HEAD_BIT,
    HEAD_BITS,
    HEAD_ROT_BIT,
    HELD,
    LEFT_BIT,
    LOOSE,
    OTHER_BIT,
    ROTATION_BITS,
    SLOT_BITS,
    SLOT_MAX,
    TAKEN,
    THING_COLUMN_COUNT,
    THING_KIND_BITS,
    THING_SLOT_BITS,
    YAW_BIT,
    Rows,
)

TRUNCATED, BAD_ROTATION, BAD_ORDER, BAD_CODE, OUT_OF_RANGE, BAD_COUNT, BAD_THING, TOO_LONG = range(-1, -9, -1)
REASONS = {
    TRUNCATED: "the records are cut short",
    BAD_ROTATION: "a rotation field is above its maximum",
    BAD_ORDER: "slots do not ascend, are beyond the last, or a newcomer is in the baseline",
    BAD_CODE: "there is no such code",
    OUT_OF_RANGE: "a difference leaves the range of its column",
    BAD_COUNT: "there is not enough data for so many records",
    BAD_THING: "a thing's record is of no known kind, or of one that cannot be here",
    TOO_LONG: "there is something after the last record",
}

Ints = npt.NDArray[np.int64]


@njit(cache=True)
def rotation_ok(packed: int) -> bool:
    """No field is 1023."""
    return (packed >> 2 & 1023) <= FIELD_MAX and (packed >> 12 & 1023) <= FIELD_MAX and (packed >> 22) <= FIELD_MAX


@njit(cache=True)
def get_count(words: Words, at: int) -> tuple[int, int]:
    """(position after it, number); of more than four groups, BAD_COUNT."""
    count = 0
    for group in range(4):
        piece = get(words, at, COUNT_BITS + 1)
        at += COUNT_BITS + 1
        count |= (piece & (1 << COUNT_BITS) - 1) << COUNT_BITS * group
        if piece >> COUNT_BITS == 0:
            return at, count
    return BAD_COUNT, 0


@njit(cache=True)
def get_hand_place(words: Words, at: int, rows: Rows, i: int, first: int) -> int:
    """Read the whole place and rotation of a hand into the columns of row i from `first` on."""
    bits = window(words, at)
    for column in range(first, first + 3):
        rows[i, column] = (bits & 1023) << 1
        bits >>= 10
    packed = bits & 3
    bits >>= 2
    for shift in range(2, 32, 10):
        field = (bits & 511) << 1 | 1
        bits >>= 9
        if field > COARSE_MAX:
            return BAD_ROTATION
        packed |= field << shift
    rows[i, first + 3] = packed
    return at + 59


@njit(cache=True)
def get_row(words: Words, at: int, rows: Rows, i: int, after_slot: int) -> int:
    """Read a full record into row i."""
    at, gap = get_count(words, at)
    if at < 0:
        return at
    rows[i, 0] = after_slot + 1 + gap
    if rows[i, 0] > SLOT_MAX:
        return BAD_ORDER
    bits = window(words, at)
    rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4] = (
        bits & 255,
        bits >> 8 & 65535,
        bits >> 24 & 4095,
        bits >> 36 & 65535,
    )
    bits = window(words, at + 52)
    rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8] = bits & 0xFFFFFFFF, bits >> 32 & 1023, bits >> 42 & 255, 0
    at += 103
    if bits >> 50 & 1:
        rows[i, 8] = bits >> 51 & 255
        at += 8
    if not rotation_ok(rows[i, 5]):
        return BAD_ROTATION
    at = get_hand_place(words, at, rows, i, 9)
    return get_hand_place(words, at, rows, i, 13) if at >= 0 else at


@njit(cache=True)
def get_head(words: Words, at: int, rows: Rows, i: int) -> int:
    """Apply a moved head to the old columns of row i."""
    code = HEAD
    for column in (2, 4, 3):
        kind, difference, size = get_piece(window(words, at), code)
        if kind < 0:
            return BAD_CODE
        at += size
        if kind == ESCAPE:
            rows[i, column] = get(words, at, HEAD_BITS[column - 2])
            at += HEAD_BITS[column - 2]
        else:
            rows[i, column] += difference
            if rows[i, column] < 0 or rows[i, column] >> HEAD_BITS[column - 2]:
                return OUT_OF_RANGE
        code = next_row(code, HEAD, 1, kind)
    return at


@njit(cache=True)
def get_hand(words: Words, at: int, rows: Rows, i: int, first: int, context: int) -> tuple[int, int]:
    """Apply a moved hand to the old columns of row i from `first` on; (position or reason, largest class)."""
    code, largest, bits = HAND + context, 0, window(words, at)
    for column in range(first, first + 3):
        kind, difference, size = get_piece(bits, code)
        if kind < 0:
            return BAD_CODE, 0
        bits >>= size
        at += size
        rows[i, column] += difference << 1
        if rows[i, column] < 0 or rows[i, column] > 2047:
            return OUT_OF_RANGE, 0
        code, largest = next_row(code, HAND, CONTEXTS, kind), max(largest, kind)
    return at, largest


@njit(cache=True)
def get_rotation(words: Words, at: int, old: int, first: int, context: int, scratch: Ints) -> tuple[int, int, int]:
    """(position or reason, packed rotation, largest class) of a head (HEAD_ROT is `first`) or a hand (HAND_ROT)."""
    hand, most = 1 if first == HAND_ROT else 0, 0
    code, largest, switched, bits = first + context, old & 3, False, window(words, at)
    for k in range(3):
        kind, difference, size = get_piece(bits, code)
        if kind < 0:
            return BAD_CODE, 0, 0
        if kind >= SWITCHED:
            kind, switched = kind - SWITCHED, True
        bits >>= size
        at += size
        scratch[k + 3] = difference
        code, most = next_row(code, first, CONTEXTS, kind), max(most, kind)
    if switched:
        largest = bits & 3
        at += 2
    expected_fields(old, largest, scratch)
    packed = largest
    for k in range(3):
        expected = min(max(scratch[k], hand), FIELD_MAX - hand) >> hand
        field = (expected + scratch[k + 3]) << hand | hand
        if field < 0 or field > FIELD_MAX - hand:
            return OUT_OF_RANGE, 0, 0
        packed |= field << (2 + 10 * k)
    return at, packed, most


@njit(cache=True)
def get_change(words: Words, at: int, rows: Rows, i: int, mask: int, age: int, scratch: Ints) -> int:
    """Apply the rest of a delta record to the old columns of row i."""
    bits = window(words, at)
    found = int(LOOKUP[ACK + (min(age, ACK_AGES - 1) if mask else 0), bits & (1 << LENGTH_MAX) - 1])
    if found < 0:
        return BAD_CODE
    bits >>= found & 15
    at += found & 15
    rows[i, 1] = (rows[i, 1] + (found >> 4)) & 255
    if found >> 4 == ACK_ESCAPE:
        rows[i, 1] = bits & 255
        bits >>= 8
        at += 8
    context = 0
    if mask >> YAW_BIT & 1:
        context, difference, size = get_piece(bits, YAW)
        if context < 0:
            return BAD_CODE
        rows[i, 6] = (rows[i, 6] + difference) & 1023
        at += size
    if mask >> HEAD_BIT & 1:
        at = get_head(words, at, rows, i)
    if at >= 0 and mask >> HEAD_ROT_BIT & 1:
        at, rows[i, 5], context = get_rotation(words, at, rows[i, 5], HEAD_ROT, context, scratch)
    else:
        context = 0
    for side in range(2):
        first = 9 + 4 * side
        if at >= 0 and mask >> LEFT_BIT + 2 * side & 1:
            at, context = get_hand(words, at, rows, i, first, context)
        else:
            context = 0
        if at >= 0 and mask >> LEFT_BIT + 2 * side & 2:
            at, rows[i, first + 3], _ = get_rotation(words, at, rows[i, first + 3], HAND_ROT, context, scratch)
    if at >= 0 and mask >> OTHER_BIT & 1:
        rows[i, 7], rows[i, 8] = get(words, at, 8), get(words, at + 8, 8)
        at += 16
    return at


@njit(cache=True)
def get_delta(words: Words, at: int, end: int, age: int, old: Rows, rows: Rows) -> tuple[int, int]:
    """Read one record for each old row into `rows`; (position or reason, rows still there)."""
    kept, scratch = 0, np.empty(6, np.int64)
    for i in range(old.shape[0]):
        found = MASK_LOOKUP[get(words, at, MASK_LENGTH_MAX)]
        if found < 0:
            return BAD_CODE, kept
        at += found & 15
        if found >> 4 != GONE:
            for column in range(COLUMNS):
                rows[kept, column] = old[i, column]
            at = get_change(words, at, rows, kept, found >> 4, age, scratch)
            kept += 1
        if at < 0:
            return at, kept
        if at > end:
            return TRUNCATED, kept
    return at, kept


@njit(cache=True)
def get_full(words: Words, at: int, end: int, rows: Rows) -> int:
    """Fill rows with full records."""
    after_slot = -1
    for i in range(rows.shape[0]):
        at = get_row(words, at, rows, i, after_slot)
        if at < 0:
            return at
        if at > end:
            return TRUNCATED
        after_slot = rows[i, 0]
    return at


@njit(cache=True)
def merge_rows(kept: Rows, newcomers: Rows, out: Rows) -> bool:
    """Both by slot into `out`; False if a slot is in both."""
    i, j = 0, 0
    for row in range(out.shape[0]):
        if j == newcomers.shape[0] or (i < kept.shape[0] and kept[i, 0] < newcomers[j, 0]):
            out[row] = kept[i]
            i += 1
        else:
            if i < kept.shape[0] and kept[i, 0] == newcomers[j, 0]:
                return False
            out[row] = newcomers[j]
            j += 1
    return True


@njit(cache=True)
def get_thing(words: Words, at: int, row: Rows) -> tuple[int, int]:
    """Fill a zeroed row with a thing's record; (position or reason, kind)."""
    row[0], kind = get(words, at, THING_SLOT_BITS), get(words, at + THING_SLOT_BITS, THING_KIND_BITS)
    at += THING_SLOT_BITS + THING_KIND_BITS
    if kind == HELD:
        row[1], row[2], row[3] = 1, get(words, at, SLOT_BITS), get(words, at + SLOT_BITS, 1)
        return at + SLOT_BITS + 1, kind
    if kind == LOOSE:
        for axis in range(3):
            row[4 + axis] = get(words, at, HEAD_BITS[axis])
            at += HEAD_BITS[axis]
        row[7] = get(words, at, ROTATION_BITS)
        return (at + ROTATION_BITS, kind) if rotation_ok(row[7]) else (BAD_ROTATION, kind)
    return (at, kind) if kind == TAKEN else (BAD_THING, kind)


@njit(cache=True)
def get_things(words: Words, at: int, end: int, count: int, old: Rows) -> tuple[int, Rows]:
    """Read `count` records and apply them to the old rows; (position or reason, rows by slot)."""
    rows = np.zeros((old.shape[0] + count, THING_COLUMN_COUNT), np.int64)
    i, total, before = 0, 0, -1
    for _ in range(count):
        row = np.zeros(THING_COLUMN_COUNT, np.int64)
        at, kind = get_thing(words, at, row)
        if at < 0:
            return at, old
        if at > end:
            return TRUNCATED, old
        if row[0] <= before:
            return BAD_ORDER, old
        before = row[0]
        while i < old.shape[0] and old[i, 0] < row[0]:
            rows[total] = old[i]
            i, total = i + 1, total + 1
        known = i < old.shape[0] and old[i, 0] == row[0]
        if known:
            i += 1
        if kind == TAKEN and not known:
            return BAD_THING, old
        if kind != TAKEN:
            rows[total] = row
            total += 1
    while i < old.shape[0]:
        rows[total] = old[i]
        i, total = i + 1, total + 1
    return at, rows[:total]


@njit(cache=True)
def get_body(words: Words, end: int, old: Rows, old_things: Rows) -> tuple[int, Rows, Rows]:
    """Read a body against its baseline, or a keyframe against none; (0 or a reason, rows, things)."""
    age = get(words, 0, 8)
    at, full, changed = 9, 0, 0
    if get(words, 8, 1):
        at, full = get_count(words, at)
        if at >= 0:
            at, changed = get_count(words, at)
    if at < 0 or full * FULL_BITS_MIN > end or changed * (THING_SLOT_BITS + THING_KIND_BITS) > end:
        return BAD_COUNT, old, old_things
    kept = np.empty_like(old)
    at, count = get_delta(words, at, end, age, old, kept)
    newcomers = np.empty((full, COLUMNS), np.int64)
    if at >= 0:
        at = get_full(words, at, end, newcomers)
    rows = newcomers
    if at >= 0 and count:
        rows = np.empty((count + full, COLUMNS), np.int64)
        at = at if merge_rows(kept[:count], newcomers, rows) else BAD_ORDER
    things = old_things
    if at >= 0:
        at, things = get_things(words, at, end, changed, old_things)
    if at >= 0:
        at = 0 if end - at < 8 and words[at >> 6] >> np.uint64(at & 63) == 0 else TOO_LONG
    return at, rows, things
