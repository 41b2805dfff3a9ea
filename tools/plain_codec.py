"""The plain bit-packer of delta records, as a measure for the codes: a mask, and three widths for each group.

Owns kernels for records of avatars that are there before and after; nothing in the product uses them.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim.bits import Words, get, put
from server.sim.rows import COLUMNS, Rows

WIDTH = np.array([12, 8, 16, 12, 16, 32, 10, 8, 8, 11, 11, 11, 32, 11, 11, 11, 32], np.int64)
FULL_BITS = int(WIDTH.sum())
RAW, POSITION, ROTATION = 0, 1, 2
GROUPS = np.array(  # kind, first column, columns
    [(RAW, 1, 1), (POSITION, 2, 3), (ROTATION, 5, 1), (RAW, 6, 1), (RAW, 7, 2),
     (POSITION, 9, 3), (ROTATION, 12, 1), (POSITION, 13, 3), (ROTATION, 16, 1)], np.int64)  # fmt: skip
POSITION_BITS, ROTATION_BITS = np.array([5, 8, 11], np.int64), np.array([4, 6, 8], np.int64)
RECORD_BITS_MAX = 2 + len(GROUPS) + FULL_BITS + 12

Ints = npt.NDArray[np.int64]


@njit(cache=True)
def _put_three(x: int, y: int, z: int, widths: Ints, words: Words, at: int) -> int:
    """Write three differences in the smallest width that holds them; -1 if none does."""
    low, high = min(x, y, z), max(x, y, z)
    for size in range(3):
        bits = widths[size]
        half = 1 << (bits - 1)
        if low >= -half and high < half:
            piece = size | (x + half) << 2 | (y + half) << (2 + bits) | (z + half) << (2 + 2 * bits)
            return put(words, at, piece, 2 + 3 * bits)
    return -1


@njit(cache=True)
def _put_group(old: Rows, new: Rows, i: int, group: int, words: Words, at: int) -> int:
    kind, c = GROUPS[group, 0], GROUPS[group, 1]
    a, b, after = new[i, c], old[i, c], -1
    if kind == POSITION:
        y, z = new[i, c + 1] - old[i, c + 1], new[i, c + 2] - old[i, c + 2]
        after = _put_three(a - b, y, z, POSITION_BITS, words, at)
    elif kind == ROTATION and a & 3 == b & 3:
        x, y, z = (a >> 2 & 1023) - (b >> 2 & 1023), (a >> 12 & 1023) - (b >> 12 & 1023), (a >> 22) - (b >> 22)
        after = _put_three(x, y, z, ROTATION_BITS, words, at)
    if after >= 0:
        return after
    if kind != RAW:
        at = put(words, at, 3, 2)
    for column in range(c, c + GROUPS[group, 2]):
        at = put(words, at, new[i, column], WIDTH[column])
    return at


@njit(cache=True)
def put_records(old: Rows, new: Rows, words: Words, at: int) -> int:
    """Write a delta record for each row; the position after them."""
    for i in range(old.shape[0]):
        mask = 0
        for group in range(GROUPS.shape[0]):
            first = GROUPS[group, 1]
            for column in range(first, first + GROUPS[group, 2]):
                if old[i, column] != new[i, column]:
                    mask |= 1 << group
        at = put(words, at, (1 if mask else 0) | mask << 2, 2 + (len(GROUPS) if mask else 0))
        for group in range(GROUPS.shape[0]):
            if mask >> group & 1:
                at = _put_group(old, new, i, group, words, at)
    return at


@njit(cache=True)
def _get_group(rows: Rows, i: int, group: int, words: Words, at: int) -> int:
    kind, first = GROUPS[group, 0], GROUPS[group, 1]
    size = 3
    if kind != RAW:
        size = get(words, at, 2)
        at += 2
    if size == 3:
        for column in range(first, first + GROUPS[group, 2]):
            rows[i, column] = get(words, at, WIDTH[column])
            at += WIDTH[column]
        return at
    bits = POSITION_BITS[size] if kind == POSITION else ROTATION_BITS[size]
    half = 1 << (bits - 1)
    for k in range(3):
        difference = get(words, at, bits) - half
        at += bits
        if kind == POSITION:
            rows[i, first + k] += difference
        else:
            rows[i, first] += difference << (2 + 10 * k)
    return at


@njit(cache=True)
def get_records(old: Rows, rows: Rows, words: Words, at: int) -> int:
    """Read a record for each old row into `rows`; the position after them."""
    for i in range(old.shape[0]):
        for column in range(COLUMNS):
            rows[i, column] = old[i, column]
        changed = get(words, at, 2)
        at += 2
        if changed:
            mask = get(words, at, len(GROUPS))
            at += len(GROUPS)
            for group in range(GROUPS.shape[0]):
                if mask >> group & 1:
                    at = _get_group(rows, i, group, words, at)
    return at
