"""Measuring small things honestly: processor time, medians of repeats with their ranges, a table.

Owns the stopwatch of the benches. Processor time is of the whole process with all its threads, so that libzmq's threads
are paid for; it does not move when other processes share the core, as wall time would.
"""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from rich.table import Table

REPEATS = 7
ROUND_S = 0.05  # processor time of one repeat at least


class Sample(NamedTuple):
    """Median and range of repeated measurements, in the unit of the row."""

    median: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Sample":
        """The same in another unit."""
        return Sample(self.median * factor, self.low * factor, self.high * factor)


class Row(NamedTuple):
    """One line of a table. `beside`: the median of the naive way in the same run, 0 if there is none."""

    what: str
    unit: str
    sample: Sample
    beside: float = 0.0
    note: str = ""


def sample_of(values: list[float]) -> Sample:
    """Median and range of at least one value."""
    return Sample(statistics.median(values), min(values), max(values))


def cost_us(work: Callable[[], object], repeats: int = REPEATS, round_s: float = ROUND_S) -> Sample:
    """Processor microseconds of one call, after a first call that does not count."""
    work()
    calls = 1
    while (spent := _spend(work, calls)) < round_s / 4:
        calls *= 4
    calls = max(1, int(calls * round_s / max(spent, 1e-9)))
    return sample_of([_spend(work, calls) / calls for _ in range(repeats)]).scaled(1e6)


def _spend(work: Callable[[], object], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        work()
    return time.process_time() - start


def figure(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(title: str, rows: list[Row]) -> Table:
    """Rows as a table; "x naive" is how many times less than the naive way (more is better)."""
    out = Table(title=title, title_justify="left")
    for name, justify in (("what", "left"), ("unit", "left"), ("median", "right"), ("range", "right"),
                          ("x naive", "right"), ("note", "left")):  # fmt: skip
        out.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        ratio = f"{row.beside / row.sample.median:.1f}" if row.beside and row.sample.median else ""
        spread = f"{figure(row.sample.low)} - {figure(row.sample.high)}"
        out.add_row(row.what, row.unit, figure(row.sample.median), spread, ratio, row.note)
    return out
