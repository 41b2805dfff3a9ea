"""The wire without sockets: the shard's end joined to clients and edges in the same process, turned by hand.

Owns the pipes of both kinds, each with a capacity, so that slow readers and lost connections behave as on sockets. For
stories, replay and simulation; everything that decides is `net.hub`, which both wires share.
"""

from collections import deque
from collections.abc import Sequence

from server.config import Limits
from server.net import link
from server.net.edgewire import Seen, Views
from server.net.ends import Sent
from server.net.hub import Hub
from server.net.messages import encoder
from server.net.protocol import PROTOCOL_HASH
from server.net.seal import TOPIC
from server.net.wire import Received

PIPE_MESSAGES = 8


class MemoryClient:
    """A native client's end. `received`: messages not yet read, each a list of frames."""

    def __init__(self, wire: "MemoryWire", route: bytes, user_id: str) -> None:
        self.route = route
        self.user_id = user_id
        self.capacity = PIPE_MESSAGES
        self.received: deque[list[bytes]] = deque()
        self.open = True
        self._wire = wire

    def send(self, frame: bytes) -> None:
        """One frame to the shard; lost if the connection is closed."""
        if self.open:
            self._wire.inbox.append((self, frame))

    def read(self) -> list[list[bytes]]:
        """Take all messages."""
        taken = list(self.received)
        self.received.clear()
        return taken

    def close(self) -> None:
        """Drop the connection without a word."""
        self.open = False


class MemoryEdge:
    """An edge's end: link messages, and snapshots opened with the keys it was told."""

    def __init__(self, wire: "MemoryWire", route: bytes, name: str) -> None:
        self.route = route
        self.capacity = PIPE_MESSAGES * 64
        self.received: deque[bytes] = deque()
        self.published: deque[tuple[bytes, bytes, bytes]] = deque()
        self.views = Views(wire.limits, wire.tick_hz)
        self.open = True
        self._wire = wire
        self.send(link.EdgeHello(PROTOCOL_HASH, name))

    def send(self, message: link.FromEdge) -> None:
        """One link message to the shard."""
        if self.open:
            self._wire.inbox.append((self, encoder.encode(message)))

    def read(self) -> list[link.ToEdge | Seen]:
        """Take all that was said, views' keys and members included, then the snapshots that can be opened."""
        taken: list[link.ToEdge | Seen] = []
        while self.received:
            message: link.ToEdge = link.to_edge_decoder.decode(self.received.popleft())
            taken.append(message)
            if isinstance(message, link.ViewKey):
                taken.extend(self.views.learn(message))
            elif isinstance(message, link.ViewLeft):
                self.views.leave(message)
            elif isinstance(message, link.Look):
                self.views.look(message)
        while self.published:
            subject, header, sealed = self.published.popleft()
            taken.extend(self.views.open(TOPIC.unpack(subject)[1], header, sealed))
        return taken

    def close(self) -> None:
        """Drop the link without a word."""
        self.open = False


class MemoryWire(Hub):
    """The shard's end; `net.wire.AnyWire` says what each method is for."""

    def __init__(self, limits: Limits, tick_hz: int = 30) -> None:
        super().__init__(limits, tick_hz)
        self.inbox: deque[tuple[MemoryClient | MemoryEdge, bytes]] = deque()
        self._clients: dict[bytes, MemoryClient] = {}
        self._links: dict[bytes, MemoryEdge] = {}
        self._next_route = 1

    def client(self, user_id: str = "") -> MemoryClient:
        """A fresh connection of a native client that proved this CURVE key."""
        route = self._route()
        self._clients[route] = MemoryClient(self, route, user_id)
        return self._clients[route]

    def edge(self, name: str = "edge") -> MemoryEdge:
        """A fresh link of an edge."""
        route = self._route()
        self._links[route] = MemoryEdge(self, route, name)
        return self._links[route]

    def _route(self) -> bytes:
        self._next_route += 1
        return b"\0" + self._next_route.to_bytes(4, "big")

    def receive(self, limit: int) -> list[Received]:
        """See AnyWire."""
        most = len(self._events) + limit
        while self._work_off(most) and self.inbox and len(self._events) < most:
            sender, data = self.inbox.popleft()
            if isinstance(sender, MemoryEdge):
                self._heard_edge(sender.route, data)
            elif len(data) <= self.limits.frame_bytes_max:
                self._natives.heard(sender.route, sender.user_id, data)
            else:
                sender.close()  # as libzmq ends a connection over its MAXMSGSIZE
        return self._take()

    def shared(self, frame: bytes) -> bytes:
        """See `net.natives.Ways`."""
        return frame

    def send_native(self, route: bytes, snapshot: object, frames: Sequence[bytes]) -> Sent:
        """See `net.natives.Ways`."""
        client = self._clients[route]
        if not client.open:
            del self._clients[route]
            return Sent.LOST
        if len(client.received) >= client.capacity:
            return Sent.FULL
        client.received.append([*([snapshot] if isinstance(snapshot, bytes) else []), *frames])
        return Sent.OK

    def _send_edge(self, route: bytes, data: bytes) -> Sent:
        edge = self._links[route]
        if not edge.open:
            del self._links[route]
            return Sent.LOST
        if len(edge.received) >= edge.capacity:
            return Sent.FULL
        edge.received.append(data)
        return Sent.OK

    def _publish(self, parts: Sequence[bytes]) -> None:
        subject, header, sealed = parts
        for edge in self._links.values():
            if edge.open:
                edge.published.append((subject, header, sealed))

    def wait(self, until_s: float) -> bool:
        """See AnyWire; time here is turned by hand, so it never sleeps."""
        return bool(self._events or self.inbox)

    def shut(self) -> None:
        """See AnyWire."""
        for client in self._clients.values():
            client.close()
        for edge in self._links.values():
            edge.close()
