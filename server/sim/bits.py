"""A bit stream in 64-bit words, least significant bit first: the byte view of the words is the wire's order.

Owns putting fields of 1 to 63 bits and getting fields of 1 to 32. Never checks bounds: callers make the words long
enough (`words_for`) and compare the position with the true length afterwards.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Words = npt.NDArray[np.uint64]


def words_for(bits: int) -> Words:
    """Zeroed words for `bits` bits and one word more, so that a field may straddle the end."""
    return np.zeros((bits >> 6) + 2, np.uint64)


@njit(cache=True)
def put(words: Words, at: int, value: int, bits: int) -> int:
    """Write the low `bits` (1..63) of `value` at bit `at` of zeroed words; the position after it."""
    word, shift = at >> 6, at & 63
    low = np.uint64(value & ((1 << bits) - 1))
    words[word] |= low << np.uint64(shift)
    if shift + bits > 64:
        words[word + 1] |= low >> np.uint64(64 - shift)
    return at + bits


@njit(cache=True)
def get(words: Words, at: int, bits: int) -> int:
    """Read `bits` (1..32) at bit `at`."""
    word, shift = at >> 6, at & 63
    low = words[word] >> np.uint64(shift)
    if shift + bits > 64:
        low |= words[word + 1] << np.uint64(64 - shift)
    return int(np.int64(low & np.uint64((1 << bits) - 1)))  # signed from here on: numba makes a float of both kinds


@njit(cache=True)
def window(words: Words, at: int) -> int:
    """The 63 bits at bit `at`, to be taken apart by the caller."""
    word, shift = at >> 6, at & 63
    low = words[word] >> np.uint64(shift)
    if shift > 1:
        low |= words[word + 1] << np.uint64(64 - shift)
    return int(np.int64(low & np.uint64((1 << 63) - 1)))


def to_bytes(words: Words, bits: int) -> bytes:
    """The first `bits` bits, padded with zero bits to a byte."""
    return words.astype("<u8", copy=False).tobytes()[: (bits + 7) >> 3]


def from_bytes(data: bytes, spare_bits: int) -> Words:
    """Words holding `data` with at least `spare_bits` zero bits after it."""
    words = words_for(8 * len(data) + spare_bits)
    words.view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
    return words
