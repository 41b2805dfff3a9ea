"""A comparison under way: who runs what, and everything that was found, as tables and as a file.

Owns the stages and their results. The order of runs is `tools.peers.rounds`, a run is `tools.peers.register`'s.
"""

import platform
import time
from collections import defaultdict
from pathlib import Path

import msgspec
from rich.console import Console

from tools.bench_timing import Row as Cost
from tools.peers import apart, interest, ours, tables
from tools.peers.build import BuildError
from tools.peers.contest import ContestError
from tools.peers.entrants import Load
from tools.peers.interest import Interest
from tools.peers.motion import HZ
from tools.peers.pinned import LOAD_CORE, SERVER_CORE
from tools.peers.register import NAMES, RUNNERS, SMALLEST_ROOM
from tools.peers.rounds import GROWTH, HALLS, ROWS, Largest, Row, first_guess, interleave, search
from tools.peers.verdict import Figures

MOST = 4000  # clients: 4096 avatars are the wire's limit
MOST_HALL = 2000
GUESS_US = 25.0  # where a search begins when the server was not measured before
OURS = ours.EDGE.name
LONGEST = {"one hall": True, "wards of 20": False}


class Results(msgspec.Struct, kw_only=True):
    """Everything that was measured, for the file."""

    machine: dict[str, str]
    runs: dict[str, list[Figures]] = {}  # by row
    largest: dict[str, dict[str, Largest]] = {}  # by server, by kind of house
    growth: dict[str, list[Figures]] = {}  # by server
    interest: list[Interest] = []
    apart: list[Cost] = []
    skipped: dict[str, str] = {}

    def add(self, earlier: "Results") -> None:
        """Take in what another run measured, beside what this one did: its repeats count too."""
        self.runs = _both(earlier.runs, self.runs)
        self.largest = {**earlier.largest, **self.largest}
        self.growth = _both(earlier.growth, self.growth)
        self.interest, self.apart = self.interest or earlier.interest, self.apart or earlier.apart


def _both(earlier: dict[str, list[Figures]], later: dict[str, list[Figures]]) -> dict[str, list[Figures]]:
    return {name: earlier.get(name, []) + later.get(name, []) for name in {**earlier, **later}}


class Bench:
    """One comparison under way."""

    def __init__(self, names: list[str], console: Console, warm_s: float, run_s: float) -> None:
        self.names, self.console, self.warm_s, self.run_s = names, console, warm_s, run_s
        self.skipped: dict[str, str] = {}
        self.wrong = 0
        self.until_s = float("inf")  # monotonic: no run of a row begins after it

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
            if time.monotonic() > self.until_s:
                self.console.print("no time for more repeats")
                break
            if name == self.names[0]:
                self.console.print(f"{row.name}, repeat {repeat + 1} of {repeats}")
            if name in self.skipped or row.room < SMALLEST_ROOM.get(name, 0):
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

    def largest_of_all(self, cost_us: dict[str, float]) -> dict[str, dict[str, Largest]]:
        """The search for every server, from what a client of it cost."""
        out: dict[str, dict[str, Largest]] = {}
        for name in self.names:
            if name in self.skipped:
                continue
            us = cost_us.get(name, GUESS_US)
            found = {
                k: self.largest(name, us, hall) for k, hall in LONGEST.items() if hall or not SMALLEST_ROOM.get(name)
            }
            out[name] = {kind: value for kind, value in found.items() if value is not None}
        return out

    def growth(self, repeats: int) -> dict[str, list[Figures]]:
        """Ours with more and more clients, in wards and in one hall."""
        self.names = [name for name in self.names if name in (ours.NATIVE.name, ours.EDGE.name)]
        grown = self.compare(GROWTH + HALLS, repeats)
        return tables.by_server([f for figures in grown.values() for f in figures])


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


def parts_apart() -> tuple[list[Interest], list[Cost]]:
    """What needs no sockets: interest beside StateView, and single parts of ours."""
    return [interest.ours(), *interest.colyseus()], apart.rows()


def report(results: Results) -> str:
    """The tables, in Markdown."""
    parts = [tables.table(row, results.runs[row.name], NAMES, OURS) for row in ROWS if row.name in results.runs]
    if results.largest:
        parts += ["### Largest that is held\n", tables.largest_table(results.largest, NAMES, MOST)]
    if results.interest:
        parts += ["### Interest, without sockets\n", interest.table(results.interest)]
    mine = [f for figures in results.runs.values() for f in figures if f.parts]
    if mine:
        parts += ["### Where ours goes, by process\n", tables.parts_table(mine, NAMES)]
        parts += ["### Where the shard's tick goes, us per client\n", tables.phases_table(mine, NAMES)]
    if results.apart:
        parts += ["### Parts of ours apart, us per client and tick\n", tables.apart_table(results.apart)]
    parts += [text for name, figures in results.growth.items() for text in _grown(name, figures)]
    if results.skipped:
        parts.append("Not measured: " + "; ".join(f"{k}: {v}" for k, v in results.skipped.items()) + "\n")
    return "\n".join(parts)


def _grown(name: str, figures: list[Figures]) -> list[str]:
    out = []
    for kind in (GROWTH, HALLS):
        grown = [(row, [f for f in figures if (f.clients, f.room) == (row.clients, row.room)]) for row in kind]
        grown = [(row, runs) for row, runs in grown if runs]
        if grown:
            out += [f"### Growth: {NAMES[name]}\n", tables.growth_table(grown)]
    return out


def write_json(path: Path, results: Results) -> None:
    """Everything, to be read again by `read_json`."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results)))


def read_json(path: Path) -> Results:
    """What `write_json` wrote. Raises ValueError."""
    return msgspec.json.decode(path.read_bytes(), type=Results)
