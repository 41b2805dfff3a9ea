"""The edge's end of the link to its shard: messages both ways, and what its browsers may see, opened and composed.

Owns the two sockets of the edge, the epoch keys and who looks where in which room. Never parses a client frame. For
asyncio. Lives as long as the edge: libzmq reconnects by itself; `hello` is sent again whenever the shard's end is new.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import msgspec
import zmq
from zmq.utils.monitor import parse_monitor_message

from server.config import Limits
from server.net import link
from server.net.audience import Audience
from server.net.compose import Look, read_sheet
from server.net.messages import encoder
from server.net.seal import TOPIC, SealError, open_sealed, read_header, topic
from server.sim.faults import SnapshotError

QUEUE_MESSAGES_MAX = 4096
EARLY_FRAMES_MAX = 16  # sealed frames that wait for their epoch's key, per view
EPOCHS_KEPT = 3
HELLO_WANTED = "hello"


class Seen(NamedTuple):
    """This tick's snapshot frame of these connections, who all look at the same cells of a room."""

    view: int
    tick: int
    frame: bytes
    conns: tuple[int, ...]


class LinkUp(NamedTuple):
    """The link to the shard stands (again) and hello was sent; EdgeWelcome follows. Views and members start anew."""


class LinkDown(NamedTuple):
    """The link to the shard is lost: every connection's session must be taken up again."""


FromShard = link.EdgeWelcome | link.ToBrowsers | link.Close | link.Answer | link.Stats
EdgeEvent = FromShard | Seen | LinkUp | LinkDown


class ViewState:
    """One view as an edge knows it: members, keys of the newest epochs, frames that came before their key."""

    def __init__(self) -> None:
        self.conns: dict[int, None] = {}
        self.keys: OrderedDict[int, bytes] = OrderedDict()
        self.early: deque[tuple[bytes, bytes]] = deque(maxlen=EARLY_FRAMES_MAX)

    def learn(self, epoch: int, key: bytes, conns: list[int]) -> None:
        """Take a key and new members."""
        self.keys[epoch] = key
        while len(self.keys) > EPOCHS_KEPT:
            self.keys.popitem(last=False)
        self.conns.update(dict.fromkeys(conns))


class Views:
    """All rooms that an edge may show; opens what it has keys for and composes what each browser sees. No sockets here.

    Beyond one tick nothing is kept of a room but who looks where.
    """

    def __init__(self, limits: Limits, tick_hz: int = 30, facing: Callable[[int], int] | None = None) -> None:
        """`facing`: the yaw of a connection's viewer in 1/1024 turn, below 0 if it is not known."""
        self.views: dict[int, ViewState] = {}
        self.audience: Audience[int] = Audience(limits, tick_hz, facing)
        self.counters = {"view_unopened": 0, "view_early": 0}

    def learn(self, message: link.ViewKey) -> list[Seen]:
        """Take a key; the frames that waited for it."""
        state = self.views.setdefault(message.view, ViewState())
        state.learn(message.epoch, message.key, message.conns)
        early, state.early = list(state.early), deque(maxlen=EARLY_FRAMES_MAX)
        return [seen for header, sealed in early for seen in self.open(message.view, header, sealed)]

    def look(self, message: link.Look) -> None:
        """What members of a room see of it from now on."""
        state = self.views.get(message.room)
        look = Look(message.room, message.home, tuple(sorted(message.cells)))
        for conn in message.conns:
            if state is not None and conn in state.conns:
                self.audience.see(conn, look)

    def leave(self, message: link.ViewLeft) -> bool:
        """Forget members; True if the view has none left and was forgotten."""
        state = self.views.get(message.view)
        if state is None:
            return False
        for conn in message.conns:
            if state.conns.pop(conn, 0) is None:
                self.audience.forget(conn)
        if state.conns:
            return False
        del self.views[message.view]
        return True

    def forget(self, conn: int) -> None:
        """A WebSocket closed: it sees nothing any more (the shard is told by Gone)."""
        self.audience.forget(conn)
        for state in self.views.values():
            state.conns.pop(conn, None)

    def forget_all(self) -> None:
        """The shard is another one: nobody is anywhere."""
        for state in self.views.values():
            for conn in state.conns:
                self.audience.forget(conn)
        self.views.clear()

    def open(self, view: int, header: bytes, sealed: bytes) -> list[Seen]:
        """The frames of a publication; none if it has to wait for its key or cannot be opened (counted)."""
        state = self.views.get(view)
        if state is None:
            self.counters["view_unopened"] += 1
            return []
        try:
            about = read_header(header)
            key = state.keys.get(about.epoch)
            if key is None:
                state.early.append((header, sealed))
                self.counters["view_early"] += 1
                return []
            sheet = read_sheet(open_sealed(key, header, sealed))
        except (SealError, SnapshotError):
            self.counters["view_unopened"] += 1
            return []
        return [Seen(view, about.tick, one.frame, tuple(one.viewers)) for one in self.audience.show(sheet)]


