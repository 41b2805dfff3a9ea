"""Snapshot bodies into bits: full avatar records, delta records against a baseline, things.

Owns the encoder's kernels. Never checks: state is on the wire's grid and `put` cuts to the width.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim.bits import Words, put
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
    MASK_CODES,
    MASK_LENGTH,
    SWITCHED,
    YAW,
    class_of,
    put_difference,
    put_symbol,
)
from server.sim.rotation import COARSE_MAX, expected_fields
from server.sim.rows import (
    COUNT_BITS,
    HEAD_BIT,
    HEAD_BITS,
    HEAD_ROT_BIT,
    HELD,
    LEFT_BIT,
    LOOSE,
    OTHER_BIT,
    ROTATION_BITS,
    SLOT_BITS,
    TAKEN,
    THING_KIND_BITS,
    THING_SLOT_BITS,
    YAW_BIT,
    Rows,
)

Ints = npt.NDArray[np.int64]


@njit(cache=True)
def put_count(words: Words, at: int, count: int) -> int:
    """Write a number in groups of COUNT_BITS bits, the lowest first, each followed by a bit: whether more come."""
    while True:
        more = count >> COUNT_BITS
        piece = (count & (1 << COUNT_BITS) - 1) | (1 if more else 0) << COUNT_BITS
        at = put(words, at, piece, COUNT_BITS + 1)
        if more == 0:
            return at
        count = more


@njit(cache=True)
def hand_piece(row: Rows, first: int) -> int:
    """Place (3 x 10 bits) and rotation (2 + 3 x 9 bits) of the hand whose columns begin at `first`."""
    rot = row[first + 3]
    piece = row[first] >> 1 | row[first + 1] >> 1 << 10 | row[first + 2] >> 1 << 20 | (rot & 3) << 30
    return piece | (rot >> 3 & 511) << 32 | (rot >> 13 & 511) << 41 | (rot >> 23 & 511) << 50


@njit(cache=True)
def put_row(row: Rows, after_slot: int, words: Words, at: int) -> int:
    """Write the full record of one avatar; `after_slot` is the slot of the record before, -1 of the first."""
    at = put_count(words, at, row[0] - after_slot - 1)
    at = put(words, at, row[1] | row[2] << 8 | row[3] << 24 | row[4] << 36, 52)
    at = put(words, at, row[5] | row[6] << 32 | row[7] << 42, 50)
    at = put(words, at, row[8] << 1 | 1, 9) if row[8] else put(words, at, 0, 1)
    at = put(words, at, hand_piece(row, 9), 59)
    return put(words, at, hand_piece(row, 13), 59)


@njit(cache=True)
def put_thing(row: Rows, words: Words, at: int) -> int:
    """Write the record of one thing that is in the block."""
    at = put(words, at, row[0] | (HELD if row[1] else LOOSE) << THING_SLOT_BITS, THING_SLOT_BITS + THING_KIND_BITS)
    if row[1]:
        return put(words, at, row[2] | row[3] << SLOT_BITS, SLOT_BITS + 1)
    at = put(words, at, row[4] | row[5] << HEAD_BITS[0] | row[6] << HEAD_BITS[0] + HEAD_BITS[1], HEAD_BITS.sum())
    return put(words, at, row[7], ROTATION_BITS)


@njit(cache=True)
def put_head(old: Rows, new: Rows, words: Words, at: int) -> int:
    """Write how far a head has moved: x, z, then y; what is too far away, as it is."""
    row = HEAD
    for column in (2, 4, 3):
        difference = new[column] - old[column]
        kind = class_of(difference)
        if kind == ESCAPE:
            at = put_symbol(words, at, row, ESCAPE)
            at = put(words, at, new[column], HEAD_BITS[column - 2])
        else:
            at = put_difference(words, at, row, 0, difference)
        row = next_row(row, HEAD, 1, kind)
    return at


@njit(cache=True)
def next_row(row: int, first: int, contexts: int, kind: int) -> int:
    """The row for the class of the next component, after one of class `kind` was coded with `row`."""
    if row < first + contexts:
        return first + contexts + kind
    return first + contexts + CONTEXTS + max(kind, row - first - contexts)


@njit(cache=True)
def put_hand(old: Rows, new: Rows, first: int, words: Words, at: int) -> tuple[int, int]:
    """Write how far a hand has moved; (position after it, largest class)."""
    row, largest = HAND, 0
    for column in range(first, first + 3):
        difference = (new[column] >> 1) - (old[column] >> 1)
        kind = class_of(difference)
        at = put_difference(words, at, row, 0, difference)
        row, largest = next_row(row, HAND, 1, kind), max(largest, kind)
    return at, largest


@njit(cache=True)
def put_rotation(old: int, new: int, first: int, context: int, scratch: Ints, words: Words, at: int) -> int:
    """Write how a head (`first` is HEAD_ROT) or a hand (HAND_ROT, on the coarse grid) has turned."""
    hand, contexts = (1, CONTEXTS) if first == HAND_ROT else (0, 1)
    expected_fields(old, new & 3, scratch)
    row, shift = first + context, SWITCHED if (old ^ new) & 3 else 0
    for k in range(3):
        expected = min(max(scratch[k], hand), COARSE_MAX + 1 - hand) >> hand
        difference = ((new >> (2 + 10 * k) & 1023) >> hand) - expected
        at = put_difference(words, at, row, shift, difference)
        row, shift = next_row(row, first, contexts, class_of(difference)), 0
    return put(words, at, new & 3, 2) if (old ^ new) & 3 else at


@njit(cache=True)
def mask_of(old: Rows, new: Rows) -> int:
    """Which groups of columns differ."""
    mask = 0
    if old[6] != new[6]:
        mask |= 1 << YAW_BIT
    if old[2] != new[2] or old[3] != new[3] or old[4] != new[4]:
        mask |= 1 << HEAD_BIT
    if old[5] != new[5]:
        mask |= 1 << HEAD_ROT_BIT
    for side in range(2):
        first = 9 + 4 * side
        if old[first] != new[first] or old[first + 1] != new[first + 1] or old[first + 2] != new[first + 2]:
            mask |= 1 << LEFT_BIT + 2 * side
        if old[first + 3] != new[first + 3]:
            mask |= 2 << LEFT_BIT + 2 * side
    if old[7] != new[7] or old[8] != new[8]:
        mask |= 1 << OTHER_BIT
    return mask


@njit(cache=True)
def put_change(old: Rows, new: Rows, age: int, scratch: Ints, words: Words, at: int) -> int:
    """Write the delta record of one avatar that is still there."""
    mask = mask_of(old, new)
    at = put(words, at, MASK_CODES[mask], MASK_LENGTH[mask])
    acked = (new[1] - old[1]) & 255
    at = put_symbol(words, at, ACK + (min(age, ACK_AGES - 1) if mask else 0), min(acked, ACK_ESCAPE))
    if acked >= ACK_ESCAPE:
        at = put(words, at, new[1], 8)
    if mask >> YAW_BIT & 1:
        at = put_difference(words, at, YAW, 0, ((new[6] - old[6] + 512) & 1023) - 512)
    if mask >> HEAD_BIT & 1:
        at = put_head(old, new, words, at)
    if mask >> HEAD_ROT_BIT & 1:
        at = put_rotation(old[5], new[5], HEAD_ROT, 0, scratch, words, at)
    for side in range(2):
        first, context = 9 + 4 * side, 0
        if mask >> LEFT_BIT + 2 * side & 1:
            at, context = put_hand(old, new, first, words, at)
        if mask >> LEFT_BIT + 2 * side & 2:
            at = put_rotation(old[first + 3], new[first + 3], HAND_ROT, context, scratch, words, at)
    if mask >> OTHER_BIT & 1:
        at = put(words, at, new[7] | new[8] << 8, 16)
    return at


@njit(cache=True)
def count_newcomers(old: Rows, new: Rows) -> int:
    """How many of the new rows have a slot that none of the old ones has."""
    i, count = 0, 0
    for j in range(new.shape[0]):
        while i < old.shape[0] and old[i, 0] < new[j, 0]:
            i += 1
        if i == old.shape[0] or old[i, 0] != new[j, 0]:
            count += 1
    return count


@njit(cache=True)
def put_delta(old: Rows, new: Rows, age: int, words: Words, at: int) -> int:
    """Write a record for each old row, then full records of the newcomers; the position after them."""
    j, scratch = 0, np.empty(3, np.int64)
    for i in range(old.shape[0]):
        while j < new.shape[0] and new[j, 0] < old[i, 0]:
            j += 1
        if j < new.shape[0] and new[j, 0] == old[i, 0]:
            at = put_change(old[i], new[j], age, scratch, words, at)
        else:
            at = put(words, at, MASK_CODES[GONE], MASK_LENGTH[GONE])
    i, after_slot = 0, -1
    for j in range(new.shape[0]):
        while i < old.shape[0] and old[i, 0] < new[j, 0]:
            i += 1
        if i == old.shape[0] or old[i, 0] != new[j, 0]:
            at = put_row(new[j], after_slot, words, at)
            after_slot = new[j, 0]
    return at


@njit(cache=True)
def diff_things(old: Rows, new: Rows, kinds: Ints, which: Ints) -> int:
    """Rows of `new` that differ from `old` (kind 0) and rows of `old` that are gone (TAKEN), by slot; how many."""
    i, j, count = 0, 0, 0
    while i < old.shape[0] or j < new.shape[0]:
        if j == new.shape[0] or (i < old.shape[0] and old[i, 0] < new[j, 0]):
            kinds[count], which[count] = TAKEN, i
            count += 1
            i += 1
            continue
        same = i < old.shape[0] and old[i, 0] == new[j, 0]
        if same:
            for column in range(new.shape[1]):
                same = same and old[i, column] == new[j, column]
            i += 1
        if not same:
            kinds[count], which[count] = 0, j
            count += 1
        j += 1
    return count


@njit(cache=True)
def put_keyframe_body(rows: Rows, things: Rows, words: Words, at: int) -> int:
    """Write a block whole; the position after it."""
    at = put_count(words, put(words, at, 0, 8), rows.shape[0])
    at = put_count(words, at, things.shape[0])
    after_slot = -1
    for i in range(rows.shape[0]):
        at = put_row(rows[i], after_slot, words, at)
        after_slot = rows[i, 0]
    for i in range(things.shape[0]):
        at = put_thing(things[i], words, at)
    return at


@njit(cache=True)
def put_delta_body(
    rows_before: Rows, rows: Rows, things_before: Rows, things: Rows, age: int, words: Words, at: int
) -> int:
    """Write what turns a block's baseline into what it is now; the position after it."""
    records = things_before.shape[0] + things.shape[0]
    kinds, which = np.empty(records, np.int64), np.empty(records, np.int64)
    changed = diff_things(things_before, things, kinds, which)
    at = put_count(words, put(words, at, age, 8), count_newcomers(rows_before, rows))
    at = put_delta(rows_before, rows, age, words, put_count(words, at, changed))
    for i in range(changed):
        if kinds[i] == TAKEN:
            record = things_before[which[i], 0] | TAKEN << THING_SLOT_BITS
            at = put(words, at, record, THING_SLOT_BITS + THING_KIND_BITS)
        else:
            at = put_thing(things[which[i]], words, at)
    return at
