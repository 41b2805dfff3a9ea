"""What one avatar and one thing are in a snapshot: the field table, and a view as rows of unsigned wire values.

Owns the table that encoder, decoder, PROTOCOL.md and the web client share, and `View`. A row holds the value of each
column plus its bias, so one comparison, one difference and one width per column serve all of them. Never packs bits.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim.state import AvatarState, ThingState

Rows = npt.NDArray[np.int64]
Slots = npt.NDArray[np.int64]


class Field(NamedTuple):
    """Some wire values of a row: the state column they come from, and bits, bias and step of each on the wire."""

    column: str
    part: tuple[int, ...]  # which part of the column's row; () the only one
    bits: tuple[int, ...]  # of (value + bias) / step; of a rotation: largest component, then its three fields
    bias: tuple[int, ...] = ()
    step: int = 1


HEAD = ((16, 12, 16), (32_768, 0, 32_768))  # mm
HAND = ((10, 10, 10), (1024, 1024, 1024), 2)  # mm from the head
HEAD_ROT, HAND_ROT = ((2, 10, 10, 10), (), 1), ((2, 9, 9, 9), (), 2)
FIELDS = (
    Field("ack", (), (8,)),
    Field("head_mm", (), *HEAD),
    Field("head_rot", (), *HEAD_ROT),
    Field("yaw", (), (10,)),
    Field("flags", (), (8,)),
    Field("grips", (), (8,)),
    Field("hand_mm", (0,), *HAND),
    Field("hand_rot", (0,), *HAND_ROT),
    Field("hand_mm", (1,), *HAND),
    Field("hand_rot", (1,), *HAND_ROT),
)
PRIVATE = frozenset({"alive", "room", "cell"})  # never in a row
assert {f.column for f in FIELDS} | PRIVATE == set(AvatarState._fields)
THING_PRIVATE = frozenset({"alive", "room", "cell"})
THING_COLUMNS = frozenset({"owner", "hand", "pos_mm", "rot"})
assert set(ThingState._fields) == THING_COLUMNS | THING_PRIVATE

SLOT_BITS, SLOT_MAX, ROTATION_BITS = 12, 4095, 32
COLUMNS = 17  # slot, ack, head x y z, head_rot, yaw, flags, grips, then x y z and rotation of each hand
BIAS = np.array([0, 0, *HEAD[1], 0, 0, 0, 0, *HAND[1], 0, *HAND[1], 0], np.int64)
HEAD_BITS = np.array(HEAD[0], np.int64)
THING_COLUMN_COUNT = 8  # slot, held, owner, hand, x, y, z, rot
THING_SLOT_BITS, THING_KIND_BITS = 10, 2
LOOSE, HELD, TAKEN = 0, 1, 2  # kinds of thing records; TAKEN: it is no longer in the block
COUNT_BITS = 3  # of a number that is written in groups

# Bits of the mask of a delta record: what differs from the baseline.
YAW_BIT, HEAD_BIT, HEAD_ROT_BIT, LEFT_BIT, LEFT_ROT_BIT, RIGHT_BIT, RIGHT_ROT_BIT, OTHER_BIT = range(8)
MASK_BITS = ("yaw", "head_mm", "head_rot", "hand_mm left", "hand_rot left", "hand_mm right", "hand_rot right",
             "flags and grips")  # fmt: skip

# What a record takes at most; one is read past the end of the data before that shows.
FULL_BITS_MIN = COUNT_BITS + 1 + sum(sum(f.bits) for f in FIELDS) - 7
FULL_BITS_MAX = FULL_BITS_MIN + 12 + 8
CHANGED_BITS_MAX = 12 + (8 + 8) + (8 + 10) + 3 * (8 + 16) + 5 * (3 * (8 + 10) + 2) + 16
THING_BITS_MAX = THING_SLOT_BITS + THING_KIND_BITS + sum(HEAD[0]) + ROTATION_BITS
HEAD_BITS_MAX = 9 + 2 * 4 * (COUNT_BITS + 1)  # age, whether there are any, two numbers
SPARE_BITS = max(CHANGED_BITS_MAX, FULL_BITS_MAX, THING_BITS_MAX)


class View(NamedTuple):
    """What is seen of a room in one tick; also the baseline of later deltas. Columns as AvatarState and ThingState."""

    room: int
    tick: int
    rows: Rows  # (n, COLUMNS) wire values, slots ascending
    things: Rows  # (t, THING_COLUMN_COUNT) slot, held, owner, hand, x, y, z (wire values), rot

    @property
    def slots(self) -> npt.NDArray[np.int64]:
        """(n,) ascending."""
        return self.rows[:, 0]

    @property
    def ack(self) -> npt.NDArray[np.int64]:
        """(n,) low byte of the newest applied pose."""
        return self.rows[:, 1]

    @property
    def head_mm(self) -> npt.NDArray[np.int64]:
        """(n, 3)."""
        return self.rows[:, 2:5] - BIAS[2:5]

    @property
    def head_rot(self) -> npt.NDArray[np.int64]:
        """(n,) packed."""
        return self.rows[:, 5]

    @property
    def yaw(self) -> npt.NDArray[np.int64]:
        """(n,) 1/1024 turn."""
        return self.rows[:, 6]

    @property
    def flags(self) -> npt.NDArray[np.int64]:
        """(n,)."""
        return self.rows[:, 7]

    @property
    def grips(self) -> npt.NDArray[np.int64]:
        """(n,)."""
        return self.rows[:, 8]

    @property
    def hand_mm(self) -> npt.NDArray[np.int64]:
        """(n, 2, 3) relative to the head."""
        return np.stack((self.rows[:, 9:12] - BIAS[9:12], self.rows[:, 13:16] - BIAS[13:16]), axis=1)

    @property
    def hand_rot(self) -> npt.NDArray[np.int64]:
        """(n, 2) packed."""
        return self.rows[:, (12, 16)]

    @property
    def thing_slots(self) -> npt.NDArray[np.int64]:
        """(t,) ascending."""
        return self.things[:, 0]

    @property
    def thing_owner(self) -> npt.NDArray[np.int64]:
        """(t,) slot of the holder, -1 loose."""
        return np.where(self.things[:, 1] == 1, self.things[:, 2], -1)

    @property
    def thing_hand(self) -> npt.NDArray[np.int64]:
        """(t,) 0 left, 1 right."""
        return self.things[:, 3]

    @property
    def thing_mm(self) -> npt.NDArray[np.int64]:
        """(t, 3), 0 while held."""
        return np.where(self.things[:, 1:2] == 1, 0, self.things[:, 4:7] - BIAS[2:5])

    @property
    def thing_rot(self) -> npt.NDArray[np.int64]:
        """(t,) packed, 0 while held."""
        return self.things[:, 7]


@njit(cache=True)
def gather(avatars: AvatarState, slots: Slots, rows: Rows) -> None:
    """Fill (n, COLUMNS) wire values from the avatars in `slots`."""
    for i in range(slots.shape[0]):
        s = slots[i]
        rows[i, 0] = s
        rows[i, 1] = avatars.ack[s]
        rows[i, 5] = avatars.head_rot[s]
        rows[i, 6] = avatars.yaw[s]
        rows[i, 7] = avatars.flags[s]
        rows[i, 8] = avatars.grips[s]
        rows[i, 12] = avatars.hand_rot[s, 0]
        rows[i, 16] = avatars.hand_rot[s, 1]
        for axis in range(3):
            rows[i, 2 + axis] = avatars.head_mm[s, axis] + BIAS[2 + axis]
            rows[i, 9 + axis] = avatars.hand_mm[s, 0, axis] + BIAS[9 + axis]
            rows[i, 13 + axis] = avatars.hand_mm[s, 1, axis] + BIAS[13 + axis]


@njit(cache=True)
def gather_things(things: ThingState, slots: Slots, rows: Rows) -> None:
    """Fill zeroed (t, THING_COLUMN_COUNT) rows from the things in `slots`."""
    for i in range(slots.shape[0]):
        s = slots[i]
        rows[i, 0] = s
        if things.owner[s] >= 0:
            rows[i, 1], rows[i, 2], rows[i, 3] = 1, things.owner[s], things.hand[s]
        else:
            rows[i, 7] = things.rot[s]
            for axis in range(3):
                rows[i, 4 + axis] = things.pos_mm[s, axis] + BIAS[2 + axis]
