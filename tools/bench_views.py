"""What it costs to show everybody in a hall what is near them: encode blocks, keep looks, compose and hand over frames.

Owns halls full of people who move as recorded, and a shard's publisher before them. The step of the world is not
counted. The memory wire takes the frames and sends nothing; the last row is over real sockets, with everything counted.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from server.config import Config, Limits
from server.net.keys import load_or_make_curve
from server.net.memory import MemoryWire
from server.net.transport import Wire
from server.net.wire import AnyWire, Inbound, Peer
from server.publish import Publisher
from server.sim.poses import NO_POSES
from server.world.commands import Command, Join
from server.world.scene import Room, Spawn
from server.world.world import World
from tools.bench_fanout import COME_IN_S, INBOUND_MAX, Clients, FanoutError
from tools.bench_timing import Row, Sample, sample_of
from tools.moving import walkers

TICK_HZ = 30
FLOOR_M2 = 3.6  # for each person: 1,000 in 60 x 60 m, about 60 of them near
SIDE_M_MAX = 60.0
WINDOW, REPEATS = 30, 5  # ticks of a repeat
WARM_UP = 15
HALLS = ((300, 1), (1000, 1), (3000, 3))  # people, and in how many halls
TITLE = "Views (halls with about 60 people near everybody, a keyframe every 10 ticks, a tick is 33,333 us)"
COLUMNS = ("head_mm", "head_rot", "yaw", "hand_mm", "hand_rot", "grips", "flags", "ack")


def side_m(people: int) -> float:
    """Length of a square hall's wall."""
    return float(min(SIDE_M_MAX, round((people * FLOOR_M2) ** 0.5)))


def a_hall(number: int, people: int) -> Room:
    """A bare hall."""
    side, dice = side_m(people), np.random.default_rng(number)
    at = dice.uniform(1 - side / 2, side / 2 - 1, (64, 2)).round(2).tolist()
    return Room(title="Hall", kind="lecture", size_m=(side, 4.0, side), capacity=people, enter=["student"],
                speak=["student"], slug=f"hall-{number}", spawn=[Spawn((x, z)) for x, z in at])  # fmt: skip


class Bench:
    """A world with its people, and the publisher that shows it to `wire`."""

    def __init__(self, people: int, halls: int, wire: AnyWire, peers: list[Peer]) -> None:
        each = people // halls
        config = Config(limits=Limits(avatars_max=max(64, people)))
        self.world = World(tuple(a_hall(n, each) for n in range(halls)), config.limits, TICK_HZ, 1)
        joins = [
            Command(c + 1, 0, Join(f"Bot {c}", "student", f"hall-{c // each}", _word(c, 16), _word(c, 32)))
            for c in range(people)
        ]
        self.world.step(joins, NO_POSES)
        assert len(self.world.clients()) == people, "everybody has come in"
        self.publisher = Publisher(config, self.world, wire)
        for client, peer in enumerate(peers, start=1):
            self.publisher.enter(peer, client, self.world.room_of(client))
        reach = side_m(each) * 500 - 1000
        self._crowds = [walkers(each, seed, reach) for seed in range(halls)]
        self._each = each
        for _ in range(WARM_UP):
            self.move()
            self.publisher.publish()

    def move(self) -> None:
        """The next tick of the world."""
        for number, crowd in enumerate(self._crowds):
            moved = next(crowd)
            rows = slice(number * self._each, (number + 1) * self._each)
            for column in COLUMNS:
                getattr(self.world.avatars, column)[rows] = getattr(moved, column)
        self.world.step([], NO_POSES)


