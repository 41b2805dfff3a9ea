"""`make bench`, or `python -m tools.bench [SECTION ...]`: what the parts of the server cost on this machine, as tables.

Owns the order of the sections. Every figure is processor time, a median of repeats with its range, and where there is a
naive way to do the same, that is measured in the same run. Never fails because something is slow.
"""

import json as jsons
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cyclopts import App, CycloptsError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tools import (
    bench_codec,
    bench_coders,
    bench_edge,
    bench_fanout,
    bench_growth,
    bench_ledger,
    bench_memory,
    bench_motion,
    bench_native,
    bench_tick,
    bench_twin,
    bench_views,
)
from tools.bench_timing import Row, table
from tools.swarm_report import machine


class Section(NamedTuple):
    """A bench: its title and what measures it."""

    title: str
    run: Callable[[], list[Row]]


SECTIONS = {
    "tick": Section(bench_tick.TITLE, bench_tick.run),
    "codec": Section(bench_codec.TITLE, bench_codec.run),
    "views": Section(bench_views.TITLE, bench_views.run),
    "coders": Section(bench_coders.TITLE, bench_coders.run),
    "fanout": Section(bench_fanout.TITLE, bench_fanout.run),
    "native": Section(bench_native.TITLE, bench_native.run),
    "memory": Section(bench_memory.TITLE, bench_memory.run),
    "growth": Section(bench_growth.TITLE, bench_growth.run),
    "edge": Section(bench_edge.TITLE, bench_edge.run),
    "motion": Section(bench_motion.TITLE, bench_motion.run),
    "twins": Section(bench_twin.TITLE, bench_twin.run),
    "ledger": Section(bench_ledger.TITLE, bench_ledger.run),
}

PLAIN_WIDTH = 130  # of tables that go to a file or a log

app = App(name="tools.bench", help=__doc__)


class BenchError(ValueError):
    """Asked for something that is not there."""


def measure(names: list[str], console: Console) -> dict[str, list[Row]]:
    """Run the named sections, each table printed as soon as it is done."""
    found: dict[str, list[Row]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=len(names))
        for name in names:
            bar.update(task, description=f"measuring {name}")
            found[name] = SECTIONS[name].run()
            bar.advance(task)
            console.print(table(SECTIONS[name].title, found[name]))
    return found


def write_json(path: Path, found: dict[str, list[Row]]) -> None:
    """All rows and the machine."""
    rows = {
        name: [
            {"what": r.what, "unit": r.unit, "median": r.sample.median, "low": r.sample.low, "high": r.sample.high,
             "naive": r.beside or None, "note": r.note}
            for r in part
        ]
        for name, part in found.items()
    }  # fmt: skip
    path.write_text(jsons.dumps({"machine": machine(), "sections": rows}, indent=2) + "\n")


@app.default
def bench(*sections: str, json: Path | None = None) -> int:
    """Measure and print tables.

    Args:
        sections: which; all if none is named
        json: write the figures here, too
    """
    for name in sections:
        if name not in SECTIONS:
            raise BenchError(f"{name!r} is no section, allowed is {', '.join(SECTIONS)}")
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    began_s = time.monotonic()
    about = machine()
    console.print(f"{about['processor']}, {about['cores']} cores, Linux {about['kernel']}, Python {about['python']}")
    found = measure(list(sections) or list(SECTIONS), console)
    console.print(f"done in {time.monotonic() - began_s:.0f} s; x naive: how many times less than the naive way")
    if json is not None:
        write_json(json, found)
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command; what a person can mend is one line on standard error and status 2."""
    try:
        words = sys.argv[1:] if argv is None else argv
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, BenchError, bench_fanout.FanoutError, bench_edge.EdgeBenchError, OSError) as error:
        print("bench: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
