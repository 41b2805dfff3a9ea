"""Real people's head and hands, recorded with a headset and two controllers: 30 rows a second, for bots and benches.

Owns the recordings under tools/motion (what they are and whose: SOURCES.md there) and putting them anywhere, turned any
way. Never talks to a server and never decides what a bot does.
Axes as the wire: y up, yaw 0 faces -z, counter-clockwise from above.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.sim.rotation import pack_rotation

FOLDER = Path(__file__).parent / "motion"
TRACK_HZ = 30
ROTATION_SCALE = 8_191.0

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Tracks(NamedTuple):
    """All recordings one after the other: recording k is rows first[k] .. first[k + 1], 1/30 s apart.

    Each is turned so that it begins at yaw 0 and moved so that the head's middle place is above the origin.
    """

    first: Ints  # (k + 1,)
    head_mm: npt.NDArray[np.int16]  # (n, 3) x, y above the floor, z
    hand_mm: npt.NDArray[np.int16]  # (n, 2, 3) left, right, relative to the head
    rot: npt.NDArray[np.int16]  # (n, 3, 4) head, left, right: unit quaternions x, y, z, w times ROTATION_SCALE
    yaw: npt.NDArray[np.uint16]  # (n,) 1/1024 turn: where the head faced, over about half a second

    @property
    def recordings(self) -> int:
        """How many recordings there are."""
        return len(self.first) - 1


class Placed(NamedTuple):
    """Rows of some tracks put somewhere, in the wire's units."""

    head_mm: Ints  # (m, 3)
    hand_mm: Ints  # (m, 2, 3) relative to the head, world axes
    head_rot: npt.NDArray[np.uint32]  # (m,) packed
    hand_rot: npt.NDArray[np.uint32]  # (m, 2) packed
    yaw: Ints  # (m,) 1/1024 turn


@cache
def load_tracks() -> Tracks:
    """The recordings of the repository; the file holds the first row, then differences to the row before."""
    with np.load(FOLDER / "tracks.npz") as file:
        columns = (np.cumsum(file[name], axis=0, dtype=file[name].dtype) for name in Tracks._fields)
        return Tracks(*columns)


def row_at(tracks: Tracks, track: Ints, at_s: Floats) -> Ints:
    """(m,) the row of each recording in `track` (m,) after `at_s` (m,) seconds, played to and fro without end."""
    begin, length = tracks.first[track], np.diff(tracks.first)[track]
    beat = (at_s * TRACK_HZ).astype(np.int64) % (2 * length)
    rows: Ints = begin + np.where(beat < length, beat, 2 * length - 1 - beat)
    return rows


def place(tracks: Tracks, rows: Ints, turn: Floats) -> Placed:
    """Rows (m,) of the tracks, each turned about the vertical axis by `turn` (m,) radians, still above the origin."""
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    points = np.concatenate((tracks.head_mm[rows][:, None], tracks.hand_mm[rows]), axis=1).astype(np.float64)
    x, z = points[..., 0], points[..., 2]
    turned = np.stack((x * cos + z * sin, points[..., 1], z * cos - x * sin), axis=-1)
    mm = np.rint(turned).astype(np.int64)
    spin = np.zeros((len(rows), 1, 4))
    spin[:, 0, 1], spin[:, 0, 3] = np.sin(turn / 2), np.cos(turn / 2)
    rot = pack_rotation(turned_by(spin, tracks.rot[rows] / ROTATION_SCALE))
    yaw = (tracks.yaw[rows] + np.rint(turn / (2 * np.pi) * 1024).astype(np.int64)) & 1023
    return Placed(mm[:, 0], mm[:, 1:], rot[:, 0], rot[:, 1:], yaw)


def turned_by(first: Floats, second: Floats) -> Floats:
    """Quaternion product first * second of unit quaternions (..., 4), normed again."""
    x1, y1, z1, w1 = np.moveaxis(first, -1, 0)
    x2, y2, z2, w2 = np.moveaxis(second, -1, 0)
    x = w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2
    y = w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2
    z = w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2
    product = np.stack((x, y, z, w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2), axis=-1)
    out: Floats = product / np.linalg.norm(product, axis=-1, keepdims=True)
    return out
