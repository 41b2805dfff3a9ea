"""The poses of a tick, of everybody, checked in one pass over arrays.

Owns the columns that sessions share and the kernel that judges poses by them: rates, field ranges, ascending numbers.
The rules and codes are those of `net.session`, which applies them frame by frame. Never parses anything but poses.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from server.config import Limits
from server.sim.poses import POINTING, POSE, POSE_KIND, RAISED, SPEAKING

YAW_MAX = 1023
HEAD_Y_MM_MAX = 4095
FLAGS_ALLOWED = SPEAKING | RAISED | POINTING
POSE_BYTES = POSE.itemsize
BURST_S = 2.0  # so many seconds' worth of a rate may come at once
CODES = ("", "size", "rate-messages", "rate-bytes", "pose", "sequence")
OK, SIZE, RATE_MESSAGES, RATE_BYTES, BAD_POSE, SEQUENCE = range(len(CODES))
SEQ, YAW, HEAD_Y, HEAD_ROT, LEFT_ROT, RIGHT_ROT, FLAGS = (
    int(POSE.fields[name][1])  # type: ignore[index]
    for name in ("seq", "yaw", "head_y_mm", "head_rot", "left_rot", "right_rot", "flags")
)

Rows = npt.NDArray[np.int64]
RawPoses = npt.NDArray[np.uint8]


class Poses(NamedTuple):
    """Pose frames of one receive in arrival order: `raw[i]` came from the session in row `rows[i]`."""

    rows: Rows  # (m,)
    raw: RawPoses  # (m, 39)


NO_POSES = Poses(np.zeros(0, np.int64), np.zeros((0, POSE_BYTES), np.uint8))


class Columns(NamedTuple):
    """What sessions know of their peers: a row for each connected client."""

    live: npt.NDArray[np.bool_]  # (n,) whether the session is active
    client: Rows  # (n,)
    pose_seq: Rows  # (n,) newest accepted pose
    seq: Rows  # (n,) newest accepted message that is no pose
    messages: npt.NDArray[np.float64]  # (n,) tokens left
    size: npt.NDArray[np.float64]  # (n,) bytes left
    then_s: npt.NDArray[np.float64]  # (n,) when the two before were filled up
    heard_s: npt.NDArray[np.float64]  # (n,) newest frame of any kind
    newest: Rows  # (n,) scratch of `take_poses`: -1


class Rates(NamedTuple):
    """What a peer may send."""

    messages_per_s: float
    bytes_per_s: float
    frame_bytes_max: int


def poses_of(frames: Sequence[tuple[int, bytes]]) -> Poses:
    """Poses from (row, frame) pairs."""
    rows = np.array([row for row, _ in frames], np.int64)
    return Poses(rows, np.frombuffer(b"".join(frame for _, frame in frames), np.uint8).reshape(-1, POSE_BYTES))


def joined(parts: Sequence[Poses]) -> Poses:
    """Poses one after another."""
    if len(parts) < 2:
        return parts[0] if parts else NO_POSES
    return Poses(np.concatenate([part.rows for part in parts]), np.concatenate([part.raw for part in parts]))


def is_pose(frame: bytes) -> bool:
    """Whether a frame is of a pose's kind and size; its fields are not looked at."""
    return len(frame) == POSE_BYTES and frame[0] == POSE_KIND


def new_columns(count: int) -> Columns:
    """Columns of `count` rows, none of them live."""

    def whole() -> Rows:
        return np.zeros(count, np.int64)

    def real() -> npt.NDArray[np.float64]:
        return np.zeros(count, np.float64)

    newest = np.full(count, -1, np.int64)
    return Columns(np.zeros(count, np.bool_), whole(), whole(), whole(), real(), real(), real(), real(), newest)


def rates_of(limits: Limits) -> Rates:
    """The rates among the limits."""
    return Rates(float(limits.messages_per_s), float(limits.bytes_per_s), int(limits.frame_bytes_max))


@njit(cache=True)
def u16(frame: RawPoses, at: int) -> int:
    """A little-endian number of two bytes."""
    return int(frame[at]) | int(frame[at + 1]) << 8


@njit(cache=True)
def u32(frame: RawPoses, at: int) -> int:
    """A little-endian number of four bytes."""
    return u16(frame, at) | u16(frame, at + 2) << 16


@njit(cache=True)
def rotation_ok(frame: RawPoses, at: int) -> bool:
    """Whether no field of the packed rotation is 1023."""
    packed = u32(frame, at)
    return (packed >> 2 & 1023) != 1023 and (packed >> 12 & 1023) != 1023 and (packed >> 22 & 1023) != 1023


@njit(cache=True)
def fields_ok(frame: RawPoses) -> bool:
    """Whether every field of a pose is in its range."""
    return (
        u16(frame, YAW) <= YAW_MAX
        and u16(frame, HEAD_Y) <= HEAD_Y_MM_MAX
        and (int(frame[FLAGS]) & ~FLAGS_ALLOWED) == 0
        and rotation_ok(frame, HEAD_ROT)
        and rotation_ok(frame, LEFT_ROT)
        and rotation_ok(frame, RIGHT_ROT)
    )


@njit(cache=True)
def judge(columns: Columns, rates: Rates, now_s: float, row: int, frame: RawPoses) -> int:
    """The code of one pose; what it costs is taken off the row, and its number noted when it is accepted."""
    if frame.shape[0] > rates.frame_bytes_max:
        return SIZE
    passed_s = max(0.0, now_s - columns.then_s[row])
    columns.then_s[row] = now_s
    columns.messages[row] = min(BURST_S * rates.messages_per_s, columns.messages[row] + passed_s * rates.messages_per_s)
    columns.size[row] = min(BURST_S * rates.bytes_per_s, columns.size[row] + passed_s * rates.bytes_per_s)
    if columns.messages[row] < 1.0:
        return RATE_MESSAGES
    columns.messages[row] -= 1.0
    if columns.size[row] < frame.shape[0]:
        return RATE_BYTES
    columns.size[row] -= frame.shape[0]
    if not fields_ok(frame):
        return BAD_POSE
    seq = u32(frame, SEQ)
    if seq <= columns.pose_seq[row]:
        return SEQUENCE
    columns.pose_seq[row] = seq
    return OK


@njit(cache=True)
def take_poses(
    columns: Columns, rates: Rates, now_s: float, poses: Poses, taken: Rows, broken: Rows, codes: Rows
) -> tuple[int, int]:
    """Judge poses in arrival order. A row that breaks a rule is live no more, and what it sent besides is not taken.

    Written to `taken`: which poses are the newest accepted ones of their rows; to `broken` and `codes`: which poses
    ended their row, and why. Each has room for all poses; returns how many of both. Rows not live are passed over.
    """
    broke = 0
    for index in range(poses.rows.shape[0]):
        row = poses.rows[index]
        if not columns.live[row]:
            continue
        columns.heard_s[row] = now_s
        code = judge(columns, rates, now_s, row, poses.raw[index])
        if code == OK:
            columns.newest[row] = index
        else:
            columns.live[row] = False
            broken[broke], codes[broke] = index, code
            broke += 1
    took = 0
    for index in range(poses.rows.shape[0]):
        row = poses.rows[index]
        if columns.newest[row] == index and columns.live[row]:
            taken[took] = index
            took += 1
    for index in range(poses.rows.shape[0]):
        columns.newest[poses.rows[index]] = -1
    return took, broke


def prime() -> None:
    """Compile the kernels."""
    none = np.zeros(0, np.int64)
    take_poses(new_columns(1), Rates(1.0, 1.0, 1), 0.0, NO_POSES, none, none, none)
