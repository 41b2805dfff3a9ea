"""What rooms do together: the round reaches every bed, an audience sits and listens, rooms of a scene are loadable."""

import tomllib

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.config import Limits
from server.world.rooms import check
from server.world.scene import Room
from tools.floors import Floors, make_floor
from tools.manners import Manners, Sight
from tools.minds import Crowd
from tools.scenes import HABITS, Director
from tools.swarm_rooms import RoomPlan, plan_rooms, room_text, seated_in, side_m

DT_S = 0.1


def made(plans):
    """The rooms of some plans as the server reads them."""
    texts = [
        room_text(plan, plans[(i + 1) % len(plans)].slug if len(plans) > 1 else "") for i, plan in enumerate(plans)
    ]
    return [msgspec.convert(tomllib.loads(t) | {"slug": p.slug}, Room) for t, p in zip(texts, plans, strict=True)]


class Play:
    """A room's bots without a server: they are believed to be where they walk, and who sits down sits."""

    def __init__(self, plan, count):
        (self.room,) = made([plan])
        self.crowd = Crowd(Floors([make_floor(self.room)]), np.zeros(count, np.int64), np.zeros((count, 2)), 1)
        self.manners = Manners(self.crowd, 1, HABITS[plan.scene])
        self.director = Director(self.manners, 1)
        self.sight = {0: Sight({b: b for b in range(count)}, {b: 4096 + b for b in range(count)}, [])}
        self.acts, self.talked, self.raised = [], [], set()

    def go_on(self, seconds):
        m = self.crowd.minds
        for _ in range(round(seconds / DT_S)):
            self.acts += self.manners.step(self.sight) + self.director.step({0: self.room}, self.sight)
            for act in self.acts:
                if act.kind == "sit":
                    m.seated[act.bot], m.walking[act.bot] = True, False
            self.crowd.step(DT_S)
            self.talked.append(m.talking.copy())
            self.raised |= set(np.flatnonzero(m.raised).tolist())


def test_a_ward_round_stands_at_every_bed_in_turn():
    play = Play(RoomPlan("w", "ward", 12, 3), 12)
    at_bed = set()
    beds = [i for i, place in enumerate(play.crowd.floors.floors[0].places) if place.kind == "bed"]
    for _ in range(60):
        play.go_on(1.0)
        m = play.crowd.minds
        at_bed |= {bed for bed in beds if ((m.place == bed) & ~m.walking).sum() >= 5}
    assert at_bed == set(beds) and len(beds) == 2


def test_an_audience_sits_down_one_speaks_and_who_asks_gets_the_word():
    play = Play(RoomPlan("l", "lecture", 80, 0), 60)
    play.go_on(60.0)
    sits = [act for act in play.acts if act.kind == "sit"]
    assert len({act.to for act in sits}) == len({act.bot for act in sits}) == 59
    talked = np.array(play.talked)
    assert talked[:, 0].mean() > 0.4  # the presenter, more than anybody else
    assert talked[:, 1:].any() and talked[:, 1:].mean(axis=0).max() < talked[:, 0].mean()
    assert play.raised and 0 not in play.raised
    assert talked.sum(axis=1).max() <= 2


def test_a_consultation_talks_in_turns_and_stays():
    play = Play(RoomPlan("c", "consult", 4, 0), 4)
    play.go_on(40.0)
    talked = np.array(play.talked)
    assert (talked.sum(axis=1) <= 3).all() and talked.any(axis=0).sum() >= 2


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["ward", "hall", "lecture", "consult", "mixed"]), st.integers(2, 1500), st.integers(0, 4))
def test_every_scene_has_a_place_for_every_bot_in_rooms_the_server_takes(scene, bots, beds):
    plans = plan_rooms(scene, bots, 0, beds)
    slugs = seated_in(plans, bots)
    for plan in plans:
        assert sum(slug == plan.slug for slug in slugs) <= plan.people + 4
    kinds = {plan.scene: plan for plan in plans}
    rooms = made(list(kinds.values()))
    limits = Limits(avatars_max=2048, rooms_max=256, things_max=1024)
    assert [problem.text for problem in check(rooms, limits)] == []


@pytest.mark.parametrize(("people", "side"), [(1, 8.0), (20, 10.5), (1000, 58.0), (4000, 64.0)])
def test_rooms_grow_with_their_people(people, side):
    assert side_m(people) == pytest.approx(side, abs=0.6)
