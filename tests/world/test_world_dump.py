"""The whole state as bytes and back, and a house whose rooms changed."""

import msgspec
import pytest
from world_story import Stage, house, person, pose, poses, refusals, secret

from server.config import Limits
from server.twin.orders import Order, to_fhir
from server.world import dump
from server.world.commands import (
    Command,
    Detach,
    EnrolSigned,
    Grab,
    Lock,
    MakeInvite,
    Moderate,
    Offer,
    OrderSigned,
    Recorded,
    Redeem,
    Say,
    Sit,
)
from server.world.scene import Room
from server.world.world import World

NOW_S = 1_800_000_000


def busy():
    """A world in which every table has a row."""
    stage = Stage(house(beds=True))
    stage.join(1, "clinician", "clinic")
    for client, role in ((2, "patient"), (3, "operator"), (4, "carer"), (5, "observer")):
        stage.join(client, role)
    stage.join(6, "patient", "clinic")
    stage.grant(1)
    stage.ask(2, Grab, 1 << 12, 1)
    stage.ask(2, Offer, 1, stage.handle(4))
    stage.go_to(4, -3500, 3500)
    stage.ask(4, Sit, 0)
    stage.ask(3, Moderate, stage.handle(4), "mute", "noise")
    stage.ask(3, Moderate, stage.handle(5), "ban", "trouble")
    stage.ask(3, MakeInvite, "hall", "carer", 3, 600, "code")
    stage.do(0, Redeem(1, "none", "hall", "x", person(50), NOW_S))
    stage.ask(1, Lock, True)
    stage.ask(2, Say, "hello")
    stage.do(3, Detach())
    stage.do(2, EnrolSigned(70, b"k" * 32, b"key"))
    body = to_fhir(Order("fluid", 500.0, 600.0), stage.world.patient_of(0).hex())
    for leaf in (b"a" * 32, b"b" * 32):
        stage.do(1, OrderSigned(71, 0, leaf, b"entry", body, b"blob", b"key"))
    stage.do(0, Recorded(b"a" * 32, 5, b"proof"))
    stage.step(rows={2: pose(3, wish_mm_s=(700, 300), yaw=5)})
    stage.wait(7)
    return stage


def again(stage, rooms=None):
    return World.load(stage.world.dump(), rooms or stage.rooms, stage.limits, stage.tick_hz, stage.seed)


def test_a_loaded_world_is_equal_and_stays_equal():
    stage = busy()
    tables = stage.world._t
    for name in ("residents", "offers", "waiting", "invites", "bans", "mutes", "viewing", "pending", "seen"):
        assert getattr(tables, name), f"the busy world has no {name}"
    loaded = again(stage)
    assert loaded.digest() == stage.world.digest() and loaded.dump() == stage.world.dump()
    assert loaded.pending() == stage.world.pending() and loaded.tick == stage.world.tick
    for number in range(40):
        asked = [Command(2, 100 + number, Say(100 + number, "hi"))] if number % 9 == 0 else []
        rows = {2: pose(10 + number, wish_mm_s=(900, -400))}
        assert loaded.step(asked, poses(rows)) == stage.world.step(asked, poses(rows))
        assert loaded.digest() == stage.world.digest()


def test_rooms_may_have_been_through_the_journal():
    stage = busy()
    rooms = tuple(msgspec.msgpack.decode(msgspec.msgpack.encode(stage.rooms), type=list[Room]))
    assert again(stage, rooms).digest() == stage.world.digest()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: b"\xc1" + data[1:],
        lambda data: data.replace(b"\xa7version\x02", b"\xa7version\x01"),
    ],
)
def test_what_is_no_dump_of_this_version_is_refused(spoil):
    stage = Stage()
    stage.join(1)
    data = spoil(stage.world.dump())
    with pytest.raises(dump.DumpError):
        World.load(data, stage.rooms, stage.limits, stage.tick_hz, stage.seed)


def test_columns_that_do_not_fit_are_refused():
    stage = Stage()
    stage.join(1)
    read = msgspec.msgpack.decode(stage.world.dump())
    read["columns"][3] = read["columns"][3][:-4]
    with pytest.raises(dump.DumpError, match="columns"):
        World.load(msgspec.msgpack.encode(read), stage.rooms, stage.limits, stage.tick_hz, stage.seed)


@pytest.mark.parametrize(
    "other",
    [
        ((house()[1],), Limits(), 30, 7),
        (house(), Limits(avatars_max=9), 30, 7),
        (house(), Limits(), 60, 7),
        (house(), Limits(), 30, 8),
    ],
)
def test_a_dump_of_another_house_is_refused(other):
    with pytest.raises(dump.DumpError, match="other rooms, limits, tick rate or seed"):
        World.load(Stage().world.dump(), *other)


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.avatars.head_mm.__setitem__((0, 0), 1),
        lambda w: w.avatars.grips.__setitem__(0, 3),
        lambda w: w.things.pos_mm.__setitem__((1, 2), 1),
        lambda w: w._t.intents.carry_mm.__setitem__((0, 1), 1),
        lambda w: w._t.generation.__setitem__(0, 2),
        lambda w: w._t.bans.__setitem__(person(1), ""),
        lambda w: w._t.residents[1].__setattr__("chat_due", 5),
        lambda w: w._t.locked.__setitem__(0, True),
    ],
)
def test_the_digest_sees_any_change(change):
    stage, same = Stage(), Stage()
    for each in (stage, same):
        each.join(1)
    assert stage.world.digest() == same.world.digest()
    change(stage.world)
    assert stage.world.digest() != same.world.digest()


def test_seeds_make_different_worlds():
    assert Stage(house(beds=True)).world.digest() == Stage(house(beds=True)).world.digest()
    assert Stage(house(beds=True)).world.digest() != Stage(house(beds=True), seed=8).world.digest()


def test_after_a_change_of_rooms_bans_invites_and_open_entries_go_on():
    stage = busy()
    clinic, hall, _ = house(beds=True)
    stage.do(0, Redeem(1, "none", "hall", "x", person(50), NOW_S))
    rooms = (
        clinic,
        msgspec.structs.replace(hall, capacity=5, door=[door for door in hall.door if door.to != "side"]),
    )
    fresh = Stage(rooms)
    fresh.world.succeed(stage.world)
    assert fresh.world.tick == stage.world.tick and fresh.world.clients() == []
    assert fresh.world.banned(person(5)) and fresh.world.invite("code") is not None
    assert [wanted.leaf for wanted in fresh.world.pending()] == [b"k" * 32, b"b" * 32]
    fresh.step(Command(0, 0, Recorded(b"b" * 32, 6, b"proof")))
    assert refusals(fresh.join(9, resume_hash=secret(9))) == []
    fresh.wait(40)
    assert again(fresh).digest() == fresh.world.digest()
