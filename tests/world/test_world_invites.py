"""Invites: role, room, expiry, uses; made by staff, used by guests, withdrawn by their makers."""

import pytest
from msgspec.structs import replace
from world_story import Stage, bodies, house, person, refusals

from server.config import Limits
from server.world.commands import MakeInvite, Moderate, Redeem, RevokeInvite, SetInvite
from server.world.events import InviteMade, Redeemed

NOW_S = 1_800_000_000


@pytest.fixture
def stage():
    stage = Stage()
    stage.join(1, "clinician")
    return stage


def use(stage, code="abc", room="hall", now_s=NOW_S, who=50, name="Guest"):
    [event] = stage.do(0, Redeem(7, code, room, name, person(who), now_s))
    assert event.audience[0] == "shard" and event.body.request == 7
    return event.body


def test_an_invite_gives_its_room_and_role_as_often_as_it_says(stage):
    events = stage.ask(1, MakeInvite, "hall", "carer", 2, 600, "abc")
    assert bodies(events, InviteMade, 1)[0].code == "abc"
    assert use(stage) == Redeemed(7, True, "hall", "carer", "Guest", person(50), "abc", "")
    assert use(stage).ok
    assert use(stage).code == "invite-used"


@pytest.mark.parametrize("known", [False, True])
def test_an_invite_ends_in_time_whether_or_not_the_world_knew_the_time_when_it_was_made(stage, known):
    if known:
        use(stage, "no-such", now_s=NOW_S)
    stage.ask(1, MakeInvite, "hall", "patient", 9, 60, "abc")
    stage.wait(30 * 30 - 1)
    assert use(stage, now_s=NOW_S + 30).ok
    assert use(stage, now_s=NOW_S + 58).ok
    assert use(stage, now_s=NOW_S + 95).code == "invite-expired"


def test_an_invite_is_good_for_its_room_only(stage):
    stage.do(0, SetInvite("abc", "hall", "patient", 5, NOW_S + 60))
    assert use(stage, room="clinic").code == "invite-unknown"
    assert use(stage, code="xyz").code == "invite-unknown"
    assert use(stage, name="\n").code == "bad-name"
    assert stage.world.invite("abc").uses == 5


def test_a_withdrawn_invite_is_worthless_even_for_who_redeemed_it_a_moment_ago(stage):
    stage.ask(1, MakeInvite, "hall", "patient", 9, 600, "abc")
    assert use(stage).ok
    assert refusals(stage.ask(1, RevokeInvite, "abc")) == []
    assert use(stage).code == "invite-unknown"
    assert refusals(stage.join(2, "patient", invite="abc")) == ["invite"]


def test_only_the_maker_and_operators_withdraw(stage):
    stage.ask(1, MakeInvite, "hall", "patient", 9, 600, "abc")
    stage.join(2, "clinician")
    stage.join(3, "operator")
    assert refusals(stage.ask(2, RevokeInvite, "abc")) == ["may-not-revoke"]
    assert refusals(stage.ask(2, RevokeInvite, "unknown")) == ["may-not-revoke"], "codes cannot be guessed at"
    assert refusals(stage.ask(3, RevokeInvite, "unknown")) == ["no-such-invite"]
    assert refusals(stage.ask(3, RevokeInvite, "abc")) == []


def test_a_join_with_an_invite_has_its_role_and_room(stage):
    stage.do(0, SetInvite("abc", "hall", "patient", 5, NOW_S + 60))
    assert refusals(stage.join(2, "operator", invite="abc")) == ["invite"]
    assert refusals(stage.join(2, "patient", "side", invite="abc")) == ["invite"]
    assert refusals(stage.join(2, "patient", invite="abc")) == []


@pytest.mark.parametrize(
    ("role", "wanted", "room", "code"),
    [
        ("patient", "patient", "hall", "may-not-invite"),
        ("observer", "observer", "hall", "may-not-invite"),
        ("clinician", "operator", "hall", "may-not-invite"),
        ("clinician", "clinician", "hall", "may-not-invite"),
        ("operator", "patient", "side", "may-not-invite"),
        ("clinician", "patient", "attic", "no-such-room"),
    ],
)
def test_who_may_not_invite_whom(stage, role, wanted, room, code):
    stage.join(5, role)
    assert refusals(stage.ask(5, MakeInvite, room, wanted, 1, 60, "c")) == [code]


def test_an_invite_into_a_room_its_role_may_not_enter_is_refused():
    rooms = tuple(replace(room, enter=["clinician", "student"]) if room.slug == "side" else room for room in house())
    stage = Stage(rooms)
    stage.join(1, "clinician")
    assert refusals(stage.ask(1, MakeInvite, "side", "patient", 1, 60, "c")) == ["may-not-enter"]


def test_the_table_has_a_limit_and_what_is_long_over_makes_place():
    stage = Stage(limits=Limits(invites_max=1))
    stage.join(1, "clinician")
    use(stage, "none")
    stage.ask(1, MakeInvite, "hall", "patient", 1, 60, "a")
    assert refusals(stage.ask(1, MakeInvite, "hall", "patient", 1, 60, "b")) == ["too-many-invites"]
    assert refusals(stage.ask(1, MakeInvite, "hall", "patient", 1, 60, "a")) == ["bad-code"]
    assert refusals(stage.do(0, SetInvite("c", "hall", "patient", 1, NOW_S))) == ["too-many-invites"]
    use(stage, "none", now_s=NOW_S + 400)
    assert refusals(stage.ask(1, MakeInvite, "hall", "patient", 1, 60, "b")) == []
    assert stage.world.invite("a") is None


def test_a_banned_person_redeems_nothing(stage):
    stage.join(2, "patient")
    stage.ask(1, Moderate, stage.handle(2), "ban")
    stage.do(0, SetInvite("abc", "hall", "patient", 5, NOW_S + 60))
    assert use(stage, who=2).code == "banned" and stage.world.invite("abc").uses == 5
