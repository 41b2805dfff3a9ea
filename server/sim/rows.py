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
    """Some wire values of a row: the state column they come from, bits and bias of each."""

    column: str
    part: tuple[int, ...]  # which part of the column's row; () the only one
    bits: tuple[int, ...]
    bias: tuple[int, ...]


HEAD = ((16, 12, 16), (32_768, 0, 32_768))  # mm
HAND = ((11, 11, 11), (1024, 1024, 1024))  # mm from the head
FIELDS = (
    Field("ack", (), (8,), (0,)),
    Field("head_mm", (), *HEAD),
    Field("head_rot", (), (32,), (0,)),
    Field("yaw", (), (10,), (0,)),
    Field("flags", (), (8,), (0,)),
    Field("grips", (), (8,), (0,)),
    Field("hand_mm", (0,), *HAND),
    Field("hand_rot", (0,), (32,), (0,)),
    Field("hand_mm", (1,), *HAND),
    Field("hand_rot", (1,), (32,), (0,)),
)
PRIVATE = frozenset({"alive", "room", "cell"})  # never in a row
assert {f.column for f in FIELDS} | PRIVATE == set(AvatarState._fields)
THING_PRIVATE = frozenset({"alive", "room", "cell"})
THING_COLUMNS = frozenset({"owner", "hand", "pos_mm", "rot"})
assert set(ThingState._fields) == THING_COLUMNS | THING_PRIVATE

SLOT_BITS, THING_SLOT_BITS = 12, 10
WIDTH = np.array([SLOT_BITS] + [b for f in FIELDS for b in f.bits], np.int64)
BIAS = np.array([0] + [b for f in FIELDS for b in f.bias], np.int64)
COLUMNS = len(WIDTH)
FULL_BITS = int(WIDTH.sum())
THING_COLUMN_COUNT = 8  # slot, held, owner, hand, x, y, z, rot
THING_BITS_MAX = THING_SLOT_BITS + 1 + sum(HEAD[0]) + 32

# A delta record: code, mask of groups, then each changed group. A group is some neighbouring columns of a row.
CODE_BITS = 2
SAME, CHANGED, GONE = 0, 1, 2
RAW, POSITION, ROTATION = 0, 1, 2
GROUPS = np.array(  # (kind, first column, columns); the bit in the mask is the row number
    [(RAW, 1, 1), (POSITION, 2, 3), (ROTATION, 5, 1), (RAW, 6, 1), (RAW, 7, 2),
     (POSITION, 9, 3), (ROTATION, 12, 1), (POSITION, 13, 3), (ROTATION, 16, 1)], np.int64)  # fmt: skip
GROUP_COUNT = len(GROUPS)
POSITION_BITS = np.array([5, 8, 11], np.int64)  # signed differences by class; class 3 is the full width
ROTATION_BITS = np.array([4, 6, 8], np.int64)
CHANGED_BITS_MAX = CODE_BITS + GROUP_COUNT + FULL_BITS - SLOT_BITS + 2 * 6
SPARE_BITS = max(CHANGED_BITS_MAX, FULL_BITS, THING_BITS_MAX)  # one record is read past the end before that shows


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


Baseline = View


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
