"""Between browsers and the shard: who is connected, what they sent since the last batch, which questions are open.

Owns the connection numbers and every bound on them. Opaque frames go through; nothing of the world is known or kept.
What is meant for a view goes to exactly the connections of that view; a slow reader misses snapshots and, when even
control frames do not fit, loses its connection.
"""

import asyncio
import itertools
from collections import Counter
from typing import Literal

import structlog

from server.clock import Clock
from server.config import Limits
from server.edge.batch import FRAME_BYTES, Batch, is_pose, is_pose_frame
from server.edge.browser import POLICY, SLOW, Browser
from server.edge.client_frames import Message
from server.edge.frames import frame
from server.edge.lines import Line, SocketLine, Sockets
from server.net import link
from server.net.compose import blocks_in
from server.net.edgewire import EdgeEvent, EdgeWire, LinkDown, LinkUp, Seen

SNAPSHOT_WAITING_MAX = 32_768  # bytes on a connection before snapshots are left out
PENDING_MAX = 1024  # open questions of the HTTP side
LEAD_S = 0.012  # the batch goes so long before a tick is full: a snapshot is here a while after its tick began
BEAT_AT_MIN = 0.3  # of a tick
RESTART, ENDED = 1012, 4000  # WebSocket close codes
ANSWER_S = 5.0

