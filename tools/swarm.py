"""A hospital full of bots: `python -m tools.swarm --bots 100 --rooms 5 --seconds 30`.

Owns the command: a server of its own (or one that runs already, by --data and --endpoint), bots in one or more
processes, a live line, the comparison with the replayed journal, figures as a table, JSON and HTML. Exit status 1 when
a bot saw something that is not so or got less than 95 % of its snapshots, 2 when the run could not be made.
"""

import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from server.journal import JournalError
from server.world.commands import Role
from tools.access import AccessError
from tools.fleet_state import Member
from tools.swarm_drive import DriveError, Plan, Worker
from tools.swarm_house import House, HouseError, prime, read_stats
from tools.swarm_report import Figures, Outcome, evaluate, write_html, write_json
from tools.swarm_rooms import room_slug, write_rooms
from tools.swarm_truth import Verdict, judge
from tools.swarm_watch import Record

DELIVERED_MIN = 0.95
ROOM_PEOPLE_MAX = 60
BOTS_MAX = 4000
COMPARED_ROWS = 1_500_000
ONE_PROCESS_BOTS = 500
TICK_HZ = 30
ROLES: tuple[Role, ...] = ("clinician", "carer", "student", "patient", "observer")

app = App(name="tools.swarm", help=__doc__)


