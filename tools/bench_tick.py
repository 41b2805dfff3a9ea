"""What a tick of the world costs, phase by phase, without sockets: journal, step, snapshots of every room.

Owns a house full of bots in memory. The socket's share is in the fan-out bench.
"""

import tempfile
import tomllib
from pathlib import Path

import msgspec
import numpy as np

from server.config import Limits
from server.journal import Header, Journal
from server.sim.poses import POSE, PoseBatch
from server.views import Views
from server.world.commands import Command, Join
from server.world.scene import Room
from server.world.world import World
from tools.bench_codec import KEYFRAME_EVERY, a_crowd
from tools.bench_timing import Row, Sample, cost_us
from tools.swarm_rooms import plan_rooms, room_slug, room_text

SIZES = (20, 200, 1000)
ROOM_PEOPLE = 20
TICK_HZ = 30
POSES_OF_A_SECOND = 20
TITLE = "Tick phases without sockets (rooms of 20, 20 poses/s from everybody, a tick is 33,333 us)"


class Bench:
    """A world with `count` people, and the poses of one tick after another."""

    def __init__(self, count: int, folder: Path) -> None:
        rooms = -(-count // ROOM_PEOPLE)
        plans = plan_rooms("ward", rooms * ROOM_PEOPLE, rooms, 0)
        made = [tomllib.loads(room_text(plan, "")) | {"slug": plan.slug} for plan in plans]
        house = tuple(msgspec.convert(one, Room) for one in made)
        limits = Limits(avatars_max=max(64, count))
        self.world = World(house, limits, TICK_HZ, 1)
        self.views = Views(KEYFRAME_EVERY, limits.far_parts)
        self.rooms = rooms
        joins = [
            Command(c + 1, 0, Join(f"Bot {c}", "clinician", room_slug(c // ROOM_PEOPLE), _word(c, 16), _word(c, 32)))
            for c in range(count)
        ]
        nobody = np.zeros(0, np.uint32)
        self.world.step(joins, PoseBatch(nobody, np.zeros(0, POSE)))
        assert len(self.world.clients()) == count, "everybody has come in"
        self.journal = Journal(folder, Header(self.world.tick, TICK_HZ, 1, house, msgspec.to_builtins(limits)))
        self.batches = _batches(count)
        self._next = 0

    def batch(self) -> PoseBatch:
        """The poses of the next tick: as many of the bots as send in a thirtieth of a second."""
        self._next = (self._next + 1) % len(self.batches)
        return self.batches[self._next]

    def journalled(self) -> None:
        """The digest and the record of a tick."""
        self.journal.append(self.world.tick, self.journal.proof(self.world), [], self.batch())

    def step(self) -> None:
        """One step of the world."""
        self.world.step([], self.batch())

    def publish(self) -> None:
        """Every room's frame of a new tick (the step is measured alone, and taken off)."""
        self.world.step([], self.batch())
        self.views.encode(self.world, range(self.rooms))


def _word(number: int, size: int) -> bytes:
    return number.to_bytes(4, "little") * (size // 4)


def _batches(count: int) -> list[PoseBatch]:
    """Three ticks: two poses of everybody, spread evenly."""
    crowd, _ = a_crowd(count)
    crowd.minds.walking[:] = True
    out = []
    for tick in range(3):
        crowd.step(1 / TICK_HZ)
        rows = crowd.rows()
        rows["seq"] = tick + 1
        who = np.nonzero((np.arange(count) + tick) % TICK_HZ * POSES_OF_A_SECOND % TICK_HZ < POSES_OF_A_SECOND)[0]
        out.append(PoseBatch((who + 1).astype(np.uint32), rows[who]))
    return out


def rows_of(count: int) -> list[Row]:
    """All phases at one size."""
    with tempfile.TemporaryDirectory(prefix="asclepion-bench-") as folder:
        bench = Bench(count, Path(folder))
        try:
            step, journal = cost_us(bench.step), cost_us(bench.journalled)
            both = cost_us(bench.publish)
        finally:
            bench.journal.close()
    less = step.median
    publish = Sample(both.median - less, both.low - less, both.high - less)
    named = (("journal and digest", journal), ("step", step), ("snapshots of all rooms", publish))
    return [Row(f"{what}, {count} people", "us/tick", sample, 0.0, f"{sample.median / count:.2f} us each")
            for what, sample in named]  # fmt: skip


def run() -> list[Row]:
    """The section."""
    return [row for count in SIZES for row in rows_of(count)]
