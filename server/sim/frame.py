"""The snapshot frame: a header, then blocks, one for each cell that is in view and one for the far tier.

Owns the header and how a frame is split into blocks (PROTOCOL.md, Snapshots). What a block's body says is the codec's
(`sim.snapshot`). Never decides who sees what.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from server.sim.snapshot import SnapshotError

KIND = 1
HEADER = struct.Struct("<BBIHB")  # kind, room, tick, home, blocks
BLOCK = struct.Struct("<HH")  # cell, size of the body
BLOCKS_MAX = 255
BODY_BYTES_MAX = 65_535

Block = tuple[int, bytes]


class Frame(NamedTuple):
    """One tick as one viewer sees it. An empty body: the block is in view, but nothing of it is sent this tick."""

    room: int
    tick: int
    home: int  # the cell of the viewer
    blocks: tuple[Block, ...]  # (cell, body), cells ascending


def write_frame(room: int, tick: int, home: int, blocks: Sequence[Block]) -> bytes:
    """The bytes of a frame; `blocks` ascend by cell."""
    assert len(blocks) <= BLOCKS_MAX, "a view has few blocks"
    parts = [HEADER.pack(KIND, room, tick, home, len(blocks))]
    for cell, body in blocks:
        parts += (BLOCK.pack(cell, len(body)), body)
    return b"".join(parts)


def read_frame(frame: bytes) -> Frame:
    """A frame split into its blocks; their bodies are not looked at. Raises SnapshotError for anything malformed."""
    if len(frame) < HEADER.size:
        raise SnapshotError(f"a frame has {len(frame)} bytes, at least {HEADER.size} are needed")
    kind, room, tick, home, count = HEADER.unpack_from(frame)
    if kind != KIND:
        raise SnapshotError(f"a frame of kind {kind} is no snapshot, allowed is {KIND}")
    blocks: list[Block] = []
    at, before = HEADER.size, -1
    for _ in range(count):
        if at + BLOCK.size > len(frame):
            raise SnapshotError(f"the frame ends within the header of block {len(blocks)} of {count}")
        cell, size = BLOCK.unpack_from(frame, at)
        at += BLOCK.size
        if cell <= before:
            raise SnapshotError(f"block {cell} follows block {before}, cells must ascend")
        if at + size > len(frame):
            raise SnapshotError(f"block {cell} has {size} bytes, only {len(frame) - at} are there")
        blocks.append((cell, frame[at : at + size]))
        at, before = at + size, cell
    if at != len(frame):
        raise SnapshotError(f"{len(frame) - at} bytes follow the last block")
    return Frame(room, tick, home, tuple(blocks))
