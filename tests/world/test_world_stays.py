"""Joining, being away, coming back, leaving, sitting, jumping, talking."""

import pytest
from world_story import HALL, SIDE, Stage, bodies, person, pose, refusals, secret

from server.config import Limits
from server.sim.poses import AWAY, RAISED, SEATED, SPEAKING
from server.world.commands import Command, Detach, Go, Join, Leave, Moderate, Resume, Say, Sit, Stand, Teleport
from server.world.events import PersonCame, PersonLeft, Refused, RoomEntered, Said, SessionOver


@pytest.fixture
def stage():
    return Stage()


def test_who_comes_in_is_told_everything_and_the_others_are_told_first(stage):
    stage.join(1, "clinician")
    events = stage.join(2, "patient")
    came, entered = events[0], events[1]
    assert came.audience == ("room", HALL) and came.body.who.name == "P2"
    assert entered.audience == ("client", 2)
    told = entered.body
    assert (told.room, told.room_index, told.role, told.locked) == ("hall", HALL, "patient", False)
    assert [who.name for who in told.people] == ["P1", "P2"]
    assert [(thing.name, thing.kind) for thing in told.things] == [("Cup", "cup"), ("Ball", "ball")]
    assert told.avatar == stage.handle(2) and told.rights == ["speak", "grab"]
    assert list(stage.world.members(HALL)) == [0, 1]


def test_newcomers_appear_on_spawn_points_apart_from_each_other(stage):
    for client in (1, 2, 3):
        stage.join(client)
    assert len({stage.place(client) for client in (1, 2, 3)}) == 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"room": "cellar"}, "no-such-room"),
        ({"role": "operator", "room": "side"}, "may-not-enter"),
        ({"name": "\x1b[2J"}, "bad-name"),
        ({"invite": "unheard-of"}, "invite"),
        ({"person": person(1)}, "already-here"),
        ({"resume_hash": secret(1)}, "already-here"),
    ],
)
def test_a_join_that_cannot_be_is_refused_and_changes_nothing(stage, change, code):
    stage.join(1)
    before = stage.world.dump()
    fields = {"name": "P2", "role": "patient", "room": "hall", "person": person(2), "resume_hash": secret(2)} | change
    events = stage.do(2, Join(**fields))
    assert refusals(events) == [code] and events[0].audience == ("client", 2)
    twin = Stage()
    twin.join(1)
    assert before == twin.world.dump()
    twin.step()
    assert stage.world.digest() == twin.world.digest()


def test_the_same_client_does_not_join_twice(stage):
    stage.join(1)
    assert refusals(stage.join(1, person=person(9), resume_hash=secret(9))) == ["already-here"]


def test_a_full_room_and_a_full_house_refuse(stage):
    stage.join(1, "clinician", "side")
    stage.join(2, "clinician", "side")
    assert refusals(stage.join(3, "clinician", "side")) == ["room-full"]
    small = Stage(limits=Limits(avatars_max=1))
    small.join(1)
    assert refusals(small.join(2)) == ["house-full"]


def test_a_slot_used_again_has_another_handle_and_the_old_one_is_dead(stage):
    stage.join(1, "clinician")
    stage.join(2)
    old = stage.handle(2)
    stage.do(2, Leave("left"))
    stage.join(3)
    assert stage.world.slot_of(3) == old & 0xFFF and stage.handle(3) != old
    assert refusals(stage.ask(1, Moderate, old, "mute")) == ["no-such-avatar"]


def test_away_and_back_keeps_seat_pose_and_place(stage):
    stage.join(1)
    stage.go_to(1, -3500, 3500)
    stage.ask(1, Sit, 0)
    stage.step(rows={1: pose(7, yaw=300, grips=0x5A, flags=SPEAKING | RAISED)})
    slot, place = stage.world.slot_of(1), stage.place(1)
    events = stage.do(1, Detach())
    assert bodies(events, PersonCame)[0].who.away
    assert stage.world.avatars.flags[slot] == SEATED | AWAY | RAISED
    assert stage.world.attached() == [] and stage.world.clients() == [1]
    stage.wait(20)
    events = stage.do(1, Resume(secret(1, 2)))
    assert not bodies(events, PersonCame)[0].who.away and bodies(events, RoomEntered, 1)
    assert stage.world.slot_of(1) == slot and stage.place(1) == place
    assert stage.world.avatars.yaw[slot] == 300 and stage.world.avatars.grips[slot] == 0x5A
    assert stage.world.resume_client(secret(1, 2)) == 1 and stage.world.resume_client(secret(1)) is None


def test_who_is_away_does_not_move_and_their_poses_do_not_count(stage):
    stage.join(1)
    stage.step(rows={1: pose(1, wish_mm_s=(1500, 0))})
    stage.do(1, Detach())
    place = stage.place(1)
    for number in range(10):
        stage.step(rows={1: pose(2 + number, wish_mm_s=(1500, 0), yaw=99)})
    assert stage.place(1) == place and stage.world.avatars.yaw[0] != 99


