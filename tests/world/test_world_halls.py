"""A hall: cells as the world keeps them, who is near for everybody, and who for one person only."""

from itertools import pairwise

import numpy as np
import pytest
from world_story import ALL, STAFF, Stage, pose, refusals

from server.config import Limits
from server.sim.grid import cell_at, neighbours
from server.sim.poses import POINTING, RAISED, SPEAKING
from server.sim.rotation import pack_rotation
from server.world.commands import Go, Grab, Leave, Offer, Point, Teleport
from server.world.events import Pointed
from server.world.scene import Door, Room, Spawn, ThingSpec
from server.world.world import World

CUP = 1 << 12
HALL = 1


def rooms() -> tuple[Room, ...]:
    hall = Room(
        title="Aula", kind="lecture", size_m=(42.0, 4.0, 23.0), capacity=200, enter=ALL, speak=ALL, grab=ALL,
        moderate=STAFF, present=["clinician"], slug="hall", spawn=[Spawn((x, 0.0)) for x in (-15.0, -13.0, -11.6)],
        door=[Door("side", (0.0, 11.5), 0.0)], thing=[ThingSpec("cup", "Cup", (-15.0, 1.0, 0.3))],
    )  # fmt: skip
    side = Room(
        title="Side", kind="rehab", size_m=(8.0, 3.0, 8.0), capacity=64, enter=ALL, speak=ALL, slug="side",
        present=["clinician"], door=[Door("hall", (0.0, -4.0), 180.0)], spawn=[Spawn((0.0, 0.0))],
    )  # fmt: skip
    return (side, hall)


@pytest.fixture
def stage():
    return Stage(rooms(), Limits(heroes_max=2, own_heroes_max=2))


def speak(stage, *clients, flags=SPEAKING):
    stage.step(rows={client: pose(1, flags=flags) for client in clients})


def near(stage, client, room=HALL):
    return {int(slot) for slot in stage.world.heroes(room)} | set(stage.world.heroes_of(client))


def test_everybody_and_everything_has_a_cell_at_the_end_of_every_tick(stage):
    for client in range(1, 7):
        stage.join(client, "student")
        world = stage.world
        assert (world.avatars.cell[world.avatars.alive] >= 0).all()
        x, z = stage.place(client)
        assert world.cell_of(client) == cell_at(world._t.cells, HALL, x, z) < world.cells(HALL).cells
    assert (world.cells(HALL), world.cells(0).cells) == ((9, 5), 1)
    stage.ask(2, Teleport, *(value + 3_000 for value in stage.place(2)))
    assert world.cell_of(2) == cell_at(world._t.cells, HALL, *stage.place(2))
    assert len(neighbours(world.cells(HALL), world.cell_of(2))) == 9


def test_walking_over_a_border_changes_the_cell_once_and_only_well_beyond_it(stage):
    stage.join(2, "student")
    cells = []
    for tick in range(150):
        stage.step(rows={2: pose(1 + tick, wish_mm_s=(2200 if tick < 75 else -1100, 0))})
        cells.append((stage.place(2)[0], stage.world.cell_of(2)))
    changes = [after for (_, old), after in pairwise(cells) if old != after[1]]
    (there, right), (back, left) = changes
    assert -10_500 < there < -10_400 and -11_600 < back < -11_500, "the border is at x = -11 m"
    assert right == cells[0][1] + 1 and left == cells[0][1]


def test_who_speaks_by_role_is_near_for_all_of_a_hall_until_a_while_after(stage):
    stage.join(1, "clinician")
    stage.join(2, "student")
    assert near(stage, 2) == set()
    speak(stage, 2)
    assert near(stage, 1) == set(), "a student has no right to speak to all unasked"
    speak(stage, 1)
    assert near(stage, 2) == {stage.world.slot_of(1)}
    stage.step(rows={1: pose(2)})
    stage.wait(40)
    assert near(stage, 2) == {stage.world.slot_of(1)}
    stage.wait(25)
    assert near(stage, 2) == set()


