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
    CLASS,
    CODES,
    CONTEXTS,
    ESCAPE,
    GONE,
    HAND,
    HAND_ROT,
    HEAD,
    HEAD_ROT,
    LENGTH_BITS,
    MASK_CODES,
    MASK_LENGTH,
    SWITCHED,
    YAW,
    class_of,
    next_row,
    piece_of,
    put_symbol,
)
from server.sim.rotation import FIELD_MAX, expected_fields
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
def put_numbers(words: Words, at: int, people: int, things: int) -> int:
    """Write a bit: whether there are any, and then both numbers."""
    if people == 0 and things == 0:
        return put(words, at, 0, 1)
    return put_count(words, put_count(words, put(words, at, 1, 1), people), things)


@njit(cache=True)
def hand_piece(rows: Rows, i: int, first: int) -> int:
    """Place (3 x 10 bits) and rotation (2 + 3 x 9 bits) of the hand whose columns begin at `first`."""
    rot = rows[i, first + 3]
    piece = rows[i, first] >> 1 | rows[i, first + 1] >> 1 << 10 | rows[i, first + 2] >> 1 << 20 | (rot & 3) << 30
    return piece | (rot >> 3 & 511) << 32 | (rot >> 13 & 511) << 41 | (rot >> 23 & 511) << 50


@njit(cache=True)
def put_row(rows: Rows, i: int, after_slot: int, words: Words, at: int) -> int:
    """Write the full record of one avatar; `after_slot` is the slot of the record before, -1 of the first."""
    at = put_count(words, at, rows[i, 0] - after_slot - 1)
    at = put(words, at, rows[i, 1] | rows[i, 2] << 8 | rows[i, 3] << 24 | rows[i, 4] << 36, 52)
    at = put(words, at, rows[i, 5] | rows[i, 6] << 32 | rows[i, 7] << 42, 50)
    at = put(words, at, rows[i, 8] << 1 | 1, 9) if rows[i, 8] else put(words, at, 0, 1)
    at = put(words, at, hand_piece(rows, i, 9), 59)
    return put(words, at, hand_piece(rows, i, 13), 59)


@njit(cache=True)
def put_thing(rows: Rows, i: int, words: Words, at: int) -> int:
    """Write the record of one thing that is in the block."""
    held = rows[i, 1]
    at = put(words, at, rows[i, 0] | (HELD if held else LOOSE) << THING_SLOT_BITS, THING_SLOT_BITS + THING_KIND_BITS)
    if held:
        return put(words, at, rows[i, 2] | rows[i, 3] << SLOT_BITS, SLOT_BITS + 1)
    for axis in range(3):
        at = put(words, at, rows[i, 4 + axis], HEAD_BITS[axis])
    return put(words, at, rows[i, 7], ROTATION_BITS)


@njit(cache=True)
def put_head(old: Rows, i: int, new: Rows, j: int, words: Words, at: int) -> int:
    """Write how far a head has moved: x, z, then y; what is too far away, as it is."""
    row = HEAD
    for column in (2, 4, 3):
        difference = new[j, column] - old[i, column]
        kind = class_of(difference)
        if kind == ESCAPE:
            at = put_symbol(words, at, row, ESCAPE)
            at = put(words, at, new[j, column], HEAD_BITS[column - 2])
        else:
            piece, size = piece_of(row, kind, kind, difference)
            at = put(words, at, piece, size)
        row = next_row(row, HEAD, 1, kind)
    return at


@njit(cache=True)
def put_hand(old: Rows, i: int, new: Rows, j: int, side: int, context: int, words: Words, at: int) -> tuple[int, int]:
    """Write how far a hand has moved; (position after it, largest class)."""
    row, largest, pieces, total, first = HAND + context, 0, 0, 0, 9 + 4 * side
    for column in range(first, first + 3):
        difference = (new[j, column] >> 1) - (old[i, column] >> 1)
        kind = CLASS[abs(difference)]
        piece, size = piece_of(row, kind, kind, difference)
        pieces |= piece << total
        total += size
        row, largest = next_row(row, HAND, CONTEXTS, kind), max(largest, kind)
    return put(words, at, pieces, total), largest


@njit(cache=True)
def put_rotation(old: int, new: int, first: int, context: int, scratch: Ints, words: Words, at: int) -> tuple[int, int]:
    """Write how a head (`first` is HEAD_ROT) or a hand (HAND_ROT, coarse) has turned; (position, largest class)."""
    hand, largest = 1 if first == HAND_ROT else 0, 0
    shift = SWITCHED if (old ^ new) & 3 else 0
    expected_fields(old, new & 3, scratch)
    row, add, pieces, total = first + context, shift, 0, 0
    for k in range(3):
        expected = min(max(scratch[k], hand), FIELD_MAX - hand) >> hand
        difference = ((new >> (2 + 10 * k) & 1023) >> hand) - expected
        kind = CLASS[abs(difference)]
        piece, size = piece_of(row, kind + add, kind, difference)
        pieces |= piece << total
        total += size
        row, add, largest = next_row(row, first, CONTEXTS, kind), 0, max(largest, kind)
    if shift:
        pieces |= (new & 3) << total
        total += 2
    return put(words, at, pieces, total), largest


