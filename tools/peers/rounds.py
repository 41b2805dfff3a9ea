"""Rounds of a comparison: everybody in turn, again and again, and the search for the largest load somebody holds.

Owns the order of runs. A run itself is a function handed in.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tools.peers.entrants import Load
from tools.peers.verdict import Figures

Run = Callable[[Load], Figures]
NARROW = 1.1  # the search ends when held and not held are closer than this
WIDEN = 1.3
FIRST_SHARE = 0.75  # of the core: where the search begins, by what a client cost before
TRIES = 2  # a level is held if one of so many tries held: this machine has other things to do


class Row(NamedTuple):
    """A kind of load that is compared."""

    name: str
    clients: int
    room: int


class Largest(NamedTuple):
    """The result of a search: held with so many, not with so many (0: the end of the search was reached)."""

    held: int
    failed: int
    figures: Figures | None  # of the largest held


ROWS = (Row("1 room of 20", 20, 20), Row("10 rooms of 20", 200, 20), Row("1 room of 100", 100, 100))
HALLS = tuple(Row(f"{n} in one hall", n, n) for n in (300, 600, 1000))
GROWTH = tuple(Row(f"{n} in rooms of 20", n, 20) for n in (100, 200, 400, 700, 1000))


def interleave(rows: Sequence[Row], names: Sequence[str], repeats: int) -> Iterator[tuple[int, Row, str]]:
    """A B C A B C ...: whatever else the machine does falls on everybody alike."""
    for repeat in range(repeats):
        for row in rows:
            for name in names:
                yield repeat, row, name


def rounded(clients: float, step: int) -> int:
    """To whole rooms, at least one."""
    return max(1, round(clients / step)) * step


def search(try_level: Callable[[int], Figures], first: int, step: int, most: int) -> Largest:
    """The largest multiple of `step` up to `most` that is held, to NARROW. `first` is where to begin."""
    held, failed, best = 0, 0, None
    level = min(rounded(first, step), most)
    while True:
        figures = _best_of(try_level, level)
        if figures.held:
            held, best = level, figures
        else:
            failed = level
        if (
            held >= most
            or (failed and failed <= max(step, held + step))
            or (held and failed and failed <= held * NARROW)
        ):
            return Largest(held, failed, best)
        level = _next_level(held, failed, step, most)


def _best_of(try_level: Callable[[int], Figures], level: int) -> Figures:
    for _ in range(TRIES):
        figures = try_level(level)
        if figures.held:
            break
    return figures


def _next_level(held: int, failed: int, step: int, most: int) -> int:
    if not failed:
        return min(max(held + step, rounded(held * WIDEN, step)), most)
    if not held:
        return max(step, rounded(failed / WIDEN, step)) if rounded(failed / WIDEN, step) < failed else failed - step
    middle = rounded((held + failed) / 2, step)
    return middle if held < middle < failed else held + step


def first_guess(us: float, hz: int, step: int) -> int:
    """Where a search begins, by the cost of a client and tick."""
    return rounded(FIRST_SHARE / (us * 1e-6 * hz), step) if us > 0 else step
