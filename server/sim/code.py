"""Prefix codes of the snapshot: how often-used symbols become short strings of bits, and come back.

Owns the code tables, made canonical from lengths (`sim.code_lengths`, trained by `tools.train_codec`), and writing and
reading of one symbol and of one signed difference. A difference is a class (how many bits its size has) as a symbol,
then so many bits. Never checks bounds: callers do, as with `sim.bits`.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim.bits import Words, put
from server.sim.code_lengths import MASK_LENGTHS, ROWS_LENGTHS

SYMBOLS = 24  # of a row, at most
LENGTH_MAX, MASK_LENGTH_MAX, LENGTH_BITS = 8, 12, 4
ESCAPE = 11  # class of a difference that is written as the whole column instead
SWITCHED = 12  # added to the first class of a rotation whose largest component is another
GONE = 256  # symbol of the mask code
ACK_ESCAPE = 15
DIFFERENCE_MAX = (1 << ESCAPE - 1) - 1
NO_SYMBOL = -1

# Rows of the codes: one for each context. The class of a group's first component depends on the largest class of a
# group before it (of the head's place on nothing), the second's on the first's, the third's on the larger of both.
ACK_AGES = 16
CONTEXTS = 12
ACK = 0
YAW = ACK + ACK_AGES
HEAD = YAW + 1
HEAD_ROT = HEAD + 1 + 2 * CONTEXTS
HAND = HEAD_ROT + 3 * CONTEXTS
HAND_ROT = HAND + 3 * CONTEXTS
ROWS = HAND_ROT + 3 * CONTEXTS

Ints = npt.NDArray[np.int64]


def canonical(lengths: list[int]) -> tuple[Ints, Ints]:
    """(codes, lookup) of code lengths, 0 for a symbol that has none: canonical, most significant bit of a code first.

    `codes` are turned round for a stream whose least significant bit comes first. `lookup[low bits of the stream]` is
    symbol << 4 | length, NO_SYMBOL where no code fits.
    """
    codes, longest = np.zeros(len(lengths), np.int64), max(lengths)
    lookup = np.full(1 << longest, NO_SYMBOL, np.int64)
    code = 0
    for length in range(1, longest + 1):
        for symbol in [s for s, own in enumerate(lengths) if own == length]:
            turned = int(f"{code:0{length}b}"[::-1], 2)
            codes[symbol] = turned
            lookup[turned :: 1 << length] = symbol << 4 | length
            code += 1
        code <<= 1
    assert code <= 2 << longest, "the lengths are no prefix code"
    return codes, lookup


def tables(lengths: list[list[int]]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int16]]:
    """(codes, lookup) of all rows; `codes[row, symbol]` is code << LENGTH_BITS | length."""
    codes = np.zeros((len(lengths), SYMBOLS), np.int32)
    lookup = np.zeros((len(lengths), 1 << LENGTH_MAX), np.int16)
    for row, own in enumerate(lengths):
        found, short = canonical(own)
        codes[row, : len(own)] = found << LENGTH_BITS | own
        lookup[row] = np.tile(short, (1 << LENGTH_MAX) // len(short))
    return codes, lookup


def digits(text: str) -> list[int]:
    """Lengths as they are written: one character each, base 36."""
    return [int(character, 36) for character in text]


CODES, LOOKUP = tables([digits(row) for row in ROWS_LENGTHS])
LENGTHS = CODES & (1 << LENGTH_BITS) - 1
MASK_LENGTH = np.array(digits(MASK_LENGTHS), np.int64)
MASK_CODES, MASK_LOOKUP = canonical(digits(MASK_LENGTHS))
assert len(CODES) == ROWS and len(MASK_LENGTH) == GONE + 1 and len(MASK_LOOKUP) == 1 << MASK_LENGTH_MAX
CLASS = np.array([int(size).bit_length() for size in range(DIFFERENCE_MAX + 1)], np.int64)  # of the size it is for


@njit(cache=True)
def class_of(difference: int) -> int:
    """How many bits the size of a difference has; ESCAPE if it has too many."""
    size = abs(difference)
    return CLASS[size] if size <= DIFFERENCE_MAX else ESCAPE


@njit(cache=True)
def next_row(row: int, first: int, contexts: int, kind: int) -> int:
    """The row for the class of the next component, after one of class `kind` was coded with `row`."""
    if row < first + contexts:
        return first + contexts + kind
    return first + contexts + CONTEXTS + max(kind, row - first - contexts)


@njit(cache=True)
def put_symbol(words: Words, at: int, row: int, symbol: int) -> int:
    """Write a symbol."""
    found = int(CODES[row, symbol])
    return put(words, at, found >> LENGTH_BITS, found & (1 << LENGTH_BITS) - 1)


@njit(cache=True)
def piece_of(row: int, symbol: int, kind: int, difference: int) -> tuple[int, int]:
    """(bits, how many) of a symbol and of a difference of this class, not ESCAPE: at most 18."""
    found = int(CODES[row, symbol])
    length = found & (1 << LENGTH_BITS) - 1
    if kind == 0:
        return found >> LENGTH_BITS, length
    rest = (abs(difference) - (1 << kind - 1)) << 1 | (1 if difference < 0 else 0)
    return found >> LENGTH_BITS | rest << length, length + kind


@njit(cache=True)
def get_piece(bits: int, row: int) -> tuple[int, int, int]:
    """(symbol, difference, how many bits) at the low end of `bits`; symbol -1 where there is no code.

    Only of ESCAPE the difference means nothing, and no bits of it are counted.
    """
    found = int(LOOKUP[row, bits & (1 << LENGTH_MAX) - 1])
    if found < 0:
        return NO_SYMBOL, 0, 0
    symbol, length = found >> 4, found & 15
    kind = symbol - SWITCHED if symbol >= SWITCHED else symbol
    if kind == 0 or symbol == ESCAPE:
        return symbol, 0, length
    rest = bits >> length & (1 << kind) - 1
    size = (rest >> 1) + (1 << kind - 1)
    return symbol, -size if rest & 1 else size, length + kind