def test_a_seat_is_held_for_so_many_ticks_and_no_longer():
    stage = Stage(limits=Limits(seat_hold_s=1.0))
    stage.join(1)
    stage.do(1, Detach())
    assert bodies(stage.wait(29), SessionOver) == []
    events = stage.step()
    assert bodies(events, SessionOver) == [SessionOver(1, "seat hold over")]
    assert bodies(events, PersonLeft) and stage.world.clients() == []
    assert refusals(stage.do(1, Resume(secret(1, 2)))) == ["seat-gone"]


def test_who_is_away_may_join_anew_and_takes_the_place_of_their_old_self(stage):
    stage.join(1)
    stage.do(1, Detach())
    events = stage.join(2, person=person(1))
    assert refusals(events) == [] and bodies(events, SessionOver) == [SessionOver(1, "joined again")]
    assert stage.world.clients() == [2]


def test_what_is_said_by_nobody_is_refused_and_what_is_said_of_nobody_is_nothing(stage):
    assert refusals(stage.ask(5, Say, "hello")) == ["not-here"]
    assert stage.do(5, Detach()) == [] and stage.do(5, Leave("x")) == []


def test_sitting_takes_one_seat_and_the_eyes_go_down_to_it(stage):
    stage.join(1)
    stage.join(2)
    assert refusals(stage.ask(1, Sit, 1)) == ["too-far"]
    assert refusals(stage.ask(1, Sit, 2)) == ["no-such-seat"]
    assert refusals(stage.ask(1, Stand)) == ["not-seated"]
    for client in (1, 2):
        stage.go_to(client, -3000, 3000)
    assert refusals(stage.ask(1, Sit, 1)) == []
    assert refusals(stage.ask(2, Sit, 1)) == ["seat-taken"]
    assert refusals(stage.ask(1, Sit, 0)) == ["seated"]
    assert stage.place(1) == (-3000, 4000)
    for number in range(60):
        stage.step(rows={1: pose(number, wish_mm_s=(2000, 2000), head_y_mm=1800)})
    assert stage.place(1) == (-3000, 4000) and stage.world.avatars.head_mm[0, 1] == 1000
    assert refusals(stage.ask(1, Teleport, 0, 0)) == ["seated"]
    stage.ask(1, Stand)
    stage.wait(30)
    assert not stage.world.avatars.flags[0] & SEATED and stage.world.avatars.head_mm[0, 1] == 1650


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ((0, -4500), "too-far"),
        ((3000, -2800), "not-free"),
        ((4900, 2000), "not-free"),
        ((6000, 2000), "not-free"),
        ((-3000, -2500), "wall-between"),
    ],
)
def test_a_jump_is_refused_when_too_far_blocked_outside_or_through_a_wall(stage, to, code):
    stage.join(1)
    stage.go_to(1, -2500 if code == "wall-between" else 0, 2000)
    place = stage.place(1)
    assert refusals(stage.ask(1, Teleport, *to)) == [code] and stage.place(1) == place


def test_chat_reaches_the_room_with_a_name_and_has_a_rate(stage):
    stage.join(1)
    events = stage.ask(1, Say, "Good morning")
    assert [(e.audience, e.body) for e in events] == [(("room", HALL), Said(stage.handle(1), "P1", "Good morning"))]
    codes = [refusals(stage.ask(1, Say, "again")) for _ in range(10)]
    assert codes.count([]) == 3 and codes.count(["too-fast"]) == 7
    stage.wait(45)
    assert refusals(stage.ask(1, Say, "calmer now")) == []
    assert refusals(stage.ask(1, Say, "  \n ")) == ["empty"]


def test_who_may_not_speak_neither_chats_nor_shows_as_speaking(stage):
    stage.join(1, "patient", "side")
    assert refusals(stage.ask(1, Say, "hello")) == ["may-not-speak"]
    stage.step(rows={1: pose(1, flags=SPEAKING | RAISED | AWAY | SEATED)})
    assert stage.world.avatars.flags[stage.world.slot_of(1)] == RAISED


def test_through_a_door_with_the_same_identity(stage):
    stage.join(1, "clinician")
    stage.join(2, "patient")
    assert refusals(stage.ask(1, Go, "side")) == ["too-far"]
    assert refusals(stage.ask(1, Go, "attic")) == ["no-such-door"]
    stage.go_to(1, 0, -4000)
    handle = stage.handle(1)
    events = stage.ask(1, Go, "side")
    kinds = [(e.audience, type(e.body)) for e in events]
    assert kinds == [(("room", SIDE), PersonCame), (("client", 1), RoomEntered), (("room", HALL), PersonLeft)]
    assert stage.handle(1) == handle and stage.place(1) == (0, 3300) and stage.world.room_of(1) == SIDE
    assert list(stage.world.members(HALL)) == [1] and list(stage.world.members(SIDE)) == [0]


def test_every_refusal_has_a_code_and_a_sentence_and_the_number_of_what_was_asked(stage):
    stage.join(1)
    [event] = stage.step(Command(1, 41, Sit(41, 9)))
    assert event.audience == ("client", 1)
    assert event.body == Refused(41, "no-such-seat", "seat 9 was named, hall has 2")
