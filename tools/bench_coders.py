"""Ways to write a delta record, side by side on recorded motion: bytes and processor time.

Owns the comparison: the plain bit-packer, the codes in use, a range coder with the same contexts, and predictions. The
bytes are of whole intervals, keyframe and head of the body included, in blocks of BLOCK people.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from server.sim import code
from server.sim.bits import words_for
from server.sim.rows import CHANGED_BITS_MAX, OTHER_BIT, Rows, View
from server.sim.snapshot import decode_body, delta_body, keyframe_body
from tools import plain_codec, rans
from tools.bench_timing import Row, Sample, cost_us
from tools.codec_symbols import Ints, of_changes
from tools.moving import sitters, walkers
from tools.train_codec import count_scene, rows_of

BLOCK, PEOPLE, TICKS, EVERY = 20, 200, 60, 10
TITLE = f"Ways to code a snapshot (recorded motion, blocks of {BLOCK}, keyframe every {EVERY} ticks)"
HEAD_BITS = 8 + 1 + 3.5  # age, whether there are newcomers or things, padding on average
VELOCITY_BITS = 8
TREND = 3  # ticks over which a velocity is taken
NO_THINGS = np.zeros((0, 8), np.int64)

Predict = Callable[[Rows, int, int], Rows]


class Material(NamedTuple):
    """A scene that is measured."""

    name: str
    rows: Rows  # (ticks, people, COLUMNS)


def as_it_was(rows: Rows, key: int, age: int) -> Rows:
    """The keyframe itself."""
    out: Rows = rows[key]
    return out


def by_velocity(rows: Rows, key: int, age: int) -> Rows:
    """Heads moved on by a velocity that the keyframe would carry, in steps of 2 mm a tick."""
    out: Rows = rows[key].copy()
    out[:, [2, 4]] += velocities(rows, key) * age
    return out


def by_two_keyframes(rows: Rows, key: int, age: int) -> Rows:
    """Heads and hands moved on as from the keyframe before to this one: no longer decodable from one keyframe."""
    columns = [2, 3, 4, 9, 10, 11, 13, 14, 15]
    out: Rows = rows[key].copy()
    step = (rows[key] - rows[key - EVERY])[:, columns] * age / EVERY
    out[:, columns] += np.rint(step / 2).astype(np.int64) * 2
    out[:, 9:] = np.where(out[:, 9:] < 0, 0, out[:, 9:])
    return out


def velocities(rows: Rows, key: int) -> Ints:
    """(people, 2) mm a tick along x and z, even."""
    return np.asarray(np.rint((rows[key] - rows[key - TREND])[:, [2, 4]] / (2 * TREND)).astype(np.int64) * 2)


def record_bits(old: Rows, new: Rows, age: int) -> float:
    """Bits of the delta records in the codes in use."""
    symbols, masks = of_changes(old, new, np.full(len(old), age))
    bits = code.LENGTHS[symbols.row, symbols.symbol].sum() + symbols.extra.sum() + code.MASK_LENGTH[masks].sum()
    return float(bits + 16 * (masks >> OTHER_BIT & 1).sum())


def keyframe_bits(rows: Rows) -> float:
    """Bits of the keyframes of all blocks."""
    return 8.0 * sum(len(keyframe_body(View(0, 0, rows[i : i + BLOCK], NO_THINGS))) for i in range(0, PEOPLE, BLOCK))


def mean_bytes(rows: Rows, delta_bits: Callable[[int, int], float], extra_bits: Callable[[int], float]) -> float:
    """Bytes of an update over whole intervals; `extra_bits(key)` is what all keyframes of a tick have in addition."""
    total, updates = 0.0, 0
    for key in range(EVERY, len(rows), EVERY):
        total += keyframe_bits(rows[key]) + extra_bits(key)
        updates += PEOPLE
        for age in range(1, min(EVERY, len(rows) - key)):
            total += delta_bits(key, age) + HEAD_BITS * PEOPLE / BLOCK
            updates += PEOPLE
    return total / 8 / updates


def by_codes(rows: Rows, predict: Predict = as_it_was, carried: bool = False) -> float:
    """Bytes of an update in the codes in use, against a predicted baseline."""

    def extra(key: int) -> float:
        moving = velocities(rows, key).any(axis=1).sum()
        return float(PEOPLE + 2 * VELOCITY_BITS * moving) if carried else 0.0

    return mean_bytes(rows, lambda key, age: record_bits(predict(rows, key, age), rows[key + age], age), extra)


def by_plain(rows: Rows) -> float:
    """Bytes of an update in the plain packer, whose full record has 252 bits."""

    def delta(key: int, age: int) -> float:
        words = words_for(PEOPLE * plain_codec.RECORD_BITS_MAX)
        return float(plain_codec.put_records(rows[key], rows[key + age], words, 0))

    return mean_bytes(rows, delta, lambda key: PEOPLE * plain_codec.FULL_BITS - keyframe_bits(rows[key]))


class Ranged(NamedTuple):
    """A range coder trained on a scene: masks are the context after all others."""

    table: Ints
    starts: Ints
    lookup: Ints


def train_ranged(scenes: list[Rows]) -> Ranged:
    """Static frequencies of all contexts."""
    counts, masks = np.zeros((code.ROWS, code.SYMBOLS), np.int64), np.zeros(code.GONE + 1, np.int64)
    for rows in scenes:
        count_scene(rows, counts, masks)
    every = np.zeros((code.ROWS + 1, code.GONE + 1), np.int64)
    every[: code.ROWS, : code.SYMBOLS] = np.where(code.LENGTHS > 0, counts + 1, 0)
    every[code.ROWS] = masks + 1
    table = rans.frequencies(every)
    return Ranged(table, *rans.starts_and_lookup(table))


def contexts_of(old: Rows, new: Rows, age: int) -> tuple[Ints, Ints, float]:
    """(contexts, symbols, bits beside them) of some delta records, for a range coder."""
    symbols, masks = of_changes(old, new, np.full(len(old), age))
    rows = np.concatenate((symbols.row, np.full(len(masks), code.ROWS)))
    rest = symbols.extra.sum() + 16 * (masks >> OTHER_BIT & 1).sum()
    return rows, np.concatenate((symbols.symbol, masks)), float(rest)


def by_ranged(rows: Rows, coder: Ranged) -> float:
    """Bytes of an update with a range coder instead of prefix codes."""

    def delta(key: int, age: int) -> float:
        bits = 0.0
        for first in range(0, PEOPLE, BLOCK):
            here = slice(first, first + BLOCK)
            contexts, symbols, rest = contexts_of(rows[key, here], rows[key + age, here], age)
            out = np.empty(len(contexts) + 2, np.int64)
            bits += 16 * rans.encode(contexts, symbols, coder.table, coder.starts, out) + rest
        return bits

    return mean_bytes(rows, delta, lambda key: 0.0)


def cost_rows(rows: Rows, coder: Ranged) -> list[Row]:
    """Processor nanoseconds of a record: the packer, the codes, and the range coder's symbols alone."""
    old, new, age = rows[EVERY, :BLOCK], rows[EVERY + 5, :BLOCK], 5
    words = words_for(BLOCK * max(plain_codec.RECORD_BITS_MAX, CHANGED_BITS_MAX))
    out = np.empty_like(old)

    def plain() -> None:
        words[:] = 0
        plain_codec.put_records(old, new, words, 0)

    plain_put, plain_got = cost_us(plain), cost_us(lambda: plain_codec.get_records(old, out, words, 0))
    before, after = View(0, 0, old, NO_THINGS), View(0, age, new, NO_THINGS)
    body, known = delta_body(after, before), {(0, 0, 0): before}
    ours = cost_us(lambda: delta_body(after, before)), cost_us(lambda: decode_body(body, 0, age, 0, known))
    contexts, symbols, _ = contexts_of(old, new, age)
    data, back = np.empty(len(contexts) + 2, np.int64), np.empty_like(contexts)
    count = rans.encode(contexts, symbols, coder.table, coder.starts, data)
    ranged = (cost_us(lambda: rans.encode(contexts, symbols, coder.table, coder.starts, data)),
              cost_us(lambda: rans.decode(contexts, data, count, *coder, back)))  # fmt: skip
    ns = 1000 / BLOCK
    return [
        Row("write a record: plain packer", "ns", plain_put.scaled(ns)),
        Row("write a record: codes, with the call from Python", "ns", ours[0].scaled(ns), plain_put.median * ns),
        Row("write a record: range coder, its symbols alone", "ns", ranged[0].scaled(ns), plain_put.median * ns),
        Row("read a record: plain packer", "ns", plain_got.scaled(ns)),
        Row("read a record: codes, with the call from Python", "ns", ours[1].scaled(ns), plain_got.median * ns),
        Row("read a record: range coder, its symbols alone", "ns", ranged[1].scaled(ns), plain_got.median * ns),
    ]


def run() -> list[Row]:
    """The section. The range coder learns from people other than those it is measured on, as the codes did."""
    material = [Material(name, rows_of(scene(PEOPLE, seed=1), PEOPLE, TICKS))
                for name, scene in (("walking", walkers), ("seated", sitters))]  # fmt: skip
    coder = train_ranged([rows_of(scene(PEOPLE, seed=2), PEOPLE, TICKS * 2) for scene in (walkers, sitters)])
    found = []
    for name, rows in material:
        plain = by_plain(rows)
        ways = (
            ("plain packer", plain), ("codes (in use)", by_codes(rows)),
            ("codes, head's velocity in keyframes", by_codes(rows, by_velocity, carried=True)),
            ("codes, from two keyframes", by_codes(rows, by_two_keyframes)),
            ("range coder, same contexts", by_ranged(rows, coder)),
        )  # fmt: skip
        found += [Row(f"{name}: {way}", "B", Sample(size, size, size), plain) for way, size in ways]
    return found + cost_rows(material[0].rows, coder)
