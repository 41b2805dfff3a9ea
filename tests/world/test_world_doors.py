"""Waiting rooms, admission, locks, moderation."""

import pytest
from world_story import CLINIC, HALL, Stage, bodies, person, pose, refusals

from server.config import Limits
from server.sim.poses import MUTED, SPEAKING
from server.world.commands import Admit, Command, Detach, Go, Leave, Lock, Moderate, Resume, Say
from server.world.events import (
    PersonCame,
    PersonLeft,
    Removed,
    RoomEntered,
    RoomLocked,
    SessionOver,
    WaitingList,
    YouWait,
)


@pytest.fixture
def stage():
    stage = Stage()
    stage.join(1, "clinician", "clinic")
    return stage


def test_a_patient_waits_and_the_clinician_inside_lets_them_in(stage):
    events = stage.join(2, "patient", "clinic")
    assert bodies(events, RoomEntered, 2)[0].room == "hall"
    assert bodies(events, YouWait, 2)[0].room == "clinic"
    [waiting] = bodies(events, WaitingList, 1)
    assert [(row.avatar, row.name, row.role) for row in waiting.waiting] == [(stage.handle(2), "P2", "patient")]
    events = stage.ask(1, Admit, stage.handle(2), True)
    assert bodies(events, YouWait, 2)[0].room == "" and bodies(events, WaitingList, 1)[0].waiting == []
    assert bodies(events, RoomEntered, 2)[0].room == "clinic" and stage.world.room_of(2) == CLINIC


def test_turned_away_one_stays_where_one_is_and_may_ask_again(stage):
    stage.join(2, "carer", "clinic")
    events = stage.ask(1, Admit, stage.handle(2), False)
    assert bodies(events, YouWait, 2)[0].room == "" and stage.world.room_of(2) == HALL
    assert refusals(stage.ask(1, Admit, stage.handle(2), True)) == ["not-waiting"]
    stage.go_to(2, 4500, 0)
    assert bodies(stage.ask(2, Go, "clinic"), YouWait, 2)
    assert refusals(stage.ask(2, Go, "clinic")) == ["already-waiting"]


def test_whoever_need_not_wait_walks_in(stage):
    stage.join(2, "student", "hall")
    stage.go_to(2, 4500, 0)
    assert refusals(stage.ask(2, Go, "clinic")) == [] and stage.world.room_of(2) == CLINIC


@pytest.mark.parametrize("role", ["student", "observer", "patient"])
def test_only_those_who_may_admit_do_and_hear_who_waits(stage, role):
    stage.join(2, role, "clinic")
    stage.ask(1, Admit, stage.handle(2), True)
    events = stage.join(3, "carer", "clinic")
    assert bodies(events, WaitingList, 2) == [] and bodies(events, WaitingList, 1)
    assert refusals(stage.ask(2, Admit, stage.handle(3), True)) == ["may-not-admit"]


def test_waiting_ends_when_one_leaves_or_goes_elsewhere(stage):
    stage.join(2, "patient", "clinic")
    stage.join(3, "patient", "clinic")
    events = stage.do(2, Leave("left"))
    assert [row.name for row in bodies(events, WaitingList, 1)[0].waiting] == ["P3"]
    stage.go_to(3, 0, -3000)
    stage.go_to(3, 0, -4000)
    assert bodies(stage.ask(3, Go, "side"), WaitingList, 1)[0].waiting == []


def test_who_comes_in_to_admit_is_told_who_waits_and_waiting_survives_a_reconnect(stage):
    stage.join(2, "patient", "clinic")
    stage.do(2, Detach())
    events = stage.do(2, Resume(person(2) * 2))
    assert bodies(events, YouWait, 2)[0].room == "clinic"
    events = stage.join(3, "clinician", "clinic")
    assert [row.name for row in bodies(events, RoomEntered, 3)[0].waiting] == ["P2"]


def test_the_waiting_list_has_a_limit():
    stage = Stage(limits=Limits(waiting_max=1))
    stage.join(2, "patient", "clinic")
    assert refusals(stage.join(3, "patient", "clinic")) == ["waiting-full"]


def test_a_full_room_admits_nobody_more(stage):
    for client in (2, 3, 4):
        stage.join(client, "clinician", "clinic")
    stage.join(5, "patient", "clinic")
    assert refusals(stage.ask(1, Admit, stage.handle(5), True)) == ["room-full"]
    assert [row.name for row in bodies(stage.join(6, "patient", "clinic"), WaitingList, 1)[0].waiting] == ["P5", "P6"]


