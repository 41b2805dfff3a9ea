"""Motion: never in a wall, never too fast, the same whatever the order, the same compiled or not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sim import motion
from server.sim.poses import AWAY, MUTED, POINTING, POSE, RAISED, SEATED, SPEAKING, PoseBatch
from server.sim.rotation import coarse
from server.sim.state import IDENTITY, AvatarState, Intents, new_avatars, new_intents, new_things

HZ = 30
RULES = motion.Rules(HZ, 2200, 15, 220, 500, 900, 8000 // HZ, 3000 // HZ)
BOXES = [(-1000, -600, 800, 500), (1500, -3000, 1520, 3000), (-3000, 1800, -1000, 2200), (-2500, -2900, -2000, -2400)]
FLOOR = motion.Floor(
    np.array([[-4000, -3000, 4000, 3000], [-1000, -1000, 1000, 1000]], np.int32),
    np.array([3000, 2000], np.int32),
    np.array([*BOXES, (-100, -100, 100, 100)], np.int32),
    np.array([0, 4, 5], np.int32),
)


def clear(room: int, x: int, z: int) -> bool:
    """The oracle: exact distances, written out."""
    x0, z0, x1, z1 = (int(v) for v in FLOOR.bounds[room])
    if not (x0 + 220 <= x <= x1 - 220 and z0 + 220 <= z <= z1 - 220):
        return False
    rows = FLOOR.boxes[FLOOR.first[room] : FLOOR.first[room + 1]]
    for b in rows:
        near_x, near_z = min(max(x, int(b[0])), int(b[2])), min(max(z, int(b[1])), int(b[3]))
        if (x - near_x) ** 2 + (z - near_z) ** 2 < 220**2:
            return False
    return True


FREE = [(0, x, z) for x in range(-3700, 3701, 370) for z in range(-2700, 2701, 270) if clear(0, x, z)]
FREE += [(1, x, z) for x in (-700, 0, 700) for z in (-700, 700)]


def crowd(places: list[tuple[int, int, int]]) -> tuple[AvatarState, Intents]:
    """Avatars standing at (room, x, z), in slots 0, 2, 4, ..."""
    avatars, intents = new_avatars(2 * len(places) + 1), new_intents(2 * len(places) + 1)
    for number, (room, x, z) in enumerate(places):
        slot = 2 * number
        avatars.alive[slot], avatars.room[slot] = True, room
        avatars.head_mm[slot] = x, 1650, z
        intents.head_y_mm[slot] = 1650
        intents.flags_allowed[slot] = 255
    return avatars, intents


def copied(state):
    return type(state)(*(column.copy() for column in state))


def assert_same(one, two):
    for name, a, b in zip(one._fields, one, two, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


i16 = st.integers(-32768, 32767)
u32 = st.integers(0, 2**32 - 1)
place = st.sampled_from(FREE)


@st.composite
def any_pose(draw) -> np.ndarray:
    """Whatever a decoder can let through."""
    row = np.zeros(1, POSE)
    row["seq"], row["head_rot"] = draw(u32), draw(u32)
    row["left_rot"], row["right_rot"] = draw(u32), draw(u32)
    row["wish_mm_s"] = draw(i16), draw(i16)
    row["yaw"], row["head_y_mm"] = draw(st.integers(0, 65535)), draw(st.integers(0, 65535))
    row["left_mm"] = draw(i16), draw(i16), draw(i16)
    row["right_mm"] = draw(i16), draw(i16), draw(i16)
    row["grips"], row["flags"] = draw(st.integers(0, 255)), draw(st.integers(0, 255))
    return row


def apply(avatars, intents, rows, kernel=motion.apply_poses):
    batch = PoseBatch(np.arange(1, len(rows) + 1, dtype=np.uint32), np.concatenate(rows))
    slots = np.arange(0, 2 * len(rows), 2)
    return kernel(avatars, intents, motion.pose_table(slots, batch), RULES)


worlds = st.lists(st.tuples(place, any_pose()), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(0, 63))
def test_compiled_and_plain_python_agree_bit_for_bit(world, still):
    avatars, intents = crowd([where for where, _ in world])
    avatars.flags[0] = still & (SEATED | AWAY)
    others, wishes = copied(avatars), copied(intents)
    rows = [row for _, row in world]
    assert apply(avatars, intents, rows) == apply(others, wishes, rows, motion.apply_poses.py_func)
    for _ in range(3):
        motion.advance(avatars, intents, FLOOR, RULES)
        motion.advance.py_func(others, wishes, FLOOR, RULES)
    assert_same(avatars, others)
    assert_same(intents, wishes)


@settings(max_examples=120, deadline=None)
@given(worlds, st.integers(1, 60))
def test_nobody_is_ever_in_a_wall_too_fast_or_out_of_reach(world, ticks):
    avatars, intents = crowd([where for where, _ in world])
    apply(avatars, intents, [row for _, row in world])
    alive = avatars.alive
    for _ in range(ticks):
        before = copied(avatars)
        motion.advance(avatars, intents, FLOOR, RULES)
        way = avatars.head_mm[alive].astype(np.int64) - before.head_mm[alive]
        assert (np.hypot(way[:, 0], way[:, 2]) <= 2200 / HZ + math.sqrt(2)).all()
        assert (np.abs(way[:, 1]) <= 3000 // HZ).all()
        for slot in np.flatnonzero(alive):
            assert clear(int(avatars.room[slot]), int(avatars.head_mm[slot, 0]), int(avatars.head_mm[slot, 2]))
        hands = avatars.hand_mm[alive].astype(np.float64)
        assert (np.linalg.norm(hands, axis=2) <= 900).all()
        assert (avatars.head_mm[alive, 1, None] + avatars.hand_mm[alive, :, 1] >= 0).all()
        heights = FLOOR.height[avatars.room[alive]] - motion.CEILING_GAP_MM
        assert (avatars.head_mm[alive, 1] <= np.maximum(heights, before.head_mm[alive, 1])).all()


@settings(max_examples=40, deadline=None)
@given(worlds)
def test_over_time_nobody_exceeds_the_speed_limit_by_more_than_a_millimetre(world):
    avatars, intents = crowd([where for where, _ in world])
    apply(avatars, intents, [row for _, row in world])
    start = avatars.head_mm.copy()
    for _ in range(15):
        motion.advance(avatars, intents, FLOOR, RULES)
    way = avatars.head_mm.astype(np.float64) - start
    assert (np.hypot(way[:, 0], way[:, 2]) <= 2200 * 15 / HZ + 1.5).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(place, any_pose()), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_the_order_in_which_poses_arrive_does_not_matter(world, random):
    avatars, intents = crowd([where for where, _ in world])
    others, wishes = copied(avatars), copied(intents)
    slots, rows = np.arange(0, 2 * len(world), 2), np.concatenate([row for _, row in world])
    order = list(range(len(world)))
    random.shuffle(order)
    clients = np.arange(len(world), dtype=np.uint32)
    motion.apply_poses(avatars, intents, motion.pose_table(slots, PoseBatch(clients, rows)), RULES)
    shuffled = motion.pose_table(slots[order], PoseBatch(clients[order], rows[order]))
    motion.apply_poses(others, wishes, shuffled, RULES)
    motion.advance(avatars, intents, FLOOR, RULES)
    motion.advance(others, wishes, FLOOR, RULES)
    assert_same(avatars, others)


@settings(max_examples=60, deadline=None)
@given(worlds)
def test_others_in_another_room_make_no_difference(world):
    here = [(where, row) for where, row in world if where[0] == 0] or [((0, -3700, -2700), world[0][1])]
    there = [(where, row) for where, row in world if where[0] == 1]
    alone, wishes = crowd([where for where, _ in here])
    together, wants = crowd([where for where, _ in here + there])
    apply(alone, wishes, [row for _, row in here])
    apply(together, wants, [row for _, row in here + there])
    for _ in range(5):
        motion.advance(alone, wishes, FLOOR, RULES)
        motion.advance(together, wants, FLOOR, RULES)
    count = 2 * len(here)
    np.testing.assert_array_equal(alone.head_mm[:count], together.head_mm[:count])


@settings(max_examples=300, deadline=None)
@given(place, st.integers(-9000, 9000), st.integers(-9000, 9000))
def test_no_step_however_long_goes_through_anything(where, dx, dz):
    room, x, z = where
    end_x = motion.sweep(FLOOR, room, 220, 0, x, z, x + dx)
    end_z = motion.sweep(FLOOR, room, 220, 1, z, end_x, z + dz)
    assert clear(room, end_x, end_z)
    for share in range(0, 101, 5):
        assert clear(room, x + (end_x - x) * share // 100, z)
        assert clear(room, end_x, z + (end_z - z) * share // 100)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1), st.integers(-4500, 4500), st.integers(-4500, 4500))
def test_free_floor_is_what_the_oracle_says(room, x, z):
    assert bool(motion.is_free(FLOOR, room, 220, x, z)) == clear(room, x, z)


@given(st.integers(0, 2**40))
def test_the_whole_root_is_the_whole_root(value):
    assert motion.root(value) == math.isqrt(value)


def walk(avatars, intents, ticks):
    for _ in range(ticks):
        motion.advance(avatars, intents, FLOOR, RULES)


def pose(**fields):
    row = np.zeros(1, POSE)
    row["head_y_mm"] = 1650
    row["head_rot"] = row["left_rot"] = row["right_rot"] = IDENTITY
    for name, value in fields.items():
        row[name] = value
    return row


def test_a_wish_is_walked_exactly_and_then_times_out():
    avatars, intents = crowd([(0, -3700, 0)])
    apply(avatars, intents, [pose(wish_mm_s=(1000, 0))])
    walk(avatars, intents, 15)
    assert tuple(avatars.head_mm[0]) == (-3200, 1650, 0)
    walk(avatars, intents, 15)
    assert avatars.head_mm[0, 0] == -3200


def test_walking_against_a_wall_at_an_angle_slides_along_it():
    avatars, intents = crowd([(0, 1200, -2000)])
    apply(avatars, intents, [pose(wish_mm_s=(1000, 1000))])
    walk(avatars, intents, 15)
    assert tuple(avatars.head_mm[0]) == (1280, 1650, -1500)


@pytest.mark.parametrize("flag", [SEATED, AWAY])
def test_who_sits_or_is_away_stays_and_pushes_others_off(flag):
    avatars, intents = crowd([(0, -3000, 0), (0, -2900, 0)])
    avatars.flags[0] = flag
    apply(avatars, intents, [pose(wish_mm_s=(2000, 2000)), pose()])
    walk(avatars, intents, 200)
    assert tuple(avatars.head_mm[0]) == (-3000, 1650, 0)
    assert np.hypot(*(avatars.head_mm[2] - avatars.head_mm[0])[[0, 2]]) >= 480


@pytest.mark.parametrize("count", [2, 3, 9])
def test_a_crowd_on_one_spot_comes_apart(count):
    avatars, intents = crowd([(0, -2600, 0)] * count)
    walk(avatars, intents, 300)
    spots = avatars.head_mm[::2][:count, ::2].astype(np.float64)
    gaps = np.linalg.norm(spots[:, None] - spots[None], axis=2) + np.eye(count) * 1000
    assert gaps.min() > 400


def test_two_who_walk_at_each_other_do_not_share_a_place():
    avatars, intents = crowd([(0, -3700, -1500), (0, -1700, -1500)])
    nearest = 10_000.0
    for _ in range(60):
        apply(avatars, intents, [pose(wish_mm_s=(1400, 0)), pose(wish_mm_s=(-1400, 0))])
        walk(avatars, intents, 1)
        nearest = min(nearest, float(np.hypot(*(avatars.head_mm[2] - avatars.head_mm[0])[[0, 2]])))
    assert nearest > 100


def test_rotations_that_are_none_leave_the_old_one_and_flags_only_what_is_allowed():
    avatars, intents = crowd([(0, -3700, 0)])
    avatars.flags[0] = MUTED
    intents.flags_allowed[0] = RAISED | POINTING
    bad = 1023 << 12
    row = pose(head_rot=bad, left_rot=5 << 2, right_rot=bad, flags=255, yaw=1024 + 7, seq=0x1FF, grips=0xAB)
    assert apply(avatars, intents, [row]) == 1
    assert avatars.head_rot[0] == IDENTITY and list(avatars.hand_rot[0]) == [coarse(5 << 2), IDENTITY]
    assert avatars.flags[0] == MUTED | RAISED | POINTING and not avatars.flags[0] & SPEAKING
    assert (avatars.yaw[0], avatars.ack[0], avatars.grips[0]) == (7, 0xFF, 0xAB)


def test_a_pose_for_nobody_is_skipped():
    avatars, intents = crowd([(0, -3700, 0)])
    before = copied(avatars)
    table = motion.pose_table(np.array([-1]), PoseBatch(np.array([9], np.uint32), pose(yaw=77)))
    assert motion.apply_poses(avatars, intents, table, RULES) == 0
    assert_same(avatars, before)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=9), st.integers(20, 200))
def test_pushes_are_those_of_all_pairs(cells, size):
    spots = np.array([(x * size, 1650, z * size) for x, z in cells], np.int32).reshape(-1, 3)
    push, wanted = np.zeros((len(cells), 2), np.int64), np.zeros((len(cells), 2), np.int64)
    motion.push_room(spots, np.arange(len(cells)), RULES, push)
    for a in range(len(cells)):
        for b in range(a + 1, len(cells)):
            dx, dz = (int(v) for v in (spots[b] - spots[a])[[0, 2]])
            gap = math.isqrt(dx * dx + dz * dz)
            if dx * dx + dz * dz < 500**2:
                strength = 2200 * (500 - gap) // 500
                if (dx, dz) == (0, 0):
                    dx, dz = 1 + (a ^ b) % 3, 1 + (a + b) % 3
                    gap = math.isqrt(dx * dx + dz * dz)
                force = [int(math.copysign(abs(way) * strength // gap, way)) for way in (dx, dz)]
                wanted[a] -= force
                wanted[b] += force
    np.testing.assert_array_equal(push, wanted)
    assert not push.sum(axis=0).any()


def test_hands_travel_at_their_speed_and_arrive():
    avatars, intents = crowd([(0, -3700, 0)])
    apply(avatars, intents, [pose(left_mm=(-600, 0, 0))])
    walk(avatars, intents, 1)
    assert tuple(avatars.hand_mm[0, 0]) == (-264, 0, 0)
    walk(avatars, intents, 2)
    assert tuple(avatars.hand_mm[0, 0]) == (-600, 0, 0)


def test_hands_that_slide_along_the_edge_of_their_reach_never_leave_it():
    dice = np.random.default_rng(1)
    avatars, intents = crowd([(0, -3700, 0)])
    avatars.head_mm[0, 1] = intents.head_y_mm[0] = 1650
    ways = dice.normal(size=(3000, 3))
    edge = np.trunc(ways / np.linalg.norm(ways, axis=1, keepdims=True) * 899.9)
    worst = 0.0
    for start, turn in zip(edge, dice.normal(size=edge.shape) * 160, strict=True):
        end = start + turn
        end = np.trunc(end / np.linalg.norm(end) * 899.9)
        for target in (start, end):
            apply(avatars, intents, [pose(left_mm=target.astype(int))])
            for _ in range(8 if target is start else 1):
                walk(avatars, intents, 1)
                worst = max(worst, float(np.linalg.norm(avatars.hand_mm[0, 0].astype(float))))
    assert 890 < worst <= 900


def test_what_is_held_is_where_the_hand_is_and_nothing_else_moves():
    avatars, intents = crowd([(1, 700, 700)])
    things = new_things(3)
    things.alive[:], things.room[:] = (True, True, False), 0
    things.pos_mm[1] = 1, 2, 3
    things.owner[0], things.hand[0] = 0, 1
    avatars.hand_mm[0, 1], avatars.hand_rot[0, 1] = (10, -20, 30), 99 << 2
    motion.carry(avatars, things)
    assert tuple(things.pos_mm[0]) == (710, 1630, 730) and things.room[0] == 1 and things.rot[0] == 99 << 2
    assert tuple(things.pos_mm[1]) == (1, 2, 3) and things.room[1] == 0
    assert intents.wish_ticks[0] == 0


def test_priming_compiles_what_the_world_calls():
    motion.prime()
    for kernel in (motion.apply_poses, motion.advance, motion.carry, motion.is_free):
        assert kernel.signatures


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_the_first_clear_spot_is_the_next_with_nobody_near(seed):
    dice = np.random.default_rng(seed)
    spots, places = dice.integers(-3_000, 3_000, (12, 2)), dice.integers(-3_000, 3_000, (int(dice.integers(0, 40)), 2))
    start = int(dice.integers(0, 12))
    clear = [n for n in range(12) if all(((spots[n] - place) ** 2).sum() >= 450**2 for place in places)]
    wanted = min(clear, key=lambda n: (n - start) % 12) if clear else start
    assert (
        motion.first_clear(spots, places, start, 450) == wanted == motion.first_clear.py_func(spots, places, start, 450)
    )
