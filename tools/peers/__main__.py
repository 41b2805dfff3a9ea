"""The comparison: `python -m tools.peers [--quick] [--only ours,picows]`.

Owns the command: what runs, in which order, what is printed and written. Exit status 1 when a server showed a wrong
row, 2 when the comparison could not be made.
"""

import platform
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from tools.peers import tables
from tools.peers.build import BuildError
from tools.peers.contest import ContestError
from tools.peers.entrants import Load
from tools.peers.motion import HZ
from tools.peers.pinned import LOAD_CORE, SERVER_CORE, PinError, check_machine
from tools.peers.register import NAMES, RUNNERS, chosen
from tools.peers.rounds import GROWTH, ROWS, Largest, Row, first_guess, interleave, search
from tools.peers.verdict import Figures

WARM_S, RUN_S, REPEATS = 3.0, 6.0, 5
QUICK_WARM_S, QUICK_RUN_S = 1.0, 2.0
MOST = 4000  # clients: 4096 avatars are the wire's limit
MOST_HALL = 2000
OURS = "ours-edge"

app = App(name="tools.peers", help=__doc__)


class Results(msgspec.Struct, kw_only=True):
    """Everything that was measured, for the file."""

    machine: dict[str, str]
    runs: dict[str, list[Figures]] = {}
    largest: dict[str, dict[str, Any]] = {}
    growth: dict[str, list[Figures]] = {}
    skipped: dict[str, str] = {}


class Bench:
    """One comparison under way."""

    def __init__(self, names: list[str], console: Console, warm_s: float, run_s: float) -> None:
        self.names, self.console, self.warm_s, self.run_s = names, console, warm_s, run_s
        self.skipped: dict[str, str] = {}
        self.wrong = 0

    def run(self, name: str, clients: int, room: int) -> Figures | None:
        """One run, told of; None if it could not be made, which is told and counted."""
        load = Load(clients, room, self.warm_s, self.run_s)
        try:
            figures = RUNNERS[name](load)
        except (BuildError, ContestError) as error:
            self.skipped[name] = " ".join(str(error).split())
            self.console.print(f"  {name}: {self.skipped[name]}")
            return None
        self.wrong += figures.wrong
        self.console.print(
            f"  {name:<20} {clients:>5} x {room:<5} {100 * figures.core:5.1f} % {figures.us:6.1f} us "
            f"{figures.bytes_per_update:6.1f} B  p99 {figures.p99_ms:6.1f} ms  delivered {figures.delivered:6.1%}"
            f"  others {100 * figures.others:3.0f} %{'' if figures.held else '  NOT HELD ' + figures.note}",
            highlight=False,
            soft_wrap=True,
        )
        return figures

    def compare(self, rows: tuple[Row, ...], repeats: int) -> dict[str, list[Figures]]:
        """Everybody on every row, interleaved."""
        out: dict[str, list[Figures]] = defaultdict(list)
        for repeat, row, name in interleave(rows, self.names, repeats):
            if name == self.names[0]:
                self.console.print(f"{row.name}, repeat {repeat + 1} of {repeats}")
            if name in self.skipped:
                continue
            figures = self.run(name, row.clients, row.room)
            if figures is not None:
                out[row.name].append(figures)
        return dict(out)

    def largest(self, name: str, us: float, hall: bool) -> Largest | None:
        """The most that this server holds, in one hall or in wards of 20; None if it cannot be tried."""
        step, most = (25, MOST_HALL) if hall else (20, MOST)

        def level(clients: int) -> Figures:
            figures = self.run(name, clients, clients if hall else 20)
            if figures is None:
                raise ContestError(self.skipped[name])
            return figures

        try:
            return search(level, min(first_guess(us, HZ, step), most // 2 if hall else most), step, most)
        except ContestError:
            return None


def machine() -> dict[str, str]:
    """Where and when: what a reader has to know."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    when, cores = time.strftime("%Y-%m-%d %H:%M"), f"server {SERVER_CORE}, load {LOAD_CORE}"
    versions = {"python": platform.python_version(), "kernel": platform.release()}
    return {"processor": model, **versions, "when": when, "cores": cores}


def costs(runs: dict[str, list[Figures]]) -> dict[str, float]:
    """What a client of each server cost in the fullest row so far, us."""
    return {f.server: f.us for figures in runs.values() for f in sorted(figures, key=lambda f: f.clients)}


def report(results: Results, largest: dict[str, dict[str, Largest]], rows: tuple[Row, ...]) -> str:
    """The tables, in Markdown."""
    parts = [tables.table(row, results.runs[row.name], NAMES, OURS) for row in rows if row.name in results.runs]
    ours = [f for figures in results.runs.values() for f in figures if f.parts]
    if ours:
        parts += ["### Where ours goes\n", tables.parts_table(ours, NAMES)]
    if largest:
        parts += ["### Largest that is held\n", tables.largest_table(largest, NAMES, MOST)]
    for name, figures in results.growth.items():
        grown = [(row, [f for f in figures if f.clients == row.clients]) for row in GROWTH]
        grown = [(row, runs) for row, runs in grown if runs]
        if grown:
            parts += [f"### Growth: {NAMES[name]}\n", tables.growth_table(grown)]
    if results.skipped:
        parts.append("Not measured: " + "; ".join(f"{k}: {v}" for k, v in results.skipped.items()) + "\n")
    return "\n".join(parts)


@app.default
def peers(
    *,
    quick: Annotated[bool, Parameter(negative=())] = False,
    only: str = "",
    repeats: int = REPEATS,
    seconds: float = RUN_S,
    limits: bool = True,
    growth: bool = True,
    json: Path | None = None,
    markdown: Path | None = None,
) -> int:
    """Compare servers on the same work.

    Parameters
    ----------
    quick: one short repeat of each row, no search for the largest load: under three minutes
    only: names of servers, separated by commas; all by default
    repeats: of every row
    seconds: measured in each run
    limits: search for the largest load that each server holds
    growth: what a client of ours costs from 100 to 1,000 of them
    json: write the figures here
    markdown: write the tables here
    """
    check_machine()
    console = Console()
    bench = Bench(chosen(only), console, QUICK_WARM_S if quick else WARM_S, QUICK_RUN_S if quick else seconds)
    results = Results(machine=machine())
    results.runs = bench.compare(ROWS, 1 if quick else repeats)
    largest: dict[str, dict[str, Largest]] = {}
    if limits and not quick:
        for name, us in costs(results.runs).items():
            found = {kind: bench.largest(name, us, hall) for kind, hall in (("one hall", True), ("wards of 20", False))}
            largest[name] = {kind: value for kind, value in found.items() if value is not None}
        results.largest = {n: {k: v._asdict() for k, v in row.items()} for n, row in largest.items()}
    if growth and not quick:
        bench.names = [name for name in bench.names if name.startswith("ours")]
        grown = bench.compare(GROWTH, repeats)
        results.growth = tables.by_server([f for figures in grown.values() for f in figures])
    results.skipped = bench.skipped
    text = report(results, largest, ROWS)
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    if markdown is not None:
        markdown.write_text(text)
    return 1 if bench.wrong else 0


def main(argv: list[str] | None = None) -> int:
    """The command; what a person can mend is one line on standard error and status 2."""
    try:
        words = sys.argv[1:] if argv is None else argv
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, PinError, BuildError, ContestError, ValueError, OSError) as error:
        print("peers: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("peers: stopped", file=sys.stderr)
        return 130
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
