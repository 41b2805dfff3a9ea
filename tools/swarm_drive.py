"""The loop of one swarm process: level by level bring its bots in, let them live, hand back a Record of each level.

Owns the order of a run and its process. Never judges what was measured: after each level it waits to be told whether
there is another one.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from tools.access import Pass
from tools.fleet import IN, Fleet
from tools.fleet_state import Member
from tools.lines import Lines, NativeLines
from tools.lines_raw import RawLines, curve_target, web_target
from tools.manners import Habits
from tools.scenes import HABITS
from tools.swarm_watch import Record, Watch

ENTER_S = 40.0  # and a fifth of a second for each bot
WARM_S = 2.0
LINGER_S = 0.5
TELL_S = 0.25
POLL_S_MAX = 0.02


class Plan(NamedTuple):
    """What one process shall do."""

    data: Path
    endpoint: str
    web: str  # WebSocket URL of an edge, "" is native
    members: tuple[Member, ...]
    levels: tuple[int, ...]  # how many of the members take part, level by level
    seconds: float  # measured at each level
    hz: float
    seed: int
    every: int  # of how many ticks one is compared
    scene: str
    roam: float  # share of walks that lead through a door
    share: float  # of the bots watched closely at any time
    libzmq: bool  # a DEALER of libzmq for each native bot
    spike: int  # how many are cut off at once in the middle of a level
    cores: tuple[int, ...]  # run on these only; () is anywhere


class Progress(NamedTuple):
    """Where a process is: phase ("enter", "warm", "run", "done"), share of it, bots inside, and how it goes."""

    phase: str
    level: int
    share: float
    inside: int
    delivered: tuple[float, float] = (1.0, 1.0)  # worst, median
    seen_ms: tuple[float, float] = (0.0, 0.0)  # p50, p99 of the last seconds
    age_ms: tuple[float, float] = (0.0, 0.0)  # after the first bot, of the newest tick
    bytes_per_bot_s: float = 0.0
    counters: tuple[tuple[str, int], ...] = ()
    got: int = 0  # snapshots since the level began, and how many were due, and their bytes
    due: int = 0
    bytes: int = 0
    fresh_ms: tuple[float, ...] = ()  # input to seen of poses seen since it was said the last time


class DriveError(RuntimeError):
    """The bots could not be brought in."""


Tell = Callable[[Progress], None]


def make_lines(plan: Plan, door: Pass) -> Lines:
    """Connections as the plan wants them."""
    count = len(plan.members)
    if plan.libzmq:
        return NativeLines(plan.endpoint, door.server_key, count)
    return RawLines(web_target(plan.web) if plan.web else curve_target(plan.endpoint, door.server_key), count)


class Drive:
    """One process's fleet on its way through the levels."""

    def __init__(self, plan: Plan, tell: Tell) -> None:
        if plan.cores:
            os.sched_setaffinity(0, plan.cores)
        door = Pass(plan.data)
        self.plan, self.tell = plan, tell
        self.lines = make_lines(plan, door)
        self.watch = Watch(len(plan.members), plan.every)
        self.fleet = Fleet(plan.members, self.lines, door.mint, self.watch, plan.seed, plan.hz, plan.share)
        self._told_s = self._knocked_s = 0.0
        self._since_s, self._since_bytes = 0.0, 0

    def level(self, number: int) -> Record:
        """Bring in the bots of a level and measure it. Raises DriveError."""
        self.fleet.allowed = self.plan.levels[number]
        self._enter(number)
        if self.fleet.crowd is None:
            habits: Habits = HABITS[self.plan.scene]
            self.fleet.awaken(habits._replace(roam=self.plan.roam), directed=True)
        self._live(number, "warm", WARM_S)
        cpu, began_s = psutil.Process().cpu_times(), time.monotonic()
        before = self.fleet.tally()
        self._since_s, self._since_bytes = began_s, self.watch.bytes_total
        self.watch.begin(self.fleet.allowed)
        if self.plan.spike:
            self._live(number, "run", self.plan.seconds / 2)
            self._spike()
            self._live(number, "run", self.plan.seconds / 2, 0.5)
        else:
            self._live(number, "run", self.plan.seconds)
        self.watch.end()
        wall_s, spent = time.monotonic() - began_s, psutil.Process().cpu_times()
        counters = {name: n - before.get(name, 0) for name, n in self.fleet.tally().items() if n != before.get(name, 0)}
        self._live(number, "done", LINGER_S)
        cpu_s = spent.user + spent.system - cpu.user - cpu.system
        return self.watch.record(self.fleet.tick_hz, counters, cpu_s, wall_s)

    def idle(self, number: int) -> None:
        """Go on for a moment."""
        self._live(number, "done", 0.05)

    def _spike(self) -> None:
        """Cut off some at once; the record says when they were all back."""
        inside = np.flatnonzero(self.fleet.state == IN)
        dice = np.random.Generator(np.random.PCG64(self.plan.seed))
        chosen = np.sort(dice.permutation(inside)[: self.plan.spike])
        self.watch.spiked(chosen, time.monotonic_ns())
        self.fleet.drop(chosen, time.monotonic())

    def _enter(self, number: int) -> None:
        fleet, count = self.fleet, self.fleet.allowed
        began_s = time.monotonic()
        deadline_s = began_s + ENTER_S + 0.2 * count
        while fleet.inside < count:
            self._turn(number, "enter", fleet.inside / count)
            if time.monotonic() > deadline_s:
                counters = {k: v for k, v in fleet.tally().items() if k.startswith(("out_", "refused_"))}
                why = ", ".join(f"{k} {v}" for k, v in sorted(counters.items()))
                raise DriveError(f"only {fleet.inside} of {count} bots came in ({why or 'no answer at all'})")

    def _live(self, number: int, phase: str, seconds: float, done: float = 0.0) -> None:
        began_s = now_s = time.monotonic()
        while now_s < began_s + seconds:
            now_s = self._turn(number, phase, done + (1.0 - done) * (now_s - began_s) / seconds)

    def _turn(self, number: int, phase: str, share: float) -> float:
        """Act, take in what came, knock where one is out, say how it goes; what time it is then."""
        fleet, now_s = self.fleet, time.monotonic()
        again_s = fleet.act(now_s) if fleet.crowd is not None else now_s + POLL_S_MAX
        now_s = time.monotonic()
        fleet.receive(min(POLL_S_MAX, max(0.0, again_s - now_s)), now_s)
        now_s = time.monotonic()
        if now_s - self._knocked_s > 0.05:
            self._knocked_s = now_s
            fleet.knock(now_s)
        if now_s - self._told_s > TELL_S:
            self._told_s = now_s
            self.tell(self._progress(number, phase, share, now_s))
        return now_s

    def _progress(self, number: int, phase: str, share: float, now_s: float) -> Progress:
        fleet, watch = self.fleet, self.watch
        if phase not in ("run", "done"):
            return Progress(phase, number, share, fleet.inside)
        due = max(1, watch.newest - watch.first + 1)
        got = np.minimum(1.0, watch.now_got[: fleet.allowed] / due)
        size = watch.bytes_total - self._since_bytes
        rate = size / max(1e-3, now_s - self._since_s) / fleet.allowed
        return Progress(phase, number, share, fleet.inside, (float(got.min()), float(np.median(got))),
                        _two(watch.lags_ms(60)), _two(watch.spread_ms()), rate,
                        tuple(fleet.tally().items()), int(watch.now_got[: fleet.allowed].sum()), due * fleet.allowed,
                        size, tuple(watch.fresh_ms().tolist()))  # fmt: skip

    def close(self) -> None:
        """Leave politely and close everything."""
        self.fleet.goodbye()
        self.fleet.receive(0.05, time.monotonic())
        self.lines.close()


