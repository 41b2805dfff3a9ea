"""Between browsers and the shard: who is connected, what they sent since the last batch, which questions are open.

Owns the connection numbers and every bound on them. Opaque frames go through; nothing of the world is known or kept.
What is meant for a view goes to exactly the connections of that view; a slow reader misses snapshots and, when even
control frames do not fit, loses its connection.
"""

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import structlog

from server.clock import Clock
from server.config import Limits
from server.edge.frames import close_frame, frame, room_for
from server.net import link
from server.net.edgewire import EdgeEvent, EdgeWire, LinkDown, LinkUp, Seen

SNAPSHOT_WAITING_MAX = 32_768  # bytes on a connection before snapshots are left out
ROWS_MAX = 8192  # frames of all browsers in one batch
PENDING_MAX = 1024  # open questions of the HTTP side
BATCH_AT = 0.7  # of a tick after the last snapshot: the batch is there before the shard's next drain
RESTART, SLOW, ENDED = 1012, 1013, 4000  # WebSocket close codes
ANSWER_S = 5.0
CLOSE_S = 2.0  # for a browser to answer a Close frame

Question = Literal["redeem", "who", "feed"]


@dataclass(slots=True)
class Browser:
    """One WebSocket as the exchange sees it."""

    transport: asyncio.WriteTransport
    waiting: int = 0  # frames in the batch to come
    ending: asyncio.TimerHandle | None = None  # set once a Close frame is written: aborts who does not answer it


class NoAnswer(Exception):
    """The shard is not there, or did not answer in time."""


