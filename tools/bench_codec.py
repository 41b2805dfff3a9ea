"""What a snapshot costs: encoding and decoding, and bytes for each avatar, beside MessagePack of the same rows.

Owns rooms full of moving bots as measured material, which the motion and tick benches use too.
"""

from collections.abc import Iterator

import msgpack
import numpy as np

from server.sim.snapshot import View, decode, delta_of, keyframe_of, view_of
from server.sim.state import AvatarState, ThingState, new_avatars, new_things
from server.world.scene import Box, Room, Spawn
from tools.bench_timing import Row, Sample, cost_us
from tools.floors import Floors, make_floor
from tools.manners import Manners, Sight
from tools.minds import Crowd

SIZES = (10, 100, 1000)
KEYFRAME_EVERY = 10
TICK_HZ = 30
TITLE = "Snapshot codec (keyframe every 10 ticks, bots that walk and gesture)"


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
    avatars.hand_mm[:n, 0], avatars.hand_mm[:n, 1] = rows["left_mm"], rows["right_mm"]
    avatars.hand_rot[:n, 0], avatars.hand_rot[:n, 1] = rows["left_rot"], rows["right_rot"]
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


def bytes_per_avatar(people: int) -> tuple[float, float, float]:
    """Of a keyframe, of the deltas, and of both in their mix."""
    things, none = new_things(1), np.zeros(0, np.int64)
    slots, base, sizes = np.arange(people), None, []
    for tick, avatars in enumerate(a_scene(people, 2 * KEYFRAME_EVERY)):
        view = view_of(avatars, things, 0, slots, none, tick)
        if tick % KEYFRAME_EVERY == 0:
            base = view
        assert base is not None
        sizes.append(len(keyframe_of(view) if view is base else delta_of(view, base)) / people)
    deltas = [size for i, size in enumerate(sizes) if i % KEYFRAME_EVERY]
    return sizes[0], float(np.mean(deltas)), float(np.mean(sizes))


def rows_of(people: int) -> list[Row]:
    """All figures at one size."""
    things, none, slots = new_things(1), np.zeros(0, np.int64), np.arange(people)
    scene = a_scene(people, KEYFRAME_EVERY)
    base = view_of(next(scene), things, 0, slots, none, 0)
    avatars = list(scene)[-1]  # nine ticks later: the largest delta of an interval
    now = view_of(avatars, things, 0, slots, none, 9)
    key, delta, naive = keyframe_of(base), delta_of(now, base), naive_bytes(avatars)
    sizes = bytes_per_avatar(people)
    packing, unpacking = cost_us(lambda: naive_bytes(avatars)), cost_us(lambda: msgpack.unpackb(naive))

    def encode(frame: str) -> Sample:
        if frame == "keyframe":
            return cost_us(lambda: keyframe_of(_look(avatars, things, slots)))
        return cost_us(lambda: delta_of(_look(avatars, things, slots), base))

    rows = [
        Row(f"encode {kind}, {people} avatars", "us", encode(kind), packing.median) for kind in ("keyframe", "delta")
    ]
    rows.append(Row(f"decode keyframe, {people} avatars", "us", cost_us(lambda: decode(key, {})), unpacking.median))
    rows.append(
        Row(f"decode delta, {people} avatars", "us", cost_us(lambda: decode(delta, {(0, 0): base})), unpacking.median)
    )
    per = len(naive) / people
    for kind, size in zip(("keyframe", "delta", "mean of an interval"), sizes, strict=True):
        rows.append(Row(f"bytes per avatar, {kind}, {people} avatars", "B", Sample(size, size, size), per))
    return rows


def _look(avatars: AvatarState, things: ThingState, slots: np.ndarray[tuple[int], np.dtype[np.int64]]) -> View:
    return view_of(avatars, things, 0, slots, slots[:0], 9)


def run() -> list[Row]:
    """The section."""
    return [row for people in SIZES for row in rows_of(people)]
