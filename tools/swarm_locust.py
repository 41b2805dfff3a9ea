"""Several load machines under one coordinator: Locust's distributed runner, with a whole fleet as one of its users.

    locust -f tools/swarm_locust.py --headless --master --expect-workers 2 -u 4 -r 4 -t 60s --data DIR --fleet 250
    locust -f tools/swarm_locust.py --worker --master-host COORDINATOR       (on each load machine, once for each core)

Owns the translation: a Locust user is a process of `tools.swarm_drive` with a fleet of bots in it, and what its bots
got goes into Locust's statistics in batches: ("snapshot", "delivered") with bytes and what was lost as failures, and
("pose", "seen") with the time from sending a pose to another bot seeing it. Locust's own cost per request would be
several times that of a bot. DIR holds the server's keys: on another machine, a copy of its DATA/keys. Never judges.
"""

import itertools
import os
import time
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
from locust import User, events, task
from locust.stats import StatsEntry, bucket_response_time

from server.config import Config
from tools.fleet_state import Member
from tools.scenes import HABITS
from tools.swarm_drive import DriveError, Plan, Progress, Worker
from tools.swarm_rooms import room_slug
from tools.swarm_run import ROLES

WINDOW_S = 60.0  # of the fleet's own measuring, again and again
REPORT_S = 0.25
EVERY = 1 << 30  # nothing is kept for a comparison: the journal is elsewhere


@events.init_command_line_parser.add_listener
def add_flags(parser: ArgumentParser) -> None:
    """Our flags among Locust's; the coordinator tells its workers their values."""
    parser.add_argument("--data", default="", help="data directory with the server's keys")
    parser.add_argument("--endpoint", default=Config().native, help="ZeroMQ endpoint of the server")
    parser.add_argument("--web", default="", help="URL of an edge's WebSocket instead")
    parser.add_argument("--fleet", type=int, default=200, help="bots of one Locust user")
    parser.add_argument("--room", default="", help="room of all bots; default is swarm-001 and on, --room-bots in each")
    parser.add_argument("--room-bots", type=int, default=20, help="bots in a room")
    parser.add_argument("--load-machines", type=int, default=1, help="workers that share the rooms between them")
    parser.add_argument("--scene", default="ward", choices=sorted(HABITS), help="what the bots do")
    parser.add_argument("--pose-hz", type=float, default=20.0, help="poses each bot makes in a second")


def add_times(entry: StatsEntry, times_ms: list[float]) -> None:
    """So many requests with these times."""
    now_s = time.time()
    entry.num_requests += len(times_ms)
    entry.num_reqs_per_sec[int(now_s)] += len(times_ms)
    entry.last_request_timestamp = now_s
    entry.total_response_time += round(sum(times_ms))
    low = [] if entry.min_response_time is None else [entry.min_response_time]
    entry.min_response_time = round(min([*low, *times_ms]))
    entry.max_response_time = round(max([entry.max_response_time, *times_ms]))
    for bucket, count in Counter(bucket_response_time(round(ms)) for ms in times_ms).items():
        entry.response_times[bucket] += count


def add_untimed(entry: StatsEntry, got: int, lost: int, size: int) -> None:
    """So many requests without a time, some of them failed."""
    now_s = time.time()
    entry.num_requests += got + lost
    entry.num_none_requests += got + lost
    entry.num_failures += lost
    entry.num_reqs_per_sec[int(now_s)] += got + lost
    entry.num_fail_per_sec[int(now_s)] += lost
    entry.last_request_timestamp = now_s
    entry.total_content_length += size


def members_of(options: Any, machine: int, user: int) -> tuple[Member, ...]:
    """The bots of a load machine's user number `user`: machines take the rooms in turn."""
    out = []
    for number in range(options.fleet):
        row = user * options.fleet + number
        room = options.room or room_slug(row // options.room_bots * options.load_machines + machine)
        out.append(Member(f"Bot {machine}-{row}", ROLES[number % len(ROLES)], room))
    return tuple(out)


class SwarmUser(User):
    """A fleet."""

    numbers = itertools.count()

    def on_start(self) -> None:
        """Start the fleet's process."""
        options = self.environment.parsed_options
        machine = max(0, getattr(self.environment.runner, "worker_index", 0))
        members = members_of(options, machine, next(self.numbers))
        plan = Plan(Path(options.data), options.endpoint, options.web, members, (len(members),) * 10_000, WINDOW_S,
                    options.pose_hz, os.getpid(), EVERY, options.scene, 0.0, min(1.0, 60 / len(members)), False, 0,
                    ())  # fmt: skip
        self.worker = Worker(plan)
        self.last = Progress("start", 0, 0.0, 0)

    @task
    def live(self) -> None:
        """Take in what the fleet's process says, report it, let other users do so too."""
        gevent.sleep(REPORT_S)
        records = len(self.worker.records)
        try:
            self.worker.listen(0.0)
        except DriveError as error:
            self.environment.stats.log_error("swarm", "fleet", str(error))
            self.stop()
            return
        if len(self.worker.records) > records:
            self.worker.records.clear()
            self.worker.go_on(True)
        self._report(self.worker.progress)

    def _report(self, now: Progress) -> None:
        before = self.last if self.last.level == now.level and self.last.got <= now.got else Progress("", 0, 0.0, 0)
        self.last = now
        if now.phase != "run" or now is before:
            return
        stats = self.environment.stats
        lost = max(0, now.due - before.due - (now.got - before.got))
        for entry in (stats.get("delivered", "snapshot"), stats.total):
            add_untimed(entry, now.got - before.got, lost, now.bytes - before.bytes)
        if now.fresh_ms:
            for entry in (stats.get("seen", "pose"), stats.total):
                add_times(entry, list(now.fresh_ms))

    def on_stop(self) -> None:
        """End the fleet's process."""
        self.worker.stop()