class Exchange:
    """All browsers of one edge and their link to the shard."""

    def __init__(
        self, wire: EdgeWire, limits: Limits, clock: Clock, log: structlog.typing.FilteringBoundLogger
    ) -> None:
        self.wire, self.limits, self.log = wire, limits, log
        self.counters: Counter[str] = Counter()
        self.stats: dict[str, float] = {}
        self.browsers: dict[int, Browser] = {}
        self.welcome: link.EdgeWelcome | None = None
        self._clock = clock
        self._numbers = itertools.count(1)
        self._questions = itertools.count(1)
        self._open: dict[int, asyncio.Future[link.Answer]] = {}
        self._rows: list[tuple[int, bytes]] = []
        self._gone: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tick_s = 0.0
        self._empty = asyncio.Event()
        self.welcomed = asyncio.Event()  # set once the shard has welcomed this edge for the first time

    @property
    def linked(self) -> bool:
        """Whether the shard has welcomed this edge and the link stands."""
        return self.welcome is not None

    @property
    def full(self) -> bool:
        """Whether there is no room for one more connection."""
        return len(self.browsers) >= self.limits.avatars_max + self.limits.unverified_peers_max

    # --- browsers -----------------------------------------------------------------------------------------------------

    def enter(self, browser: Browser) -> int:
        """A WebSocket opened; its number."""
        conn = next(self._numbers)
        self.browsers[conn] = browser
        self.counters["browsers_opened"] += 1
        return conn

    def leave(self, conn: int) -> None:
        """A WebSocket closed."""
        browser = self.browsers.pop(conn, None)
        if browser is None:
            return
        if browser.ending is not None:
            browser.ending.cancel()
        if not self.browsers:
            self._empty.set()
        self.wire.forget(conn)
        self._gone.append(conn)
        self._schedule()

    def receive(self, conn: int, data: bytes) -> None:
        """A browser's frame joins the next batch, or is dropped and counted when it sends too much."""
        browser = self.browsers.get(conn)
        if browser is None or browser.ending:
            return
        if browser.waiting >= self.limits.inbound_queue_max or len(self._rows) >= ROWS_MAX:
            self.counters["frames_dropped"] += 1
            return
        browser.waiting += 1
        self._rows.append((conn, data))
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            return
        dt_s = 1.0 / (self.welcome.tick_hz if self.welcome else 30)
        due_s = next_batch_s(self._clock.monotonic_s(), self._tick_s, dt_s)
        self._timer = asyncio.get_running_loop().call_later(due_s, self._send_batch)

    def _send_batch(self) -> None:
        """One FromBrowsers, one Gone; frames that cannot go now are dropped, departures are kept until told."""
        self._timer = None
        rows, self._rows = self._rows, []
        for conn, _ in rows:
            if (browser := self.browsers.get(conn)) is not None:
                browser.waiting = 0
        if rows and not (self.linked and self.wire.send(link.FromBrowsers(rows))):
            self.counters["frames_dropped"] += len(rows)
        if self._gone and self.linked and self.wire.send(link.Gone(self._gone)):
            self._gone = []

    # --- the shard ----------------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Do what the shard says, for ever."""
        async for event in self.wire.events():
            self._take(event)

    def _take(self, event: EdgeEvent) -> None:
        match event:
            case Seen():
                self._tick_s = self._clock.monotonic_s()
                self._show(event)
            case link.ToBrowsers():
                for conns, payload in event.rows:
                    self._tell(conns, frame(payload))
            case link.Close():
                for conn in event.conns:
                    self._end(conn, ENDED, event.code)
            case link.Answer():
                waiting = self._open.get(event.request)
                if waiting is not None and not waiting.done():
                    waiting.set_result(event)
            case link.Stats():
                self.stats = event.values
            case link.EdgeWelcome():
                self.welcome = event
                self.welcomed.set()
                self.log.info("linked", tick_hz=event.tick_hz)
            case LinkUp() | LinkDown():
                self._start_anew()

    def _show(self, seen: Seen) -> None:
        data = frame(seen.frame)
        for conn in seen.conns:
            browser = self.browsers.get(conn)
            if browser is None or browser.ending:
                continue
            if room_for(browser.transport, len(data), SNAPSHOT_WAITING_MAX):
                browser.transport.write(data)
                self.counters["snapshots_sent"] += 1
            else:
                self.counters["snapshots_skipped"] += 1

    def _tell(self, conns: list[int], data: bytes) -> None:
        for conn in conns:
            browser = self.browsers.get(conn)
            if browser is None or browser.ending:
                continue
            if room_for(browser.transport, len(data), self.limits.outbound_bytes_max):
                browser.transport.write(data)
            else:
                self.counters["browsers_too_slow"] += 1
                self._end(conn, SLOW, "slow")

    def _end(self, conn: int, code: int, reason: str) -> None:
        browser = self.browsers.get(conn)
        if browser is None or browser.ending:
            return
        wait_s = 0.0 if code == SLOW else CLOSE_S  # what waits for a slow one would never be read
        browser.transport.write(close_frame(code, reason))
        browser.ending = asyncio.get_running_loop().call_later(wait_s, browser.transport.abort)

    def _start_anew(self) -> None:
        """The shard is another one, or gone: it knows none of our connections, so they have to come back."""
        if self.linked:
            self.log.warning("link_lost", browsers=len(self.browsers), questions=len(self._open))
        self.welcome = None
        self._rows, self._gone = [], []
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(NoAnswer("the shard went away"))
        self.end_all(RESTART, "restart")

    def end_all(self, code: int, reason: str) -> None:
        """Close every WebSocket."""
        for conn in list(self.browsers):
            self._end(conn, code, reason)

    async def emptied(self) -> None:
        """Wait until no browser is left."""
        while self.browsers:
            self._empty.clear()
            await self._empty.wait()

    async def ask(self, kind: Question, body: bytes) -> link.Answer:
        """Put a question of the HTTP side to the shard; raises NoAnswer."""
        if not self.linked or len(self._open) >= PENDING_MAX:
            raise NoAnswer("the shard is not there" if not self.linked else "too many questions are open")
        request = next(self._questions) & 0xFFFF_FFFF
        waiting: asyncio.Future[link.Answer] = asyncio.get_running_loop().create_future()
        self._open[request] = waiting
        try:
            if not self.wire.send(link.Ask(request, kind, body)):
                raise NoAnswer("the link to the shard is full")
            return await asyncio.wait_for(waiting, ANSWER_S)
        except TimeoutError:
            raise NoAnswer("the shard did not answer in time") from None
        finally:
            del self._open[request]


def next_batch_s(now_s: float, tick_s: float, dt_s: float) -> float:
    """How long to wait before the batch is sent: up to BATCH_AT of the tick under way, which began at `tick_s`.

    Sent then it waits hardly at all at the shard, and one batch a tick is enough. Without snapshots to go by: at once.
    """
    if not 0.0 <= now_s - tick_s < 1.0:
        return dt_s / 2
    ahead_s = (BATCH_AT * dt_s - (now_s - tick_s)) % dt_s
    return ahead_s
