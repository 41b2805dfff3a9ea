"""All blocks of all rooms in one call: who and what is in which block, and the bytes of each block's body.

Owns grouping by room and cell, and each block's newest keyframe as the baseline of its deltas. The bytes are those of
`sim.snapshot.keyframe_body` and `delta_body`; only the cost is another. Never composes frames; never decides who sees
what.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim.bits import Words
from server.sim.grid import HERO_CELL
from server.sim.rows import (
    CHANGED_BITS_MAX,
    COLUMNS,
    FULL_BITS_MAX,
    HEAD_BITS_MAX,
    THING_BITS_MAX,
    THING_COLUMN_COUNT,
    Rows,
    Slots,
    View,
    gather,
    gather_things,
)
from server.sim.snapshot_write import put_delta_body, put_keyframe_body
from server.sim.state import AvatarState, ThingState, new_avatars, new_things

CELL_BITS = 13  # of a block's key: room << CELL_BITS | cell
AGE_MAX = 255
DIGIT_BITS, DIGITS = 11, 2  # room 8 bits + cell 13 bits

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Contents(NamedTuple):
    """What is in some blocks, in order of their keys: rows of block b are first[b] .. first[b + 1], slots ascending."""

    key: Ints  # (b,) room << CELL_BITS | cell, ascending
    tick: Ints  # (b,) as of which
    first: Ints  # (b + 1,) into rows
    thing_first: Ints  # (b + 1,) into things
    rows: Rows  # (n, COLUMNS)
    things: Rows  # (t, THING_COLUMN_COUNT)


class Blocks(NamedTuple):
    """The bodies of one tick, by room and cell ascending: body b is data[start[b]:end[b]]. An empty cell has none."""

    room: Ints  # (b,)
    cell: Ints  # (b,)
    start: Ints  # (b,)
    end: Ints  # (b,)
    avatars: Ints  # (b,) how many are in it
    keyframe: Bools  # (b,)
    data: bytes


NOTHING = Contents(
    np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64),
    np.zeros((0, COLUMNS), np.int64), np.zeros((0, THING_COLUMN_COUNT), np.int64),
)  # fmt: skip


@njit(cache=True)
def sort_by_key(keys: Ints, slots: Slots) -> None:
    """Sort both (n,) in place by key, those of one key as they were: a radix sort, two digits."""
    other_keys, other_slots = np.empty_like(keys), np.empty_like(slots)
    for digit in range(DIGITS):
        shift, first = digit * DIGIT_BITS, np.zeros((1 << DIGIT_BITS) + 1, np.int64)
        for i in range(keys.shape[0]):
            first[(keys[i] >> shift & (1 << DIGIT_BITS) - 1) + 1] += 1
        for value in range(1 << DIGIT_BITS):
            first[value + 1] += first[value]
        for i in range(keys.shape[0]):
            value = keys[i] >> shift & (1 << DIGIT_BITS) - 1
            other_keys[first[value]], other_slots[first[value]] = keys[i], slots[i]
            first[value] += 1
        keys[:], slots[:] = other_keys, other_slots


@njit(cache=True)
def avatars_by_key(avatars: AvatarState, shown: Bools, hero: Bools) -> tuple[Ints, Slots]:
    """Keys and slots of everybody in the rooms that are shown, in order; heroes are in HERO_CELL."""
    keys, slots = np.empty(avatars.alive.shape[0], np.int64), np.empty(avatars.alive.shape[0], np.int64)
    count = 0
    for slot in range(avatars.alive.shape[0]):
        if avatars.alive[slot] and shown[avatars.room[slot]]:
            cell = HERO_CELL if hero[slot] else int(avatars.cell[slot])
            keys[count], slots[count] = int(avatars.room[slot]) << CELL_BITS | cell, slot
            count += 1
    sort_by_key(keys[:count], slots[:count])
    return keys[:count], slots[:count]


@njit(cache=True)
def things_by_key(things: ThingState, shown: Bools, hero: Bools) -> tuple[Ints, Slots]:
    """The same of things; what a hero holds is with them."""
    keys, slots = np.empty(things.alive.shape[0], np.int64), np.empty(things.alive.shape[0], np.int64)
    count = 0
    for slot in range(things.alive.shape[0]):
        if things.alive[slot] and shown[things.room[slot]]:
            owner = int(things.owner[slot])
            cell = HERO_CELL if owner >= 0 and hero[owner] else int(things.cell[slot])
            keys[count], slots[count] = int(things.room[slot]) << CELL_BITS | cell, slot
            count += 1
    sort_by_key(keys[:count], slots[:count])
    return keys[:count], slots[:count]


@njit(cache=True)
def contents(avatars: AvatarState, things: ThingState, shown: Bools, hero: Bools, tick: int) -> Contents:
    """What is in every block of the rooms that are shown."""
    keys, slots = avatars_by_key(avatars, shown, hero)
    thing_keys, thing_slots = things_by_key(things, shown, hero)
    n, t, count = keys.shape[0], thing_keys.shape[0], 0
    key, first, thing_first = np.empty(n + t, np.int64), np.zeros(n + t + 1, np.int64), np.zeros(n + t + 1, np.int64)
    i, j = 0, 0
    while i < n or j < t:
        here = keys[i] if j == t or (i < n and keys[i] <= thing_keys[j]) else thing_keys[j]
        while i < n and keys[i] == here:
            i += 1
        while j < t and thing_keys[j] == here:
            j += 1
        key[count], first[count + 1], thing_first[count + 1] = here, i, j
        count += 1
    rows, thing_rows = np.empty((n, COLUMNS), np.int64), np.zeros((t, THING_COLUMN_COUNT), np.int64)
    gather(avatars, slots, rows)
    gather_things(things, thing_slots, thing_rows)
    ticks = np.full(count, tick, np.int64)
    return Contents(key[:count], ticks, first[: count + 1], thing_first[: count + 1], rows, thing_rows)


@njit(cache=True)
def encode(now: Contents, base: Contents, tick: int, every: int) -> tuple[Words, Ints, Ints, Bools, Contents]:
    """Bodies of all blocks of `now`: (words, first byte of each, byte after each, keyframe or not, new baselines).

    A block is a keyframe when it has no baseline, when its turn comes, or when the baseline is too old.
    """
    blocks, n, t = now.key.shape[0], now.rows.shape[0], now.things.shape[0]
    records, things = n + base.rows.shape[0], t + base.things.shape[0]
    bits = blocks * (HEAD_BITS_MAX + 64) + records * max(FULL_BITS_MAX, CHANGED_BITS_MAX) + things * THING_BITS_MAX
    words = np.zeros((bits >> 6) + 2, np.uint64)
    start, end, whole = np.empty(blocks, np.int64), np.empty(blocks, np.int64), np.empty(blocks, np.bool_)
    kept = Contents(
        now.key, now.tick.copy(), np.zeros(blocks + 1, np.int64), np.zeros(blocks + 1, np.int64),
        np.empty((records, COLUMNS), np.int64), np.empty((things, THING_COLUMN_COUNT), np.int64),
    )  # fmt: skip
    at, old = 0, 0
    for block in range(blocks):
        key = now.key[block]
        while old < base.key.shape[0] and base.key[old] < key:
            old += 1
        rows = now.rows[now.first[block] : now.first[block + 1]]
        things_here = now.things[now.thing_first[block] : now.thing_first[block + 1]]
        turn = (tick + (key >> CELL_BITS) + (key & (1 << CELL_BITS) - 1)) % every == 0
        has = old < base.key.shape[0] and base.key[old] == key
        age = (tick - base.tick[old]) & 0xFFFFFFFF if has else 0
        whole[block] = turn or not 0 < age <= min(2 * every, AGE_MAX)
        start[block] = at >> 3
        if whole[block]:
            at = put_keyframe_body(rows, things_here, words, at)
        else:
            rows_before = base.rows[base.first[old] : base.first[old + 1]]
            things_before = base.things[base.thing_first[old] : base.thing_first[old + 1]]
            at = put_delta_body(rows_before, rows, things_before, things_here, age, words, at)
            rows, things_here, kept.tick[block] = rows_before, things_before, base.tick[old]
        end[block] = at + 7 >> 3
        at = at + 63 & ~63  # each body begins with a word
        first, thing_first = kept.first[block], kept.thing_first[block]
        kept.first[block + 1], kept.thing_first[block + 1] = first + rows.shape[0], thing_first + things_here.shape[0]
        kept.rows[first : kept.first[block + 1]] = rows
        kept.things[thing_first : kept.thing_first[block + 1]] = things_here
    return words[: at >> 6], start, end, whole, kept


def encode_blocks(
    avatars: AvatarState, things: ThingState, shown: Bools, heroes: npt.NDArray[np.integer], tick: int, every: int,
    baselines: Contents = NOTHING,
) -> tuple[Blocks, Contents]:  # fmt: skip
    """The bodies of all blocks of a shard in one tick, and the baselines to hand in with the next.

    `shown` (rooms,): whose blocks are wanted; a room that is not has no baselines left, so when it is shown again it
    begins with keyframes. `heroes`: slots of the room-wide heroes of all rooms: they and what they hold are in
    HERO_CELL. `tick` as on the wire (32 bits). A block is a keyframe on ticks where (tick + room + cell) % every == 0,
    or when it has no baseline of at most 2 * every ticks ago. Cells with nobody and nothing in them have no block.
    """
    assert 1 <= every < AGE_MAX
    hero = np.zeros(len(avatars.alive), np.bool_)
    hero[heroes] = True
    now = contents(avatars, things, shown, hero, tick)
    words, start, end, whole, kept = encode(now, baselines, tick, every)
    sizes = np.diff(now.first)
    room, cell = now.key >> CELL_BITS, now.key & (1 << CELL_BITS) - 1
    return Blocks(room, cell, start, end, sizes, whole, words.astype("<u8", copy=False).tobytes()), kept


def views_of(some: Contents) -> dict[tuple[int, int], View]:
    """The same contents as views by (room, cell), for tests and tools."""
    return {
        (int(key) >> CELL_BITS, int(key) & (1 << CELL_BITS) - 1): View(
            int(key) >> CELL_BITS, int(some.tick[b]), some.rows[some.first[b] : some.first[b + 1]],
            some.things[some.thing_first[b] : some.thing_first[b + 1]],
        )
        for b, key in enumerate(some.key)
    }  # fmt: skip


def prime() -> None:
    """Compile the kernels."""
    avatars, things = new_avatars(2), new_things(2)
    avatars.alive[:], avatars.room[:], avatars.cell[:] = True, 0, 0
    things.alive[:], things.room[:], things.cell[:] = True, 0, 0
    shown, nobody = np.ones(1, np.bool_), np.zeros(0, np.int64)
    _, baselines = encode_blocks(avatars, things, shown, nobody, 1, 10)
    encode_blocks(avatars, things, shown, nobody, 2, 10, baselines)
