"""The sessions of all connected clients: a row of shared columns each, and the poses of a tick taken in one pass.

Owns the numbers of rows. A row is given to another client only after the next receive has begun, so that nothing that
was heard for its former owner can be taken for its next one's.
"""

from collections import deque
from typing import NamedTuple

import numpy as np

from server.config import Limits
from server.net.session import (
    POSE_STRUCT,
    ProtocolError,
    Session,
    out_of_order,
    parse_pose,
    too_many,
    too_much,
    wrong_size,
)
from server.net.uplink import CODES, Poses, new_columns, rates_of, take_poses
from server.sim.poses import POSE, PoseBatch

ROWS_AT_FIRST = 64


class Broken(NamedTuple):
    """A client whose pose broke a rule; its session is closed."""

    client: int
    error: ProtocolError


class Sessions:
    """All sessions of a shard."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._rates = limits, rates_of(limits)
        self._columns = new_columns(0)
        self._free: deque[int] = deque()
        self._resting: list[int] = []
        self._sessions: dict[int, Session] = {}

    def open(self, client: int, now_s: float) -> Session:
        """A session for a verified client."""
        if not self._free:
            self._grow()
        row = self._free.popleft()
        assert not self._columns.live[row], "a row has one owner"
        self._columns.client[row] = client
        self._sessions[row] = session = Session(self._limits, now_s, self._columns, row)
        return session

    def _grow(self) -> None:
        """Twice the rows. Sessions look at the new columns from now on."""
        before, old = len(self._columns.live), self._columns
        self._columns = new_columns(max(ROWS_AT_FIRST, 2 * before))
        for column, earlier in zip(self._columns, old, strict=True):
            column[:before] = earlier
        for session in self._sessions.values():
            session.move(self._columns)
        self._free.extend(range(before, len(self._columns.live)))

    def end(self, session: Session) -> None:
        """The connection is no more; its row rests until the next receive has begun."""
        session.close()
        del self._sessions[session.row]
        self._resting.append(session.row)

    def begin(self) -> None:
        """A receive begins: rows given back before it may have new owners."""
        self._free.extend(self._resting)
        self._resting.clear()

    def silent(self, before_s: float) -> list[int]:
        """Clients of whom nothing was heard since then, ascending."""
        columns = self._columns
        silent: list[int] = columns.client[columns.live & (columns.heard_s < before_s)].tolist()
        return sorted(silent)

    def take(self, poses: Poses, now_s: float) -> tuple[PoseBatch, list[Broken]]:
        """The newest accepted pose of each client, and who broke a rule, in arrival order."""
        count = len(poses.rows)
        taken, broken, codes = (np.empty(count, np.int64) for _ in range(3))
        took, broke = take_poses(self._columns, self._rates, now_s, poses, taken, broken, codes)
        clients = self._columns.client[poses.rows[taken[:took]]]
        order = np.argsort(clients)
        rows = poses.raw[taken[:took][order]].reshape(-1).view(POSE)
        ended = [self._broken(poses, int(index), int(code)) for index, code in zip(broken[:broke], codes, strict=False)]
        return PoseBatch(clients[order].astype(np.uint32), rows), ended

    def _broken(self, poses: Poses, index: int, code: int) -> Broken:
        row = int(poses.rows[index])
        error = why(CODES[code], poses.raw[index].tobytes(), int(self._columns.pose_seq[row]), self._limits)
        return Broken(int(self._columns.client[row]), error)


def why(code: str, frame: bytes, newest: int, limits: Limits) -> ProtocolError:
    """What `net.session` would have said of a pose that broke the rule of this code."""
    match code:
        case "size":
            return wrong_size(len(frame), limits)
        case "rate-messages":
            return too_many(limits)
        case "rate-bytes":
            return too_much(limits)
        case "sequence":
            return out_of_order(int(POSE_STRUCT.unpack(frame)[1]), newest)
    try:
        parse_pose(frame)
    except ProtocolError as error:
        return error
    raise AssertionError("the kernel and parse_pose refuse the same poses")
