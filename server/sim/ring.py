"""Where everybody and everything was in the last second: one row of poses for each tick, the oldest overwritten.

Owns the ring's rows. Never judges anything: `world.rewind` does.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.sim.state import AvatarState, ThingState

NEVER = -1


class Ring(NamedTuple):
    """The rows of the last ticks; tick k is in row k % r. Row i of a column is slot i."""

    tick: npt.NDArray[np.int64]  # (r,) whose tick a row is, -1 before there was one
    room: npt.NDArray[np.int16]  # (r, n) -1: nobody was in the slot, or somebody else
    head_mm: npt.NDArray[np.int32]  # (r, n, 3)
    hand_mm: npt.NDArray[np.int32]  # (r, n, 2, 3) relative to the head
    thing_mm: npt.NDArray[np.int32]  # (r, t, 3)


def new_ring(rows: int, slots: int, things: int) -> Ring:
    """Nothing is remembered yet."""
    return Ring(
        tick=np.full(rows, NEVER, np.int64),
        room=np.full((rows, slots), -1, np.int16),
        head_mm=np.zeros((rows, slots, 3), np.int32),
        hand_mm=np.zeros((rows, slots, 2, 3), np.int32),
        thing_mm=np.zeros((rows, things, 3), np.int32),
    )


def remember(ring: Ring, tick: int, avatars: AvatarState, things: ThingState, used: int) -> None:
    """Write the row of a tick from the first `used` slots."""
    row = tick % len(ring.tick)
    ring.tick[row] = tick
    ring.room[row, :used] = np.where(avatars.alive[:used], avatars.room[:used], -1)
    ring.head_mm[row, :used] = avatars.head_mm[:used]
    ring.hand_mm[row, :used] = avatars.hand_mm[:used]
    ring.thing_mm[row] = things.pos_mm


def forget(ring: Ring, slot: int) -> None:
    """What the slot's rows say is not about who is in it now."""
    ring.room[:, slot] = -1
