"""One set of blocks per room and tick. Owns the baselines of the keyframes; never decides who gets a block.

A room's floor is in cells, each a block of its own; keyframes of rooms and cells are spread over the ticks so that no
tick carries them all. Speakers of a hall are in a block of their own, wherever they stand.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from server.net.compose import Chunk, Sheet
from server.sim.blocks import NOTHING, Contents, encode_blocks
from server.sim.far import far_body
from server.sim.frame import BLOCK
from server.sim.grid import FAR, HERO_CELL
from server.sim.poses import SPEAKING
from server.world.world import World


class Views:
    """The encoder of a shard's rooms: for each block its newest keyframe."""

    def __init__(self, keyframe_every: int, far_parts: int) -> None:
        self.counters = {"keyframes": 0, "deltas": 0, "snapshot_bytes": 0, "snapshot_avatars": 0}
        self._every, self._parts = keyframe_every, far_parts
        self._baselines: Contents = NOTHING

    def encode(self, world: World, rooms: Sequence[int]) -> list[Sheet]:
        """The sheets of these rooms for the world's tick. A room that is left out has no baselines from then on.

        To be called once a tick.
        """
        tick = world.tick & 0xFFFFFFFF
        shown = np.zeros(len(world.rooms), np.bool_)
        shown[list(rooms)] = True
        heroes = np.concatenate([np.zeros(0, np.int64), *(world.heroes(room) for room in rooms)])
        blocks, self._baselines = encode_blocks(
            world.avatars, world.things, shown, heroes, tick, self._every, self._baselines
        )
        sheets = {room: Sheet(room, tick, world.cells(room).columns, {}) for room in rooms}
        speaking = _speaking(world, heroes)
        columns = (blocks.room, blocks.cell, blocks.start, blocks.end, blocks.avatars)
        data, pack = blocks.data, BLOCK.pack
        for room, cell, start, end, people in zip(*(column.tolist() for column in columns), strict=True):
            body = pack(cell, end - start) + data[start:end]
            sheets[room].chunks[cell] = Chunk(body, people, (room, cell) in speaking)
        for sheet in sheets.values():
            if world.cells(sheet.room).cells > 1:
                sheet.chunks[FAR] = self._far(world, sheet.room, tick)
        self._count(int(blocks.keyframe.sum()), len(blocks.cell), len(data), int(blocks.avatars.sum()))
        return list(sheets.values())

    def _far(self, world: World, room: int, tick: int) -> Chunk:
        part, slots = tick % self._parts, world.members(room)
        body = far_body(world.avatars, slots, part, self._parts)
        people = int(np.count_nonzero(slots % self._parts == part))
        return Chunk(BLOCK.pack(FAR, len(body)) + body, people, False)

    def _count(self, keyframes: int, blocks: int, size: int, avatars: int) -> None:
        self.counters["keyframes"] += keyframes
        self.counters["deltas"] += blocks - keyframes
        self.counters["snapshot_bytes"] += size
        self.counters["snapshot_avatars"] += avatars


def _speaking(world: World, heroes: npt.NDArray[np.int64]) -> set[tuple[int, int]]:
    """Rooms and cells in which somebody speaks."""
    avatars = world.avatars
    slots = np.flatnonzero(avatars.alive & (avatars.flags & SPEAKING != 0))
    cells = np.where(np.isin(slots, heroes), HERO_CELL, avatars.cell[slots])
    return set(zip(avatars.room[slots].tolist(), cells.tolist(), strict=True))
