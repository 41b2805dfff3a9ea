"""What every client does in a comparison: head and two hands of somebody who walks a round and talks with the hands.

Owns the poses, one period of them, the same for every server. Never sends anything.
"""

import numpy as np
import numpy.typing as npt

from server.sim.poses import POSE, POSE_KIND
from server.sim.rotation import coarse, pack_rotation

HZ = 20
STEPS = 256  # poses of one period
STRIDE = 7  # client i is i * STRIDE steps ahead of client 0
VALUES = 21  # head, left hand, right hand: x, y, z in metres and a unit quaternion x, y, z, w
SPEED_MM_S = 600.0
HEAD_Y_M = 1.6
Floats = npt.NDArray[np.float64]


def _turn(yaw: Floats, pitch: Floats) -> Floats:
    """(n, 4) rotation by `pitch` about x, then by `yaw` about y."""
    sy, cy, sp, cp = np.sin(yaw / 2), np.cos(yaw / 2), np.sin(pitch / 2), np.cos(pitch / 2)
    return np.stack([cy * sp, sy * cp, -sy * sp, cy * cp], axis=1)


def _parts() -> tuple[Floats, Floats, Floats]:
    """Head and hands relative to the head (3, n, 3) in metres, rotations (3, n, 4), yaw (n,) of one period."""
    phase = np.arange(STEPS) * (2 * np.pi / STEPS)
    radius = SPEED_MM_S / 1000.0 * STEPS / HZ / (2 * np.pi)
    head = np.stack([radius * np.sin(phase), HEAD_Y_M + 0.03 * np.sin(8 * phase), radius * np.cos(phase)], axis=1)
    left = np.stack(
        [-0.2 + 0.1 * np.sin(5 * phase), -0.5 + 0.15 * np.sin(7 * phase), -0.3 + 0.1 * np.cos(6 * phase)], 1
    )
    right = np.stack([0.2 + 0.1 * np.cos(4 * phase), -0.5 + 0.2 * np.cos(9 * phase), -0.3 + 0.1 * np.sin(5 * phase)], 1)
    yaw = (phase - np.pi / 2).astype(np.float64)
    turns = [_turn(yaw + 0.3 * np.sin(3 * phase + i), 0.2 * np.sin((3 + i) * phase) - 0.3 * i) for i in range(3)]
    return np.stack([head, left, right]), np.stack(turns), yaw


def float_poses() -> npt.NDArray[np.float32]:
    """(STEPS, VALUES) what a client of the others sends."""
    places, turns, _ = _parts()
    places = places.copy()
    places[1:] += places[0]
    return np.concatenate([np.concatenate([places[i], turns[i]], axis=1) for i in range(3)], axis=1).astype(np.float32)


def wire_poses() -> npt.NDArray[np.void]:
    """(STEPS,) POSE rows: what a client of ours sends, `seq` left 0. The walk is a wish; hands are from the head.

    They are on the grid of the server's own state (hands 2 mm, their turns 9 bits), so that they come back as sent.
    """
    places, turns, yaw = _parts()
    phase = np.arange(STEPS) * (2 * np.pi / STEPS)
    rows = np.zeros(STEPS, POSE)
    rows["kind"] = POSE_KIND
    rows["wish_mm_s"] = np.rint(SPEED_MM_S * np.stack([np.cos(phase), -np.sin(phase)], axis=1))
    rows["yaw"] = np.rint(yaw / (2 * np.pi) * 1024).astype(np.int64) % 1024
    rows["head_y_mm"] = np.rint(places[0, :, 1] * 1000)
    rows["head_rot"] = pack_rotation(turns[0])
    for name, part in (("left", 1), ("right", 2)):
        rows[f"{name}_mm"] = 2 * np.rint(places[part] * 500)
        rows[f"{name}_rot"] = [coarse(int(packed)) for packed in pack_rotation(turns[part])]
    return rows


def step_of(client: npt.NDArray[np.integer], seq: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Which step of the period client number `client` sends as its pose number `seq`."""
    return (seq.astype(np.int64) + client.astype(np.int64) * STRIDE) % STEPS