def _two(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> tuple[float, float]:
    """p50 and p99."""
    return (float(np.percentile(values, 50)), float(np.percentile(values, 99))) if len(values) else (0.0, 0.0)


# --- several processes ------------------------------------------------------------------------------------------------


class Worker:
    """A plan that runs in a process of its own."""

    def __init__(self, plan: Plan) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(plan, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.progress = Progress("start", 0, 0.0, 0)
        self.records: list[Record] = []

    def listen(self, timeout_s: float) -> None:
        """Take in what it said. Raises DriveError if it failed."""
        while self._ours.poll(timeout_s):
            timeout_s = 0.0
            try:
                said = self._ours.recv()
            except EOFError:
                raise DriveError("a swarm process ended without a word") from None
            if isinstance(said, str):
                raise DriveError(said)
            if isinstance(said, Record):
                self.records.append(said)
                return
            self.progress = said

    def go_on(self, more: bool) -> None:
        """Tell it whether there is another level."""
        self._ours.send(more)

    def stop(self) -> None:
        """End it if it still runs."""
        if self.process.is_alive():
            self.process.terminate()
        self.process.join(5.0)


def _work(plan: Plan, pipe: "Connection[object, object]") -> None:
    os.setpgid(0, 0)  # a Ctrl-C is for the parent, who ends us
    try:
        drive = Drive(plan, pipe.send)
        try:
            for number in range(len(plan.levels)):
                pipe.send(drive.level(number))
                while not pipe.poll(0.0):  # poses go on while the level is judged
                    drive.idle(number)
                if not pipe.recv():
                    return
        finally:
            drive.close()
    except (BrokenPipeError, EOFError):
        return  # nobody listens any more
    except (DriveError, OSError, ValueError) as error:
        pipe.send(str(error))
