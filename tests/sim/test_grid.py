"""Cells of a floor: every place has one, borders have a width, and near is what touches."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sim.grid import HYSTERESIS_MM, NO_CELL, Grid, Grids, assign, cell_at, grid_of, grids_of, neighbours
from server.sim.state import AvatarState, ThingState, new_avatars, new_things

CELL_MM = 5_000
SIZES = st.tuples(st.integers(2_000, 64_000), st.integers(2_000, 64_000))
COORDINATE = st.integers(-32_767, 32_767)


def hall(size_mm: tuple[int, int]) -> tuple[Grid, Grids]:
    grid = grid_of(*size_mm, CELL_MM, split=True)
    return grid, grids_of([Grid(1, 1), grid], [(8_000, 8_000), size_mm], CELL_MM)


def somebody(room: int, x: int, z: int, cell: int = NO_CELL) -> tuple[AvatarState, ThingState]:
    avatars, things = new_avatars(2), new_things(2)
    avatars.alive[1], avatars.room[1], avatars.cell[1] = True, room, cell
    avatars.head_mm[1] = x, 1650, z
    return avatars, things


@settings(deadline=None)
@given(SIZES, COORDINATE, COORDINATE)
def test_every_place_is_in_one_cell_that_covers_it(size_mm, x, z):
    grid, grids = hall(size_mm)
    cell = cell_at(grids, 1, x, z)
    row, column = divmod(cell, grid.columns)
    assert 0 <= column < grid.columns and 0 <= row < grid.rows
    low = grids.low_mm[1]
    for place, index, begin, count in ((x, column, low[0], grid.columns), (z, row, low[1], grid.rows)):
        inside = min(max(place, int(begin)), int(begin) + count * CELL_MM - 1)
        assert int(begin) + index * CELL_MM <= inside < int(begin) + (index + 1) * CELL_MM
    assert cell_at(grids, 0, x, z) == 0


@settings(deadline=None)
@given(SIZES, st.data())
def test_neighbours_touch_and_are_mutual(size_mm, data):
    grid, _ = hall(size_mm)
    cell = data.draw(st.integers(0, grid.cells - 1))
    near = neighbours(grid, cell)
    assert list(near) == sorted(set(near)) and cell in near and len(near) <= 9
    for other in range(grid.cells):
        (row, column), (r, c) = divmod(cell, grid.columns), divmod(other, grid.columns)
        assert (other in near) == (abs(row - r) <= 1 and abs(column - c) <= 1) == (cell in neighbours(grid, other))


@settings(deadline=None)
@given(st.lists(st.integers(-900, 900), min_size=2, max_size=60))
def test_who_dithers_at_a_border_changes_cell_only_by_crossing_its_whole_width(steps):
    _, grids = hall((40_000, 40_000))
    avatars, things = somebody(1, 0, 0)
    x, changes = -400, 0
    avatars.head_mm[1, 0] = x
    assign(avatars, things, grids)
    entered_at, before = x, int(avatars.cell[1])
    for step in steps:
        x = min(max(x + step, -4_000), 4_000)
        avatars.head_mm[1, 0] = x
        assign(avatars, things, grids)
        if avatars.cell[1] != before:
            changes += 1
            assert changes == 1 or abs(x - entered_at) > HYSTERESIS_MM
            before, entered_at = int(avatars.cell[1]), x
        assert abs(x) <= HYSTERESIS_MM or avatars.cell[1] == cell_at(grids, 1, x, 0)


def test_who_jumps_takes_the_cell_they_land_in_and_things_follow_their_holder():
    _, grids = hall((40_000, 40_000))
    avatars, things = somebody(1, 100, 0, cell=cell_at(grids, 1, -100, 0))
    things.alive[:], things.room[:] = True, 1
    things.owner[0] = 1
    things.pos_mm[1] = -19_000, 0, -19_000
    assign(avatars, things, grids)
    assert avatars.cell[1] == cell_at(grids, 1, -100, 0) == things.cell[0]
    avatars.cell[1] = NO_CELL
    assign(avatars, things, grids)
    assert avatars.cell[1] == cell_at(grids, 1, 100, 0) == things.cell[0] and things.cell[1] == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), SIZES)
def test_the_compiled_kernel_and_its_source_agree(seed, size_mm):
    dice, (grid, grids) = np.random.default_rng(seed), hall(size_mm)
    avatars, things = new_avatars(40), new_things(20)
    avatars.alive[:], avatars.room[:] = dice.random(40) < 0.8, dice.integers(0, 2, 40)
    avatars.head_mm[:] = dice.integers(-32_768, 32_768, (40, 3))
    avatars.cell[:] = np.where(avatars.room == 0, 0, dice.integers(-1, grid.cells, 40))
    things.alive[:], things.room[:] = dice.random(20) < 0.8, dice.integers(0, 2, 20)
    things.owner[:] = np.where(dice.random(20) < 0.5, dice.choice(np.flatnonzero(avatars.alive), 20), -1)
    slow = AvatarState(*(column.copy() for column in avatars)), ThingState(*(column.copy() for column in things))
    assign(avatars, things, grids)
    assign.py_func(*slow, grids)
    np.testing.assert_array_equal(avatars.cell, slow[0].cell)
    np.testing.assert_array_equal(things.cell, slow[1].cell)
