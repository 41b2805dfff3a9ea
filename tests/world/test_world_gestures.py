"""Reaching, pointing and touching, judged at the time the person saw."""

import numpy as np
import pytest
from world_story import HALL, Stage, bodies, house, pose, refusals

from server.config import Limits
from server.sim.poses import POINTING
from server.sim.rotation import pack_rotation
from server.world.commands import Go, Grab, Leave, Offer, Point, Touch
from server.world.events import Pointed, ThingTaken, Touched
from server.world.gestures import direction
from server.world.world import World

CUP, BALL = 1 << 12, 1 << 12 | 1
RIGHT = 1


@pytest.fixture
def stage():
    stage = Stage(house(beds=True), Limits(avatars_max=8))
    for client in (1, 2):
        stage.join(client, "clinician")
    return stage


def turned(axis, angle):
    """A packed rotation about an axis."""
    return int(pack_rotation([*(np.array(axis) * np.sin(angle / 2)), np.cos(angle / 2)]))


def points(stage, client, target=None, rotation=None, ticks=1):
    """The client's right hand, held before the chest, points at a place of the room."""
    if target is not None:
        slot = stage.world.slot_of(client)
        hand = stage.world.avatars.head_mm[slot] + (200, -500, -100)
        way = np.array(target, float) - hand
        way /= np.linalg.norm(way)
        axis = np.cross((0, 0, -1.0), way)
        length = np.linalg.norm(axis)
        rotation = turned(axis / length, np.arctan2(length, -way[2])) if length > 1e-9 else turned((0, 1, 0), 0.0)
    row = pose(stage.world.tick, flags=POINTING, right_mm=(200, -500, -100), right_rot=rotation)
    for _ in range(ticks):
        stage.step(rows={client: row})


def walk(stage, client, wish, ticks):
    """Walk for some ticks; the tick before the first of them is returned."""
    before = stage.world.tick
    for _ in range(ticks):
        stage.step(rows={client: pose(stage.world.tick, wish_mm_s=wish)})
    return before


def test_a_hand_over_counts_where_the_giver_was_seen(stage):
    stage.ask(1, Grab, CUP, RIGHT)
    stage.ask(1, Offer, RIGHT, stage.handle(2))
    seen = walk(stage, 1, (-2200, 0), 20)
    assert refusals(stage.ask(2, Grab, CUP, RIGHT)) == ["too-far"], "now they are far apart"
    assert refusals(stage.ask(2, Grab, CUP, RIGHT, seen)) == []


def test_an_offer_counts_where_the_other_was_seen(stage):
    stage.ask(1, Grab, CUP, RIGHT)
    seen = walk(stage, 2, (2200, 0), 25)
    assert refusals(stage.ask(1, Offer, RIGHT, stage.handle(2))) == ["too-far"]
    assert refusals(stage.ask(1, Offer, RIGHT, stage.handle(2), seen)) == []


def test_nothing_older_than_a_second_counts_and_the_future_is_now(stage):
    stage.ask(1, Grab, CUP, RIGHT)
    seen = walk(stage, 2, (2200, 0), 28)
    stage.wait(40)
    for claimed in (seen, 1, stage.world.tick + 50, 0xFFFFFFFF, 0):
        assert refusals(stage.ask(1, Offer, RIGHT, stage.handle(2), claimed)) == ["too-far"]


def test_a_thing_is_grabbed_where_it_was_seen_to_lie_but_has_one_owner(stage):
    stage.go_to(2, -900, 1_800)
    assert refusals(stage.ask(2, Grab, BALL, RIGHT)) == []
    seen = stage.world.tick
    stage.wait(2)
    assert refusals(stage.ask(1, Grab, BALL, RIGHT, seen)) == ["held"]


def test_who_was_not_here_yet_is_judged_where_they_are_now(stage):
    stage.ask(1, Grab, CUP, RIGHT)
    seen = stage.world.tick
    stage.do(2, Leave("left"))
    stage.join(3, "clinician")
    assert stage.world.slot_of(3) == 1, "the same slot, another person"
    stage.go_to(3, 3_000, 3_500)
    assert refusals(stage.ask(1, Offer, RIGHT, stage.handle(3), seen)) == ["too-far"]


def test_the_direction_of_a_hand_is_its_minus_z():
    np.testing.assert_allclose(direction(turned((0, 1, 0), 0.0)), (0, 0, -1), atol=4e-3)
    np.testing.assert_allclose(direction(turned((0, 1, 0), np.pi / 2)), (-1, 0, 0), atol=4e-3)
    np.testing.assert_allclose(direction(turned((1, 0, 0), np.pi / 2)), (0, 1, 0), atol=4e-3)


