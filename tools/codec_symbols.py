"""What the delta records of a snapshot say, as a list of symbols: to train codes and to compare coders.

Owns a second, plainer telling of what `server.sim.snapshot_write` does: column by column over many records. Never packs
bits.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim import code
from server.sim.rotation import expected_fields
from server.sim.rows import HEAD_BITS, Rows

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Symbols(NamedTuple):
    """Symbol i is `symbol[i]` in the context `row[i]` of the codes; then so many bits as they are."""

    row: Ints
    symbol: Ints
    extra: Ints


class Group(NamedTuple):
    """Differences (m, k) of some columns of all records, their classes, and which records have them in their mask."""

    differences: Ints
    classes: Ints
    changed: Bools

    @property
    def largest(self) -> Ints:
        """(m,) the largest class, 0 where nothing changed."""
        out: Ints = np.where(self.changed, self.classes.max(axis=1), 0)
        return out


@njit(cache=True)
def _expected(old: Ints, new: Ints, out: Rows) -> None:
    scratch = np.empty(3, np.int64)
    for i in range(old.shape[0]):
        expected_fields(old[i], new[i] & 3, scratch)
        out[i] = scratch


def classes(differences: Ints) -> Ints:
    """The class of each difference."""
    size = np.abs(differences)
    return np.where(size > code.DIFFERENCE_MAX, code.ESCAPE, code.CLASS[np.minimum(size, code.DIFFERENCE_MAX)])


def of_places(differences: Ints) -> Group:
    """A group of lengths."""
    return Group(differences, classes(differences), np.asarray(differences.any(axis=1)))


def of_rotations(old: Ints, new: Ints, hand: int) -> Group:
    """A group of rotation fields."""
    expected = np.empty((len(old), 3), np.int64)
    _expected(old, new, expected)
    fields = np.stack([new >> shift & 1023 for shift in (2, 12, 22)], axis=1)
    differences = (fields >> hand) - (np.clip(expected, hand, 1022 - hand) >> hand)
    return Group(differences, classes(differences), np.asarray(old != new))


def _triple(first: int, contexts: int, context: Ints, shift: Ints, group: Group, wide: Ints) -> Iterator[Symbols]:
    m, k = group.changed, group.classes[group.changed]
    extra = np.where(k == code.ESCAPE, wide, k)
    yield Symbols(first + context[m], k[:, 0] + shift[m], extra[:, 0] + 2 * (shift[m] > 0))
    yield Symbols(first + contexts + k[:, 0], k[:, 1], extra[:, 1])
    yield Symbols(first + contexts + code.CONTEXTS + np.maximum(k[:, 0], k[:, 1]), k[:, 2], extra[:, 2])


def of_changes(old: Rows, new: Rows, age: Ints) -> tuple[Symbols, Ints]:
    """The symbols (order does not matter) and the masks (m,) of the delta records of m avatars, old and new rows."""
    yaw = of_places((((new[:, 6] - old[:, 6] + 512) & 1023) - 512)[:, None])
    head = of_places((new - old)[:, [2, 4, 3]])
    head_rot = of_rotations(old[:, 5], new[:, 5], 0)
    hands = [of_places((new[:, c : c + 3] >> 1) - (old[:, c : c + 3] >> 1)) for c in (9, 13)]
    hand_rots = [of_rotations(old[:, c], new[:, c], 1) for c in (12, 16)]
    other = (old[:, 7:9] != new[:, 7:9]).any(axis=1)
    flags = (yaw.changed, head.changed, head_rot.changed, hands[0].changed, hand_rots[0].changed, hands[1].changed,
             hand_rots[1].changed, other)  # fmt: skip
    mask = sum((flag.astype(np.int64) << bit for bit, flag in enumerate(flags)), np.zeros(len(old), np.int64))
    acked = np.minimum((new[:, 1] - old[:, 1]) & 255, code.ACK_ESCAPE)
    none, plain = np.zeros(len(old), np.int64), np.zeros(3, np.int64)
    found = [Symbols(code.ACK + np.where(mask > 0, np.minimum(age, code.ACK_AGES - 1), 0), acked,
                     np.where(acked == code.ACK_ESCAPE, 8, 0))]  # fmt: skip
    k = yaw.classes[yaw.changed, 0]
    found.append(Symbols(np.full(len(k), code.YAW), k, k))
    found += _triple(code.HEAD, 1, none, none, head, HEAD_BITS[[0, 2, 1]])
    switched = code.SWITCHED * ((old ^ new)[:, [5, 12, 16]] & 3 > 0)
    found += _triple(code.HEAD_ROT, code.CONTEXTS, yaw.largest, switched[:, 0], head_rot, plain)
    context = head_rot.largest
    for side in range(2):
        found += _triple(code.HAND, code.CONTEXTS, context, none, hands[side], plain)
        context = hands[side].largest
        found += _triple(code.HAND_ROT, code.CONTEXTS, context, switched[:, 1 + side], hand_rots[side], plain)
    return Symbols(*(np.concatenate(column) for column in zip(*found, strict=True))), mask
