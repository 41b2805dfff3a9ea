"""An edge of the simulation: the real exchange of `server.edge` on a loop whose clock is turned by hand.

Owns the ends of browsers in memory and the edge's link to the memory wire. What decides is the exchange, and the views
of `net.edgewire`; here are only the ways between them. WebSocket frames are written and read as on a socket.
"""

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import cast

import structlog

from server.clock import ManualClock
from server.config import Limits
from server.edge.browser import Browser
from server.edge.exchange import Exchange, NoAnswer, Question
from server.net import link
from server.net.edgewire import EdgeEvent, EdgeWire, LinkDown, LinkUp
from server.net.memory import MemoryEdge, MemoryWire
from server.net.wire import Peer

MASK = bytes(4)
CLOSE = 0x88
BINARY = 0x82
ROUNDS = 4  # turns of the loop a tick: enough for what wakes up what


class HandLoop(asyncio.SelectorEventLoop):
    """A loop that believes a hand-turned clock. It never waits as long as something is ready."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def time(self) -> float:
        """See AbstractEventLoop."""
        return self._clock.monotonic_s()


def masked(payload: bytes) -> bytes:
    """A frame as a browser sends it (RFC 6455)."""
    size = len(payload)
    if size < 126:
        return bytes((BINARY, 0x80 | size)) + MASK + payload
    return struct.pack(">BBH", BINARY, 0x80 | 126, size) + MASK + payload


def payload_of(frame: bytes) -> bytes:
    """What is in a frame of the server's."""
    skip = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[skip:]


class BrowserEnd:
    """A browser's connection, both ends: what the exchange writes, and what the page sends."""

    def __init__(self, edge: "Edge") -> None:
        self.received: deque[list[bytes]] = deque()
        self.open = True
        self.browser: Browser | None = None
        self._edge = edge

    def send(self, frame: bytes) -> None:
        """One frame to the edge, if it fits into one."""
        if self.open and len(frame) < 65_536:
            self._edge.soon(lambda: self._heard(masked(frame)))

    def close(self) -> None:
        """Drop the connection without a word."""
        if self.open:
            self.open = False
            self._edge.soon(lambda: self._heard(b""))

    def _heard(self, data: bytes) -> None:
        if self.browser is not None:
            self._edge.exchange.hear(self.browser, data)

    @property
    def waiting(self) -> int:
        """See Line."""
        return sum(len(one) for message in self.received for one in message)

    def write(self, data: bytes, waiting_max: int) -> bool:
        """See Line."""
        if self.waiting + len(data) > waiting_max:
            return False
        if data[0] == BINARY:
            self.received.append([payload_of(data)])
        return True

    def finish(self) -> None:
        """See Line."""


class _Way:
    """A browser's end as the exchange holds it."""

    def __init__(self, end: BrowserEnd) -> None:
        self._end = end
        self.write, self.finish = end.write, end.finish

    @property
    def waiting(self) -> int:
        """See Line."""
        return self._end.waiting

    def close(self) -> None:
        """See Line."""
        self._end.open = False


class MemoryLink:
    """The edge's end of the link as the exchange sees it (`net.edgewire.EdgeWire`), without sockets."""

    def __init__(self, wire: MemoryWire) -> None:
        self.end: MemoryEdge | None = None
        self.counters = {"link_dropped": 0}
        self._events: deque[EdgeEvent] = deque()
        self._more = asyncio.Event()
        self.connect(wire)

    def connect(self, wire: MemoryWire) -> None:
        """A link to a shard that is new; what was said before holds no more."""
        if self.end is not None:
            self._events.append(LinkDown())
        self.end = wire.edge()
        self._events.append(LinkUp())

    def send(self, message: link.FromEdge) -> bool:
        """See EdgeWire."""
        if self.end is None or not self.end.open:
            return False
        self.end.send(message)
        return True

    def forget(self, conn: int) -> None:
        """See EdgeWire."""
        if self.end is not None:
            self.end.views.forget(conn)

    def pump(self) -> None:
        """Take what the shard said."""
        if self.end is not None:
            routing = link.ViewKey | link.ViewLeft | link.Look
            self._events.extend(event for event in self.end.read() if not isinstance(event, routing))
        if self._events:
            self._more.set()

    async def events(self) -> AsyncIterator[EdgeEvent]:
        """See EdgeWire."""
        while True:
            while self._events:
                yield self._events.popleft()
            self._more.clear()
            await self._more.wait()


class Edge:
    """One edge process."""

    def __init__(self, wire: MemoryWire, limits: Limits, clock: ManualClock) -> None:
        self.ends: list[BrowserEnd] = []
        self._loop = HandLoop(clock)
        self._todo: deque[Callable[[], None]] = deque()
        self._asks: set[asyncio.Task[None]] = set()
        log = structlog.wrap_logger(structlog.ReturnLogger(), wrapper_class=structlog.make_filtering_bound_logger(50))
        self.link = MemoryLink(wire)
        self.exchange = Exchange(cast(EdgeWire, self.link), limits, clock, log)
        self._follow = self._loop.create_task(self.exchange.follow())
        self.turn()

    def connect(self) -> BrowserEnd:
        """A WebSocket is opened."""
        end = BrowserEnd(self)
        self.ends.append(end)
        self.soon(lambda: self._enter(end))
        return end

    def _enter(self, end: BrowserEnd) -> None:
        end.browser = self.exchange.enter(_Way(end))

    def soon(self, what: Callable[[], None]) -> None:
        """Do this in the edge's next turn."""
        self._todo.append(what)

    def ask(self, kind: Question, body: bytes, answered: Callable[[int, bytes], None]) -> None:
        """A question of the HTTP side; 503 if the shard does not answer."""
        self.soon(lambda: self._asks.add(self._loop.create_task(self._ask(kind, body, answered))))

    async def _ask(self, kind: Question, body: bytes, answered: Callable[[int, bytes], None]) -> None:
        try:
            answer = await self.exchange.ask(kind, body)
        except NoAnswer:
            answered(503, b"")
        else:
            answered(answer.status, answer.body)

    def turn(self) -> None:
        """Everything that is due now."""
        self._loop.run_until_complete(self._turn())
        self.ends = [end for end in self.ends if end.open]

    async def _turn(self) -> None:
        self.link.pump()
        while self._todo:
            self._todo.popleft()()
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
        if self._follow.done():
            self._follow.result()

    def peers(self) -> dict[Peer, BrowserEnd]:
        """The connections as the shard names them."""
        assert self.link.end is not None, "it is linked"
        route = self.link.end.route
        return {Peer("edge", route, end.browser.conn): end for end in self.ends if end.browser is not None}

    def die(self) -> None:
        """The process is gone."""
        if self.link.end is not None:
            self.link.end.close()
        for end in self.ends:
            end.open = False
        self._todo.clear()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        tasks = [self._follow, *self._asks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.exchange.close()
