"""The arithmetic of a comparison: was everything right, how late was it, what did it cost, was the load held.

Owns no process and no file: rows and counts in, figures out. A row is delivered when it came and nothing newer of its
sender was more than LATE_MS old at that time; a run is held when at least DELIVERED_MIN of all rows were delivered and
the 99th percentile from sending a pose to seeing it is under LATE_MS.
"""

import statistics
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tools.peers.dialects import Rows
from tools.peers.motion import HZ, float_poses, step_of
from tools.peers.plan import SENT_RING, Counted

DELIVERED_MIN = 0.95
LATE_MS = 100.0
Nanoseconds = npt.NDArray[np.int64]


class Sighting(NamedTuple):
    """What the sampled clients saw in the measured time."""

    rows: int
    wrong: int  # rows whose values are not what was sent under their number
    in_time: float  # share of the rows that should have come and were new enough
    latency_ms: npt.NDArray[np.float64]  # of every first sight of a pose


class Figures(msgspec.Struct, kw_only=True):
    """One run of one server under one load."""

    server: str
    clients: int
    room: int
    core: float  # share of the server's core
    us: float  # processor microseconds per client and tick
    bytes_per_update: float
    delivered: float
    p50_ms: float
    p99_ms: float
    wrong: int
    rows: int
    lost: int  # clients that did not come in or were lost
    load_core: float  # share of the load's core that the generator took
    load_late_ms: float  # how late 99 % of its poses went out at the most
    others: float  # share of both cores that went to anybody else
    memory_kb: int = 0  # by how much the server grew with its clients
    parts: dict[str, float] = {}  # share of the core by process
    phases: dict[str, float] = {}  # of our tick: median wall microseconds per client
    note: str = ""

    @property
    def held(self) -> bool:
        """Whether the service level stands."""
        return self.wrong == 0 and self.lost == 0 and self.delivered >= DELIVERED_MIN and self.p99_ms < LATE_MS


class Spread(NamedTuple):
    """Median and range of repeats."""

    median: float
    low: float
    high: float


def spread_of(values: list[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(ours: float, theirs: float) -> float:
    """How many times as much the other takes; 0 where one of them is unknown."""
    return theirs / ours if ours > 0 and theirs > 0 else 0.0


def sent_ns(sent_us: npt.NDArray[np.uint32], born_ns: int, client: npt.NDArray[np.integer],
            seq: npt.NDArray[np.integer]) -> Nanoseconds:  # fmt: skip
    """When `client` sent its pose `seq`; 0 where it has not (yet). The ring must not have gone round since."""
    us = sent_us[client, seq.astype(np.int64) % SENT_RING].astype(np.int64)
    return np.where(us > 0, us * 1000 + born_ns, 0)


def first_sights(viewer: npt.NDArray[np.integer], sender: npt.NDArray[np.integer],
                 seq: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:  # fmt: skip
    """Indices of the rows in which a viewer sees a sender's pose for the first time; rows are in order of time."""
    key = (viewer.astype(np.uint64) << np.uint64(44)) | (sender.astype(np.uint64) << np.uint64(28))
    _, first = np.unique(key | seq.astype(np.uint64), return_index=True)
    return np.sort(first)


def newer_age_ns(ns: Nanoseconds, sender: npt.NDArray[np.integer], seq: npt.NDArray[np.integer],
                 sent_us: npt.NDArray[np.uint32], born_ns: int) -> Nanoseconds:  # fmt: skip
    """How old the next newer pose of the sender was when the row came; below 0 if it was not sent yet."""
    mine = sent_ns(sent_us, born_ns, sender, seq)
    newer = sent_ns(sent_us, born_ns, sender, seq + 1)
    return np.where(newer > mine, ns - newer, -1)


def wrong_rows(rows: Rows) -> int:
    """Rows of SEEN whose values are not what their sender sent under their number."""
    truth = float_poses()[step_of(rows["id"], rows["seq"])]
    return int(np.any(rows["values"] != truth, axis=1).sum())


def strangers(rows: Rows, room: int) -> int:
    """Rows of people who are not in the viewer's room."""
    return int((rows["id"] // room != rows["viewer"] // room).sum())


def look(rows: Rows, counted: Counted, sent_us: npt.NDArray[np.uint32], room: int, viewers: int) -> Sighting:
    """Judge the rows (of SEEN) that came in the measured time."""
    rows = rows[(rows["ns"] >= counted.start_ns) & (rows["ns"] < counted.end_ns) & (rows["seq"] > 0)]
    ns, sender, seq = rows["ns"].astype(np.int64), rows["id"], rows["seq"].astype(np.int64)
    fresh = newer_age_ns(ns, sender, seq, sent_us, counted.born_ns) <= LATE_MS * 1e6
    first = first_sights(rows["viewer"], sender, seq)
    sent = sent_ns(sent_us, counted.born_ns, sender[first], seq[first])
    latency = (ns[first] - sent)[sent >= counted.start_ns] / 1e6
    expected = viewers * min(room, counted.clients) * HZ * counted.seconds
    in_time = min(1.0, float(fresh.sum()) / expected)
    return Sighting(len(rows), wrong_rows(rows) + strangers(rows, room), in_time, latency)


def views_share(counted: Counted) -> float:
    """Views that came to all clients, of those that should have."""
    return min(1.0, counted.views / (counted.clients * HZ * counted.seconds))


def figures(server: str, room: int, counted: Counted, sight: Sighting, server_s: float, others_s: float) -> Figures:
    """All figures of a run. `server_s`: processor seconds of the server in it; `others_s`: of anybody else."""
    late = np.percentile(sight.latency_ms, (50, 99)) if len(sight.latency_ms) else (np.inf, np.inf)
    updates = counted.views * min(room, counted.clients)
    return Figures(
        server=server, clients=counted.clients, room=room, core=server_s / counted.seconds,
        us=server_s * 1e6 / (counted.clients * HZ * counted.seconds),
        bytes_per_update=counted.bytes / updates if updates else 0.0,
        delivered=min(views_share(counted), sight.in_time), p50_ms=float(late[0]), p99_ms=float(late[1]),
        wrong=sight.wrong, rows=sight.rows,
        lost=counted.clients - counted.ready + counted.closed, load_core=counted.cpu_s / counted.seconds,
        load_late_ms=counted.late_p99_ms, others=max(0.0, others_s / counted.seconds),
    )  # fmt: skip
