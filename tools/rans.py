"""A range coder (rANS; Duda, 2013) with static contexts, as a measure for the prefix codes of the snapshot.

Owns coding of symbols whose contexts are known beforehand, as if the decoder knew them too: the bits that follow some
symbols are left to the caller. 32-bit state, 16 bits at a time. Nothing in the product uses it.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

SCALE_BITS = 12
LOW = 1 << 16
FLUSH_BYTES = 4

Ints = npt.NDArray[np.int64]


def frequencies(counts: Ints) -> Ints:
    """(contexts, symbols) counts to frequencies of at least 1 that add up to 1 << SCALE_BITS; 0 stays 0."""
    out = np.zeros_like(counts)
    for row, own in enumerate(counts):
        used = own > 0
        share = own[used] / max(own.sum(), 1) * ((1 << SCALE_BITS) - used.sum())
        out[row, used] = 1 + share.astype(np.int64)
        if used.any():
            out[row, np.argmax(out[row])] += (1 << SCALE_BITS) - out[row].sum()
    return out


def starts_and_lookup(table: Ints) -> tuple[Ints, Ints]:
    """(first slot of each symbol, symbol of each slot), by context."""
    starts = np.cumsum(table, axis=1) - table
    lookup = np.zeros((len(table), 1 << SCALE_BITS), np.int64)
    for row, own in enumerate(table):
        lookup[row, : own.sum()] = np.repeat(np.arange(len(own)), own)
    return starts, lookup


@njit(cache=True)
def encode(rows: Ints, symbols: Ints, table: Ints, starts: Ints, out: Ints) -> int:
    """Write the symbols backwards as 16-bit words; how many. The decoder reads them from the last one on."""
    state, count = LOW, 0
    for i in range(rows.shape[0] - 1, -1, -1):
        own = table[rows[i], symbols[i]]
        if state >= own << (32 - SCALE_BITS):
            out[count] = state & 0xFFFF
            state >>= 16
            count += 1
        state = (state // own << SCALE_BITS) + state % own + starts[rows[i], symbols[i]]
    out[count], out[count + 1] = state & 0xFFFF, state >> 16
    return count + 2


@njit(cache=True)
def decode(rows: Ints, data: Ints, count: int, table: Ints, starts: Ints, lookup: Ints, symbols: Ints) -> int:
    """Read the symbols in their order; words left over."""
    state = data[count - 1] << 16 | data[count - 2]
    count -= 2
    for i in range(rows.shape[0]):
        slot = state & (1 << SCALE_BITS) - 1
        symbol = lookup[rows[i], slot]
        symbols[i] = symbol
        state = table[rows[i], symbol] * (state >> SCALE_BITS) + slot - starts[rows[i], symbol]
        if state < LOW:
            count -= 1
            state = state << 16 | data[count]
    return count
