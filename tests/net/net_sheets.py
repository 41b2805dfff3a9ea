"""Sheets of rooms of one cell, for tests of the way to an edge: their bodies are opaque there."""

from server.net.compose import Chunk, Look, Sheet, write_sheet
from server.net.wire import AnyWire, Peer
from server.sim.frame import BLOCK, write_frame

KEYFRAME = b"\0"  # age 0: all that is looked at


def publish(wire: AnyWire, room: int, tick: int, body: bytes = b"") -> None:
    """Publish a sheet whose only block is a keyframe of this body."""
    body = KEYFRAME + body
    wire.publish(room, tick, write_sheet(Sheet(room, tick, 1, {0: Chunk(BLOCK.pack(0, len(body)) + body, 1, False)})))


def frame_of(room: int, tick: int, body: bytes = b"") -> bytes:
    """What a browser gets of such a sheet."""
    return write_frame(room, tick, 0, [(0, KEYFRAME + body)])


def join(wire: AnyWire, peer: Peer, room: int) -> None:
    """Let an edge's connection see a room of one cell."""
    wire.join_room(peer, room)
    wire.look(peer, Look(room, 0, (0,)))
