"""What it costs to move everybody by one tick: the motion kernels alone.

Owns a floor with tables and walls to bump into.
"""

import numpy as np

from server.config import Limits
from server.sim.motion import Floor, Rules, advance, apply_poses, pose_table
from server.sim.poses import PoseBatch
from server.sim.state import AvatarState, Intents, new_avatars, new_intents
from tools.bench_codec import a_crowd, put
from tools.bench_timing import Row, cost_us

SIZES = (10, 100, 1000)
ROOM_PEOPLE = 20
TITLE = "Motion (rooms of 20 with 12 boxes each; poses of everybody, then a tick)"
TICK_HZ = 30


def rules() -> Rules:
    """As a shard has them by default."""
    limits = Limits()
    return Rules(
        TICK_HZ, limits.speed_mm_s_max, int(limits.wish_timeout_s * TICK_HZ), limits.body_radius_mm,
        limits.personal_space_mm, limits.reach_mm_max, limits.hand_speed_mm_s_max // TICK_HZ, 100,
    )  # fmt: skip


def a_floor(rooms: int) -> Floor:
    """Rooms of 12 x 12 m with twelve boxes each."""
    dice = np.random.Generator(np.random.PCG64(1))
    low = dice.integers(-5500, 4500, (rooms * 12, 2))
    boxes = np.concatenate([low, low + dice.integers(300, 1200, (rooms * 12, 2))], axis=1)
    bounds = np.tile(np.array([[-6000, -6000, 6000, 6000]]), (rooms, 1))
    return Floor(bounds.astype(np.int32), np.full(rooms, 3000, np.int32), boxes.astype(np.int32),
                 (np.arange(rooms + 1) * 12).astype(np.int32))  # fmt: skip


def people(count: int) -> tuple[AvatarState, Intents, PoseBatch]:
    """Avatars spread over rooms, and a pose of each."""
    crowd, _ = a_crowd(count)
    crowd.minds.walking[:] = True
    for _ in range(20):
        crowd.step(0.05)
    avatars, intents = new_avatars(count), new_intents(count)
    put(crowd, avatars, 1)
    avatars.room[:] = np.arange(count) // ROOM_PEOPLE
    avatars.head_mm[:, [0, 2]] %= 11_000
    avatars.head_mm[:, [0, 2]] -= 5_500
    rows = crowd.rows()
    rows["seq"] = 1
    return avatars, intents, PoseBatch(np.arange(count, dtype=np.uint32), rows)


def rows_of(count: int) -> list[Row]:
    """Both kernels at one size."""
    rule = rules()
    avatars, intents, batch = people(count)
    floor, slots = a_floor(-(-count // ROOM_PEOPLE)), np.arange(count)

    def poses() -> None:
        apply_poses(avatars, intents, pose_table(slots, batch), rule)

    def move() -> None:
        intents.wish_ticks[:] = rule.wish_ticks
        advance(avatars, intents, floor, rule)

    return [
        Row(f"apply poses, {count} avatars", "us", cost_us(poses)),
        Row(f"advance, {count} avatars", "us", cost_us(move)),
    ]


def run() -> list[Row]:
    """The section."""
    return [row for count in SIZES for row in rows_of(count)]
