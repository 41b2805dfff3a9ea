"""Bots: deterministic, inside the wire's ranges, on their feet, and where they meant to go."""

import itertools
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sim.poses import POINTING, POSE, POSE_KIND, RAISED, SPEAKING
from server.sim.rotation import rotation_valid, unpack_rotation
from server.world.scene import BedPlace, Box, Door, PatientSpec, Room, Seat, Spawn, ThingSpec, Wall
from tools.floors import BLOCKED_COST, STEPS, Floors, distances, flow_to, free_cells, make_floor
from tools.manners import NEAR_M, Lying, Manners, Sight, company_of
from tools.minds import DEAD_MM, REACH_M_MAX, Crowd, moved, to_world

EVERYBODY = ["clinician", "student"]


def a_room(slug="ward"):
    return Room(
        title="Ward", kind="ward", size_m=(11.0, 3.0, 8.0), capacity=40, enter=EVERYBODY, speak=EVERYBODY, slug=slug,
        box=[Box("desk", (0.0, 0.0), (2.0, 1.0, 1.0)), Box("cabinet", (3.0, -2.0), (1.0, 2.0, 2.0))],
        wall=[Wall((-2.0, -4.0), (-2.0, 1.0))], spawn=[Spawn((0.0, 3.0))], seat=[Seat((4.0, 3.0))],
        door=[Door("lobby", (5.5, 0.0), 90.0)], thing=[ThingSpec("cup", "cup", (0.5, 1.0, 0.0))],
        bed=[BedPlace("bed-1", (-4.0, -2.5), PatientSpec("Model one", "male", 50, 175, 75))],
    )  # fmt: skip


def a_crowd(count=24, seed=3):
    floors = Floors([make_floor(a_room("a")), make_floor(a_room("b"))])
    rooms = np.arange(count) % 2
    start = np.array([(0.0, 3.0)] * count) + np.linspace(-0.5, 0.5, count)[:, None]
    return Crowd(floors, rooms, start, seed)


def a_day(crowd, manners, ticks=400):
    """Everybody wanders; the rows that would be sent."""
    sent = []
    rooms = crowd.minds.room
    for _ in range(ticks):
        sights = {
            room: Sight({int(b): int(b) for b in np.nonzero(rooms == room)[0]},
                        {int(b): 4096 + int(b) for b in np.nonzero(rooms == room)[0]},
                        [Lying(4096, "cup", -1, (0.5, 0.0))])
            for room in (0, 1)
        }  # fmt: skip
        acts = manners.step(sights)
        crowd.step(0.05)
        rows = crowd.rows()
        sent.append((rows.copy(), crowd.due(rows).copy(), acts))
    return sent


def test_the_same_seed_makes_the_same_day_and_another_seed_another():
    days = []
    for seed in (3, 3, 4):
        crowd = a_crowd(seed=seed)
        days.append(a_day(crowd, Manners(crowd, seed)))
    flat = [b"".join(r.tobytes() + d.tobytes() + repr(a).encode() for r, d, a in day) for day in days]
    assert flat[0] == flat[1]
    assert flat[0] != flat[2]


def test_every_row_is_one_the_server_takes():
    crowd = a_crowd()
    for rows, _, _ in a_day(crowd, Manners(crowd, 5)):
        assert (rows["kind"] == POSE_KIND).all()
        assert (rows["yaw"] < 1024).all()
        assert ((rows["head_y_mm"] > 600) & (rows["head_y_mm"] < 2400)).all()
        assert (np.hypot(*rows["wish_mm_s"].astype(float).T) < 2200).all()
        for side in ("left", "right"):
            assert (np.linalg.norm(rows[f"{side}_mm"].astype(float), axis=1) <= REACH_M_MAX * 1000 + 2).all()
        for name in ("head_rot", "left_rot", "right_rot"):
            assert all(rotation_valid(int(packed)) for packed in rows[name])
        assert not (rows["flags"] & ~np.uint8(SPEAKING | RAISED | POINTING)).any()


