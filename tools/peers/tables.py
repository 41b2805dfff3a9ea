"""What a comparison found, as Markdown for a page and a terminal, and as plain data for a file.

Owns the wording of the tables. Never measures.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tools.bench_timing import Row as Cost
from tools.peers.rounds import Largest, Row
from tools.peers.verdict import Figures, Spread, ratio, spread_of


class Column(NamedTuple):
    """One figure of a table."""

    title: str
    of: Callable[[Figures], float]
    form: str
    compared: bool = False  # a ratio to ours is shown


COLUMNS = (
    Column("CPU, % of the core", lambda f: 100 * f.core, ".1f"),
    Column("us per client and tick", lambda f: f.us, ".1f", True),
    Column("bytes per update", lambda f: f.bytes_per_update, ".1f", True),
    Column("seen after, p50 ms", lambda f: f.p50_ms, ".0f"),
    Column("p99 ms", lambda f: f.p99_ms, ".0f"),
)


def cell(spread: Spread, form: str) -> str:
    """Median [low-high], or one number where they do not differ."""
    median, low, high = (format(value, form) for value in spread)
    return median if low == high else f"{median} [{low}-{high}]"


def by_server(runs: Sequence[Figures]) -> dict[str, list[Figures]]:
    """Runs of each server, in the order they were made first."""
    out: dict[str, list[Figures]] = defaultdict(list)
    for figures in runs:
        out[figures.server].append(figures)
    return dict(out)


def settled(runs: Sequence[Figures]) -> list[Figures]:
    """The runs that were held, all if none was: a server that could not keep up did less than its work."""
    return [f for f in runs if f.held] or list(runs)


def table(row: Row, runs: Sequence[Figures], names: Mapping[str, str], ours: str = "") -> str:
    """One kind of load: every server beside ours; "x" is what it takes, as a multiple of ours."""
    grouped = {name: settled(figures) for name, figures in by_server(runs).items()}
    base = {c.title: spread_of([c.of(f) for f in grouped[ours]]).median for c in COLUMNS} if ours in grouped else {}
    head = ["server", *(c.title for c in COLUMNS), "held"]
    lines = [f"### {row.name}", "", _line(head), _line(["---"] * len(head))]
    for name, figures in grouped.items():
        cells = [names.get(name, name)]
        for column in COLUMNS:
            spread = spread_of([column.of(f) for f in figures])
            text = cell(spread, column.form)
            times = ratio(base.get(column.title, 0.0), spread.median)
            cells.append(f"{text} (x {times:.2f})" if column.compared and times and name != ours else text)
        cells.append(_held([f for f in runs if f.server == name]))
        lines.append(_line(cells))
    others = spread_of([100 * f.others for f in runs])
    most = max(map(len, by_server(runs).values()))
    lines += ["", f"{most} runs each; figures are of those that were held. Meanwhile others on this machine took "
                  f"{cell(others, '.0f')} % of its two cores' 200 %."]  # fmt: skip
    return "\n".join(lines) + "\n"


def _held(figures: Sequence[Figures]) -> str:
    held = sum(f.held for f in figures)
    if held == len(figures):
        return "yes"
    wrong, lost = sum(f.wrong for f in figures), sum(f.lost for f in figures)
    why = [f"{wrong} rows wrong"] * bool(wrong) + [f"{lost} clients lost"] * bool(lost)
    return ", ".join([f"{held} of {len(figures)}", *why])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def largest_table(found: Mapping[str, Mapping[str, Largest]], names: Mapping[str, str], most: int) -> str:
    """Server by kind: the largest load that was held, its CPU and latency."""
    kinds = list(dict.fromkeys(kind for row in found.values() for kind in row))
    lines = [_line(["server", *kinds]), _line(["---"] * (1 + len(kinds)))]
    for name, row in found.items():
        lines.append(_line([names.get(name, name), *(_largest(row[k], most) if k in row else "-" for k in kinds)]))
    return "\n".join(lines) + "\n"


def _largest(found: Largest, most: int) -> str:
    if found.figures is None:
        return f"below {found.failed:,}"
    sign = ">= " if found.held >= most else ""
    f = found.figures
    limit = ", the generator's end" if found.failed and f.load_core > 0.85 else ""
    return f"{sign}{found.held:,} ({100 * f.core:.0f} %, p99 {f.p99_ms:.0f} ms{limit})"


def growth_table(rows: Sequence[tuple[Row, list[Figures]]]) -> str:
    """Cost of a client as their number grows, against the first row."""
    head = ["clients", "CPU, % of the core", "us per client and tick", "against the first", "p99 ms", "memory, KB each"]
    lines = [_line(head), _line(["---"] * len(head))]
    rows = [(row, settled(runs)) for row, runs in rows]
    first = spread_of([f.us for f in rows[0][1]]).median
    for row, runs in rows:
        us = spread_of([f.us for f in runs])
        core, late = spread_of([100 * f.core for f in runs]), spread_of([f.p99_ms for f in runs])
        memory = spread_of([f.memory_kb / f.clients for f in runs])
        lines.append(_line([row.name, cell(core, ".1f"), cell(us, ".1f"), f"{us.median / first:.2f}",
                            cell(late, ".0f"), cell(memory, ".0f")]))  # fmt: skip
    return "\n".join(lines) + "\n"


def apart_table(rows: Sequence[Cost]) -> str:
    """Small measurements, one a line."""
    lines = [_line(["part", "us", "note"]), _line(["---"] * 3)]
    lines += [_line([row.what, cell(Spread(*row.sample), ".2f"), row.note]) for row in rows]
    return "\n".join(lines) + "\n"


def parts_table(runs: Sequence[Figures], names: Mapping[str, str]) -> str:
    """Which of our processes took how much of the core; medians."""
    lines = [_line(["server", "clients", "part", "CPU, % of the core"]), _line(["---"] * 4)]
    grouped: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for f in runs:
        for part, core in f.parts.items():
            grouped[f.server, f.clients, part].append(100 * core)
    for (name, clients, part), values in grouped.items():
        lines.append(_line([names.get(name, name), f"{clients:,}", part, cell(spread_of(values), ".1f")]))
    return "\n".join(lines) + "\n"


def phases_table(runs: Sequence[Figures], names: Mapping[str, str]) -> str:
    """What each phase of our tick takes for a client; medians of wall time, so a busy machine shows."""
    phases = list(dict.fromkeys(phase for f in runs for phase in f.phases))
    lines = [_line(["server", "clients", *phases]), _line(["---"] * (2 + len(phases)))]
    grouped: dict[tuple[str, int], list[Figures]] = defaultdict(list)
    for f in runs:
        grouped[f.server, f.clients].append(f)
    for (name, clients), figures in grouped.items():
        cells = [cell(spread_of([f.phases.get(phase, 0.0) for f in figures]), ".1f") for phase in phases]
        lines.append(_line([names.get(name, name), f"{clients:,}", *cells]))
    return "\n".join(lines) + "\n"