class SwarmError(ValueError):
    """The run cannot be made as asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a person asks of a run."""

    bots: int
    rooms: int
    seconds: float
    hz: float
    tick_hz: int
    seed: int
    beds: int
    roam: float
    processes: int
    data: Path | None
    endpoint: str
    websocket: bool
    web: str

    def __post_init__(self) -> None:
        """Check the ranges; raises SwarmError."""
        for name, low, high in (("bots", 2, BOTS_MAX), ("rooms", 1, 256), ("seconds", 1, 86_400), ("hz", 1, 60),
                                ("tick_hz", 20, 90), ("beds", 0, 8), ("roam", 0, 1), ("processes", 0, 8)):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise SwarmError(f"{name} is {getattr(self, name):g}, allowed is {low} to {high}")
        if self.people > ROOM_PEOPLE_MAX:
            raise SwarmError(f"{self.bots} bots in {self.rooms} rooms are {self.people} to a room, allowed is "
                             f"{ROOM_PEOPLE_MAX}")  # fmt: skip
        if (self.data is None) != (not self.endpoint and not self.web):
            raise SwarmError("--data goes with --endpoint (or --web): both name a server that runs already")

    @property
    def people(self) -> int:
        """Bots in the fullest room."""
        return -(-self.bots // self.rooms)


def members_of(ask: Ask, slugs: list[str]) -> list[Member]:
    """Who comes, spread evenly over the rooms, those of one room together."""
    rows = [(i * len(slugs) // ask.bots, i) for i in range(ask.bots)]
    return [Member(f"Bot {i + 1}", ROLES[i % len(ROLES)], slugs[room]) for room, i in rows]


def split(members: list[Member], processes: int) -> list[tuple[Member, ...]]:
    """Members by process, a room never in two."""
    rooms = sorted({m.room for m in members})
    share = {room: i * processes // len(rooms) for i, room in enumerate(rooms)}
    parts = [tuple(m for m in members if share[m.room] == p) for p in range(processes)]
    return [part for part in parts if part]


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Where:
    """The server of a run: ours for the time of the run, or somebody's."""

    def __init__(self, data: Path, endpoint: str, web: str, house: House | None) -> None:
        self.data, self.endpoint, self.web, self.house = data, endpoint, web, house

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds of the server's processes so far; empty if they are not ours."""
        return self.house.cpu_s() if self.house else {}


@contextlib.contextmanager
def a_server(ask: Ask, folder: Path, tell: Progress) -> Iterator[Where]:
    """The server to load, stopped at the end if it was started here."""
    if ask.data is not None:
        yield Where(ask.data, ask.endpoint, ask.web, None)
        return
    task = tell.add_task("starting the server", total=None)
    prime(lambda text: tell.update(task, description=text))
    write_rooms(folder / "rooms", ask.rooms, ask.people, ask.beds)
    endpoint, edge, admin = f"tcp://127.0.0.1:{free_port()}", free_port(), free_port()
    settings = {
        "native": endpoint, "rooms": str(folder / "rooms"), "demo": "false", "tick_hz": str(ask.tick_hz),
        "seed": str(ask.seed), "edge_port": str(edge), "admin_port": str(admin),
        "limits.avatars_max": str(max(64, ask.bots + 16)), "limits.rooms_max": str(max(64, ask.rooms)),
    }  # fmt: skip
    house = House(folder / "data", settings, ("ledger", "shard", "edge") if ask.websocket else ("ledger", "shard"))
    with house:
        house.wait_ready(lambda text: tell.update(task, description=text))
        tell.remove_task(task)
        yield Where(folder / "data", endpoint, f"http://127.0.0.1:{edge}/ws" if ask.websocket else "", house)


def run_bots(ask: Ask, where: Where, bar: Progress) -> tuple[list[Record], Figures]:
    """Drive all bots to the end of the measured time. Raises DriveError and HouseError."""
    slugs = [room_slug(i) for i in range(ask.rooms)] if ask.data is None else _rooms_there(ask)
    processes = ask.processes or (1 if ask.bots <= ONE_PROCESS_BOTS else 2)
    every = max(1, -(-int(ask.bots * ask.seconds * ask.tick_hz) // COMPARED_ROWS))
    plans = [Plan(where.data, where.endpoint, where.web, part, ask.seconds, ask.hz, ask.seed + i, every, ask.roam)
             for i, part in enumerate(split(members_of(ask, slugs), min(processes, len(slugs))))]  # fmt: skip
    workers = [Worker(plan) for plan in plans]
    try:
        return _watch(ask, where, workers, bar)
    finally:
        for worker in workers:
            worker.stop()


def _rooms_there(ask: Ask) -> list[str]:
    return [room_slug(i) for i in range(ask.rooms)] if ask.rooms > 1 else ["lobby"]


def _watch(ask: Ask, where: Where, workers: list[Worker], bar: Progress) -> tuple[list[Record], Figures]:
    task = bar.add_task("bots come in", total=1.0)
    before: dict[str, float] = {}
    cpu: dict[str, float] = {}
    cores: dict[str, float] = {}
    cpu_since_s = 0.0
    stats: dict[str, float] = {}
    over_time: list[dict[str, float]] = []
    read_s = 0.0
    while any(w.record is None for w in workers):
        for worker in workers:
            worker.listen(0.1)
        if where.house:
            where.house.check()
        phases = [w.progress.phase for w in workers]
        if not before and all(p in ("run", "done") for p in phases):
            before, cpu, cpu_since_s = read_stats(where.data), where.cpu_s(), time.monotonic()
        if before and not stats and any(p == "done" for p in phases):
            wall_s = time.monotonic() - cpu_since_s
            cores = {part: (s - cpu[part]) / wall_s for part, s in where.cpu_s().items()}
            stats = read_stats(where.data)
        if time.monotonic() - read_s >= 1.0:
            read_s = time.monotonic()
            over_time.append(read_stats(where.data))
        _show(ask, workers, bar, task, over_time)
    records = [w.record for w in workers if w.record is not None]
    return records, Figures(stats or read_stats(where.data), before, over_time, cores, records[0].tick_hz)


def _show(ask: Ask, workers: list[Worker], bar: Progress, task: Any, over_time: list[dict[str, float]]) -> None:
    slowest = min(workers, key=lambda w: (w.progress.phase == "run", w.progress.share))
    p = slowest.progress
    text = {"start": "bots come in", "enter": "bots come in", "warm": "bots settle"}.get(p.phase, "measuring")
    inside = sum(w.progress.inside for w in workers)
    tick = over_time[-1].get("tick_ms_p99", 0.0) if over_time else 0.0
    detail = f"{inside}/{ask.bots} inside"
    if p.phase in ("run", "done"):
        worst = min(w.progress.delivered for w in workers)
        detail += f" · worst bot {worst:.1%} · seen after {p.lag_ms:.0f} ms · tick p99 {tick:.1f} ms"
    bar.update(task, completed=p.share, description=text, detail=detail)


def compare(data: Path, records: list[Record], bar: Progress) -> Verdict:
    """Replay the server's journal against what the bots kept. Raises JournalError."""
    task = bar.add_task("comparing with the replayed journal", total=1.0)
    return judge(data / "world", [s for r in records for s in r.seen], lambda share: bar.update(task, completed=share))


def summary_table(outcome: Outcome) -> Table:
    """The figures a person wants first."""
    s = outcome.summary
    out = Table(title=f"{s['bots']} bots, {s['rooms']} rooms, {s['seconds']:g} s at {s['tick_hz']} ticks/s")
    for name in ("", "p50", "p99"):
        out.add_column(name, justify="left" if not name else "right")
    for label, key in (("input to seen, ms", "input_to_seen_ms"), ("snapshot age, ms", "snapshot_age_ms"),
                       ("tick, ms", "tick_ms")):  # fmt: skip
        out.add_row(label, *(f"{s[key][p]:.2f}" if p in s[key] else "-" for p in ("p50", "p99")))
    cpu = s["server_cpu_us_per_client_tick"]
    for label, value in (
        ("delivered, worst bot", f"{s['delivered']:.2%}"),
        ("ticks over budget", f"{s['ticks_over_budget']} of {s['ticks']}"),
        ("server CPU per client and tick", "not ours" if cpu is None else f"{cpu:.1f} us"),
        ("bytes per avatar update", f"{s['bytes_per_avatar_update']:.1f}"),
        ("rows compared with the truth", f"{s['compared']['rows']:,}"),
        ("mismatches", str(s["mismatches"])),
    ):
        out.add_row(label, value, "")
    return out


def run(ask: Ask, console: Console) -> Outcome:
    """One whole run. Raises what `main` shows in one line."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[detail]}"))
    plan = {"bots": ask.bots, "rooms": ask.rooms, "seconds": ask.seconds, "hz": ask.hz, "seed": ask.seed,
            "beds": ask.beds, "roam": ask.roam, "transport": "websocket" if ask.websocket else "native"}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="asclepion-swarm-") as folder, _bar(console, columns) as bar:
        with a_server(ask, Path(folder), bar) as where:
            records, figures = run_bots(ask, where, bar)
        verdict = compare(where.data, records, bar)
        return evaluate(records, figures, verdict, plan)


class _Bar(Progress):
    """A bar whose tasks may have no detail."""

    def add_task(self, description: str, *args: Any, **fields: Any) -> Any:
        """As Progress."""
        return super().add_task(description, *args, **{"detail": ""} | fields)


def _bar(console: Console, columns: tuple[Any, ...]) -> Progress:
    return _Bar(*columns, console=console, transient=True)


@app.default
def swarm(
    *,
    bots: int = 100,
    rooms: int = 5,
    seconds: float = 30.0,
    hz: float = 20.0,
    tick_hz: int = TICK_HZ,
    seed: int = 1,
    beds: int = 0,
    roam: float = 0.1,
    processes: int = 0,
    json: Path | None = None,
    html: Path | None = None,
    data: Path | None = None,
    endpoint: str = "",
    websocket: Annotated[bool, Parameter(negative=())] = False,
    web: str = "",
) -> int:
    """Run a swarm of bots through the real protocol and report.

    Parameters
    ----------
    bots: how many
    rooms: over how many rooms they are spread
    seconds: how long is measured, after all are in
    hz: poses each bot makes in a second (a dead-band sends fewer)
    tick_hz: steps of the world per second, of our own server
    seed: of everything the bots draw by lot
    beds: beds with a patient in each room
    roam: share of the bots' walks that lead through a door into the next room
    processes: of the bots; 0 chooses
    json: write the figures here
    html: write the report with plots here
    data: data directory of a server that runs already (rooms swarm-001... or, with --rooms 1, its lobby)
    endpoint: its ZeroMQ endpoint
    websocket: through an edge of our own server
    web: URL of a running edge's WebSocket, with --data
    """
    ask = Ask(bots=bots, rooms=rooms, seconds=seconds, hz=hz, tick_hz=tick_hz, seed=seed, beds=beds, roam=roam,
              processes=processes, data=data, endpoint=endpoint, websocket=websocket or bool(web), web=web)  # fmt: skip
    console = Console()
    outcome = run(ask, console)
    passed = outcome.summary["mismatches"] == 0 and outcome.summary["delivered"] >= DELIVERED_MIN
    console.print(summary_table(outcome))
    for text in outcome.verdict.named:
        console.print(f"[red]{text}[/red]")
    if json is not None:
        write_json(json, outcome.summary)
    if html is not None:
        write_html(html, outcome, passed)
    return 0 if passed else 1


def main(argv: list[str] | None = None) -> int:
    """The command; what a person can mend is one line on standard error and status 2."""
    try:
        words = sys.argv[1:] if argv is None else argv
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, SwarmError, HouseError, DriveError, AccessError, JournalError, OSError) as error:
        print("swarm: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("swarm: stopped", file=sys.stderr)
        return 130
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
