"""What interest costs: 300 people in a hall, each of whom sees about 60, one tick of our own views and of Colyseus'.

Owns the scene, which is the same for both: a world of ours is stepped, and who sees whom is by its cells. Sockets are
left out on both sides. Colyseus is measured with a StateView for each client and with one for each cell, shared by
those who stand in it.
"""

import json
import statistics
import struct
import subprocess
import time
import tomllib
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from server.config import Config, Limits
from server.net.compose import Look, whole
from server.sim.grid import FAR, neighbours
from server.sim.poses import PoseBatch
from server.sim.rotation import unpack_rotation
from server.views import Views
from server.world.commands import Command, Join
from server.world.scene import Room
from server.world.world import World
from tools.peers import build
from tools.peers.contest import ContestError, workshop
from tools.peers.motion import HZ, VALUES, step_of, wire_poses
from tools.peers.ours import hall_text
from tools.peers.verdict import Spread

PEOPLE = 300
SIDE_M = 29.0  # so that one sees about 60 of them
TICKS, WARM = 120, 20
COLYSEUS_TICKS = 45
ROW = np.dtype([("cell", "<u2"), ("values", "<f4", (VALUES,))])
Bools = npt.NDArray[np.bool_]


class Interest(NamedTuple):
    """One way of it: processor milliseconds of a tick, people seen by one viewer, bytes of a client and tick."""

    name: str
    ms: Spread
    seen: float
    bytes: float
    note: str = ""

    @property
    def updates_per_s(self) -> float:
        """Avatar updates that a core makes ready in a second."""
        return PEOPLE * self.seen / (self.ms.median / 1000.0)


class Scene:
    """A hall full of people who walk and gesture."""

    def __init__(self) -> None:
        tree = tomllib.loads(hall_text(PEOPLE, SIDE_M)) | {"slug": "hall"}
        self.world = World((msgspec.convert(tree, Room),), Limits(avatars_max=512), HZ, 1)
        words = [number.to_bytes(4, "little") for number in range(PEOPLE)]
        joins = [Command(i + 1, 0, Join(f"Bot {i}", "clinician", "hall", words[i] * 4, words[i] * 8))
                 for i in range(PEOPLE)]  # fmt: skip
        self.world.step(joins, self._batch(1))
        self.tick = 1
        self.grid = self.world.cells(0)
        self.slots = np.array([self.world.slot_of(i + 1) for i in range(PEOPLE)])
        assert len(self.world.members(0)) == PEOPLE, "everybody has come in"

    def _batch(self, seq: int) -> PoseBatch:
        number = np.arange(PEOPLE)
        rows = wire_poses()[step_of(number, np.full(PEOPLE, seq))]
        rows["seq"] = seq
        return PoseBatch((number + 1).astype(np.uint32), rows)

    def step(self) -> None:
        """One tick: everybody's pose."""
        self.tick += 1
        self.world.step([], self._batch(self.tick))

    def cells(self) -> npt.NDArray[np.int64]:
        """(PEOPLE,) the cell everybody is in."""
        out: npt.NDArray[np.int64] = self.world.avatars.cell[self.slots].astype(np.int64)
        return out

    def sees(self) -> Bools:
        """(PEOPLE, PEOPLE) who is near for whom."""
        cells = self.cells()
        near = np.zeros((self.grid.cells, self.grid.cells), np.bool_)
        for cell in range(self.grid.cells):
            near[cell, list(neighbours(self.grid, cell))] = True
        out: Bools = near[cells][:, cells]
        return out

    def rows(self) -> npt.NDArray[np.void]:
        """(PEOPLE,) of ROW: everybody in metres and quaternions."""
        state, slots = self.world.avatars, self.slots
        head = state.head_mm[slots].astype(np.float64)
        places = [head, head + state.hand_mm[slots, 0], head + state.hand_mm[slots, 1]]
        turns = [state.head_rot[slots], state.hand_rot[slots, 0], state.hand_rot[slots, 1]]
        parts = [np.concatenate([p / 1000.0, unpack_rotation(t)], axis=1) for p, t in zip(places, turns, strict=True)]
        out = np.zeros(PEOPLE, ROW)
        out["cell"], out["values"] = self.cells(), np.concatenate(parts, axis=1)
        return out


