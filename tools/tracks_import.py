"""Makes tools/motion/tracks.npz from the recordings in unpacked npm packages: `python -m tools.tracks_import FOLDER`.

Get the packages with `npm pack NAME@VERSION` as tools/motion/SOURCES.md lists them, and unpack each as
FOLDER/NAME-VERSION. Owns the list of recordings, resampling to 30 Hz, and the body's yaw. Never downloads anything.
The recordings are those of A-Frame's avatar-recorder: JSON by entity, poses with metres, Euler angles in degrees in the
order y, x, z, and milliseconds.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tools.tracks import FOLDER, ROTATION_SCALE, TRACK_HZ, Floats, Tracks, turned_by

RECORDINGS = {
    "aframe-motion-capture-components-0.2.7": (
        "examples/assets/dev-recording", "examples/assets/tracked-recording", "examples/recordings/grabLeft",
        "examples/recordings/grabRight",
    ),
    "aframe-physics-extras-0.1.3": ("examples/basic/demo-recording", "examples/collision_response/demo-recording"),
    "super-hands-3.0.6": (
        "examples/events/demo-recording", "examples/mouse/demo-recording", "examples/physics/demo-laser",
        "examples/physics/demo-recording", "machinima_tests/recordings/doublegrab",
        "machinima_tests/recordings/droptarget", "machinima_tests/recordings/hands-nostretch-badTwoHandedGrab",
        "machinima_tests/recordings/hands-twoHandedPass", "machinima_tests/recordings/hands-worldMover",
        "machinima_tests/recordings/hands-worldScalerShrinkGrow", "machinima_tests/recordings/handsRecording",
        "machinima_tests/recordings/leftoverHover", "machinima_tests/recordings/loco-hands2",
        "machinima_tests/recordings/locomotor-worldScaleGrowShrink", "machinima_tests/recordings/multihover",
        "machinima_tests/recordings/physics-twoHandedTwist", "machinima_tests/recordings/regrab",
    ),
}  # fmt: skip
ENTITIES = (("camera",), ("left", "lhand", "leftHand"), ("right", "rhand", "rightHand"))
REACH_MM_MAX = 1000.0
YAW_S = 0.5  # over which the body follows the head


def about(axis: int, angle: Floats) -> Floats:
    """(n, 4) quaternions that turn by `angle` (n,) radians about x, y or z."""
    out = np.zeros((len(angle), 4))
    out[:, axis], out[:, 3] = np.sin(angle / 2), np.cos(angle / 2)
    return out


def poses_of(recording: dict[str, Any], names: tuple[str, ...], times_s: Floats) -> tuple[Floats, Floats]:
    """Positions (n, 3) m and quaternions (n, 4) of one entity at `times_s`, between its samples where needed."""
    poses = next(recording[name]["poses"] for name in names if name in recording)
    at_s = np.array([pose["timestamp"] for pose in poses]) / 1000.0
    metres = np.array([[pose["position"][axis] for axis in "xyz"] for pose in poses], np.float64)
    x, y, z = np.radians([[pose["rotation"][axis] for axis in "xyz"] for pose in poses]).T
    turns = turned_by(turned_by(about(1, y), about(0, x)), about(2, z))
    flips = np.cumsum((turns[1:] * turns[:-1]).sum(axis=1) < 0) % 2
    turns[1:][flips == 1] *= -1
    place = np.stack([np.interp(times_s, at_s, column) for column in metres.T], axis=1)
    turn = np.stack([np.interp(times_s, at_s, column) for column in turns.T], axis=1)
    return place, turn / np.linalg.norm(turn, axis=1, keepdims=True)


def body_yaw(head: Floats) -> Floats:
    """(n,) radians: where the head (n, 4) faces, followed over YAW_S."""
    x, y, z, w = head.T
    ahead = (2 * (x * z + w * y) + 1j * (1 - 2 * (x * x + y * y))) * -1
    now, out = ahead[0], np.empty(len(ahead))
    for i, target in enumerate(ahead):
        now += (target - now) / (YAW_S * TRACK_HZ)
        out[i] = np.arctan2(-now.real, -now.imag)
    return out


def track_of(recording: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """One recording as the columns of Tracks."""
    stamps = [pose["timestamp"] for pose in recording["camera"]["poses"]]
    times_s = np.arange(stamps[0] / 1000.0, stamps[-1] / 1000.0, 1 / TRACK_HZ)
    places, turns = zip(*(poses_of(recording, names, times_s) for names in ENTITIES), strict=True)
    yaw = body_yaw(turns[0])
    back = about(1, np.full(len(yaw), -yaw[0]))
    cos, sin = np.cos(-yaw[0]), np.sin(-yaw[0])
    mm = np.stack(places, axis=1) * 1000.0
    mm[:, :, [0, 2]] -= np.median(mm[:, 0, [0, 2]], axis=0)
    x, z = mm[..., 0].copy(), mm[..., 2].copy()
    mm[..., 0], mm[..., 2] = x * cos + z * sin, z * cos - x * sin
    hands = mm[:, 1:] - mm[:, :1]
    hands *= np.minimum(1.0, REACH_MM_MAX / np.linalg.norm(hands, axis=2, keepdims=True))
    rot = np.stack([turned_by(back, turn) for turn in turns], axis=1)
    return {
        "head_mm": np.rint(mm[:, 0]).astype(np.int16),
        "hand_mm": np.rint(hands).astype(np.int16),
        "rot": np.rint(rot * ROTATION_SCALE).astype(np.int16),
        "yaw": (np.rint((yaw - yaw[0]) / (2 * np.pi) * 1024).astype(np.int64) & 1023).astype(np.uint16),
    }


def main(folder: Path) -> None:
    """Write the file."""
    files = [folder / name / "package" / f"{path}.json" for name, paths in RECORDINGS.items() for path in paths]
    tracks = [track_of(json.loads(file.read_text(encoding="utf-8"))) for file in files]
    first = np.concatenate(([0], np.cumsum([len(track["yaw"]) for track in tracks])))
    columns = {name: np.concatenate([track[name] for track in tracks]) for name in tracks[0]}
    whole = Tracks(first=first, **columns)._asdict()
    steps = {name: np.diff(column, axis=0, prepend=column.dtype.type(0)) for name, column in whole.items()}
    np.savez_compressed(FOLDER / "tracks.npz", **steps)
    print(f"{len(tracks)} recordings, {first[-1] / TRACK_HZ:.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
