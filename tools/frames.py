"""What one session sees: its frames, followed from tick to tick. For clients in Python, tools and tests.

Owns the keyframes of each block, and how blocks become one view. Any frame may be missing. Never interpolates.
"""

from typing import NamedTuple

import numpy as np

from server.sim.far import decode_far
from server.sim.frame import Frame, read_frame
from server.sim.grid import FAR, HERO_CELL
from server.sim.rows import COLUMNS, THING_COLUMN_COUNT
from server.sim.snapshot import NoBaseline, View, decode_body

KEYFRAMES_KEPT = 4  # of a block


class FarPerson(NamedTuple):
    """Somebody seen from far: head only, coarsely, as of `tick`."""

    head_mm: tuple[int, int, int]
    yaw: int
    flags: int
    tick: int


class FrameReader:
    """Follows one session's frames in order of arrival."""

    def __init__(self) -> None:
        self.frame = Frame(-1, -1, 0, ())  # the newest one
        self.view: View | None = None  # everybody near, as of the newest frame with anything new
        self.blocks: dict[int, View] = {}  # the newest of each block in view; its tick says how old it is
        self.skipped = 0  # deltas whose keyframe was missed
        self._heads: dict[int, FarPerson] = {}
        self._keyframes: dict[int, dict[tuple[int, int, int], View]] = {}

    @property
    def far(self) -> dict[int, FarPerson]:
        """Who is seen from far and not near, by slot."""
        near = set() if self.view is None else set(self.view.slots.tolist())
        return {slot: person for slot, person in self._heads.items() if slot not in near}

    @property
    def everybody(self) -> dict[int, FarPerson]:
        """Whom the far part shows, the near ones among them, by slot."""
        return self._heads

    def forget(self) -> None:
        """Another room, or another connection."""
        self.view = None
        self.blocks.clear()
        self._heads.clear()
        self._keyframes.clear()

    def see(self, data: bytes) -> bool:
        """Take in a frame; whether it said anything new. Raises SnapshotError for anything malformed."""
        frame = read_frame(data)
        if frame.room != self.frame.room:
            self.forget()
        self.frame = frame
        listed = dict(frame.blocks)
        gone = [cell for cell in self.blocks if cell not in listed]
        for cell in gone:
            del self.blocks[cell]
        self._keyframes = {cell: kept for cell, kept in self._keyframes.items() if cell in listed}
        news = bool(gone) or not listed
        for cell, body in frame.blocks:
            if body:
                news = (self._see_far(body) if cell == FAR else self._see_block(cell, body)) or news
        if FAR not in listed:
            self._heads.clear()
        if news and (self.blocks or not listed.keys() - {FAR}):
            self.view = self._union()
        return news

    def _see_block(self, cell: int, body: bytes) -> bool:
        room, tick = self.frame.room, self.frame.tick
        keyframes = self._keyframes.setdefault(cell, {})
        try:
            view = decode_body(body, room, tick, cell, keyframes)
        except NoBaseline:
            self.skipped += 1
            return False
        if body[0] == 0:
            keyframes[room, cell, tick] = view
            while len(keyframes) > KEYFRAMES_KEPT:
                del keyframes[next(iter(keyframes))]
        self.blocks[cell] = view
        return True

    def _see_far(self, body: bytes) -> bool:
        rows = decode_far(body)
        for slot in [slot for slot in self._heads if slot % rows.parts == rows.part]:
            del self._heads[slot]
        columns = (rows.slot.tolist(), rows.head_mm.tolist(), rows.yaw.tolist(), rows.flags.tolist())
        for slot, head, yaw, flags in zip(*columns, strict=True):
            self._heads[slot] = FarPerson(tuple(head), yaw, flags, self.frame.tick)
        return True

    def _union(self) -> View:
        """All blocks as one, slots ascending. Who is in two of them is where the newer one says; speakers go first."""
        room, tick = self.frame.room, self.frame.tick
        if len(self.blocks) == 1:
            return next(iter(self.blocks.values()))._replace(tick=tick)
        order = sorted(self.blocks, key=lambda cell: (cell != HERO_CELL, -self.blocks[cell].tick))
        none = View(room, tick, np.zeros((0, COLUMNS), np.int64), np.zeros((0, THING_COLUMN_COUNT), np.int64))
        views = [self.blocks[cell] for cell in order] or [none]
        rows, things = (np.concatenate([view[part] for view in views]) for part in (2, 3))
        return View(room, tick, rows[np.unique(rows[:, 0], return_index=True)[1]],
                    things[np.unique(things[:, 0], return_index=True)[1]])  # fmt: skip