def test_pointing_finds_the_nearest_in_the_way(stage):
    head = stage.world.avatars.head_mm[stage.world.slot_of(2)]
    points(stage, 1, head)
    events = stage.ask(1, Point, RIGHT)
    assert bodies(events, Pointed) == [Pointed(stage.handle(1), RIGHT, "person", stage.handle(2))]
    points(stage, 1, stage.world.things.pos_mm[BALL & 0xFFF])
    (pointed,) = bodies(stage.ask(1, Point, RIGHT), Pointed)
    assert (pointed.what, pointed.target) == ("thing", BALL)
    points(stage, 1, rotation=turned((1, 0, 0), np.pi / 2))
    (pointed,) = bodies(stage.ask(1, Point, RIGHT), Pointed)
    assert (pointed.what, pointed.target) == ("nothing", 0)


def test_pointing_at_somebody_who_walks_counts_where_they_were_seen(stage):
    head = stage.world.avatars.head_mm[stage.world.slot_of(2)].copy()
    seen = walk(stage, 2, (2200, 0), 20)
    points(stage, 1, head)
    (pointed,) = bodies(stage.ask(1, Point, RIGHT), Pointed)
    assert pointed.target != stage.handle(2)
    (pointed,) = bodies(stage.ask(1, Point, RIGHT, seen), Pointed)
    assert pointed.target == stage.handle(2)


def test_nobody_points_through_an_inner_wall(stage):
    stage.go_to(1, -3_000, -1_000)
    stage.go_to(2, -1_000, -1_000)
    stage.go_to(2, -1_000, -3_000)
    stage.go_to(2, -3_000, -3_000)
    points(stage, 1, stage.world.avatars.head_mm[stage.world.slot_of(2)])
    (pointed,) = bodies(stage.ask(1, Point, RIGHT), Pointed)
    assert pointed.what == "nothing"


def test_only_a_hand_that_points_is_asked_and_not_too_often(stage):
    assert refusals(stage.ask(1, Point, RIGHT)) == ["not-pointing"]
    points(stage, 1, rotation=turned((1, 0, 0), np.pi / 2))
    codes = [code for _ in range(20) for code in refusals(stage.ask(1, Point, RIGHT))]
    assert codes and set(codes) == {"too-fast"}
    stage.wait(60)
    assert refusals(stage.ask(1, Point, RIGHT)) == []


def test_a_bed_is_pointed_at_and_touched(stage):
    stage.join(3, "clinician", room="clinic")
    points(stage, 3, (2_000, 750, -2_000))
    (pointed,) = bodies(stage.ask(3, Point, RIGHT), Pointed)
    assert (pointed.what, pointed.target) == ("bed", 0)
    assert refusals(stage.ask(3, Touch, RIGHT, "bed", 0)) == ["too-far"]
    stage.go_to(3, 1_200, -2_000)
    points(stage, 3, (2_000, 750, -2_000))
    (touched,) = bodies(stage.ask(3, Touch, RIGHT, "bed", 0), Touched)
    assert touched == Touched(stage.handle(3), RIGHT, "bed", 0)
    assert refusals(stage.ask(3, Touch, RIGHT, "bed", 1)) == ["no-such-target"]


def test_touching_needs_a_hand_at_the_body_where_it_was_seen(stage):
    target = stage.handle(2)
    stage.go_to(1, 500, 2_000)
    reach = pose(stage.world.tick, right_mm=(450, -450, 0))
    for _ in range(5):
        stage.step(rows={1: reach})
    events = stage.ask(1, Touch, RIGHT, "person", target)
    assert bodies(events, Touched) == [Touched(stage.handle(1), RIGHT, "person", target)]
    seen = walk(stage, 2, (2200, 0), 15)
    assert refusals(stage.ask(1, Touch, RIGHT, "person", target)) == ["too-far"]
    assert refusals(stage.ask(1, Touch, RIGHT, "person", target, seen)) == []
    assert refusals(stage.ask(1, Touch, RIGHT, "person", stage.handle(1))) == ["no-such-target"]
    assert refusals(stage.ask(1, Touch, RIGHT, "thing", 77 << 12)) == ["no-such-target"]


def test_what_is_remembered_survives_a_dump(stage):
    stage.ask(1, Grab, CUP, RIGHT)
    seen = walk(stage, 2, (2200, 0), 25)
    again = World.load(stage.world.dump(), stage.rooms, stage.limits, stage.tick_hz, stage.seed)
    assert again.digest() == stage.world.digest()
    stage.world = again
    assert refusals(stage.ask(1, Offer, RIGHT, stage.handle(2), seen)) == []


def test_who_comes_from_another_room_takes_nothing_of_it_along(stage):
    stage.ask(1, Grab, CUP, RIGHT)
    stage.go_to(2, 0, 0)
    stage.go_to(2, 0, -4_000)
    assert refusals(stage.ask(2, Go, "side")) == []
    seen = stage.world.tick
    stage.wait(3)
    assert refusals(stage.ask(1, Offer, RIGHT, stage.handle(2), seen)) == ["no-such-avatar"]
    assert bodies(stage.events, ThingTaken) == [] and stage.world.room_of(1) == HALL
