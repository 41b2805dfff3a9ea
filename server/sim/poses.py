"""The pose row a client sends 15-20 times a second, as one packed numpy type, shared by wire, journal and kernels.

Owns the layout (PROTOCOL.md, frame 0x10, 39 bytes little endian). Never interprets: `sim.motion` clamps and moves.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

POSE_KIND = 0x10
POSE = np.dtype(
    [
        ("kind", "u1"),
        ("seq", "<u4"),
        ("wish_mm_s", "<i2", (2,)),  # wanted floor velocity x, z, world axes
        ("yaw", "<u2"),  # 1/1024 turn, 0 faces -z, counter-clockwise from above
        ("head_y_mm", "<u2"),
        ("head_rot", "<u4"),  # smallest-three
        ("left_mm", "<i2", (3,)),  # relative to the head, world axes
        ("left_rot", "<u4"),
        ("right_mm", "<i2", (3,)),
        ("right_rot", "<u4"),
        ("grips", "u1"),  # low nibble left, high nibble right, 0 open .. 15 closed
        ("flags", "u1"),  # SPEAKING | RAISED | POINTING
    ]
)
assert POSE.itemsize == 39

SPEAKING, RAISED, SEATED, POINTING, AWAY, MUTED = 1, 2, 4, 8, 16, 32  # flag bits; clients set only 1, 2 and 8


class PoseBatch(NamedTuple):
    """The newest accepted pose of each client in one tick: row i of `rows` is from `client[i]`; clients ascending."""

    client: npt.NDArray[np.uint32]  # (n,)
    rows: npt.NDArray[np.void]  # (n,) POSE


NO_POSES = PoseBatch(np.zeros(0, np.uint32), np.zeros(0, POSE))
