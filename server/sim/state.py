"""The world's columns: what moves, what is carried, and what people want. Few arrays, one row per slot.

Owns the columns and their allocation. Everything here is on the wire's integer grid, so clients, journal and replay
agree bit for bit. Never changes a row.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IDENTITY = 3 | 511 << 2 | 511 << 12 | 511 << 22  # (0, 0, 0, 1) as packed by sim.rotation


class AvatarState(NamedTuple):
    """What others see of the avatars: row i of every array is the avatar in slot i."""

    alive: npt.NDArray[np.bool_]  # (n,)
    room: npt.NDArray[np.int16]  # (n,)
    head_mm: npt.NDArray[np.int32]  # (n, 3) x, y, z
    head_rot: npt.NDArray[np.uint32]  # (n,) packed
    yaw: npt.NDArray[np.uint16]  # (n,) 1/1024 turn
    hand_mm: npt.NDArray[np.int32]  # (n, 2, 3) relative to the head, world axes, even numbers
    hand_rot: npt.NDArray[np.uint32]  # (n, 2) packed, on the coarse grid
    grips: npt.NDArray[np.uint8]  # (n,) low nibble left
    flags: npt.NDArray[np.uint8]  # (n,)
    ack: npt.NDArray[np.uint8]  # (n,) low byte of the newest applied pose
    cell: npt.NDArray[np.int16]  # (n,) cell of the room's floor, -1 until the end of the tick in which they came


class ThingState(NamedTuple):
    """What can be carried: row i of every array is the thing in slot i."""

    alive: npt.NDArray[np.bool_]  # (t,)
    room: npt.NDArray[np.int16]  # (t,)
    pos_mm: npt.NDArray[np.int32]  # (t, 3) while loose; while held it follows the hand at every tick
    rot: npt.NDArray[np.uint32]  # (t,) packed
    owner: npt.NDArray[np.int32]  # (t,) avatar slot, or -1
    hand: npt.NDArray[np.uint8]  # (t,) 0 left, 1 right
    cell: npt.NDArray[np.int16]  # (t,) cell of the room's floor; while held the holder's


class Intents(NamedTuple):
    """What each avatar wants; never leaves the server. Already clamped to what is allowed."""

    wish_mm_s: npt.NDArray[np.int32]  # (n, 2) floor velocity x, z
    wish_ticks: npt.NDArray[np.int32]  # (n,) ticks for which the wish still holds
    head_y_mm: npt.NDArray[np.int32]  # (n,) wanted height of the head
    hand_mm: npt.NDArray[np.int32]  # (n, 2, 3) wanted hands, relative to the head
    carry_mm: npt.NDArray[np.int32]  # (n, 2) rest of the way below 1 mm, in mm / tick_hz
    flags_allowed: npt.NDArray[np.uint8]  # (n,) flag bits the client may set now


def new_avatars(slots: int) -> AvatarState:
    """All rows dead."""
    return AvatarState(
        alive=np.zeros(slots, np.bool_),
        room=np.full(slots, -1, np.int16),
        head_mm=np.zeros((slots, 3), np.int32),
        head_rot=np.full(slots, IDENTITY, np.uint32),
        yaw=np.zeros(slots, np.uint16),
        hand_mm=np.zeros((slots, 2, 3), np.int32),
        hand_rot=np.full((slots, 2), IDENTITY, np.uint32),
        grips=np.zeros(slots, np.uint8),
        flags=np.zeros(slots, np.uint8),
        ack=np.zeros(slots, np.uint8),
        cell=np.full(slots, -1, np.int16),
    )


def new_things(slots: int) -> ThingState:
    """All rows dead."""
    return ThingState(
        alive=np.zeros(slots, np.bool_),
        room=np.full(slots, -1, np.int16),
        pos_mm=np.zeros((slots, 3), np.int32),
        rot=np.full(slots, IDENTITY, np.uint32),
        owner=np.full(slots, -1, np.int32),
        hand=np.zeros(slots, np.uint8),
        cell=np.zeros(slots, np.int16),
    )


def new_intents(slots: int) -> Intents:
    """Nobody wants anything."""
    return Intents(
        wish_mm_s=np.zeros((slots, 2), np.int32),
        wish_ticks=np.zeros(slots, np.int32),
        head_y_mm=np.zeros(slots, np.int32),
        hand_mm=np.zeros((slots, 2, 3), np.int32),
        carry_mm=np.zeros((slots, 2), np.int32),
        flags_allowed=np.zeros(slots, np.uint8),
    )
