"""The ward round's plan: everybody gets everywhere the leader may go, and nobody is left behind for good."""

import numpy as np
import pytest

from server.world.scene import BedPlace, Box, Door, PatientSpec, Room, Spawn
from tools.floors import make_floor
from tools.manners import Act
from tools.rounds import Errand, Round, Standing, first_step, stops_in
from tools.wardround import main, party


def room(slug, *doors, beds=0):
    patient = PatientSpec("Model", "male", 50, 175, 75)
    return Room(
        title=slug, kind="ward", size_m=(10.0, 3.0, 10.0), capacity=20, slug=slug,
        enter=["clinician"], speak=["clinician"],
        spawn=[Spawn((0.0, 3.0))], box=[Box("desk", (2.0, 2.0), (1.0, 1.0, 1.0))],
        door=[Door(to, (5.0, -3.0 + 2.0 * i), 90.0) for i, to in enumerate(doors)],
        bed=[BedPlace(f"bed-{i}", (-4.0 + 2.5 * i, -3.5), patient) for i in range(beds)],
    )  # fmt: skip


HOUSE = {r.slug: make_floor(r) for r in (
    room("lobby", "ward", "consult", "theatre"), room("ward", "lobby", beds=4),
    room("consult", "lobby"), room("theatre", "lobby"),
)}  # fmt: skip


def walk(plan, group, shut=(), seconds=600, slow=()):
    """A house in memory: whoever is sent somewhere is there at once (the slow never), doors not in `shut` open."""
    rooms, log = dict.fromkeys(group, "lobby"), []
    place = dict.fromkeys(group, 0)
    for step in range(seconds * 2):
        now_s = step / 2
        seen = {slug: floor for slug, floor in HOUSE.items() if slug in {r for _, r in log} | {"lobby"}}
        standing = {b: Standing(rooms[b], place[b], b in slow, 0.1) for b in group}
        for want in plan.step(now_s, seen, standing):
            if isinstance(want, Errand):
                place[want.bot] = want.place
                log.append((want.bot, rooms[want.bot]))
            elif (want.bot, want.text) in shut:
                plan.refused(want.bot, want.text)
            else:
                assert isinstance(want, Act)
                assert HOUSE[rooms[want.bot]].places[place[want.bot]].name == want.text
                rooms[want.bot], place[want.bot] = want.text, 0
                log.append((want.bot, want.text))
    return rooms, log


def visited(log, bot):
    return {where for who, where in log if who == bot}


def test_the_group_sees_every_room_and_stays_together():
    _, log = walk(Round(1), (0, 1, 2, 3))
    for bot in range(4):
        assert visited(log, bot) == set(HOUSE)


def test_a_follower_who_may_not_enter_waits_and_joins_again():
    _, log = walk(Round(1), (0, 1), shut={(1, "theatre")}, seconds=900)
    assert visited(log, 0) == set(HOUSE)
    assert visited(log, 1) == set(HOUSE) - {"theatre"}
    back = [i for i, (who, where) in enumerate(log) if who == 0 and where == "theatre"][-1]
    assert any(who == 1 and where != "lobby" for who, where in log[back:])


def test_a_leader_refused_at_a_door_goes_elsewhere():
    _, log = walk(Round(1), (0, 1), shut={(0, "theatre"), (1, "theatre")})
    assert visited(log, 0) == set(HOUSE) - {"theatre"}


def test_somebody_slow_does_not_hold_the_round_for_ever():
    _, log = walk(Round(1), (0, 1, 2), slow=(1, 2))
    assert visited(log, 0) == set(HOUSE)


def test_a_ward_is_a_stop_at_each_bed_and_a_hall_one_or_two():
    dice = np.random.default_rng(1)
    assert [HOUSE["ward"].places[i].name for i in stops_in(HOUSE["ward"], dice)] == ["bed-0", "bed-1", "bed-2", "bed-3"]
    assert 1 <= len(stops_in(HOUSE["lobby"], dice)) <= 2


def test_the_way_through_known_doors_is_the_shortest():
    doors = {"a": ("b", "c"), "b": ("d",), "c": ("b",), "d": ("e",)}
    assert first_step(doors, "a", "e") == "b"
    assert first_step(doors, "a", "a") == ""
    assert first_step(doors, "e", "a") == ""


def test_the_party_has_distinct_marked_names_and_several_roles():
    members = party(20)
    assert len({m.name for m in members}) == 20
    assert all("(bot)" in m.name and len(m.name) <= 40 for m in members)
    assert {m.role for m in members[:6]} == {"clinician", "carer", "student"}


@pytest.mark.parametrize("words", [["--bots", "6"], ["--data", "x", "--bots", "51"], ["--data", "x", "--nonsense"]])
def test_what_cannot_be_meant_is_one_line_and_status_2(words, capsys):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("wardround: ") and err.count("\n") == 1
