"""What a snapshot costs: encoding and decoding, and bytes for each avatar, beside MessagePack of the same rows.

Owns rooms full of moving bots as measured material, which the motion and tick benches use too. `python -m
tools.bench_codec` prints this section and the one of `tools.bench_coders`.
"""

import itertools
from collections.abc import Callable, Iterator

import msgpack
import numpy as np
from rich.console import Console

from server.sim.blocks import encode_blocks
from server.sim.rotation import coarse_all
from server.sim.snapshot import View, decode_body, delta_body, keyframe_body, view_of
from server.sim.state import AvatarState, new_avatars, new_things
from server.world.scene import Box, Room, Spawn
from tools import bench_coders
from tools.bench_timing import Row, Sample, cost_us, table
from tools.floors import Floors, make_floor
from tools.manners import Manners, Sight
from tools.minds import Crowd
from tools.moving import sitters, walkers

SIZES = (10, 100, 1000)
PEOPLE, INTERVALS, BLOCKS = 140, 6, (7, 20)  # of the bytes; a cell of a full hall, a ward
KEYFRAME_EVERY = 10
TICK_HZ = 30
TITLE = "Snapshot codec (keyframe every 10 ticks)"


def a_hall(people: int) -> Room:
    """A room large enough, with a table in it."""
    side = float(min(60, max(8, int((people * 3) ** 0.5) + 3)))
    return Room(title="Hall", kind="lecture", size_m=(side, 3.0, side), capacity=1000, enter=[], speak=[], slug="hall",
                box=[Box("table", (0.0, 0.0), (2.0, 0.8, 1.0))], spawn=[Spawn((0.0, 2.0))])  # fmt: skip


def a_crowd(people: int, seed: int = 1) -> tuple[Crowd, Manners]:
    """People spread over a hall, who wander and talk."""
    room = a_hall(people)
    dice = np.random.Generator(np.random.PCG64(seed))
    reach = room.size_m[0] / 2 - 1
    at = dice.uniform(-reach, reach, (people, 2))
    crowd = Crowd(Floors([make_floor(room)]), np.zeros(people, np.int64), at, seed)
    return crowd, Manners(crowd, seed)


def put(crowd: Crowd, avatars: AvatarState, ack: int) -> None:
    """Write the crowd as it stands into the first rows of the columns."""
    n, rows = len(crowd), crowd.rows()
    avatars.alive[:n], avatars.room[:n], avatars.ack[:n] = True, 0, ack & 255
    avatars.head_mm[:n, 0], avatars.head_mm[:n, 2] = np.rint(crowd.minds.at_m * 1000).T
    avatars.head_mm[:n, 1] = rows["head_y_mm"]
    avatars.head_rot[:n], avatars.yaw[:n] = rows["head_rot"], rows["yaw"]
    avatars.hand_mm[:n, 0], avatars.hand_mm[:n, 1] = rows["left_mm"] & ~1, rows["right_mm"] & ~1
    avatars.hand_rot[:n, 0], avatars.hand_rot[:n, 1] = coarse_all(rows["left_rot"]), coarse_all(rows["right_rot"])
    avatars.grips[:n], avatars.flags[:n] = rows["grips"], rows["flags"]


def a_scene(people: int, ticks: int) -> Iterator[AvatarState]:
    """The columns after each of some ticks of a busy hall (always the same arrays)."""
    crowd, manners = a_crowd(people)
    avatars = new_avatars(people)
    sight = Sight({i: i for i in range(people)}, {i: i for i in range(people)}, [])
    for tick in range(60 + ticks):
        manners.step({0: sight} if people <= 100 else {})
        crowd.step(1 / TICK_HZ)
        if people > 100 and tick % TICK_HZ == 0:  # in so large a hall thinking of everybody would take too long
            crowd.minds.walking[:] = crowd.dice.random(people) < 0.5
            crowd.minds.talking[:] = crowd.dice.random(people) < 0.2
        if tick >= 60:
            put(crowd, avatars, tick)
            yield avatars


def naive_bytes(avatars: AvatarState) -> bytes:
    """What one would write first: every avatar as a MessagePack list."""
    columns = (avatars.head_mm, avatars.head_rot, avatars.yaw, avatars.hand_mm, avatars.hand_rot, avatars.grips,
               avatars.flags, avatars.ack)  # fmt: skip
    lists = [column.tolist() for column in columns]
    packed: bytes = msgpack.packb([[slot, *values] for slot, values in enumerate(zip(*lists, strict=True))])
    return packed