def test_who_asks_with_a_raised_hand_is_near_for_all_and_the_number_is_bounded(stage):
    for client in (1, 2, 3, 4):
        stage.join(client, "student")
    speak(stage, 3, flags=SPEAKING | RAISED)
    stage.step(rows={client: pose(2, flags=SPEAKING | RAISED) for client in (1, 2, 3, 4)})
    assert len(near(stage, 4)) == 2 and stage.world.slot_of(3) in near(stage, 4)


def test_in_a_room_of_one_cell_nobody_needs_to_be_a_hero(stage):
    stage.join(1, "clinician", room="side")
    speak(stage, 1)
    assert near(stage, 1, room=0) == set()


def test_who_hands_something_over_is_near_for_the_other_and_for_nobody_else(stage):
    for client in (1, 2, 3):
        stage.join(client, "student")
    stage.go_to(2, -14_300, 900)
    assert refusals(stage.ask(1, Grab, CUP, 1)) == []
    assert refusals(stage.ask(1, Offer, 1, stage.handle(2))) == []
    one, other = stage.world.slot_of(1), stage.world.slot_of(2)
    assert stage.world.heroes_of(1) == (other,) and stage.world.heroes_of(2) == (one,)
    assert stage.world.heroes_of(3) == ()
    stage.wait(10 * 30 + 1)
    assert stage.world.heroes_of(1) == () and stage.world.bonds == 0


def test_bonds_and_heroes_end_when_somebody_leaves(stage):
    for client in (1, 2):
        stage.join(client, "clinician")
    stage.go_to(2, -14_300, 900)
    stage.ask(1, Grab, CUP, 1)
    stage.ask(1, Offer, 1, stage.handle(2))
    speak(stage, 1)
    stage.do(1, Leave("left"))
    assert near(stage, 2) == set()
    stage.join(3, "student")
    assert near(stage, 2) == set(), "a slot that is used again starts as nobody's hero"


def test_who_comes_through_a_door_has_a_cell_of_the_new_room(stage):
    stage.join(1, "student", room="side")
    stage.go_to(1, 0, -3_000)
    assert refusals(stage.ask(1, Go, "hall")) == []
    assert stage.world.cell_of(1) == cell_at(stage.world._t.cells, HALL, *stage.place(1)) > 0


def test_a_hall_is_the_same_after_a_dump(stage):
    for client in (1, 2):
        stage.join(client, "clinician")
    stage.go_to(2, -14_300, 900)
    stage.ask(1, Grab, CUP, 1)
    stage.ask(1, Offer, 1, stage.handle(2))
    speak(stage, 2)
    again = World.load(stage.world.dump(), stage.rooms, stage.limits, stage.tick_hz, stage.seed)
    assert again.digest() == stage.world.digest()
    assert again.heroes_of(1) == stage.world.heroes_of(1) != ()
    np.testing.assert_array_equal(again.heroes(HALL), stage.world.heroes(HALL))


@pytest.mark.parametrize("far", [False, True])
def test_who_is_pointed_at_in_a_hall_is_told_once_near_or_far(stage, far):
    for client in (2, 3):
        stage.join(client, "student")
    if far:
        for _ in range(3):
            stage.ask(3, Teleport, stage.place(3)[0] + 6_000, 0)
            stage.wait(30)
    right = (200, -500, 0)
    row = pose(stage.world.tick, flags=POINTING, right_mm=right, right_rot=pack_rotation([0, -(0.5**0.5), 0, 0.5**0.5]))
    stage.step(rows={2: row})
    events = stage.ask(2, Point, 1)
    told = [event.audience.index for event in events if isinstance(event.body, Pointed)]
    assert sorted(told) == [2, 3]
    assert {e.body.what for e in events if isinstance(e.body, Pointed)} == {"person"}
