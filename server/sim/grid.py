"""The cells of a room's floor: which piece of floor everybody and everything is on, and which pieces are near it.

Owns the numbering of cells and who changes cell when. A room of few people is one cell, number 0; a hall is a grid of
squares, numbered row by row. Never decides who sees what.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim.state import AvatarState, ThingState, new_avatars, new_things

HERO_CELL = 4096  # on the wire, above every cell of a floor: those whom everybody in a hall sees as if near
FAR = 4097  # on the wire: everybody in the hall, heads only
NO_CELL = -1  # of a row that has just come or jumped, until the end of the tick
HYSTERESIS_MM = 500  # so far inside another cell one is before one belongs to it


class Grid(NamedTuple):
    """The cells of one room: `columns` along x, `rows` along z."""

    columns: int
    rows: int

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return self.columns * self.rows


class Grids(NamedTuple):
    """The cells of all rooms, for the kernels."""

    columns: npt.NDArray[np.int32]  # (rooms,)
    rows: npt.NDArray[np.int32]  # (rooms,)
    low_mm: npt.NDArray[np.int32]  # (rooms, 2) x, z of the first cell's corner
    cell_mm: int


def grid_of(size_x_mm: int, size_z_mm: int, cell_mm: int, split: bool) -> Grid:
    """The cells of a room that spans `size_x_mm` by `size_z_mm`; one if it is not to be split."""
    return Grid(-(-size_x_mm // cell_mm), -(-size_z_mm // cell_mm)) if split else Grid(1, 1)


def grids_of(grids: list[Grid], sizes_mm: list[tuple[int, int]], cell_mm: int) -> Grids:
    """The same as arrays; rooms are centred on the origin."""
    return Grids(
        np.array([grid.columns for grid in grids], np.int32),
        np.array([grid.rows for grid in grids], np.int32),
        np.array([(-(x // 2), -(z // 2)) for x, z in sizes_mm], np.int32).reshape(-1, 2),
        cell_mm,
    )


def neighbours(grid: Grid, cell: int) -> tuple[int, ...]:
    """A cell and the up to eight around it, ascending."""
    row, column = divmod(cell, grid.columns)
    return tuple(
        r * grid.columns + c
        for r in range(max(0, row - 1), min(grid.rows, row + 2))
        for c in range(max(0, column - 1), min(grid.columns, column + 2))
    )


@njit(cache=True)
def index_along(place: int, low: int, cell_mm: int, count: int) -> int:
    """Which of `count` pieces from `low` on a place is in; the first and the last reach on for ever."""
    return min(max((place - low) // cell_mm, 0), count - 1)


@njit(cache=True)
def index_with_hysteresis(place: int, low: int, cell_mm: int, count: int, now: int) -> int:
    """The same for who is in piece `now`: it is left only by more than the hysteresis."""
    begin = low + now * cell_mm
    if begin - HYSTERESIS_MM <= place <= begin + cell_mm + HYSTERESIS_MM:
        return now
    return index_along(place, low, cell_mm, count)


@njit(cache=True)
def cell_at(grids: Grids, room: int, x: int, z: int) -> int:
    """The cell of a place, mm."""
    columns, rows = int(grids.columns[room]), int(grids.rows[room])
    column = index_along(x, int(grids.low_mm[room, 0]), grids.cell_mm, columns)
    return index_along(z, int(grids.low_mm[room, 1]), grids.cell_mm, rows) * columns + column


@njit(cache=True)
def cell_from(grids: Grids, room: int, x: int, z: int, now: int) -> int:
    """The cell of somebody at a place who was in cell `now` of the same room until now."""
    columns, rows = int(grids.columns[room]), int(grids.rows[room])
    column = index_with_hysteresis(x, int(grids.low_mm[room, 0]), grids.cell_mm, columns, now % columns)
    row = index_with_hysteresis(z, int(grids.low_mm[room, 1]), grids.cell_mm, rows, now // columns)
    return row * columns + column


@njit(cache=True)
def assign(avatars: AvatarState, things: ThingState, grids: Grids) -> None:
    """Bring all cells up to date: avatars with hysteresis, held things with their holder, loose ones where they lie."""
    for slot in range(avatars.alive.shape[0]):
        if not avatars.alive[slot]:
            continue
        room, now = int(avatars.room[slot]), int(avatars.cell[slot])
        x, z = int(avatars.head_mm[slot, 0]), int(avatars.head_mm[slot, 2])
        avatars.cell[slot] = cell_at(grids, room, x, z) if now < 0 else cell_from(grids, room, x, z, now)
    for thing in range(things.alive.shape[0]):
        owner = int(things.owner[thing])
        if not things.alive[thing]:
            continue
        if owner >= 0:
            things.cell[thing] = avatars.cell[owner]
        else:
            room = int(things.room[thing])
            things.cell[thing] = cell_at(grids, room, int(things.pos_mm[thing, 0]), int(things.pos_mm[thing, 2]))


def prime() -> None:
    """Compile the kernels."""
    avatars, things = new_avatars(1), new_things(1)
    avatars.alive[:], avatars.room[:], things.alive[:], things.room[:] = True, 0, True, 0
    grids = grids_of([Grid(2, 2)], [(10_000, 10_000)], 5_000)
    assign(avatars, things, grids)
    assign(avatars, things, grids)