def test_a_locked_room_takes_nobody_new_but_who_was_there_comes_back(stage):
    stage.join(2, "clinician", "clinic")
    events = stage.ask(1, Lock, True)
    assert [(e.audience, e.body) for e in events] == [(("room", CLINIC), RoomLocked(True))]
    assert refusals(stage.join(3, "clinician", "clinic")) == ["room-locked"]
    stage.do(2, Detach())
    assert refusals(stage.do(2, Resume(person(2) * 2))) == []
    stage.ask(1, Lock, False)
    assert refusals(stage.join(3, "clinician", "clinic")) == []


def test_a_lock_ends_with_the_last_one_in_the_room(stage):
    stage.ask(1, Lock, True)
    stage.do(1, Leave("left"))
    assert refusals(stage.join(2, "clinician", "clinic")) == []


# --- moderation ------------------------------------------------------------------------------------------------------


@pytest.fixture
def hall():
    stage = Stage()
    stage.join(1, "operator")
    stage.join(2, "patient")
    stage.join(3, "clinician")
    return stage


def test_muted_means_no_chat_no_speaking_and_everybody_sees_it(hall):
    slot = hall.world.slot_of(2)
    hall.step(rows={2: pose(1, flags=SPEAKING)})
    assert hall.world.avatars.flags[slot] == SPEAKING
    events = hall.ask(1, Moderate, hall.handle(2), "mute", "noise")
    assert bodies(events, PersonCame)[0].who.muted and hall.world.avatars.flags[slot] == MUTED
    hall.step(rows={2: pose(2, flags=SPEAKING)})
    assert hall.world.avatars.flags[slot] == MUTED
    assert refusals(hall.ask(2, Say, "but")) == ["muted"]
    hall.do(2, Leave("left"))
    events = hall.join(9, "patient", person=person(2))
    assert bodies(events, RoomEntered, 9)[0].people[1].muted, "the same person is still muted"
    hall.ask(1, Moderate, hall.handle(9), "unmute")
    hall.step(rows={9: pose(3, flags=SPEAKING)})
    assert hall.world.avatars.flags[slot] == SPEAKING and refusals(hall.ask(9, Say, "thanks")) == []


def test_removed_is_gone_but_may_come_again_banned_may_not(hall):
    events = hall.ask(3, Moderate, hall.handle(2), "remove", "please go")
    assert bodies(events, Removed, 2) == [Removed("remove", "please go")]
    assert bodies(events, SessionOver) == [SessionOver(2, "remove")] and bodies(events, PersonLeft)
    assert refusals(hall.join(4, "patient", person=person(2))) == []
    hall.ask(3, Moderate, hall.handle(4), "ban", "again")
    assert hall.world.banned(person(2))
    assert refusals(hall.join(5, "patient", person=person(2))) == ["banned"]


def test_nobody_moderates_themselves_an_operator_from_below_or_another_room(hall):
    assert refusals(hall.ask(1, Moderate, hall.handle(1), "mute")) == ["not-oneself"]
    assert refusals(hall.ask(3, Moderate, hall.handle(1), "ban")) == ["may-not-moderate"]
    hall.join(4, "patient", "side")
    assert refusals(hall.ask(1, Moderate, hall.handle(4), "ban")) == ["no-such-avatar"]


def test_the_tables_of_bans_and_mutes_have_a_limit():
    stage = Stage(limits=Limits(bans_max=1))
    stage.join(1, "operator")
    for client in (2, 3, 4):
        stage.join(client, "patient")
    assert refusals(stage.ask(1, Moderate, stage.handle(2), "ban")) == []
    assert refusals(stage.ask(1, Moderate, stage.handle(3), "ban")) == ["table-full"]
    assert refusals(stage.ask(1, Moderate, stage.handle(3), "mute")) == []
    assert refusals(stage.ask(1, Moderate, stage.handle(4), "mute")) == ["table-full"]
    assert stage.world.clients() == [1, 3, 4]


def test_what_follows_a_removal_in_the_same_tick_is_refused_not_applied(hall):
    commands = [Command(1, 1, Moderate(1, hall.handle(2), "remove")), Command(2, 1, Say(1, "too late"))]
    assert refusals(hall.step(*commands)) == ["not-here"]
