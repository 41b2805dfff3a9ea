"""Whether a client costs more when there are more of them: whole ticks of a shard with rooms of 20, without sockets.

Owns a house in memory whose clients come in through an edge, as browsers do, and send real poses. Everything else is as
in life: sessions, world, journal, snapshots, sealing. Processor time of the tick's thread, phase by phase.
"""

import secrets
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.config import Config, Limits
from server.net import link
from server.net.memory import MemoryEdge
from server.net.token import Claims
from server.pacer import PHASES
from server.world.scene import Room
from tools.bench_codec import a_crowd
from tools.bench_timing import Row, sample_of
from tools.client import Client
from tools.memory_house import House
from tools.swarm_rooms import plan_rooms, room_slug, room_text

SIZES = (100, 300, 1000)
ROOM_PEOPLE, TICK_HZ = 20, 20
TICKS, ROUNDS, WARM = 40, 5, 20
IN_A_TICK = 40  # come in
TITLE = (
    f"Growth: a tick of the whole shard without sockets, rooms of {ROOM_PEOPLE}, {TICK_HZ} Hz in and out, by an edge"
)


class EdgeLine:
    """A browser's frames on their way through an edge; what comes back is not read here."""

    def __init__(self, edge: MemoryEdge, conn: int) -> None:
        self._edge, self._conn = edge, conn

    def send(self, frame: bytes) -> None:
        """See `tools.client_lines.Line`."""
        self._edge.send(link.FromBrowsers([(self._conn, frame)]))

    def read(self, timeout_s: float) -> list[bytes]:
        """See `tools.client_lines.Line`."""
        del timeout_s
        return []

    def close(self) -> None:
        """See `tools.client_lines.Line`."""


class Full:
    """A house with `count` people in it."""

    def __init__(self, count: int, folder: Path, pool: ThreadPoolExecutor) -> None:
        plans = plan_rooms("ward", count, count // ROOM_PEOPLE, 0)
        rooms = [msgspec.convert(tomllib.loads(room_text(plan, "")) | {"slug": plan.slug}, Room) for plan in plans]
        limits = Limits(avatars_max=count, hellos_per_tick=IN_A_TICK, idle_timeout_s=3600.0)
        config = Config(data=str(folder), tick_hz=TICK_HZ, limits=limits)
        self.house = House(folder, config, pool, rooms, secrets.token_bytes)
        self.edge = self.house.wire.edge()
        self.count, self.seq = count, 0
        self.crowd, _ = a_crowd(count)
        self.conns = np.arange(1, count + 1, dtype="<u4").tobytes()
        self._come_in()

    def _come_in(self) -> None:
        for conn in range(1, self.count + 1):
            client = Client(Ed25519PrivateKey.generate(), self.house.clock)
            claims = Claims(room_slug((conn - 1) // ROOM_PEOPLE), "clinician", f"Bot {conn}")
            token = self.house.tokens.mint_join(claims, self.house.clock.now_s)
            client.say_hello(EdgeLine(self.edge, conn), token=token)
            if conn % IN_A_TICK == 0 or conn == self.count:
                self.house.turn()
        assert len(self.house.shard.guests) == self.count, "everybody has come in"

    def turn(self) -> None:
        """One tick in which everybody sends a pose."""
        self.seq += 1
        self.crowd.step(1 / TICK_HZ)
        rows = self.crowd.rows()
        rows["seq"] = self.seq
        self.edge.received.clear()
        self.edge.published.clear()
        self.edge.send(link.FromBrowsers([], self.conns, rows.tobytes()))
        clock = self.house.clock
        clock.advance(1 / TICK_HZ)
        self.house.shard.tick(clock.now_s, clock.now_s, time.thread_time)

    def measured(self) -> dict[str, float]:
        """Microseconds per client of each phase, medians over TICKS ticks."""
        pacer = self.house.shard.pacer
        pacer.forget()
        for _ in range(TICKS):
            self.turn()
        figures = pacer.figures()
        return {phase: figures[f"phase_{phase}_ms_p50"] * 1000.0 / self.count for phase in PHASES}


def rows_of(count: int) -> list[Row]:
    """All phases at one size."""
    with tempfile.TemporaryDirectory(prefix="asclepion-bench-") as folder, ThreadPoolExecutor(2) as pool:
        full = Full(count, Path(folder), pool)
        try:
            for _ in range(WARM):
                full.turn()
            rounds = [full.measured() for _ in range(ROUNDS)]
        finally:
            full.house.close()
    note = ", ".join(f"{phase} {sample_of([one[phase] for one in rounds]).median:.2f}" for phase in PHASES)
    whole = sample_of([sum(one.values()) for one in rounds])
    return [Row(f"{count} clients", "us/client/tick", whole, 0.0, note)]


def run() -> list[Row]:
    """The section."""
    return [row for count in SIZES for row in rows_of(count)]
