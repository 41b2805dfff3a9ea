"""One run of a swarm from start to end: its server, its processes, the levels one after the other, the comparison.

Owns who is started in which order and when a ramp stops. Shows nothing itself: `tools.swarm_live` does.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from server.world.commands import Role
from tools.fleet_state import Member
from tools.swarm_ask import Ask, ServiceLevel
from tools.swarm_drive import Plan, Progress, Worker
from tools.swarm_house import House, prime, read_stats
from tools.swarm_report import Figures, Level, Sample, evaluate, held
from tools.swarm_rooms import RoomPlan, room_slug, seated_in, write_rooms
from tools.swarm_truth import Verdict, judge
from tools.swarm_watch import Record

COMPARED_FRAMES = 15_000  # of all processes and levels, if no two bots shared any
SAMPLE_S = 1.0
EDGE_GRACE_S = 1.0  # an edge hears of who moved to another cell on another socket than of the tick
ROLES: tuple[Role, ...] = ("clinician", "carer", "student", "patient", "observer")
SPARE_AVATARS = 16


class Now(NamedTuple):
    """How a run goes, for whoever shows it."""

    ask: Ask
    bots: int  # of the level under way
    progress: list[Progress]
    samples: list[Sample]
    levels: list[Level]


Show = Callable[[Now], None]
Say = Callable[[str], None]


class Where:
    """The server of a run: ours for the time of the run, or somebody's."""

    def __init__(self, data: Path, endpoint: str, web: str, house: House | None) -> None:
        self.data, self.endpoint, self.web, self.house = data, endpoint, web, house

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds of the server's processes so far; empty if they are not ours."""
        return self.house.cpu_s() if self.house else {}