@njit(cache=True)
def mask_of(old: Rows, i: int, new: Rows, j: int) -> int:
    """Which groups of columns differ."""
    mask = 0
    if old[i, 6] != new[j, 6]:
        mask |= 1 << YAW_BIT
    if old[i, 2] != new[j, 2] or old[i, 3] != new[j, 3] or old[i, 4] != new[j, 4]:
        mask |= 1 << HEAD_BIT
    if old[i, 5] != new[j, 5]:
        mask |= 1 << HEAD_ROT_BIT
    for side in range(2):
        c = 9 + 4 * side
        if old[i, c] != new[j, c] or old[i, c + 1] != new[j, c + 1] or old[i, c + 2] != new[j, c + 2]:
            mask |= 1 << LEFT_BIT + 2 * side
        if old[i, c + 3] != new[j, c + 3]:
            mask |= 2 << LEFT_BIT + 2 * side
    if old[i, 7] != new[j, 7] or old[i, 8] != new[j, 8]:
        mask |= 1 << OTHER_BIT
    return mask


@njit(cache=True)
def put_change(old: Rows, i: int, new: Rows, j: int, age: int, scratch: Ints, words: Words, at: int) -> int:
    """Write the delta record of one avatar that is still there."""
    mask = mask_of(old, i, new, j)
    acked = (new[j, 1] - old[i, 1]) & 255
    found = int(CODES[ACK + (min(age, ACK_AGES - 1) if mask else 0), min(acked, ACK_ESCAPE)])
    piece, size = MASK_CODES[mask], MASK_LENGTH[mask]
    piece |= found >> LENGTH_BITS << size
    size += found & (1 << LENGTH_BITS) - 1
    if acked >= ACK_ESCAPE:
        piece |= new[j, 1] << size
        size += 8
    context = 0
    if mask >> YAW_BIT & 1:
        difference = ((new[j, 6] - old[i, 6] + 512) & 1023) - 512
        context = CLASS[abs(difference)]
        turn, bits = piece_of(YAW, context, context, difference)
        piece |= turn << size
        size += bits
    at = put(words, at, piece, size)
    if mask >> HEAD_BIT & 1:
        at = put_head(old, i, new, j, words, at)
    if mask >> HEAD_ROT_BIT & 1:
        at, context = put_rotation(old[i, 5], new[j, 5], HEAD_ROT, context, scratch, words, at)
    else:
        context = 0
    for side in range(2):
        rot = 12 + 4 * side
        if mask >> LEFT_BIT + 2 * side & 1:
            at, context = put_hand(old, i, new, j, side, context, words, at)
        else:
            context = 0
        if mask >> LEFT_BIT + 2 * side & 2:
            at, _ = put_rotation(old[i, rot], new[j, rot], HAND_ROT, context, scratch, words, at)
    if mask >> OTHER_BIT & 1:
        at = put(words, at, new[j, 7] | new[j, 8] << 8, 16)
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
            at = put_change(old, i, new, j, age, scratch, words, at)
        else:
            at = put(words, at, MASK_CODES[GONE], MASK_LENGTH[GONE])
    i, after_slot = 0, -1
    for j in range(new.shape[0]):
        while i < old.shape[0] and old[i, 0] < new[j, 0]:
            i += 1
        if i == old.shape[0] or old[i, 0] != new[j, 0]:
            at = put_row(new, j, after_slot, words, at)
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
    at = put_numbers(words, put(words, at, 0, 8), rows.shape[0], things.shape[0])
    after_slot = -1
    for i in range(rows.shape[0]):
        at = put_row(rows, i, after_slot, words, at)
        after_slot = rows[i, 0]
    for i in range(things.shape[0]):
        at = put_thing(things, i, words, at)
    return at


@njit(cache=True)
def put_delta_body(
    rows_before: Rows, rows: Rows, things_before: Rows, things: Rows, age: int, words: Words, at: int
) -> int:
    """Write what turns a block's baseline into what it is now; the position after it."""
    records = things_before.shape[0] + things.shape[0]
    kinds, which = np.empty(records, np.int64), np.empty(records, np.int64)
    changed = diff_things(things_before, things, kinds, which)
    at = put_numbers(words, put(words, at, age, 8), count_newcomers(rows_before, rows), changed)
    at = put_delta(rows_before, rows, age, words, at)
    for i in range(changed):
        if kinds[i] == TAKEN:
            record = things_before[which[i], 0] | TAKEN << THING_SLOT_BITS
            at = put(words, at, record, THING_SLOT_BITS + THING_KIND_BITS)
        else:
            at = put_thing(things, which[i], words, at)
    return at
