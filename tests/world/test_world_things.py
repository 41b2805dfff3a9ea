"""Things: one owner at a time, one in a hand, and they never get lost."""

import numpy as np
import pytest
from world_story import HALL, SIDE, Stage, bodies, pose, refusals

from server.config import Limits
from server.world.commands import Detach, Go, Grab, Leave, Offer, Release
from server.world.events import Offered, PersonCame, RoomEntered, ThingTaken

CUP, BALL = 1 << 12, 1 << 12 | 1


@pytest.fixture
def stage():
    stage = Stage()
    for client in (1, 2):
        stage.join(client, "clinician")
    return stage


def at(stage, thing):
    return tuple(int(v) for v in stage.world.things.pos_mm[thing & 0xFFF])


def test_a_thing_in_reach_is_taken_and_follows_the_hand(stage):
    events = stage.ask(1, Grab, CUP, 1)
    assert bodies(events, ThingTaken) == [ThingTaken(CUP, stage.handle(1), 1, "Cup", "cup")]
    stage.step(rows={1: pose(1, right_mm=(300, -300, -300), wish_mm_s=(0, -1000))})
    stage.wait(20)
    head, hand = stage.world.avatars.head_mm[0], stage.world.avatars.hand_mm[0, 1]
    assert at(stage, CUP) == tuple(head + hand) and stage.world.things.owner[0] == 0


def test_what_cannot_be_taken(stage):
    assert refusals(stage.ask(1, Grab, 77 << 12, 0)) == ["no-such-thing"]
    assert refusals(stage.ask(1, Grab, 1 << 12 | 900, 0)) == ["no-such-thing"]
    assert refusals(stage.ask(1, Grab, CUP, 0)) == []
    assert refusals(stage.ask(1, Grab, CUP, 1)) == ["held"]
    assert refusals(stage.ask(2, Grab, CUP, 0)) == ["held"]
    assert refusals(stage.ask(1, Grab, BALL, 0)) == ["hand-full"]
    stage.go_to(2, 3000, 3000)
    assert refusals(stage.ask(2, Grab, BALL, 0)) == ["too-far"]
    assert refusals(stage.ask(2, Release, 0)) == ["hand-empty"]
    assert refusals(stage.ask(2, Offer, 0, stage.handle(1))) == ["hand-empty"]


def test_handing_over_needs_an_offer_to_that_person(stage):
    stage.join(3, "clinician")
    stage.ask(1, Grab, CUP, 1)
    assert refusals(stage.ask(1, Offer, 1, stage.handle(1))) == ["no-such-avatar"]
    assert refusals(stage.ask(1, Offer, 1, 12345)) == ["no-such-avatar"]
    events = stage.ask(1, Offer, 1, stage.handle(2))
    assert [(e.audience, e.body) for e in events] == [(("client", 2), Offered(CUP, stage.handle(1)))]
    assert refusals(stage.ask(3, Grab, CUP, 0)) == ["held"]
    assert refusals(stage.ask(2, Grab, CUP, 0)) == []
    assert stage.world.things.owner[0] == stage.world.slot_of(2)
    assert refusals(stage.ask(1, Grab, CUP, 0)) == ["held"], "the offer is used up"


def test_an_offer_to_somebody_far_away_is_refused(stage):
    stage.ask(1, Grab, CUP, 1)
    stage.go_to(2, 3500, 2000)
    assert refusals(stage.ask(1, Offer, 1, stage.handle(2))) == ["too-far"]


def test_an_offer_ends_when_either_leaves(stage):
    stage.ask(1, Grab, CUP, 1)
    stage.ask(1, Offer, 1, stage.handle(2))
    stage.do(2, Leave("left"))
    stage.join(3, "clinician")
    assert stage.world.slot_of(3) == 1, "the newcomer has the slot the offer was for"
    assert refusals(stage.ask(3, Grab, CUP, 0)) == ["held"]


@pytest.mark.parametrize(
    ("hand", "rest"),
    [
        ((0, -500, -740), (3000, 700, -2540)),  # over the table
        ((0, -700, 300), (3000, 5, -1500)),  # over the floor
    ],
)
def test_what_is_put_down_comes_to_rest_below_the_hand(stage, hand, rest):
    stage.ask(1, Grab, CUP, 0)
    stage.go_to(1, 3000, -1800)
    stage.step(rows={1: pose(1, left_mm=hand)})
    stage.wait(10)
    stage.ask(1, Release, 0)
    assert stage.world.things.owner[0] == -1
    assert np.abs(np.array(at(stage, CUP)) - rest).max() <= 5


def test_nothing_is_put_into_or_behind_a_wall(stage):
    stage.ask(1, Grab, CUP, 0)
    stage.go_to(1, -3000, -1600)
    stage.step(rows={1: pose(1, left_mm=(0, -300, -800))})
    stage.wait(10)
    stage.ask(1, Release, 0)
    assert at(stage, CUP) == (-3000, 5, -1600)


def test_leaving_puts_everything_down_and_being_away_does_not(stage):
    stage.ask(1, Grab, CUP, 0)
    stage.ask(1, Grab, BALL, 1)
    stage.do(1, Detach())
    assert list(stage.world.things.owner) == [0, 0]
    events = stage.do(1, Leave("left"))
    assert [taken.owner for taken in bodies(events, ThingTaken)] == [0, 0]
    assert list(stage.world.things.owner) == [-1, -1]


def test_things_go_through_doors_in_hands(stage):
    stage.ask(1, Grab, CUP, 0)
    stage.go_to(1, 0, -4000)
    events = stage.ask(1, Go, "side")
    assert [(e.audience, type(e.body)) for e in events][:3] == [
        (("room", SIDE), PersonCame), (("room", SIDE), ThingTaken), (("client", 1), RoomEntered),
    ]  # fmt: skip
    assert [thing.thing for thing in bodies(events, RoomEntered)[0].things] == [CUP]
    assert list(stage.world.things_in(SIDE)) == [0] and list(stage.world.things_in(HALL)) == [1]
    assert refusals(stage.ask(1, Release, 0)) == [] and stage.world.things.room[0] == SIDE


def test_reach_is_what_the_limits_say():
    stage = Stage(limits=Limits(grab_mm_max=100))
    stage.join(1)
    assert refusals(stage.ask(1, Grab, CUP, 0)) == ["too-far"]
