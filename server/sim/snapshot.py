"""Snapshots: what is in a block in a tick, as bytes: whole (keyframe) or the difference to an earlier keyframe (delta).

Owns the body of a block: its head, order of records, and what a decoder refuses (PROTOCOL.md, Snapshots). State is
already on the wire's grid, so decoding gives back exactly what was encoded. Never decides who sees what; never
interpolates; knows nothing of frames.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from server.sim import far
from server.sim.bits import from_bytes, to_bytes, words_for
from server.sim.faults import NoBaseline, SnapshotError
from server.sim.rotation import pack_rotation, rotation_valid, unpack_rotation
from server.sim.rows import (
    CHANGED_BITS_MAX,
    COLUMNS,
    FULL_BITS_MAX,
    HEAD_BITS_MAX,
    SPARE_BITS,
    THING_BITS_MAX,
    THING_COLUMN_COUNT,
    View,
    gather,
    gather_things,
)
from server.sim.snapshot_read import REASONS, get_body
from server.sim.snapshot_write import put_delta_body, put_keyframe_body
from server.sim.state import AvatarState, ThingState

__all__ = [
    "NoBaseline", "SnapshotError", "View", "decode_body", "delta_body", "keyframe_body", "pack_rotation", "prime",
    "rotation_valid", "unpack_rotation", "view_of",
]  # fmt: skip

AGE_MAX = 255

NOTHING = View(0, 0, np.zeros((0, COLUMNS), np.int64), np.zeros((0, THING_COLUMN_COUNT), np.int64))
Index = npt.NDArray[np.integer]


def view_of(avatars: AvatarState, things: ThingState, room: int, slots: Index, thing_slots: Index, tick: int) -> View:
    """Copy what is to be seen: the avatars in `slots` and things in `thing_slots`, both ascending.

    At a keyframe this is also the baseline of the deltas that follow.
    """
    rows = np.empty((len(slots), COLUMNS), np.int64)
    gather(avatars, np.ascontiguousarray(slots, np.int64), rows)
    shown = np.ascontiguousarray(thing_slots, np.int64)
    thing_rows = np.zeros((len(shown), THING_COLUMN_COUNT), np.int64)
    gather_things(things, shown, thing_rows)
    return View(room, tick, rows, thing_rows)


def keyframe_body(view: View) -> bytes:
    """The body that shows this block whole."""
    words = words_for(HEAD_BITS_MAX + len(view.rows) * FULL_BITS_MAX + len(view.things) * THING_BITS_MAX)
    return to_bytes(words, put_keyframe_body(view.rows, view.things, words, 0))


def delta_body(view: View, baseline: View) -> bytes:
    """The body that turns `baseline` (1 to 255 ticks older, same block) into this one."""
    age = view.tick - baseline.tick & 0xFFFFFFFF
    assert 0 < age <= AGE_MAX and view.room == baseline.room, "a delta is against an earlier keyframe of the same room"
    records, things = len(baseline.rows) + len(view.rows), len(baseline.things) + len(view.things)
    words = words_for(HEAD_BITS_MAX + records * CHANGED_BITS_MAX + things * THING_BITS_MAX)
    end = put_delta_body(baseline.rows, view.rows, baseline.things, view.things, age, words, 0)
    return to_bytes(words, end)


def decode_body(body: bytes, room: int, tick: int, cell: int, baselines: Mapping[tuple[int, int, int], View]) -> View:
    """What a block of a frame of this room and tick shows. `baselines`: earlier keyframes by (room, cell, tick).

    Raises NoBaseline for a delta whose keyframe is not there and SnapshotError for anything malformed; nothing else.
    """
    if len(body) < 2:
        raise SnapshotError(f"a block has {len(body)} bytes, at least 2 are needed")
    old = NOTHING
    if body[0]:
        found = baselines.get((room, cell, tick - body[0] & 0xFFFFFFFF))
        if found is None:
            raise NoBaseline(f"the keyframe {body[0]} ticks before tick {tick} is not at hand")
        old = found
    reason, rows, things = get_body(from_bytes(body, SPARE_BITS), 8 * len(body), old.rows, old.things)
    if reason:
        raise SnapshotError(REASONS[reason])
    return View(room, tick, rows, things)


def prime() -> None:
    """Compile the kernels for the world's column types, by a view of two avatars and two things that all change."""
    n = 2
    avatars = AvatarState(
        alive=np.ones(n, np.bool_), room=np.zeros(n, np.int16), head_mm=np.zeros((n, 3), np.int32),
        head_rot=np.zeros(n, np.uint32), yaw=np.zeros(n, np.uint16), hand_mm=np.zeros((n, 2, 3), np.int32),
        hand_rot=np.zeros((n, 2), np.uint32), grips=np.zeros(n, np.uint8), flags=np.zeros(n, np.uint8),
        ack=np.zeros(n, np.uint8), cell=np.zeros(n, np.int16))  # fmt: skip
    things = ThingState(
        alive=np.ones(n, np.bool_), room=np.zeros(n, np.int16), pos_mm=np.zeros((n, 3), np.int32),
        rot=np.zeros(n, np.uint32), owner=np.array([-1, 1], np.int32), hand=np.zeros(n, np.uint8),
        cell=np.zeros(n, np.int16))  # fmt: skip
    both = np.arange(n)
    before = view_of(avatars, things, 0, both, both, 1)
    avatars.head_mm[:] += 1
    decode_body(keyframe_body(before), 0, 1, 0, {})
    after = view_of(avatars, things, 0, both, both[:1], 2)
    decode_body(delta_body(after, before), 0, 2, 0, {(0, 0, 1): before})
    far.decode_far(far.far_body(avatars, both, 0, 1))
    pack_rotation(unpack_rotation(avatars.head_rot))