def test_motion_is_a_persons_but_for_what_the_tracker_lost():
    crowd = a_crowd()
    rows = [r for r, _, _ in a_day(crowd, Manners(crowd, 6))]
    jumps = []
    for before, now in itertools.pairwise(rows):
        steps = [np.linalg.norm(now[f"{s}_mm"].astype(float) - before[f"{s}_mm"], axis=1) for s in ("left", "right")]
        jumps.append((np.maximum(*steps) > 4000 * 0.05).mean())
        assert (np.abs(now["head_y_mm"].astype(int) - before["head_y_mm"]) < 200).all()
        turn = np.abs((now["yaw"].astype(int) - before["yaw"] + 512) % 1024 - 512)
        assert np.percentile(turn, 95) < 100
    assert np.mean(jumps) < 0.01


def test_who_stands_at_ease_moves_less_than_who_talks():
    paths = []
    for talking in (False, True):
        crowd = a_crowd()
        for _ in range(100):
            crowd.minds.talking[:] = talking
            crowd.step(0.05)
            paths.append(crowd.rows()["left_mm"].astype(float))
    quiet, lively = (np.abs(np.diff(part, axis=0)).sum() for part in (paths[20:100], paths[120:]))
    assert 0 < quiet < 0.6 * lively


def test_a_willed_hand_leaves_the_recording_and_returns():
    crowd = a_crowd(6)
    crowd.minds.raised[:3] = True
    for _ in range(60):
        crowd.step(0.05)
    crowd.minds.yaw[:] = 0.0
    up = crowd.rows()["right_mm"]
    np.testing.assert_allclose(up[:3], [(220, 240, -80)] * 3, atol=15)
    assert (np.abs(up[3:] - np.array((220, 240, -80))).max(axis=1) > 15).any()
    crowd.minds.raised[:] = False
    for _ in range(60):
        crowd.step(0.05)
    assert (crowd.minds.will < 0.01).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 12))
def test_company_is_the_nearest_first_as_an_oracle_says(seed, others, most):
    dice = np.random.default_rng(seed)
    at = dice.uniform(-2, 2, (others + 1, 2))
    found = np.zeros(most, np.int64)
    count = company_of(at, np.arange(others + 1), 0, found)
    gaps = np.linalg.norm(at - at[0], axis=1)
    near = [b for b in np.argsort(gaps, kind="stable").tolist() if b != 0 and gaps[b] < NEAR_M]
    assert found[:count].tolist() == near[:most]


def test_a_day_has_walking_talking_gestures_and_chat_in_it():
    crowd = a_crowd()
    day = a_day(crowd, Manners(crowd, 7), 1500)
    flags = np.bitwise_or.reduce([np.bitwise_or.reduce(r["flags"]) for r, _, _ in day])
    assert flags & SPEAKING
    assert flags & RAISED
    assert np.mean([(r["wish_mm_s"] != 0).any(axis=1).mean() for r, _, _ in day]) > 0.1
    kinds = {act.kind for _, _, acts in day for act in acts}
    assert {"say", "grab"} <= kinds


def test_the_dead_band_saves_messages_but_a_wish_to_walk_is_renewed_in_time():
    crowd = a_crowd()
    day = a_day(crowd, Manners(crowd, 8))
    share = np.mean([len(due) for _, due, _ in day]) / len(crowd)
    assert 0.05 < share < 0.95
    last = np.zeros(len(crowd))
    for tick, (rows, due, _) in enumerate(day, start=1):
        last[due] = tick * 0.05
        walking = (rows["wish_mm_s"] != 0).any(axis=1)
        assert (tick * 0.05 - last[walking] <= 0.36).all()
        assert (tick * 0.05 - last <= 1.06).all()


def test_nothing_is_due_twice_without_moving():
    crowd = a_crowd()
    rows = crowd.rows()
    assert len(crowd.due(rows)) == len(crowd)
    assert len(crowd.due(rows)) == 0
    assert not moved(rows, rows).any()
    rows["left_mm"][3, 1] += DEAD_MM + 1
    rows["yaw"][5] = (int(rows["yaw"][5]) + 1020) % 1024
    rows["flags"][7] ^= SPEAKING
    assert crowd.due(rows).tolist() == [3, 5, 7]


