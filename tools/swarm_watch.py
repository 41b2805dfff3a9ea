"""What a swarm's bots got and when, as arrays, for the report and the comparison with the truth.

Owns the counting while a swarm runs. Never judges: `tools.swarm_report` makes figures, `tools.swarm_truth` compares.
Times are monotonic nanoseconds of this machine, ticks are the server's.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.sim.snapshot import View

Longs = npt.NDArray[np.int64]
FIRST_CAPACITY = 1024


class Seen(NamedTuple):
    """One decoded frame as it will be compared: wire values, columns as sim.rows."""

    room: int
    tick: int
    rows: npt.NDArray[np.uint32]  # (n, COLUMNS)
    things: npt.NDArray[np.uint32]  # (t, THING_COLUMN_COUNT)


class Acks(NamedTuple):
    """Poses that came back: row i is one ack of `bot`, sent and seen by another bot of the room (0: never seen)."""

    bot: Longs
    tick: Longs
    sent_ns: Longs
    seen_ns: Longs


class Record(NamedTuple):
    """What one process of a swarm measured between ticks `first` and `last`, both included."""

    bots: int
    tick_hz: int
    first: int
    last: int
    got_ns: Longs  # (bots, ticks) when the snapshot of each tick came in, 0 never
    bytes_in: Longs  # (ticks,) of snapshots, all bots together
    acks: Acks
    seen: list[Seen]
    frame_bytes: int  # of the decoded frames, each once
    frame_avatars: int  # avatars in them
    poses: int
    counters: dict[str, int]
    cpu_s: float  # of this process between first and last
    wall_s: float


class Watch:
    """An Observer (tools.fleet) of `count` bots. `every`: of how many ticks one is kept for the comparison."""

    def __init__(self, count: int, every: int) -> None:
        self.count, self.every = count, every
        self.newest = -1
        self.first = self.last = -1
        self.poses = self.frame_bytes = self.frame_avatars = 0
        self.seen: list[Seen] = []
        self.now_got = np.zeros(count, np.int64)  # ticks got by each bot since the window began, for the live line
        self._over = False  # the window is: totals stand still, arrays still take what belongs to it
        self._base = -1
        self._got_ns = np.zeros((count, FIRST_CAPACITY), np.int64)
        self._bytes_in = np.zeros(FIRST_CAPACITY, np.int64)
        self._sent_ns = np.zeros((count, 256), np.int64)
        self._last_ack = np.full(count, -1, np.int64)
        self._members: dict[int, list[int]] = {}
        self._acks: list[tuple[int, int, int, int]] = []  # bot, tick, sent_ns, the bot that looks

    def begin(self) -> None:
        """The window begins with the next tick."""
        self.first = self.newest + 1
        self.poses = self.frame_bytes = self.frame_avatars = 0
        self.now_got[:] = 0
        self.seen.clear()
        self._acks.clear()
        self._over = False

    def end(self) -> None:
        """The window ends with the newest tick."""
        self.last = self.newest
        self._over = True

    # --- Observer -----------------------------------------------------------------------------------------------------

    def sent(self, bot: int, seq: int, now_ns: int) -> None:
        """See Observer."""
        self._sent_ns[bot, seq & 255] = now_ns
        self.poses += not self._over

    def got(self, bot: int, room: int, tick: int, size: int, at_ns: int) -> None:
        """See Observer."""
        if self._base < 0:
            self._base = tick
        column = tick - self._base
        if column < 0:
            return
        if column >= self._got_ns.shape[1]:
            self._grow(column)
        self.newest = max(self.newest, tick)
        if not self._got_ns[bot, column]:
            self._got_ns[bot, column] = at_ns
            self._bytes_in[column] += size
            self.now_got[bot] += 1

    def saw(self, view: View, bots: dict[int, int], frame_bytes: int) -> None:
        """See Observer."""
        if not self._over:
            self.frame_bytes += frame_bytes
            self.frame_avatars += len(view.rows)
        if view.tick % self.every == 0:
            self.seen.append(Seen(view.room, view.tick, view.rows.astype(np.uint32), view.things.astype(np.uint32)))
        members = self._members.get(view.room, [])
        if len(members) < 2:
            return
        for slot, ack in zip(view.slots.tolist(), view.ack.tolist(), strict=True):
            bot = bots.get(slot, -1)
            if bot >= 0 and self._last_ack[bot] != ack:
                self._acked(bot, ack, view.tick, members)

    def _acked(self, bot: int, ack: int, tick: int, members: list[int]) -> None:
        """Note the ack for a bot of the room that is not the sender; who looks changes from tick to tick."""
        first = self._last_ack[bot] < 0
        self._last_ack[bot] = ack
        sent_ns = int(self._sent_ns[bot, ack])
        if first or not sent_ns:
            return
        looker = members[(tick * 31 + bot) % len(members)]
        if looker == bot:
            looker = members[(tick * 31 + bot + 1) % len(members)]
        self._acks.append((bot, tick, sent_ns, looker))

    def entered(self, bot: int, room: int) -> None:
        """See Observer."""
        self.left(bot)
        self._members.setdefault(room, []).append(bot)

    def left(self, bot: int) -> None:
        """See Observer."""
        self._last_ack[bot] = -1
        self._sent_ns[bot] = 0
        for members in self._members.values():
            if bot in members:
                members.remove(bot)

    def _grow(self, column: int) -> None:
        wider = max(2 * self._got_ns.shape[1], column + 1)
        got, size = np.zeros((self.count, wider), np.int64), np.zeros(wider, np.int64)
        got[:, : self._got_ns.shape[1]], size[: len(self._bytes_in)] = self._got_ns, self._bytes_in
        self._got_ns, self._bytes_in = got, size

    # --- the outcome --------------------------------------------------------------------------------------------------

    def lag_ms(self) -> float:
        """Median input-to-seen latency of the newest acks, for the live line; 0 while there are none."""
        rows = [(sent, self._got_at(looker, tick)) for _, tick, sent, looker in self._acks[-400:]]
        waits = [(seen - sent) / 1e6 for sent, seen in rows if seen]
        return float(np.median(waits)) if waits else 0.0

    def _got_at(self, bot: int, tick: int) -> int:
        return int(self._got_ns[bot, tick - self._base])

    def record(self, tick_hz: int, counters: dict[str, int], cpu_s: float, wall_s: float) -> Record:
        """Everything between begin and end."""
        assert 0 <= self.first <= self.last, "begin and end come before record, with a tick between them"
        window = slice(self.first - self._base, self.last - self._base + 1)
        kept = [a for a in self._acks if self.first <= a[1] <= self.last]
        acks = np.array(kept, np.int64).reshape(-1, 4)
        seen_ns = self._got_ns[acks[:, 3], acks[:, 1] - self._base]
        return Record(
            bots=self.count, tick_hz=tick_hz, first=self.first, last=self.last, got_ns=self._got_ns[:, window].copy(),
            bytes_in=self._bytes_in[window].copy(), acks=Acks(acks[:, 0], acks[:, 1], acks[:, 2], seen_ns),
            seen=[s for s in self.seen if self.first <= s.tick <= self.last], frame_bytes=self.frame_bytes,
            frame_avatars=self.frame_avatars, poses=self.poses, counters=counters, cpu_s=cpu_s, wall_s=wall_s,
        )  # fmt: skip
