"""What the snapshots of one process's bots show: every different block is decoded once, whoever got it.

Owns baselines and what each frame showed (`Glimpse`). Frames of bots that are not watched closely only tell where
people stand: their keyframes and far blocks are read, nothing else. Never judges what is shown.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.sim.far import FarRows, decode_far
from server.sim.frame import Frame, read_frame
from server.sim.grid import FAR
from server.sim.snapshot import NoBaseline, SnapshotError, View, decode_body

KEPT_TICKS = 64  # of blocks and frames; baselines are kept for as long as a delta can name them
BASELINE_TICKS = 256
FORGET_EVERY = 32


class Glimpse(NamedTuple):
    """One whole frame, decoded. Who shares a frame shares its glimpse."""

    room: int
    tick: int
    home: int
    size: int
    near: dict[int, View]  # by cell
    far: FarRows | None
    held: tuple[int, ...]  # cells listed without a body
    lacking: tuple[int, ...]  # cells whose delta has no baseline yet
    near_bytes: int
    far_bytes: int


class Eyes:
    """The decoder of all bots of one process."""

    def __init__(self, counters: Counter[str]) -> None:
        self.counters = counters
        self._baselines: dict[tuple[int, int, int], View] = {}
        self._bodies: dict[tuple[int, int, int], tuple[bytes, View]] = {}
        self._far: dict[tuple[int, int], tuple[bytes, FarRows]] = {}
        self._frames: dict[int, tuple[int, bytes]] = {}
        self._glimpses: dict[int, Glimpse] = {}
        self._forget_tick = 0

    def keep(self, key: int, tick: int, frame: bytes) -> None:
        """Remember a frame by its key, for `glimpse`."""
        self._frames[key] = (tick, frame)
        if tick - self._forget_tick >= FORGET_EVERY:
            self._forget_tick = tick
            self._forget(tick)

    def stale(self, frame: bytes) -> list[tuple[int, View | FarRows]]:
        """What the frame tells of where people stand without any other frame: (cell, rows) not read before."""
        found: list[tuple[int, View | FarRows]] = []
        split = self._split(frame)
        if split is None:
            return found
        room, tick = split.room, split.tick
        for cell, body in split.blocks:
            if not body:
                continue
            if cell == FAR:
                if (room, tick) not in self._far and (far := self._far_rows(room, tick, body)) is not None:
                    found.append((cell, far))
            elif body[0] == 0 and (room, cell, tick) not in self._bodies:
                view = self._block(room, tick, cell, body)
                if view is not None:
                    found.append((cell, view))
        return found

    def glimpse(self, key: int) -> Glimpse | None:
        """The frame with this key, decoded whole; None if it is not at hand or malformed (which is counted)."""
        known = self._glimpses.get(key)
        if known is not None:
            return known
        at_hand = self._frames.get(key)
        split = self._split(at_hand[1]) if at_hand is not None else None
        if at_hand is None or split is None:
            return None
        made = self._glimpses[key] = self._decode(split, len(at_hand[1]))
        return made

    def known(self, key: int) -> Glimpse | None:
        """What `glimpse` said of this frame before."""
        return self._glimpses.get(key)

    def _split(self, frame: bytes) -> Frame | None:
        try:
            return read_frame(frame)
        except SnapshotError:
            self.counters["malformed"] += 1
            return None

    def _decode(self, split: Frame, size: int) -> Glimpse:
        near: dict[int, View] = {}
        far: FarRows | None = None
        held, lacking = [], []
        near_bytes = far_bytes = 0
        for cell, body in split.blocks:
            if not body:
                held.append(cell)
            elif cell == FAR:
                far, far_bytes = self._far_rows(split.room, split.tick, body), len(body)
            else:
                view = self._block(split.room, split.tick, cell, body)
                if view is None:
                    lacking.append(cell)
                else:
                    near[cell] = view
                    near_bytes += len(body)
        return Glimpse(split.room, split.tick, split.home, size, near, far, tuple(held), tuple(lacking),
                       near_bytes, far_bytes)  # fmt: skip

    def _block(self, room: int, tick: int, cell: int, body: bytes) -> View | None:
        key = (room, cell, tick)
        known = self._bodies.get(key)
        if known is not None:
            if known[0] != body:
                self.counters["blocks_differ"] += 1
            return known[1]
        try:
            view = decode_body(body, room, tick, cell, self._baselines)
        except NoBaseline:
            return None
        except SnapshotError:
            self.counters["malformed"] += 1
            return None
        self._bodies[key] = (body, view)
        if body[0] == 0:
            self._baselines[key] = view
        return view

    def _far_rows(self, room: int, tick: int, body: bytes) -> FarRows | None:
        known = self._far.get((room, tick))
        if known is not None:
            if known[0] != body:
                self.counters["blocks_differ"] += 1
            return known[1]
        try:
            rows = decode_far(body)
        except SnapshotError:
            self.counters["malformed"] += 1
            return None
        self._far[room, tick] = (body, rows)
        return rows

    def _forget(self, tick: int) -> None:
        """Drop what no later frame needs."""
        low = tick - KEPT_TICKS
        self._baselines = {k: v for k, v in self._baselines.items() if k[2] > tick - BASELINE_TICKS}
        self._bodies = {k: v for k, v in self._bodies.items() if k[2] > low}
        self._far = {k: v for k, v in self._far.items() if k[1] > low}
        self._frames = {k: v for k, v in self._frames.items() if v[0] > low}
        self._glimpses = {k: v for k, v in self._glimpses.items() if v.tick > low}


def gathered(views: list[View], columns: int) -> npt.NDArray[np.int64]:
    """The rows of some blocks below each other, by slot."""
    rows = np.concatenate([view.rows for view in views]) if views else np.zeros((0, columns), np.int64)
    return rows[np.argsort(rows[:, 0], kind="stable")]
