"""Prefix codes of the snapshot: how often-used symbols become short strings of bits, and come back.

Owns the code tables, made canonical from lengths (`sim.code_lengths`, trained by `tools.train_codec`), and writing and
reading of one symbol and of one signed difference. A difference is a class (how many bits its size has) as a symbol,
then so many bits. Never checks bounds: callers do, as with `sim.bits`.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim.bits import Words, get, put
from server.sim.code_lengths import MASK_LENGTHS, ROWS_LENGTHS

SYMBOLS = 24  # of a row, at most
LENGTH_MAX, MASK_LENGTH_MAX = 8, 12
ESCAPE = 11  # class of a difference that is written as the whole column instead
SWITCHED = 12  # added to the first class of a rotation whose largest component is another
GONE = 256  # symbol of the mask code
ACK_ESCAPE = 15
DIFFERENCE_MAX = (1 << ESCAPE - 1) - 1
NO_SYMBOL = -1

# Rows of the codes: one for each context. The class of a group's second component depends on the first, that of the
# third on the larger of both.
ACK_AGES = 16
CONTEXTS = 12
ACK = 0
YAW = ACK + ACK_AGES
HEAD = YAW + 1
HEAD_ROT = HEAD + 1 + 2 * CONTEXTS
HAND = HEAD_ROT + 1 + 2 * CONTEXTS
HAND_ROT = HAND + 1 + 2 * CONTEXTS
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


def tables(lengths: list[list[int]]) -> tuple[Ints, Ints, Ints]:
    """(codes, lengths, lookup) of all rows."""
    codes, table = np.zeros((len(lengths), SYMBOLS), np.int64), np.zeros((len(lengths), SYMBOLS), np.int64)
    lookup = np.zeros((len(lengths), 1 << LENGTH_MAX), np.int64)
    for row, own in enumerate(lengths):
        codes[row, : len(own)], short = canonical(own)
        table[row, : len(own)] = own
        lookup[row] = np.tile(short, (1 << LENGTH_MAX) // len(short))
    return codes, table, lookup


def digits(text: str) -> list[int]:
    """Lengths as they are written: one character each, base 36."""
    return [int(character, 36) for character in text]


CODES, LENGTHS, LOOKUP = tables([digits(row) for row in ROWS_LENGTHS])
MASK_CODES, MASK_LOOKUP = canonical(digits(MASK_LENGTHS))
MASK_LENGTH = np.array(digits(MASK_LENGTHS), np.int64)
assert len(LENGTHS) == ROWS and len(MASK_LENGTH) == GONE + 1 and len(MASK_LOOKUP) == 1 << MASK_LENGTH_MAX
CLASS = np.array(
    [int(size).bit_length() for size in range(DIFFERENCE_MAX + 1)], np.int64
)  # of the size of a difference


@njit(cache=True)
def class_of(difference: int) -> int:
    """How many bits the size of a difference has; ESCAPE if it has too many."""
    size = abs(difference)
    return CLASS[size] if size <= DIFFERENCE_MAX else ESCAPE


@njit(cache=True)
def put_symbol(words: Words, at: int, row: int, symbol: int) -> int:
    """Write a symbol."""
    return put(words, at, CODES[row, symbol], LENGTHS[row, symbol])


@njit(cache=True)
def put_difference(words: Words, at: int, row: int, shift: int, difference: int) -> int:
    """Write the class (as the symbol `shift` higher) and the bits of a difference of at most DIFFERENCE_MAX."""
    size = abs(difference)
    kind = CLASS[size]
    length = LENGTHS[row, kind + shift]
    piece = CODES[row, kind + shift]
    if kind > 0:
        rest = (size - (1 << kind - 1)) << 1 | (1 if difference < 0 else 0)
        piece |= rest << length
    return put(words, at, piece, length + kind)


@njit(cache=True)
def get_difference(words: Words, at: int, kind: int) -> int:
    """Read the bits of a difference whose class (0 to ESCAPE - 1) is known."""
    if kind == 0:
        return 0
    rest = get(words, at, kind)
    size = (rest >> 1) + (1 << kind - 1)
    return -size if rest & 1 else size
