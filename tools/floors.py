"""Where one can walk in a room and which way a goal lies: flow fields over a grid of quarter metres.

Owns turning `scene.Room` into places worth going to and directions towards them. Never decides who goes where
(`tools.minds` does) and is no authority on collisions: the server moves people, bots only wish.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from server.world.scene import Room

CELL_M = 0.25
CLEARANCE_M = 0.32  # body radius of an avatar and a hand's breadth
BLOCKED_COST = 60.0  # walking out of furniture one was pushed into is dear, not impossible
STEPS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))  # dz, dx
HERE = len(STEPS)  # direction index "nowhere to go": the goal's own cell
DIRECTIONS = np.array([(dx, dz) for dz, dx in STEPS] + [(0, 0)], np.float64)
DIRECTIONS[:HERE] /= np.linalg.norm(DIRECTIONS[:HERE], axis=1)[:, None]

PlaceKind = Literal["spawn", "seat", "bed", "box", "thing", "door", "open"]


class Place(NamedTuple):
    """A point worth walking to. `focus_m` is what one looks at there; `name` is a bed's id, a door's room or a kind."""

    kind: PlaceKind
    name: str
    at_m: tuple[float, float]  # x, z, on free floor
    focus_m: tuple[float, float]


class Floor(NamedTuple):
    """One room's grid. Cell (iz, ix) has its corner at (ix, iz) * CELL_M from the room's low corner."""

    slug: str
    low_m: tuple[float, float]  # x, z of the grid's corner
    free: npt.NDArray[np.bool_]  # (nz, nx)
    places: tuple[Place, ...]
    flow: npt.NDArray[np.int8]  # (places, nz, nx) index into DIRECTIONS


def _blocks(room: Room) -> list[tuple[float, float, float, float]]:
    """Rectangles on the floor one cannot stand in: x low, z low, x high, z high, in metres."""
    rows = []
    for box in room.box:
        half_x, half_z = box.size_m[0] / 2, box.size_m[2] / 2
        rows.append((box.at[0] - half_x, box.at[1] - half_z, box.at[0] + half_x, box.at[1] + half_z))
    for wall in room.wall:
        half = wall.thickness_m / 2
        (x0, z0), (x1, z1) = wall.start, wall.end
        rows.append((min(x0, x1) - half, min(z0, z1) - half, max(x0, x1) + half, max(z0, z1) + half))
    for bed in room.bed:
        across = 45 <= bed.facing_deg % 180 < 135
        half_x, half_z = (1.1, 0.55) if across else (0.55, 1.1)
        rows.append((bed.at[0] - half_x, bed.at[1] - half_z, bed.at[0] + half_x, bed.at[1] + half_z))
    rows += [(d.at[0] - 0.25, d.at[1] - 0.25, d.at[0] + 0.25, d.at[1] + 0.25) for d in room.device]
    return rows


def free_cells(room: Room) -> npt.NDArray[np.bool_]:
    """(nz, nx) cells whose middle is clear of walls, furniture and beds."""
    shape = (max(1, round(room.size_m[2] / CELL_M)), max(1, round(room.size_m[0] / CELL_M)))
    low_x, low_z = -room.size_m[0] / 2, -room.size_m[2] / 2
    x = low_x + (np.arange(shape[1]) + 0.5) * CELL_M
    z = low_z + (np.arange(shape[0]) + 0.5) * CELL_M
    inside_x = np.abs(x) <= room.size_m[0] / 2 - CLEARANCE_M
    free: npt.NDArray[np.bool_] = inside_x[None, :] & (np.abs(z) <= room.size_m[2] / 2 - CLEARANCE_M)[:, None]
    for x0, z0, x1, z1 in _blocks(room):
        in_x = (x > x0 - CLEARANCE_M) & (x < x1 + CLEARANCE_M)
        in_z = (z > z0 - CLEARANCE_M) & (z < z1 + CLEARANCE_M)
        free &= ~(in_z[:, None] & in_x[None, :])
    return free


def _shifted(padded: npt.NDArray[np.float64], dz: int, dx: int) -> npt.NDArray[np.float64]:
    nz, nx = padded.shape[0] - 2, padded.shape[1] - 2
    return padded[1 + dz : 1 + dz + nz, 1 + dx : 1 + dx + nx]


@njit(cache=True)
def _relax(cost: npt.NDArray[np.float64], best: npt.NDArray[np.float64]) -> None:
    """Sweep over the grid to and fro until no cell is reached more cheaply; `best` has a rim of one cell around."""
    nz, nx = cost.shape
    changed, sweep = True, 0
    while changed or sweep % 4:
        changed = False if sweep % 4 == 0 else changed
        down, right = sweep % 2 == 0, sweep // 2 % 2 == 0
        for i in range(nz):
            z = i if down else nz - 1 - i
            for k in range(nx):
                x = k if right else nx - 1 - k
                least = best[1 + z, 1 + x]
                for dz in range(-1, 2):
                    for dx in range(-1, 2):
                        way = best[1 + z + dz, 1 + x + dx] + cost[z, x] * np.sqrt(np.float64(dz * dz + dx * dx))
                        if (dz != 0 or dx != 0) and way < least:
                            least = way
                if least < best[1 + z, 1 + x]:
                    best[1 + z, 1 + x] = least
                    changed = True
        sweep += 1


def distances(free: npt.NDArray[np.bool_], goal: tuple[int, int]) -> npt.NDArray[np.float64]:
    """(nz, nx) cost in cells of the way to the goal's cell; blocked cells cost BLOCKED_COST each."""
    best = np.full((free.shape[0] + 2, free.shape[1] + 2), np.inf)
    best[1 + goal[0], 1 + goal[1]] = 0.0
    _relax(np.where(free, 1.0, BLOCKED_COST), best)
    return best[1:-1, 1:-1].copy()