def _word(number: int, size: int) -> bytes:
    return number.to_bytes(4, "little") * (size // 4)


def in_memory(count: int) -> tuple[MemoryWire, list[Peer]]:
    """A wire and its verified native clients."""
    wire = MemoryWire(Limits(avatars_max=max(64, count), unverified_peers_max=count))
    for _ in range(count):
        wire.client().send(b"\x90")
    peers = [item.peer for item in wire.receive(count) if isinstance(item, Inbound)]
    for peer in peers:
        wire.verified(peer)
    return wire, peers


def costs(bench: Bench, work: Callable[[], None]) -> Iterator[float]:
    """Processor microseconds of `work` per tick, one for each repeat."""
    for _ in range(REPEATS):
        spent = 0.0
        for _ in range(WINDOW):
            bench.move()
            began = time.process_time()
            work()
            spent += time.process_time() - began
        yield spent / WINDOW * 1e6


def rows_of(people: int, halls: int) -> tuple[list[Row], float]:
    """The figures of one size, and the cost per viewer."""
    bench = Bench(people, halls, *in_memory(people))
    before = bench.publisher.figures()
    sample = sample_of(list(costs(bench, bench.publisher.publish)))
    after = bench.publisher.figures()
    ticks = WINDOW * REPEATS
    made = {name: (after[name] - before[name]) / ticks for name in after}
    held = sum(made[name] for name in made if name.startswith("held_back"))
    rate = Sample(*(made["near_updates"] / us for us in (sample.median, sample.high, sample.low)))
    size = made["view_bytes"] * TICK_HZ / people
    name = f"{people:,} people" + (f" in {halls} halls" if halls > 1 else f" in a hall of {side_m(people):.0f} m")
    return [
        Row(f"encode, group and compose, {name}", "us/tick", sample, 0.0,
            f"{sample.median / people:.2f} us each, {made['view_frames']:.0f} views"),
        Row(f"near avatar updates, {name}", "M/core-s", rate, 0.0, f"{made['near_updates'] / people:.0f} near"),
        Row(f"to one viewer, {name}", "kbit/s", Sample(*[size * 8 / 1000] * 3), 0.0,
            f"{size / TICK_HZ:.0f} B a tick, {held / people:.2f} blocks held back"),
    ], sample.median / people  # fmt: skip


def with_sending(people: int) -> Row:
    """Publish and flush over real sockets with CURVE, all threads counted; the world's own cost is taken off."""
    with tempfile.TemporaryDirectory(prefix="asclepion-bench-") as folder:
        curve = load_or_make_curve(Path(folder) / "keys")
        limits = Limits(avatars_max=1024)
        wire = Wire("tcp://127.0.0.1:*", f"ipc://{folder}/e.ipc", f"ipc://{folder}/v.ipc", curve, limits)
        try:
            there = Clients(wire.endpoint, people, curve.public.encode(), 0.0)
            bench = Bench(people, 1, wire, _come_in(wire, people))
            alone = sample_of([_paced(bench.move) for _ in range(REPEATS)])

            def tick() -> None:
                bench.move()
                wire.receive(INBOUND_MAX)
                bench.publisher.publish()
                wire.flush()

            both = [_paced(tick) - alone.median for _ in range(REPEATS)]
            there.stop()
        finally:
            wire.shut()
    sample = sample_of(both)
    return Row(f"the same and sent, {people} people, CURVE, all threads", "us/tick", sample, 0.0,
               f"{sample.median / people:.1f} us each")  # fmt: skip


def _paced(tick: Callable[[], None]) -> float:
    """Processor microseconds of the process per tick, at their pace."""
    start, due_s = time.process_time(), time.monotonic()
    for _ in range(WINDOW):
        tick()
        due_s += 1 / TICK_HZ
        time.sleep(max(0.0, due_s - time.monotonic()))
    return (time.process_time() - start) / WINDOW * 1e6


def _come_in(wire: Wire, count: int) -> list[Peer]:
    peers: dict[Peer, None] = {}
    deadline_s = time.monotonic() + COME_IN_S
    while len(peers) < count:
        wire.wait(time.monotonic() + 0.05)
        for item in wire.receive(INBOUND_MAX):
            if isinstance(item, Inbound):
                peers[item.peer] = None
                wire.verified(item.peer)
        if time.monotonic() > deadline_s:
            raise FanoutError(f"only {len(peers)} of {count} clients came in within {COME_IN_S:.0f} s")
    return list(peers)


def run() -> list[Row]:
    """The section."""
    rows: list[Row] = []
    each: dict[int, float] = {}
    for people, halls in HALLS:
        found, each[people] = rows_of(people, halls)
        rows += found
    growth = each[1000] / each[300]
    rows.append(Row("cost of a viewer among 1,000, to that among 300", "x", Sample(growth, growth, growth)))
    return [*rows, with_sending(300)]