class EdgeWire:
    """`async for event in wire.events()` gives all that the shard says; `send` never blocks. Needs a running loop.

    Counters: sends dropped because the link is full or down, messages that are no link messages.
    """

    def __init__(
        self,
        edge_address: str,
        views_address: str,
        hello: link.EdgeHello,
        limits: Limits,
        facing: Callable[[int], int] | None = None,
    ) -> None:
        """Connect (in the background) to the shard's edge ROUTER and view XPUB; `facing` as for Views."""
        self.hello = hello
        self.views = Views(limits, facing=facing)
        self.counters = {"link_dropped": 0, "link_undecodable": 0}
        self.up = False
        self._hello_due = False
        self._events: deque[EdgeEvent] = deque()
        self._more = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._context = zmq.Context()
        self._link = self._socket(zmq.DEALER)
        self._link.setsockopt(zmq.IMMEDIATE, 1)
        self._published = self._socket(zmq.SUB)
        self._monitor = self._link.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._link.connect(edge_address)
        self._published.connect(views_address)
        for socket in (self._monitor, self._link, self._published):
            self._loop.add_reader(socket.fileno(), self._pump)
        self._loop.call_soon(self._pump)

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.RECONNECT_IVL, 50),
            (zmq.RECONNECT_IVL_MAX, 1000),
            (zmq.SNDHWM, QUEUE_MESSAGES_MAX),
            (zmq.RCVHWM, QUEUE_MESSAGES_MAX),
        ):
            socket.setsockopt(option, value)
        return socket

    def send(self, message: link.FromEdge) -> bool:
        """Queue a message to the shard; False (and counted) if the link is down or full."""
        sent = self.up and self._push(message)
        if not sent:
            self.counters["link_dropped"] += 1
        return sent

    def forget(self, conn: int) -> None:
        """A WebSocket closed: it is in no view any more. The shard is told by the edge, with `link.Gone`."""
        self.views.forget(conn)

    async def events(self) -> AsyncIterator[EdgeEvent]:
        """Everything the shard says, in order; never ends by itself. One reader at a time."""
        while True:
            while self._events:
                full = len(self._events) >= QUEUE_MESSAGES_MAX
                yield self._events.popleft()
                if full:
                    self._loop.call_soon(self._pump)
            self._more.clear()
            await self._more.wait()

    def close(self) -> None:
        """Close the sockets at once; what was not sent is lost."""
        for socket in (self._monitor, self._link, self._published):
            self._loop.remove_reader(socket.fileno())
        self._link.disable_monitor()
        for socket in (self._monitor, self._link, self._published):
            socket.close(0)
        self._context.term()

    def _push(self, message: link.FromEdge) -> bool:
        try:
            self._link.send(encoder.encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        if int(self._link.getsockopt(zmq.EVENTS)) & zmq.POLLIN:  # sending may have eaten the edge of the FD's readiness
            self._loop.call_soon(self._pump)
        return True

    def _pump(self) -> None:
        """Read until nothing waits (the FD tells of changes only) or the queue is full."""
        if self._link.closed:
            return
        busy = True
        while busy and len(self._events) < QUEUE_MESSAGES_MAX:
            changed, said = self._read_monitor(), self._read_link()
            busy = changed or said
            while not said and len(self._events) < QUEUE_MESSAGES_MAX and self._read_published():
                busy = True  # a tick's publications come together; keys and looks are read before them
        if self._hello_due:
            self._greet()
        if self._events:
            self._more.set()

    def _greet(self) -> None:
        """Say hello on a fresh link; its pipe may stand a moment later than the event that told of it."""
        if not self._push(self.hello):
            self._loop.call_later(0.01, self._pump)
            return
        self._hello_due, self.up = False, True
        self._events.append(LinkUp())

    def _read_monitor(self) -> bool:
        try:
            event = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))["event"]
        except zmq.Again:
            return False
        self._lost()
        self._hello_due = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        return True

    def _lost(self) -> None:
        """The shard does not know us: nothing of what it said holds any more."""
        if self.up:
            self._events.append(LinkDown())
            for view in self.views.views:
                self._published.setsockopt(zmq.UNSUBSCRIBE, topic(view))
            self.views.forget_all()
        self.up = False

    def _read_link(self) -> bool:
        try:
            data = self._link.recv(zmq.NOBLOCK)
        except zmq.Again:
            return False
        try:
            message = link.to_edge_decoder.decode(data)
        except (ValueError, RecursionError, msgspec.MsgspecError):
            self.counters["link_undecodable"] += 1
            return True
        if isinstance(message, link.ViewKey):
            if message.view not in self.views.views:
                self._published.setsockopt(zmq.SUBSCRIBE, topic(message.view))
            self._events.extend(self.views.learn(message))
        elif isinstance(message, link.ViewLeft):
            if self.views.leave(message):
                self._published.setsockopt(zmq.UNSUBSCRIBE, topic(message.view))
        elif isinstance(message, link.Look):
            self.views.look(message)
        elif isinstance(message, link.Close) and not message.conns and message.code == HELLO_WANTED:
            self._lost()
            self._hello_due = True
        else:
            if isinstance(message, link.EdgeWelcome):
                self.views.audience.tick_hz = message.tick_hz
            self._events.append(message)
        return True

    def _read_published(self) -> bool:
        try:
            parts = self._published.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        if len(parts) == 3 and len(parts[0]) == TOPIC.size:
            self._events.extend(self.views.open(TOPIC.unpack(parts[0])[1], parts[1], parts[2]))
        return True
