"""What a swarm's bots got and when, as arrays, for the report and the comparison with the truth.

Owns the counting while a swarm runs. Never judges: `tools.swarm_report` makes figures, `tools.swarm_truth` compares.
Times are monotonic nanoseconds of this machine, ticks are the server's.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.sim.far import FarRows
from server.sim.rows import COLUMNS, THING_COLUMN_COUNT, View
from tools.eyes import Glimpse
from tools.lines import Mail

Longs = npt.NDArray[np.int64]
FIRST_CAPACITY = 1024
SETTLING_TICKS = 10  # after coming into a room
FOLLOWED_TICKS = 2  # an ack's first sight is known if the avatar was seen so few ticks before
FRESH_MAX = 1000
SEEN_MAX = 30_000  # frames kept for the comparison by one process


class Seen(NamedTuple):
    """One decoded frame as it will be compared, and who got it: wire values, columns as sim.rows."""

    room: int
    tick: int
    home: int
    viewers: tuple[int, ...]  # avatar slots
    cells: npt.NDArray[np.uint16]  # (n,) cell of each row
    rows: npt.NDArray[np.uint32]  # (n, COLUMNS)
    thing_cells: npt.NDArray[np.uint16]  # (t,)
    things: npt.NDArray[np.uint32]  # (t, THING_COLUMN_COUNT)
    shown: tuple[int, ...]  # cells with a block
    far: FarRows | None
    held: tuple[int, ...]
    lacking: tuple[int, ...]


class Acks(NamedTuple):
    """Poses that came back: row i is one ack of `bot`, sent and seen by another bot of the view (0: never seen)."""

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
    near_bytes: int  # of the blocks of the frames decoded, and how many avatars they showed
    near_avatars: int
    far_bytes: int
    far_records: int
    glimpses: int  # frames decoded
    poses: int
    counters: dict[str, int]
    cpu_s: float  # of this process between first and last
    wall_s: float
    spiked: Longs  # bots that were cut off at once in the window
    back_s: npt.NDArray[np.float64]  # how long each of them saw nothing; inf: never again


def seen_of(glimpse: Glimpse, viewers: tuple[int, ...]) -> Seen:
    """A glimpse as it is kept."""
    cells, views = list(glimpse.near), list(glimpse.near.values())
    rows = np.concatenate([v.rows for v in views]) if views else np.zeros((0, COLUMNS), np.int64)
    things = np.concatenate([v.things for v in views]) if views else np.zeros((0, THING_COLUMN_COUNT), np.int64)
    return Seen(
        glimpse.room, glimpse.tick, glimpse.home, viewers,
        np.repeat(np.array(cells, np.uint16), [len(v.rows) for v in views]), rows.astype(np.uint32),
        np.repeat(np.array(cells, np.uint16), [len(v.things) for v in views]), things.astype(np.uint32),
        tuple(cells), glimpse.far, glimpse.held, glimpse.lacking,
    )  # fmt: skip


class Watch:
    """An Observer (tools.fleet) of `count` bots. `every`: of how many ticks one is kept for the comparison."""

    def __init__(self, count: int, every: int) -> None:
        self.count, self.every = count, every
        self.newest = -1
        self.first = self.last = -1
        self.poses = self.near_bytes = self.near_avatars = self.far_bytes = self.far_records = self.glimpses = 0
        self.now_got = np.zeros(count, np.int64)  # ticks got by each bot since the window began, for the live view
        self.bytes_total = 0
        self.useless = 0  # deltas whose keyframe did not come: as good as lost
        self._since = np.full(count, -1, np.int64)  # before this tick a bot was elsewhere, and has no keyframes of
        self._measured = count
        self._told = 0
        self._spiked, self._spike_ns = np.zeros(0, np.int64), 0
        self._over = False  # the window is: totals stand still, arrays still take what belongs to it
        self._base = -1
        self._got_ns = np.zeros((count, FIRST_CAPACITY), np.int64)
        self._bytes_in = np.zeros(FIRST_CAPACITY, np.int64)
        self._dice = np.random.Generator(np.random.PCG64(count))
        self._ack = np.full(count, -1, np.int64)  # newest seen of each bot, and in which tick
        self._ack_tick = np.full(count, -1, np.int64)
        self._acks: list[npt.NDArray[np.int64]] = []  # (k, 4) bot, tick, sent_ns, the bot that looks
        self._kept: dict[int, tuple[Glimpse, set[int]]] = {}

    def begin(self, count: int) -> None:
        """The window begins with the next tick; the first `count` bots are measured."""
        self._measured, self._spiked, self._spike_ns = count, np.zeros(0, np.int64), 0
        self.first = self.newest + 1
        self.poses = self.near_bytes = self.near_avatars = self.far_bytes = self.far_records = self.glimpses = 0
        self.now_got[:] = 0
        self._kept.clear()
        self._acks.clear()
        self._told = 0
        self._over = False
        self._forget()

    def spiked(self, bots: Longs, now_ns: int) -> None:
        """These bots were cut off."""
        self._spiked, self._spike_ns = bots, now_ns

    def end(self) -> None:
        """The window ends with the newest tick."""
        self.last = self.newest
        self._over = True

    # --- Observer -----------------------------------------------------------------------------------------------------

    def posed(self, count: int) -> None:
        """See Observer."""
        self.poses += 0 if self._over else count

    def got(self, mail: Mail) -> None:
        """See Observer."""
        if not len(mail.bot):
            return
        if self._base < 0:
            self._base = int(mail.tick.min())
        column = mail.tick - self._base
        if int(column.max()) >= self._got_ns.shape[1]:
            self._grow(int(column.max()))
        self.newest = max(self.newest, int(mail.tick.max()))
        whole = mail.base == mail.tick
        self._take(mail, column, whole & (column >= 0))
        base = mail.base - self._base
        useful = (base < 0) | (mail.base <= self._since[mail.bot]) | (self._got_ns[mail.bot, np.maximum(base, 0)] > 0)
        self._take(mail, column, ~whole & (column >= 0) & useful)
        self.useless += int((~whole & ~useful).sum())
        self.bytes_total += int(mail.size.sum())

    def _take(self, mail: Mail, column: Longs, which: npt.NDArray[np.bool_]) -> None:
        """These of the mail count."""
        fresh = which & (self._got_ns[mail.bot, np.maximum(column, 0)] == 0)
        bot, column = mail.bot[fresh], column[fresh]
        self._got_ns[bot, column] = mail.at_ns[fresh]
        np.add.at(self._bytes_in, column, mail.size[fresh])
        np.add.at(self.now_got, bot, 1)

    def saw(self, key: int, glimpse: Glimpse, bots: Longs, slots: Longs) -> None:
        """See Observer."""
        if glimpse.tick % self.every or self._over or len(self._kept) >= SEEN_MAX:
            return
        self._kept.setdefault(key, (glimpse, set()))[1].update(slots.tolist())

    def weighed(self, glimpse: Glimpse) -> None:
        """See Observer."""
        if not self._over:
            self.glimpses += 1
            self.near_bytes += glimpse.near_bytes
            self.near_avatars += sum(len(view.rows) for view in glimpse.near.values())
            self.far_bytes += glimpse.far_bytes
            self.far_records += len(glimpse.far.slot) if glimpse.far is not None else 0

    def acked(self, view: View, bot_at: Longs, sent_ns: Longs, lookers: Longs) -> None:
        """See Observer."""
        bots = bot_at[view.slots]
        ours = bots >= 0
        bots, ack = bots[ours], view.ack[ours]
        followed = (self._ack_tick[bots] >= view.tick - FOLLOWED_TICKS) & (self._ack[bots] != ack)
        self._ack[bots], self._ack_tick[bots] = ack, view.tick
        bots, ack = bots[followed], ack[followed]
        sent = sent_ns[bots, ack]
        if not len(bots) or len(lookers) < 2:
            return
        draw = self._dice.integers(len(lookers), size=len(bots))
        other = lookers[(draw + 1) % len(lookers)]
        looker = np.where(lookers[draw] == bots, other, lookers[draw])
        rows = np.stack((bots, np.full(len(bots), view.tick), sent, looker), axis=1)
        self._acks.append(rows[sent > 0])

    def left(self, bot: int) -> None:
        """See Observer."""
        self._ack[bot] = self._ack_tick[bot] = -1
        self._since[bot] = self.newest + SETTLING_TICKS

    def _forget(self) -> None:
        """Drop the columns of windows long over."""
        old = self.newest - self._base - FIRST_CAPACITY // 2
        if self._base >= 0 and old > 0:
            got, size = self._got_ns[:, old:], self._bytes_in[old:]
            self._got_ns, self._bytes_in = np.zeros_like(self._got_ns), np.zeros_like(self._bytes_in)
            self._got_ns[:, : got.shape[1]], self._bytes_in[: len(size)] = got, size
            self._base += old

    def _grow(self, column: int) -> None:
        wider = max(2 * self._got_ns.shape[1], column + 1)
        got, size = np.zeros((self.count, wider), np.int64), np.zeros(wider, np.int64)
        got[:, : self._got_ns.shape[1]], size[: len(self._bytes_in)] = self._got_ns, self._bytes_in
        self._got_ns, self._bytes_in = got, size

    # --- the outcome --------------------------------------------------------------------------------------------------

    def lags_ms(self, parts: int) -> npt.NDArray[np.float64]:
        """Input-to-seen latency of the newest acks, for the live view."""
        rows = np.concatenate(self._acks[-parts:]) if self._acks else np.zeros((0, 4), np.int64)
        seen = self._got_ns[rows[:, 3], rows[:, 1] - self._base]
        out: npt.NDArray[np.float64] = (seen - rows[:, 2])[seen > 0] / 1e6
        return out

    def fresh_ms(self) -> npt.NDArray[np.float64]:
        """The same of those since it was asked the last time, at most FRESH_MAX."""
        parts, self._told = len(self._acks) - self._told, len(self._acks)
        return self.lags_ms(parts)[:FRESH_MAX] if parts > 0 else np.zeros(0)

    def spread_ms(self) -> npt.NDArray[np.float64]:
        """How long after its first bot each bot got the newest whole tick, for the live view."""
        column = self.newest - 1 - self._base
        times = self._got_ns[:, column] if column >= 0 else np.zeros(0, np.int64)
        times = times[times > 0]
        return (times - times.min()) / 1e6 if len(times) else np.zeros(0)

    def _back_s(self) -> npt.NDArray[np.float64]:
        times = self._got_ns[self._spiked].astype(np.float64)
        times[times <= self._spike_ns + 1e7] = np.inf  # what was under way does not count
        out: npt.NDArray[np.float64] = (times.min(axis=1, initial=np.inf) - self._spike_ns) / 1e9
        return out

    def record(self, tick_hz: int, counters: dict[str, int], cpu_s: float, wall_s: float) -> Record:
        """Everything between begin and end."""
        assert 0 <= self.first <= self.last, "begin and end come before record, with a tick between them"
        window = slice(self.first - self._base, self.last - self._base + 1)
        acks = np.concatenate(self._acks) if self._acks else np.zeros((0, 4), np.int64)
        acks = acks[(self.first <= acks[:, 1]) & (acks[:, 1] <= self.last)]
        seen_ns = self._got_ns[acks[:, 3], acks[:, 1] - self._base]
        inside = [(g, slots) for g, slots in self._kept.values() if self.first <= g.tick <= self.last]
        kept = [seen_of(glimpse, tuple(sorted(slots))) for glimpse, slots in inside]
        return Record(
            bots=self._measured, tick_hz=tick_hz, first=self.first, last=self.last,
            got_ns=self._got_ns[: self._measured, window].copy(),
            bytes_in=self._bytes_in[window].copy(), acks=Acks(acks[:, 0], acks[:, 1], acks[:, 2], seen_ns), seen=kept,
            near_bytes=self.near_bytes, near_avatars=self.near_avatars, far_bytes=self.far_bytes,
            far_records=self.far_records, glimpses=self.glimpses, poses=self.poses, counters=counters, cpu_s=cpu_s,
            wall_s=wall_s,
            spiked=self._spiked, back_s=self._back_s(),
        )  # fmt: skip