def test_everybody_reaches_any_place_without_walking_through_furniture():
    crowd = a_crowd(40)
    m = crowd.minds
    free = [free_cells(a_room(s)) for s in "ab"]
    for place in range(len(crowd.floors.floors[0].places)):
        m.place[:], m.walking[:] = place, True
        for _ in range(600):
            crowd.step(0.05)
            cell = np.floor((m.at_m - (-5.5, -4.0)) / 0.25).astype(int)
            outside = ~free[0][np.clip(cell[:, 1], 0, 31), np.clip(cell[:, 0], 0, 43)]
            assert outside.mean() < 0.35  # cutting a corner of the clearance, never a detour through a cabinet
        assert not m.walking.any(), f"place {place} was not reached"


def slow_distances(free, goal):
    """Dijkstra one cell at a time, as the oracle."""
    best = {goal: 0.0}
    todo = deque([goal])
    while todo:
        z, x = todo.popleft()
        for dz, dx in STEPS:
            there = (z + dz, x + dx)
            if 0 <= there[0] < free.shape[0] and 0 <= there[1] < free.shape[1]:
                way = best[z, x] + np.hypot(dz, dx) * (1.0 if free[there] else BLOCKED_COST)
                if way < best.get(there, np.inf) - 1e-12:
                    best[there] = way
                    todo.append(there)
    return np.array([[best[z, x] for x in range(free.shape[1])] for z in range(free.shape[0])])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_distances_agree_with_an_oracle_and_the_flow_leads_downhill(seed):
    dice = np.random.default_rng(seed)
    free = dice.random((9, 7)) < 0.7
    goal = (int(dice.integers(9)), int(dice.integers(7)))
    got = distances(free, goal)
    np.testing.assert_allclose(got, slow_distances(free, goal))
    flow = flow_to(free, goal)
    for z in range(9):
        for x in range(7):
            if (z, x) != goal:
                dz, dx = STEPS[flow[z, x]]
                assert got[z + dz, x + dx] < got[z, x]


def test_rotations_turn_as_the_wire_says():
    quarter = np.array([np.pi / 2])
    facing = to_world(np.array([[[0.0, 0.0, -1.0]]]), quarter)[0, 0]
    np.testing.assert_allclose(facing, (-1.0, 0.0, 0.0), atol=1e-12)  # yaw a quarter turn to the left of -z is -x
    crowd = a_crowd()
    before = unpack_rotation(crowd.rows()["head_rot"])
    crowd.minds.yaw[:] += np.pi / 2
    now = unpack_rotation(crowd.rows()["head_rot"])
    apart = 2 * np.arccos(np.clip(np.abs((before * now).sum(axis=1)), 0, 1))
    np.testing.assert_allclose(apart, np.pi / 2, atol=0.02)


def test_an_offer_is_answered_by_reaching_for_the_thing():
    crowd = a_crowd()
    manners = Manners(crowd, 1)
    assert [(a.kind, a.thing, a.hand) for a in manners.offered(2, 4099)] == [("grab", 4099, 1)]
    crowd.minds.holding[2] = True
    assert manners.offered(2, 4099) == []


def test_a_bot_pushed_into_furniture_finds_its_way_out():
    crowd = a_crowd(2)
    m = crowd.minds
    m.at_m[:] = (3.0, -2.0)  # the middle of the cabinet
    m.place[:], m.walking[:] = 0, True
    for _ in range(400):
        crowd.step(0.05)
    assert not m.walking.any()


@pytest.mark.parametrize("dt_s", [1 / 15, 1 / 20])
def test_the_rows_are_the_wires_type(dt_s):
    crowd = a_crowd(3)
    crowd.step(dt_s)
    assert crowd.rows().dtype == POSE