def bytes_per_avatar(scene: Iterator[AvatarState], people: int, block: int) -> tuple[float, float, float]:
    """Of a keyframe, of the deltas, and of both in their mix, in blocks of so many people."""
    things, keys, sizes = new_things(1), list[View](), []
    for tick, avatars in enumerate(itertools.islice(scene, INTERVALS * KEYFRAME_EVERY)):
        slots = [np.arange(first, min(first + block, people)) for first in range(0, people, block)]
        views = [view_of(avatars, things, 0, some, some[:0], tick) for some in slots]
        if tick % KEYFRAME_EVERY == 0:
            keys = views
        bodies = [keyframe_body(v) if v is key else delta_body(v, key) for v, key in zip(views, keys, strict=True)]
        sizes.append(sum(map(len, bodies)) / people)
    deltas = [size for i, size in enumerate(sizes) if i % KEYFRAME_EVERY]
    return float(np.mean(sizes[::KEYFRAME_EVERY])), float(np.mean(deltas)), float(np.mean(sizes))


def costs_of(people: int) -> list[Row]:
    """Processor time of one block of so many bots."""
    things, none, slots = new_things(1), np.zeros(0, np.int64), np.arange(people)
    scene = a_scene(people, KEYFRAME_EVERY)
    base = view_of(next(scene), things, 0, slots, none, 0)
    avatars = list(scene)[-1]  # nine ticks later: the largest delta of an interval
    now = view_of(avatars, things, 0, slots, none, 9)
    key, delta, naive = keyframe_body(base), delta_body(now, base), naive_bytes(avatars)
    packing, unpacking = cost_us(lambda: naive_bytes(avatars)), cost_us(lambda: msgpack.unpackb(naive))
    known = {(0, 0, 0): base}
    ways: tuple[tuple[str, Callable[[], object], Sample], ...] = (
        ("encode a keyframe", lambda: keyframe_body(view_of(avatars, things, 0, slots, none, 9)), packing),
        ("encode a delta", lambda: delta_body(view_of(avatars, things, 0, slots, none, 9), base), packing),
        ("decode a keyframe", lambda: decode_body(key, 0, 0, 0, {}), unpacking),
        ("decode a delta", lambda: decode_body(delta, 0, 9, 0, known), unpacking),
    )
    return [Row(f"{what}, {people} avatars", "us", cost_us(work), naive.median) for what, work, naive in ways]


def cost_of_all(people: int, cells: int) -> Row:
    """Processor time of all blocks of a hall in one call, grouping included."""
    scene, things = walkers(people), new_things(1)
    avatars, shown, none = next(scene), np.ones(1, np.bool_), np.zeros(0, np.int64)
    avatars.cell[:] = np.arange(people) % cells
    _, baselines = encode_blocks(avatars, things, shown, none, 10, KEYFRAME_EVERY)
    for _ in range(5):
        avatars = next(scene)
    spent = cost_us(lambda: encode_blocks(avatars, things, shown, none, 15, KEYFRAME_EVERY, baselines))
    return Row(f"encode all of a hall, {people} avatars in {cells} cells", "us", spent)


def size_rows() -> list[Row]:
    """Bytes of an update: people who walk and use their hands, people who sit and talk, and bots."""
    naive = len(naive_bytes(next(walkers(PEOPLE)))) / PEOPLE
    found = []
    for name, scene in (("walking, recorded", walkers), ("seated, recorded", sitters), ("bots", None)):
        for block in BLOCKS:
            avatars = scene(PEOPLE) if scene else a_scene(PEOPLE, INTERVALS * KEYFRAME_EVERY)
            sizes = bytes_per_avatar(avatars, PEOPLE, block)
            for kind, size in zip(("keyframe", "delta", "mean"), sizes, strict=True):
                found.append(Row(f"{name}, blocks of {block}: {kind}", "B", Sample(size, size, size), naive))
    return found


def run() -> list[Row]:
    """The section."""
    return [*(row for people in SIZES for row in costs_of(people)), cost_of_all(1000, 150), *size_rows()]


def main() -> None:
    """Both sections of the codec."""
    console = Console()
    console.print(table(TITLE, run()))
    console.print(table(bench_coders.TITLE, bench_coders.run()))


if __name__ == "__main__":
    main()
