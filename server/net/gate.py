"""Poses of verified peers, gathered while the wire is read: rows and raw bytes, without a Python object for each.

Owns which row belongs to which verified peer, and how many poses of one peer are taken in one receive. Never looks into
a pose. Whatever does not get through here goes the way of all other frames.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from server.net.uplink import POSE_BYTES, Poses, RawPoses, Rows, is_pose, joined, poses_of

NO_ROW = -1
MUTED = -2  # in place of a row: nothing is heard of this connection any more
MUTED_MAX = 4096
USER_BYTES = 40  # a CURVE key in z85
CONN_BYTES = 4
ROUTE_BYTES = 5  # a zero, and a number that libzmq counts up
Keys = npt.NDArray[np.int64]


class Known(NamedTuple):
    """Connections by key, and by row the key (CURVE) that each has proved."""

    keys: Keys  # (k,) ascending
    rows: Rows  # (k,) or MUTED
    users: npt.NDArray[np.uint8]  # (rows, USER_BYTES) z85, zeros if none


def key_of(route: bytes) -> int:
    """The key of a native peer: the number libzmq gave its connection, below 2**32. Edges' keys are above."""
    assert len(route) == ROUTE_BYTES and route[0] == 0, "only routing ids that libzmq gave are let in"
    return int.from_bytes(route, "big")


@njit(cache=True)
def find(known: Keys, key: int) -> int:
    """Where `key` is in the ascending `known`; -1 if it is not there."""
    low, high = 0, known.shape[0]
    while low < high:
        middle = (low + high) // 2
        if known[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < known.shape[0] and known[low] == key else -1


@njit(cache=True)
def sift(rows: Rows, heard: Rows, burst: int, kept: Rows) -> int:
    """Count each row's poses in `heard`; the indices of those within `burst` go to `kept`. Returns how many."""
    count = 0
    for index in range(rows.shape[0]):
        row = rows[index]
        if row >= 0 and heard[row] < burst:
            heard[row] += 1
            kept[count] = index
            count += 1
    return count


class Burst:
    """How many frames that are no poses each peer may send in one receive; what is over is counted."""

    def __init__(self, most: int, counters: dict[str, int]) -> None:
        self._most, self._counters = most, counters
        self._heard: dict[object, int] = {}

    def begin(self) -> None:
        """A receive begins."""
        self._heard.clear()

    def within(self, peer: object) -> bool:
        """Whether the peer may be heard once more in this receive."""
        self._counters["frames_received"] += 1
        heard = self._heard.get(peer, 0)
        if heard >= self._most:
            self._counters["burst_frames"] += 1
            return False
        self._heard[peer] = heard + 1
        return True


class PoseGate:
    """The rows of verified peers, by a 64-bit key of the connection; and the poses of one receive."""

    def __init__(self, burst: int) -> None:
        self.dropped = 0  # poses over the burst since this was last set to 0
        self.heard: Rows = np.zeros(0, np.int64)  # by row, in this receive
        self._burst = burst
        self._rows: dict[int, int] = {}
        self._parts: list[Poses] = []
        self._single: list[tuple[int, bytes]] = []
        self._table: tuple[Keys, Rows] | None = None
        self._users = np.zeros((0, USER_BYTES), np.uint8)
        self._muted: deque[int] = deque()

    def let(self, key: int, row: int, user_id: str = "") -> None:
        """From now on the poses of this connection, which proved the key `user_id`, are gathered for `row`."""
        self._rows[key] = row
        self._table = None
        if row >= len(self.heard):
            self.heard = np.concatenate([self.heard, np.zeros(row + 1, np.int64)])
            self._users = np.concatenate([self._users, np.zeros((row + 1, USER_BYTES), np.uint8)])
        self._users[row] = np.frombuffer(user_id.encode()[:USER_BYTES].ljust(USER_BYTES, b"\0"), np.uint8)

    def mute(self, key: int) -> None:
        """Nothing more is heard of this connection: the newest of these are passed over without a look."""
        self._rows[key] = MUTED
        self._muted.append(key)
        if len(self._muted) > MUTED_MAX and self._rows.get(self._muted[0]) == MUTED:
            del self._rows[self._muted.popleft()]
        self._table = None

    def forget(self, key: int) -> None:
        """The connection is no more, or not heard any more."""
        if self._rows.pop(key, None) is not None:
            self._table = None

    @property
    def known(self) -> Known:
        """All connections that were let in or muted."""
        if self._table is None:
            keys = np.fromiter(self._rows.keys(), np.int64, len(self._rows))
            order = np.argsort(keys)
            self._table = keys[order], np.fromiter(self._rows.values(), np.int64, len(self._rows))[order]
        return Known(*self._table, self._users)

    def muted(self, key: int) -> bool:
        """Whether nothing is heard of this connection any more."""
        return self._rows.get(key) == MUTED

    def rows_of(self, keys: Keys) -> Rows:
        """The row of each key, below 0 for those whose poses are not gathered."""
        known, rows, _ = self.known
        if not len(known):
            return np.full(len(keys), NO_ROW, np.int64)
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        found: Rows = np.where(known[at] == keys, rows[at], NO_ROW)
        return found

    def let_in(self, key: int, frame: bytes) -> bool:
        """Take a single frame if it is a pose of a known connection; False if it has to go the other way."""
        if not is_pose(frame) or (row := self._rows.get(key, NO_ROW)) < 0:
            return False
        if self.heard[row] < self._burst:
            self.heard[row] += 1
            self._single.append((row, frame))
        else:
            self.dropped += 1
        return True

    def add(self, rows: Rows, raw: RawPoses) -> None:
        """Poses in arrival order, all of known rows. What is over the burst of its row is dropped and counted."""
        self._settle()
        kept = np.empty(len(rows), np.int64)
        count = sift(rows, self.heard, self._burst, kept)
        self.dropped += len(rows) - count
        self._parts.append(Poses(rows[kept[:count]], raw[kept[:count]]))

    def add_batch(self, base: int, conns: bytes, poses: bytes) -> list[tuple[int, bytes]]:
        """Poses of an edge's browsers, whose keys are `base` + connection. Those of unknown connections come back.

        Raises ValueError if the numbers of connections and poses differ.
        """
        if len(conns) * POSE_BYTES != len(poses) * CONN_BYTES:  # so both are whole: 4 and 39 have no common divisor
            raise ValueError(f"{len(conns)} bytes of connections do not go with {len(poses)} bytes of poses")
        numbers = np.frombuffer(conns, "<u4").astype(np.int64)
        raw = np.frombuffer(poses, np.uint8).reshape(-1, POSE_BYTES)
        rows = self.rows_of(base + numbers)
        known = rows >= 0
        self.add(rows[known], raw[known])
        return [(int(numbers[index]), raw[index].tobytes()) for index in np.flatnonzero(~known)]

    def take(self) -> Poses:
        """All poses since the last call; the next receive begins."""
        self._settle()
        parts, self._parts = self._parts, []
        self.heard[:] = 0
        return joined(parts)

    def _settle(self) -> None:
        """Single poses become arrays."""
        if self._single:
            self._parts.append(poses_of(self._single))
            self._single.clear()


def prime() -> None:
    """Compile the kernels."""
    none = np.zeros(0, np.int64)
    sift(none, none, 1, none)
    find(none, 1)