def flow_to(free: npt.NDArray[np.bool_], goal: tuple[int, int]) -> npt.NDArray[np.int8]:
    """(nz, nx) which of DIRECTIONS to take towards the goal's cell."""
    best = np.pad(distances(free, goal), 1, constant_values=np.inf)
    ways = np.stack([_shifted(best, dz, dx) + 1e-3 * abs(dz * dx) for dz, dx in STEPS])
    flow: npt.NDArray[np.int8] = ways.argmin(axis=0).astype(np.int8)
    flow[goal] = HERE
    return flow


def _nearest_free(room: Room, free: npt.NDArray[np.bool_], at: tuple[float, float]) -> tuple[int, int]:
    z, x = np.nonzero(free)
    if not len(z):
        return free.shape[0] // 2, free.shape[1] // 2
    gap = np.hypot((x + 0.5) * CELL_M - room.size_m[0] / 2 - at[0], (z + 0.5) * CELL_M - room.size_m[2] / 2 - at[1])
    best = int(gap.argmin())
    return int(z[best]), int(x[best])


def _wanted(room: Room) -> list[tuple[PlaceKind, str, tuple[float, float], tuple[float, float]]]:
    """Kind, name, where to stand if it were free, what to look at."""
    rows: list[tuple[PlaceKind, str, tuple[float, float], tuple[float, float]]] = []
    rows += [("spawn", "spawn", spawn.at, (0.0, 0.0)) for spawn in room.spawn[:4]]
    rows += [("bed", bed.id, (bed.at[0] + 0.9, bed.at[1] + 0.3), bed.at) for bed in room.bed]
    rows += [("door", door.to, door.at, door.at) for door in room.door]
    rows += [("thing", thing.name, (thing.at[0], thing.at[2]), (thing.at[0], thing.at[2])) for thing in room.thing[:8]]
    rows += [("seat", "seat", seat.at, (0.0, 0.0)) for seat in room.seat[:4]]
    rows += [("box", box.kind, box.at, box.at) for box in room.box[:6]]
    reach_x, reach_z = room.size_m[0] / 4, room.size_m[2] / 4
    rows += [("open", "floor", (sx * reach_x, sz * reach_z), (0.0, 0.0)) for sx in (-1, 1) for sz in (-1, 1)]
    return rows


def make_floor(room: Room) -> Floor:
    """The grid of a room, the places in it and the flow towards each."""
    free = free_cells(room)
    low = (-room.size_m[0] / 2, -room.size_m[2] / 2)
    places, flows = [], []
    for kind, name, at, focus in _wanted(room):
        cell = _nearest_free(room, free, at)
        where = (low[0] + (cell[1] + 0.5) * CELL_M, low[1] + (cell[0] + 0.5) * CELL_M)
        places.append(Place(kind, name, where, focus))
        flows.append(flow_to(free, cell))
    return Floor(room.slug, low, free, tuple(places), np.stack(flows))


class Floors:
    """Many rooms' floors in flat arrays, so that a whole crowd asks its way at once."""

    def __init__(self, floors: Sequence[Floor]) -> None:
        self.floors: tuple[Floor, ...] = tuple(floors)
        self._flatten()

    def add(self, floor: Floor) -> int:
        """One more room; its index."""
        self.floors = (*self.floors, floor)
        self._flatten()
        return len(self.floors) - 1

    def _flatten(self) -> None:
        if not self.floors:
            return
        self._nx = np.array([floor.free.shape[1] for floor in self.floors])
        self._nz = np.array([floor.free.shape[0] for floor in self.floors])
        self._low = np.array([floor.low_m for floor in self.floors])
        self._start = np.concatenate([[0], np.cumsum([floor.flow.size for floor in self.floors])])
        self._places = np.array([place.at_m for floor in self.floors for place in floor.places])
        self._first = np.concatenate([[0], np.cumsum([len(floor.places) for floor in self.floors])])
        self._flow = np.concatenate([floor.flow.reshape(-1) for floor in self.floors])

    def place(self, room: int, place: int) -> Place:
        """A place by its room's and its own index."""
        return self.floors[room].places[place]

    def places_m(self, room: npt.NDArray[np.int64], place: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """(n, 2) x, z of `place` (n,) in `room` (n,)."""
        out: npt.NDArray[np.float64] = self._places[self._first[room] + place]
        return out

    def way(self, room: npt.NDArray[np.int64], place: npt.NDArray[np.int64], at_m: npt.NDArray[np.float64],
            ) -> npt.NDArray[np.float64]:  # fmt: skip
        """(n, 2) unit direction x, z for somebody in `room` (n,) at `at_m` (n, 2) who wants to `place` (n,)."""
        cell = np.floor((at_m - self._low[room]) / CELL_M).astype(np.int64)
        ix = np.clip(cell[:, 0], 0, self._nx[room] - 1)
        iz = np.clip(cell[:, 1], 0, self._nz[room] - 1)
        at = self._start[room] + (place * self._nz[room] + iz) * self._nx[room] + ix
        out: npt.NDArray[np.float64] = DIRECTIONS[self._flow[at]]
        return out
