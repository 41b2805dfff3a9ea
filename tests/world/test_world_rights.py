"""The table of rights, walked: every role and every right, through real commands."""

import pytest
from msgspec.structs import replace
from world_story import ALL, Stage, bodies, house, refusals

from server.world.commands import ROLES, Admit, Go, Grab, Lock, MakeInvite, Moderate, Offer, Say
from server.world.events import RoomEntered, Said
from server.world.policy import RIGHTS, SHOWN_RIGHTS, TABLE, granted, may, must_wait, rights_of, who_may

LISTS = ("enter", "speak", "see_twin", "order", "grab", "moderate")


def everything_granted():
    """The house with every list of every room as wide as the table allows."""
    wide = {right: [role for role in ROLES if right in TABLE[role]] for right in LISTS}
    return tuple(
        replace(room, **wide, admit_free=["clinician", "operator"] if room.waiting_room else [], capacity=20)
        for room in house(beds=True)
    )


def nothing_granted():
    """The same, but one may only come in."""
    return tuple(
        replace(room, **{right: [] for right in LISTS if right != "enter"}, waiting_room="", admit_free=[])
        for room in everything_granted()
    )


def attempt(stage: Stage, right: str, asker: int, other: int) -> list[str]:
    """Use a right for real; the codes of what was refused."""
    match right:
        case "speak":
            return refusals(stage.ask(asker, Say, "hello"))
        case "grab":
            return refusals(stage.ask(asker, Grab, 1 << 12, 0))
        case "moderate":
            return refusals(stage.ask(asker, Moderate, stage.handle(other), "mute"))
        case "invite":
            return refusals(stage.ask(asker, MakeInvite, "hall", "patient", 1, 60, "code"))
        case _:
            raise AssertionError(right)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("right", ["speak", "grab", "moderate", "invite"])
def test_a_command_is_taken_exactly_from_those_who_have_the_right(role, right):
    for rooms, wide in ((everything_granted(), True), (nothing_granted(), False)):
        stage = Stage(rooms)
        stage.join(1, role)
        stage.join(2, "patient")
        wanted = right in TABLE[role] and (wide or right == "invite")
        assert may(role, right, rooms[1]) is wanted
        assert attempt(stage, right, 1, 2) == ([] if wanted else [f"may-not-{right}"])


@pytest.mark.parametrize("role", ROLES)
def test_lock_is_moderation_and_offer_is_grabbing(role):
    stage = Stage(everything_granted())
    stage.join(1, role)
    assert refusals(stage.ask(1, Lock, True)) == ([] if "moderate" in TABLE[role] else ["may-not-moderate"])
    bare = Stage(nothing_granted())
    bare.join(1, role)
    bare.join(2, "patient")
    assert refusals(bare.ask(1, Offer, 0, bare.handle(2))) == ["may-not-grab"]


@pytest.mark.parametrize("role", ROLES)
def test_entering_needs_the_right_at_the_door_and_at_the_join(role):
    shut = tuple(replace(room, enter=[r for r in ALL if r != role]) if room.slug == "side" else room
                 for room in everything_granted())  # fmt: skip
    stage = Stage(shut)
    assert refusals(stage.join(1, role, "side")) == ["may-not-enter"]
    stage.join(1, role)
    stage.go_to(1, 0, -3000)
    stage.go_to(1, 0, -4000)
    assert refusals(stage.ask(1, Go, "side")) == ["may-not-enter"]
    assert bodies(stage.events, RoomEntered) == [] and stage.world.room_of(1) == 1


@pytest.mark.parametrize("role", ROLES)
def test_admitting_needs_the_right_and_a_free_way_in(role):
    rooms = tuple(replace(room, admit_free=ALL) if room.slug == "clinic" else room for room in everything_granted())
    stage = Stage(rooms)
    stage.join(1, role, "clinic")
    code = "not-waiting" if "admit" in TABLE[role] else "may-not-admit"
    assert refusals(stage.ask(1, Admit, 4096, True)) == [code]


@pytest.mark.parametrize("role", ROLES)
def test_what_a_client_is_told_it_may_do_is_what_it_may_do(role):
    for rooms in (everything_granted(), nothing_granted(), house(beds=True)):
        for index, room in enumerate(rooms):
            stage = Stage(rooms)
            if refusals(stage.join(1, role, room.slug)) or must_wait(role, room):
                continue
            told = bodies(stage.events, RoomEntered, 1)[0].rights
            assert told == rights_of(role, room) == [right for right in SHOWN_RIGHTS if stage.world.may(1, right)]
            assert stage.world.room_of(1) == index


@pytest.mark.parametrize("right", RIGHTS)
def test_a_room_narrows_and_never_widens(right):
    for role in ROLES:
        for room in (*everything_granted(), *nothing_granted(), *house()):
            assert not may(role, right, room) or (right in TABLE[role] and role in granted(room, right))
        room = replace(house()[1], **dict.fromkeys(LISTS, ALL))
        assert may(role, right, room) is (right in TABLE[role])
        assert (role in who_may(right, room).split(", ")) is (right in TABLE[role])


def test_somebody_who_is_not_here_may_nothing():
    stage = Stage()
    assert not any(stage.world.may(1, right) for right in RIGHTS)


def test_chat_is_heard_in_the_room_it_was_said_in():
    stage = Stage()
    stage.join(1, "clinician", "side")
    assert [event.audience for event in stage.ask(1, Say, "x") if isinstance(event.body, Said)] == [("room", 2)]
