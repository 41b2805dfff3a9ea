"""Who sees which cells, recomputed only for those for whom it may have changed."""

import numpy as np
import pytest

from server.config import Limits
from server.looks import Looks
from server.net.compose import Look
from server.sim.grid import FAR, HERO_CELL, neighbours
from server.sim.poses import NO_POSES
from server.world.commands import Command, Grab, Join, Offer, Teleport
from server.world.scene import Room, Spawn, ThingSpec
from server.world.world import World

HALL, SIDE = 0, 1


def a_room(slug: str, side_m: float, capacity: int, *spawns: tuple[float, float]) -> Room:
    cup = ThingSpec("cup", "Cup", (0.0, 1.0, 0.0) if side_m < 20 else (-14.0, 1.0, -14.4))
    return Room(
        title=slug, kind="lecture", size_m=(side_m, 4.0, side_m), capacity=capacity, enter=["student"],
        speak=["student"], grab=["student"], slug=slug, spawn=[Spawn(at) for at in spawns], thing=[cup],
    )  # fmt: skip


@pytest.fixture
def world() -> World:
    rooms = (a_room("hall", 30.0, 200, (-14.0, -14.0), (-13.0, -14.0)), a_room("side", 8.0, 20, (0.0, 0.0)))
    made = World(rooms, Limits(), 30, 1)
    made.step([join(1, "hall"), join(2, "hall"), join(3, "side")], NO_POSES)
    return made


def join(client: int, room: str) -> Command:
    return Command(client, 0, Join(f"P{client}", "student", room, bytes([client]) * 16, bytes([client]) * 32))


def jump(world: World, client: int, x_m: float, z_m: float) -> None:
    """Go there in as many steps as it takes."""
    for _ in range(20):
        x, _, z = world.avatars.head_mm[world.slot_of(client)]
        way = np.array([x_m * 1000 - x, z_m * 1000 - z])
        step = way * min(1.0, 5500 / max(1.0, float(np.linalg.norm(way))))
        there = (int(x + step[0]), int(z + step[1]))
        world.step([Command(client, 1, Teleport(1, *there))], NO_POSES)


def test_one_sees_the_cells_around_the_speakers_and_all_from_far_and_a_small_room_whole(world: World) -> None:
    looks = Looks()
    assert looks.enter(world, 1) == Look(HALL, 0, (0, 1, 6, 7, HERO_CELL, FAR))
    assert looks.enter(world, 3) == Look(SIDE, 0, (0,))


def test_only_who_went_to_another_cell_sees_something_else(world: World) -> None:
    looks = Looks()
    for client in (1, 2, 3):
        looks.enter(world, client)
    assert looks.changed(world) == [] == looks.changed(world)
    jump(world, 2, 0.5, 0.5)
    ((client, look),) = looks.changed(world)
    assert (client, look.home) == (2, world.cell_of(2))
    assert look.cells == (*neighbours(world.cells(HALL), look.home), HERO_CELL, FAR)
    looks.forget(2)
    jump(world, 2, -14.0, 14.0)
    assert looks.changed(world) == []


def test_whom_one_has_to_do_with_is_in_view_wherever_they_go_and_no_longer_than_that(world: World) -> None:
    looks = Looks()
    looks.enter(world, 1)
    looks.enter(world, 2)
    world.step([Command(1, 1, Grab(1, 1 << 12, 1, 0))], NO_POSES)
    world.step([Command(1, 2, Offer(2, 1, world.handle(world.slot_of(2)), 0))], NO_POSES)
    assert world.all_heroes_of() == {1: world.heroes_of(1), 2: world.heroes_of(2)} == {1: (1,), 2: (0,)}
    looks.changed(world)
    jump(world, 2, 13.0, 13.0)
    told = dict(looks.changed(world))
    assert world.cell_of(2) in told[1].cells and told[1].home == 0
    assert 0 in told[2].cells and told[2].home == world.cell_of(2)
    for _ in range(11 * 30):
        world.step([], NO_POSES)
    told = dict(looks.changed(world))
    assert told[1] == Look(HALL, 0, (0, 1, 6, 7, HERO_CELL, FAR)) and 0 not in told[2].cells
    assert looks.changed(world) == []