def looks(scene: Scene) -> list[Look]:
    """What everybody looks at now."""
    by_cell = {cell: Look(0, cell, (*neighbours(scene.grid, cell), FAR)) for cell in set(scene.cells().tolist())}
    return [by_cell[cell] for cell in scene.cells().tolist()]


def our_tick(scene: Scene, views: Views) -> tuple[float, int]:
    """Processor milliseconds of one tick's frames for everybody, and the bytes of all of them."""
    wanted = looks(scene)
    start = time.process_time()
    sheet = views.encode(scene.world, [0])[0]
    frames: dict[Look, bytes] = {}
    size = 0
    for look in wanted:
        frame = frames.get(look)
        if frame is None:
            frame = frames[look] = whole(sheet, look).frame
        size += len(frame)
    return (time.process_time() - start) * 1000.0, size


def ours() -> Interest:
    """Our views."""
    scene, views = Scene(), Views(Config().keyframe_every, Limits().far_parts)
    costs, sizes, seen = [], [], []
    for tick in range(TICKS):
        scene.step()
        cost, size = our_tick(scene, views)
        if tick >= WARM:
            costs.append(cost)
            sizes.append(size / PEOPLE)
            seen.append(float(scene.sees().sum(axis=1).mean()))
    return Interest("**Asclepion**, cells", quartiles(costs), statistics.mean(seen), statistics.mean(sizes),
                    "and everybody else's head 2 times a second")  # fmt: skip


def quartiles(values: list[float]) -> Spread:
    """Median and the middle half."""
    return Spread(*(float(np.percentile(values, q)) for q in (50, 25, 75)))


def colyseus() -> list[Interest]:
    """Colyseus' StateView on the same people. Raises BuildError and ContestError."""
    scene = Scene()
    parts, seen = [struct.pack("<II", PEOPLE, COLYSEUS_TICKS)], []
    for _ in range(COLYSEUS_TICKS):
        scene.step()
        sees = scene.sees()
        seen.append(float(sees.sum(axis=1).mean()))
        parts += [scene.rows().tobytes(), sees.astype(np.uint8).tobytes()]
    with workshop() as folder:
        return _colyseus(b"".join(parts), folder, statistics.mean(seen))


def _colyseus(data: bytes, folder: Path, seen: float) -> list[Interest]:
    (folder / "scene").write_bytes(data)
    words = [str(build.node()), str(build.colyseus() / "interest.mjs"), str(folder / "scene")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContestError(f"StateView: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    found = json.loads(done.stdout)
    assert found["client"]["rows"] > 0
    names = {"client": "Colyseus, a StateView for each client", "cell": "Colyseus, a StateView for each cell, shared"}
    return [Interest(name, quartiles(found[key]["ms"]), seen, found[key]["bytes"]) for key, name in names.items()]


def table(rows: list[Interest]) -> str:
    """All ways beside ours."""
    lines = [f"| {PEOPLE} clients in a hall | one tick's CPU, ms [middle half] | seen by one | updates per core-second "
             "| bytes per client and tick |", "|" + " --- |" * 5]  # fmt: skip
    for row in rows:
        ms = f"{row.ms.median:.2f} [{row.ms.low:.2f}-{row.ms.high:.2f}]"
        times = f" (x {row.ms.median / rows[0].ms.median:.1f})" if row is not rows[0] else ""
        lines.append(
            f"| {row.name} | {ms}{times} | {row.seen:.0f} | {row.updates_per_s / 1e6:.1f} M | {row.bytes:,.0f} |"
        )
    return "\n".join(lines) + "\n"
