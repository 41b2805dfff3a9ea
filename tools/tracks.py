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


def row_at(tracks: Tracks, track: Ints, at_s: Floats) -> Floats:
    """(m,) the row of each recording in `track` (m,) after `at_s` (m,) seconds, played to and fro without end."""
    begin, last = tracks.first[track], (np.diff(tracks.first) - 1)[track]
    beat = at_s * TRACK_HZ % (2 * last)
    rows: Floats = begin + np.where(beat < last, beat, 2 * last - beat)
    return rows


def place(tracks: Tracks, rows: Floats, turn: Floats) -> Placed:
    """Rows (m,) of the tracks (a fraction: between two), turned about the vertical axis by `turn` (m,) radians."""
    low = rows.astype(np.int64)
    high, share = np.minimum(low + 1, len(tracks.yaw) - 1), (rows - low)[:, None, None]
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    columns = np.concatenate((tracks.head_mm[:, None], tracks.hand_mm), axis=1)
    points = columns[low] * (1 - share) + columns[high] * share
    x, z = points[..., 0], points[..., 2]
    turned = np.stack((x * cos + z * sin, points[..., 1], z * cos - x * sin), axis=-1)
    mm = np.rint(turned).astype(np.int64)
    spin = np.zeros((len(rows), 1, 4))
    spin[:, 0, 1], spin[:, 0, 3] = np.sin(turn / 2), np.cos(turn / 2)
    rot = pack_rotation(turned_by(spin, tracks.rot[low] * (1 - share) + tracks.rot[high] * share))
    yaw = (tracks.yaw[low] + np.rint(turn / (2 * np.pi) * 1024).astype(np.int64)) & 1023
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