Question = Literal["redeem", "who", "feed"]


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
        self.browsers_max = limits.avatars_max + limits.unverified_peers_max
        self.welcome: link.EdgeWelcome | None = None
        self._clock = clock
        self._numbers = itertools.count(1)
        self._questions = itertools.count(1)
        self._open: dict[int, asyncio.Future[link.Answer]] = {}
        self._sockets: Sockets[Browser] = Sockets()
        self._batch = Batch(limits.inbound_queue_max)
        self._gone: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tick, self._tick_s = -1, 0.0
        self._took_s = 0.0  # what a beat takes lately
        self._empty = asyncio.Event()
        self.welcomed = asyncio.Event()  # set once the shard has welcomed this edge for the first time

    @property
    def linked(self) -> bool:
        """Whether the shard has welcomed this edge and the link stands."""
        return self.welcome is not None

    @property
    def full(self) -> bool:
        """Whether there is no room for one more connection."""
        return len(self.browsers) >= self.browsers_max

    # --- browsers -----------------------------------------------------------------------------------------------------

    def enter(self, line: Line) -> Browser:
        """A WebSocket opened."""
        browser = Browser(next(self._numbers), line, self.limits, self._clock.monotonic_s())
        self.browsers[browser.conn] = browser
        if isinstance(line, SocketLine):
            self._sockets.add(browser, line)
        self.counters["browsers_opened"] += 1
        if not self.linked:
            self._end(browser.conn, RESTART, "restart")
        self._schedule()
        return browser

    def leave(self, browser: Browser) -> None:
        """A WebSocket is closed, and forgotten; more than once does no harm."""
        if self.browsers.pop(browser.conn, None) is None:
            return
        if isinstance(browser.line, SocketLine):
            self._sockets.remove(browser.line)
        browser.line.close()
        if not self.browsers:
            self._empty.set()
        self.wire.forget(browser.conn)
        self._gone.append(browser.conn)
        self._schedule()

    def hear(self, browser: Browser, data: bytes) -> None:
        """Bytes of a browser; none at all are the end of the connection."""
        self._hear(browser, data, self._clock.monotonic_s())

    def _hear(self, browser: Browser, data: bytes, now_s: float) -> None:
        if not data:
            self.leave(browser)
        while browser.plain and is_pose_frame(data):
            browser.heard_s = now_s
            if not self._batch.add_pose_frame(browser, data[:FRAME_BYTES]):
                self.counters["frames_dropped"] += 1
            data = data[FRAME_BYTES:]
        if data:
            self._hear_more(browser, data, now_s)

    def _hear_more(self, browser: Browser, data: bytes, now_s: float) -> None:
        found: list[Message] = []
        if not browser.hear(data, now_s, found):
            self.counters["frames_refused"] += 1
        for message in found:
            self._receive(browser, message.data)

    def _receive(self, browser: Browser, message: bytes) -> None:
        """A message joins the batch. The first one goes with the messages whatever it is: the shard judges hellos."""
        if browser.greeted and is_pose(message):
            taken = self._batch.add_pose(browser, message)
        else:
            taken = self._batch.add_message(browser, message)
        browser.greeted = True  # from the next bytes on it may be `plain`
        if not taken:
            self.counters["frames_dropped"] += 1

    def _schedule(self) -> None:
        if self._timer is not None:
            return
        dt_s = 1.0 / (self.welcome.tick_hz if self.welcome else 30)
        due_s = next_beat_s(self._clock.monotonic_s(), self._tick_s, dt_s, self._took_s)
        self._timer = asyncio.get_running_loop().call_later(due_s, self._beat)

    def _beat(self) -> None:
        """Once a tick, while anybody is there: hear all who sent something, look after the silent, tell the shard."""
        self._timer = None
        now_s = self._clock.monotonic_s()
        for browser, data in self._sockets.read():
            self._hear(browser, data, now_s)
        for browser in [one for one in self.browsers.values() if one.due_s <= now_s]:
            self._look_after(browser, now_s)
        self._send_batch()
        self._took_s = max(self._clock.monotonic_s() - now_s, 0.95 * self._took_s)
        if self.browsers or self._gone:
            self._schedule()

    def _look_after(self, browser: Browser, now_s: float) -> None:
        if not browser.greeted and not browser.ending:
            self.counters["hellos_missing"] += 1
            browser.end(POLICY, "no hello in time", now_s)
        elif browser.overdue(now_s):
            self.leave(browser)

    def _send_batch(self) -> None:
        """One FromBrowsers, one Gone; messages that cannot go now are dropped, departures are kept until told."""
        if not self.linked:
            self._gone = []  # a shard that welcomes us later knows none of them
        said = self._batch.take()
        if said is not None and not (self.linked and self.wire.send(said)):
            self.counters["frames_dropped"] += len(said.rows) + len(said.conns) // 4
        if self._gone and self.wire.send(link.Gone(self._gone)):
            self._gone = []

    # --- the shard ----------------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Do what the shard says, for ever."""
        async for event in self.wire.events():
            self._take(event)

    def _take(self, event: EdgeEvent) -> None:
        match event:
            case Seen():
                if event.tick != self._tick:
                    self._tick, self._tick_s = event.tick, self._clock.monotonic_s()
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
        data, browsers = frame(seen.frame), self.browsers
        shown = skipped = 0
        for conn in seen.conns:
            browser = browsers.get(conn)
            if browser is None or browser.ending:
                continue
            if browser.line.write(data, SNAPSHOT_WAITING_MAX):
                shown += 1
            else:
                skipped += 1
        self.counters["snapshots_sent"] += shown
        self.counters["snapshots_skipped"] += skipped
        self.counters["held_back_pipe_full"] += skipped * blocks_in(seen.frame)

    def _tell(self, conns: list[int], data: bytes) -> None:
        for conn in conns:
            browser = self.browsers.get(conn)
            if browser is None or browser.ending:
                continue
            if not browser.line.write(data, self.limits.outbound_bytes_max):
                self.counters["browsers_too_slow"] += 1
                self._end(conn, SLOW, "slow")

    def _end(self, conn: int, code: int, reason: str) -> None:
        browser = self.browsers.get(conn)
        if browser is not None:
            browser.end(code, reason, self._clock.monotonic_s())

    def _start_anew(self) -> None:
        """The shard is another one, or gone: it knows none of our connections, so they have to come back."""
        if self.linked:
            self.log.warning("link_lost", browsers=len(self.browsers), questions=len(self._open))
        self.welcome = None
        self._batch.forget()
        self._gone = []
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(NoAnswer("the shard went away"))
        self.end_all(RESTART, "restart")

    def end_all(self, code: int, reason: str) -> None:
        """Close every WebSocket."""
        for conn in list(self.browsers):
            self._end(conn, code, reason)

    def close(self) -> None:
        """Let go of whoever is left."""
        for browser in list(self.browsers.values()):
            self.leave(browser)
        if self._timer is not None:
            self._timer.cancel()
        self._sockets.close()

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


def next_beat_s(now_s: float, tick_s: float, dt_s: float, took_s: float) -> float:
    """How long to wait before the next beat, which takes `took_s`; the newest tick of `dt_s` was seen at `tick_s`.

    It is late enough that what it sends waits hardly at all at the shard, and early enough to be there for the next
    tick. One a tick is enough: the next is half a tick away at least. Without snapshots to go by it is half a tick.
    """
    if not 0.0 <= now_s - tick_s < 1.0:
        return dt_s / 2
    at_s = max(dt_s - LEAD_S - 2.0 * took_s, BEAT_AT_MIN * dt_s)
    ahead_s = (at_s - (now_s - tick_s)) % dt_s
    return ahead_s if ahead_s >= dt_s / 2 else ahead_s + dt_s