def split_cores(pin: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Cores of the server and of the bots: one each, or () for anywhere. Raises OSError if there is one only."""
    cores = tuple(sorted(os.sched_getaffinity(0)))
    if not pin:
        return (), ()
    if len(cores) < 2:
        raise OSError(f"--pin puts the server on one core and the bots on others: there is {len(cores)}")
    return cores[:1], cores[1:2]


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings_of(ask: Ask, folder: Path, endpoint: str) -> dict[str, str]:
    """Settings of our own server, as the command line names them."""
    return {
        "native": endpoint, "rooms": str(folder / "rooms"), "demo": "false", "tick_hz": str(ask.tick_hz),
        "seed": str(ask.seed), "edge_port": str(free_port()), "admin_port": str(free_port()),
        "limits.avatars_max": str(max(64, ask.bots + SPARE_AVATARS)), "limits.things_max": "1024",
        "limits.rooms_max": str(max(64, len(ask.plans))),
    }  # fmt: skip


@contextlib.contextmanager
def a_server(ask: Ask, folder: Path, say: Say) -> Iterator[Where]:
    """The server to load, stopped at the end if it was started here."""
    if ask.data is not None:
        yield Where(ask.data, ask.endpoint, ask.web, None)
        return
    prime(say)
    write_rooms(folder / "rooms", ask.plans)
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    settings = settings_of(ask, folder, endpoint)
    parts = ("ledger", "shard", "edge") if ask.websocket else ("ledger", "shard")
    with House(folder / "data", settings, parts, split_cores(ask.pin)[0]) as house:
        house.wait_ready(say)
        web = f"http://127.0.0.1:{settings['edge_port']}/ws" if ask.websocket else ""
        yield Where(folder / "data", endpoint, web, house)


def members_of(ask: Ask, plans: list[RoomPlan]) -> list[Member]:
    """Who comes: rooms are filled one after the other; the first of a room is a clinician, who may speak to all."""
    seen: dict[str, int] = {}
    out = []
    for number, slug in enumerate(seated_in(plans, ask.bots)):
        place = seen[slug] = seen.get(slug, -1) + 1
        out.append(Member(f"Bot {number + 1}", ROLES[place % len(ROLES)], slug))
    return out


Share = tuple[tuple[Member, ...], tuple[int, ...]]


def split(members: list[Member], levels: tuple[int, ...], parts: int) -> list[Share]:
    """Members by process, and how many of them each level takes: at the first level already each process has some.

    A room stays together in one process if the first level fills enough of them.
    """
    parts = min(parts, levels[0])
    rooms = list(dict.fromkeys(m.room for m in members))
    together = len({m.room for m in members[: levels[0]]}) >= parts
    part_of = [rooms.index(m.room) % parts if together else i % parts for i, m in enumerate(members)]
    out = []
    for part in range(parts):
        mine = [i for i, p in enumerate(part_of) if p == part]
        out.append((tuple(members[i] for i in mine), tuple(sum(i < level for i in mine) for level in levels)))
    return out


def plans_of(ask: Ask, where: Where) -> list[Plan]:
    """What each process shall do."""
    rooms = ask.plans if ask.data is None else _rooms_there(ask)
    frames = ask.bots * ask.watched * ask.seconds * len(ask.levels) * ask.tick_hz
    every = max(1, -(-int(frames) // COMPARED_FRAMES))
    parts = split(members_of(ask, rooms), ask.levels, ask.processes)
    return [
        Plan(where.data, where.endpoint, where.web, members, counts, ask.seconds, ask.hz, ask.seed + i, every,
             ask.scene, ask.roam, ask.watched, ask.libzmq, ask.spike // len(parts), split_cores(ask.pin)[1])
        for i, (members, counts) in enumerate(parts)
    ]  # fmt: skip


def _rooms_there(ask: Ask) -> list[RoomPlan]:
    count = max(1, ask.rooms)
    people = -(-ask.bots // count)
    return [RoomPlan(room_slug(i) if count > 1 else "lobby", ask.scene, people, 0) for i in range(count)]


class Run:
    """The levels of a run."""

    def __init__(self, ask: Ask, service: ServiceLevel, where: Where, show: Show) -> None:
        self.ask, self.service, self.where, self._show = ask, service, where, show
        self.samples: list[Sample] = []
        self.levels: list[Level] = []
        self._began_s = time.monotonic()
        self._workers = [Worker(plan) for plan in plans_of(ask, where)]

    def go(self) -> list[Level]:
        """All levels, or as many as hold. Raises DriveError and HouseError."""
        try:
            for number, bots in enumerate(self.ask.levels):
                self.levels.append(self._level(number, bots))
                more = number + 1 < len(self.ask.levels) and held(self.levels[-1], self.service)
                for worker in self._workers:
                    worker.go_on(more)
                if not more:
                    break
            return self.levels
        finally:
            for worker in self._workers:
                worker.stop()

    def _level(self, number: int, bots: int) -> Level:
        """Until every process has measured the level."""
        done = [len(worker.records) for worker in self._workers]
        before: dict[str, float] = {}
        since_s, cpu = 0.0, self.where.cpu_s()
        after: tuple[dict[str, float], dict[str, float]] | None = None
        while any(len(w.records) == n for w, n in zip(self._workers, done, strict=True)):
            for worker, n in zip(self._workers, done, strict=True):
                if len(worker.records) == n:
                    worker.listen(0.05)
            phases = [w.progress.phase if w.progress.level == number else "start" for w in self._workers]
            if not before and all(p in ("run", "done") for p in phases):
                before, cpu, since_s = read_stats(self.where.data), self.where.cpu_s(), time.monotonic()
            if before and after is None and any(p == "done" for p in phases):
                wall_s = time.monotonic() - since_s
                cores = {part: (s - cpu[part]) / wall_s for part, s in self.where.cpu_s().items()}
                after = read_stats(self.where.data), cores
            self._sample(bots)
        stats, cores = after or (read_stats(self.where.data), {})
        records = [worker.records[-1] for worker in self._workers]
        figures = Figures(stats, before or stats, cores, records[0].tick_hz)
        return evaluate(bots, records, figures)

    def _sample(self, bots: int) -> None:
        """Once a second: what the server says and costs, and what the bots see."""
        if self.where.house:
            self.where.house.check()
        progress = [worker.progress for worker in self._workers]
        now_s = time.monotonic() - self._began_s
        if not self.samples or now_s - self.samples[-1].at_s >= SAMPLE_S:
            self.samples.append(Sample(now_s, bots, sum(p.inside for p in progress), progress[0].phase,
                                       read_stats(self.where.data), self.where.cpu_s()))  # fmt: skip
        self._show(Now(self.ask, bots, progress, self.samples, self.levels))

    @property
    def records(self) -> list[Record]:
        """Of all levels."""
        return [record for worker in self._workers for record in worker.records]


def compare(ask: Ask, data: Path, records: list[Record], tell: Callable[[float], None]) -> Verdict:
    """Replay the server's journal against what the bots kept. Raises JournalError."""
    grace = round(EDGE_GRACE_S * ask.tick_hz) if ask.websocket else 0
    return judge(data / "world", [s for r in records for s in r.seen], tell, grace)
