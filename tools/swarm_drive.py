"""The loop of one swarm process: bring its bots in, let them live for the measured time, hand back a Record.

Owns the order of a run and its process when it is one of several. Never judges what was measured.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import psutil

from tools.access import Pass
from tools.fleet import Fleet
from tools.fleet_state import Member
from tools.lines import Lines, NativeLines
from tools.lines_web import WebLines
from tools.manners import Habits
from tools.swarm_watch import Record, Watch

ENTER_S = 30.0  # and a tenth of a second for each bot
WARM_S = 1.5
LINGER_S = 0.5
TELL_S = 0.25
POLL_S_MAX = 0.02


class Plan(NamedTuple):
    """What one process shall do."""

    data: Path
    endpoint: str
    web: str  # WebSocket URL of an edge, "" is native
    members: tuple[Member, ...]
    seconds: float
    hz: float
    seed: int
    every: int  # of how many ticks one is compared
    roam: float  # share of walks that lead through a door


class Progress(NamedTuple):
    """Where a process is: phase ("enter", "warm", "run", "done"), share of it, bots inside, and how it goes."""

    phase: str
    share: float
    inside: int
    delivered: float
    lag_ms: float


class DriveError(RuntimeError):
    """The bots could not be brought in."""


Tell = Callable[[Progress], None]


def make_lines(plan: Plan, door: Pass) -> Lines:
    """Connections as the plan wants them."""
    if plan.web:
        return WebLines(plan.web, len(plan.members))
    return NativeLines(plan.endpoint, door.server_key, len(plan.members))


def drive(plan: Plan, tell: Tell) -> Record:
    """Run a plan in this process. Raises DriveError, and TokenError-like errors of the keys as they are."""
    door = Pass(plan.data)
    watch = Watch(len(plan.members), plan.every)
    lines = make_lines(plan, door)
    fleet = Fleet(plan.members, lines, door.mint, watch, plan.seed, plan.hz, time.monotonic_ns)
    try:
        _enter(fleet, tell)
        fleet.awaken(Habits(roam=plan.roam))
        _live(fleet, watch, "warm", WARM_S, tell)
        cpu = psutil.Process().cpu_times()
        began_s = time.monotonic()
        watch.begin()
        _live(fleet, watch, "run", plan.seconds, tell)
        watch.end()
        wall_s = time.monotonic() - began_s
        spent = psutil.Process().cpu_times()
        _live(fleet, watch, "done", LINGER_S, tell)
        fleet.goodbye()
        fleet.receive(0.05, time.monotonic())
    finally:
        lines.close()
    cpu_s = spent.user + spent.system - cpu.user - cpu.system
    return watch.record(fleet.tick_hz, dict(fleet.counters), cpu_s, wall_s)


def _enter(fleet: Fleet, tell: Tell) -> None:
    count = len(fleet.bots)
    deadline_s = time.monotonic() + ENTER_S + 0.1 * count
    told_s = 0.0
    while fleet.inside < count:
        now_s = time.monotonic()
        fleet.knock(now_s)
        fleet.receive(POLL_S_MAX, now_s)
        if now_s > deadline_s:
            why = ", ".join(f"{k} {v}" for k, v in sorted(fleet.counters.items()) if k.startswith(("out_", "refused_")))
            raise DriveError(f"only {fleet.inside} of {count} bots came in ({why or 'no answer at all'})")
        if now_s - told_s > TELL_S:
            told_s = now_s
            tell(Progress("enter", fleet.inside / count, fleet.inside, 0.0, 0.0))


def _live(fleet: Fleet, watch: Watch, phase: str, seconds: float, tell: Tell) -> None:
    began_s = now_s = time.monotonic()
    told_s = knocked_s = 0.0
    while now_s < began_s + seconds:
        again_s = fleet.act(now_s)
        now_s = time.monotonic()
        fleet.receive(min(POLL_S_MAX, max(0.0, again_s - now_s)), now_s)
        now_s = time.monotonic()
        if now_s - knocked_s > 0.1:
            knocked_s = now_s
            fleet.knock(now_s)
        if now_s - told_s > TELL_S:
            told_s = now_s
            due = watch.newest - watch.first + 1 if watch.first >= 0 else 0
            worst = float(watch.now_got.min()) / due if due > 0 else 1.0
            tell(Progress(phase, (now_s - began_s) / seconds, fleet.inside, min(1.0, worst), watch.lag_ms()))


# --- several processes ------------------------------------------------------------------------------------------------


class Worker:
    """A plan that runs in a process of its own."""

    def __init__(self, plan: Plan) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(plan, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.progress = Progress("start", 0.0, 0, 0.0, 0.0)
        self.record: Record | None = None

    def listen(self, timeout_s: float) -> None:
        """Take in what it said. Raises DriveError if it failed."""
        while self.record is None and self._ours.poll(timeout_s):
            timeout_s = 0.0
            try:
                said = self._ours.recv()
            except EOFError:
                raise DriveError("a swarm process ended without a word") from None
            if isinstance(said, str):
                raise DriveError(said)
            if isinstance(said, Record):
                self.record = said
            else:
                self.progress = said

    def stop(self) -> None:
        """End it if it still runs."""
        if self.process.is_alive():
            self.process.terminate()
        self.process.join(5.0)


def _work(plan: Plan, pipe: "Connection[object, object]") -> None:
    os.setpgid(0, 0)  # a Ctrl-C is for the parent, who ends us
    try:
        pipe.send(drive(plan, pipe.send))
    except (DriveError, OSError, ValueError) as error:
        pipe.send(str(error))
