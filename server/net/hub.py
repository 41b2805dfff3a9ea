"""Who is connected and what is queued for whom: the part of the wire that needs no socket.

Owns the table of edges, their bounded outboxes, who is in which room and the room-epoch keys; native peers are
`net.natives`. `net.transport` (sockets) and `net.memory` (tests) add the ways in and out. Never parses a client frame,
never blocks, reads no clock. Ways out are tried once per flush.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Collection, Sequence

from server.config import Limits
from server.net import link
from server.net.compose import Look
from server.net.ends import Edge, RoomSeal, Sent
from server.net.gate import NO_ROW, Burst, PoseGate
from server.net.messages import encoder
from server.net.natives import Natives
from server.net.protocol import PROTOCOL_HASH
from server.net.seal import new_key, topic
from server.net.seal import seal as sealed
from server.net.uplink import NO_POSES, Poses
from server.net.wire import Asked, EdgeDown, EdgeUp, Gone, Inbound, Peer, Received

EDGE_BACKLOG_FACTOR = 64  # an edge carries many browsers: its backlog may be this many times a peer's
REFUSED_EDGES_MAX = 64
ENDED_MAX = 4096  # closed peers whose late frames are still told from a newcomer's
COUNTED = (
    "strangers_dropped", "late_frames", "burst_frames", "identity_changed", "multipart", "chosen_route",
    "snapshots_skipped", "waves_skipped", "too_slow", "edge_undecodable", "edge_unknown", "edge_too_slow",
    "messages_sent", "frames_received", "held_back_pipe_full",
)  # fmt: skip


class Hub(ABC):
    """The wire without its sockets; see `net.wire.AnyWire` for what the shard calls."""

    def __init__(self, limits: Limits, tick_hz: int) -> None:
        self.counters: dict[str, int] = dict.fromkeys(COUNTED, 0)
        self.limits = limits
        self.tick_hz = tick_hz
        self._edges: dict[bytes, Edge] = {}
        self._rooms: dict[int, RoomSeal] = {}
        self._room_of: dict[Peer, int] = {}
        self._publications: list[tuple[int, int, bytes]] = []
        self._ended: OrderedDict[Peer, None] = OrderedDict()
        self._refused_edges: dict[bytes, str] = {}
        self._events: deque[Received] = deque()
        self._burst = Burst(limits.inbound_queue_max, self.counters)
        self._gate = PoseGate(limits.inbound_queue_max)
        self._natives = Natives(limits, self.counters, self._gate, self._burst, self._events, self)
        self._poses = NO_POSES
        self._edges_ever = 0

    # --- the ways out, given by the wire ----------------------------------------------------------------------------

    @abstractmethod
    def shared(self, frame: bytes) -> object:
        """See `net.natives.Ways`."""

    @abstractmethod
    def send_native(self, route: bytes, snapshot: object, frames: Sequence[bytes]) -> Sent:
        """See `net.natives.Ways`."""

    def send_alike(self, routes: Sequence[bytes], snapshot: object) -> dict[int, Sent]:
        """See `net.natives.Ways`."""
        outcomes = enumerate([self.send_native(route, snapshot, ()) for route in routes])
        return {index: outcome for index, outcome in outcomes if outcome is not Sent.OK}

    @abstractmethod
    def _send_edge(self, route: bytes, data: bytes) -> Sent:
        """Send one link message."""

    @abstractmethod
    def _publish(self, parts: Sequence[bytes]) -> None:
        """Publish a sealed sheet."""

    # --- what comes in ----------------------------------------------------------------------------------------------

    def _heard_edge(self, route: bytes, data: bytes) -> None:
        """A link message. An edge must say hello first; one that cannot be decoded is ignored and counted."""
        try:
            message = link.from_edge_decoder.decode(data)
        except (ValueError, RecursionError):
            self.counters["edge_undecodable"] += 1
            return
        if isinstance(message, link.EdgeHello):
            self._edge_hello(route, message)
            return
        edge = self._edges.get(route)
        if edge is None:
            self._refuse_edge(route, "hello")
        elif isinstance(message, link.FromBrowsers):
            self._heard_browsers(edge, message)
        elif isinstance(message, link.Gone):
            edge.waiting.extend((conn, None) for conn in message.conns)
        else:
            self._events.append(Asked(route, message.request, message.kind, message.body))

    def _edge_hello(self, route: bytes, hello: link.EdgeHello) -> None:
        if hello.protocol != PROTOCOL_HASH:
            self._refuse_edge(route, "protocol")
            return
        for edge in [e for e in self._edges.values() if e.name == hello.name or e.route == route]:
            self._drop_edge(edge)
        self._edges_ever += 1
        edge = self._edges[route] = Edge(route, hello.name, self._edges_ever)
        edge.messages.append(link.EdgeWelcome("shard", self.tick_hz))
        self._events.append(EdgeUp(route))

    def _refuse_edge(self, route: bytes, code: str) -> None:
        """Tell who is no edge (any more) to say hello, or that it never can."""
        self.counters["edge_unknown"] += 1
        if len(self._refused_edges) < REFUSED_EDGES_MAX:
            self._refused_edges[route] = code

    def _heard_browsers(self, edge: Edge, batch: link.FromBrowsers) -> None:
        """Poses of those who are known are gathered; everything else waits for its turn."""
        edge.waiting.extend(batch.rows)
        try:
            edge.waiting.extend(self._gate.add_batch(edge.number << 32, batch.conns, batch.poses))
        except ValueError:
            self.counters["edge_undecodable"] += 1

    def _work_off(self, most: int) -> bool:
        """Hear what waits at the edges, in turns, until there are `most` events; True if nothing waits any more."""
        busy = [edge for edge in self._edges.values() if edge.waiting]
        while busy and len(self._events) < most:
            for edge in busy:
                conn, frame = edge.waiting.popleft()
                if frame is None:
                    self._lost_browser(edge, conn, "closed")
                else:
                    self._heard_browser(edge, conn, frame)
            busy = [edge for edge in busy if edge.waiting]
        return not busy

    def _heard_browser(self, edge: Edge, conn: int, frame: bytes) -> None:
        peer = Peer("edge", edge.route, conn)
        if self._gate.let_in(edge.number << 32 | conn, frame):
            return
        if peer in self._ended:
            self.counters["late_frames"] += 1
        elif self._burst.within(peer):
            edge.conns[conn] = None
            self._events.append(Inbound(peer, frame, ""))

    def _lost_browser(self, edge: Edge, conn: int, reason: str) -> None:
        peer = Peer("edge", edge.route, conn)
        self._gate.forget(edge.number << 32 | conn)
        if conn in edge.conns:
            del edge.conns[conn]
            self._events.append(Gone(peer, reason))
        self.leave_room(peer)

    # --- who is let go ----------------------------------------------------------------------------------------------

    def _remember_end(self, peer: Peer) -> None:
        self._ended[peer] = None
        while len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)

    def _drop_edge(self, edge: Edge) -> None:
        del self._edges[edge.route]
        for conn in edge.conns:
            self._gate.forget(edge.number << 32 | conn)
            self._events.append(Gone(Peer("edge", edge.route, conn), "edge"))
        for peer in [p for p in self._room_of if p.route == edge.route]:
            self.leave_room(peer)
        self._events.append(EdgeDown(edge.route))

    # --- what the shard says ----------------------------------------------------------------------------------------

    def verified(self, peer: Peer, row: int = NO_ROW) -> None:
        """See AnyWire."""
        if peer.kind == "native":
            self._natives.verified(peer, row)
            return
        edge = self._edges.get(peer.route)
        if edge is not None and peer.conn in edge.conns and row != NO_ROW:
            self._gate.let(edge.number << 32 | peer.conn, row)

    def post(self, peers: Sequence[Peer], frame: bytes) -> None:
        """See AnyWire."""
        by_edge: dict[bytes, list[int]] = {}
        for peer in peers:
            if peer.kind == "edge":
                by_edge.setdefault(peer.route, []).append(peer.conn)
            else:
                self._natives.queue(peer, frame)
        for route, conns in by_edge.items():
            if route in self._edges:
                self._edges[route].rows.append((conns, frame))

    def show(self, frame: bytes, peers: Collection[Peer]) -> None:
        """See AnyWire."""
        self._natives.show(frame, peers)

    def publish(self, room: int, tick: int, body: bytes) -> None:
        """See AnyWire."""
        if room in self._rooms:
            self._publications.append((room, tick, body))

    def join_room(self, peer: Peer, room: int) -> None:
        """See AnyWire."""
        if peer.kind != "edge" or peer.route not in self._edges:
            return
        self.leave_room(peer)
        self._rooms.setdefault(room, RoomSeal()).joining[peer] = None
        self._room_of[peer] = room

    def leave_room(self, peer: Peer) -> None:
        """See AnyWire."""
        room = self._room_of.pop(peer, None)
        if room is None:
            return
        seal, edge = self._rooms[room], self._edges.get(peer.route)
        if edge is not None:
            edge.looks.pop(peer.conn, None)
        if peer in seal.members:
            del seal.members[peer]
            seal.stale = True
            if edge is not None:
                edge.messages.append(link.ViewLeft(room, [peer.conn]))
        seal.joining.pop(peer, None)

    def look(self, peer: Peer, look: Look) -> None:
        """See AnyWire."""
        if self._room_of.get(peer) == look.room and peer.route in self._edges:
            self._edges[peer.route].looks[peer.conn] = look

    def close(self, peer: Peer, code: str) -> None:
        """See AnyWire."""
        if peer.kind == "native":
            self._natives.close(peer)
            return
        edge = self._edges.get(peer.route)
        self.leave_room(peer)
        self._remember_end(peer)
        if edge is not None:
            self._gate.forget(edge.number << 32 | peer.conn)
            edge.conns.pop(peer.conn, None)
            edge.messages.append(link.Close([peer.conn], code))

    def answer(self, edge: bytes, request: int, status: int, body: bytes) -> None:
        """See AnyWire."""
        if edge in self._edges:
            self._edges[edge].messages.append(link.Answer(request, status, body))

    def stats(self, values: dict[str, float]) -> None:
        """See AnyWire."""
        for edge in self._edges.values():
            edge.messages.append(link.Stats(values))

    # --- the flush --------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """See AnyWire. Keys go before what they open, a Bye before its Close."""
        for room, seal in list(self._rooms.items()):
            self._settle_room(room, seal)
        self._natives.flush()
        for edge in list(self._edges.values()):
            self._flush_edge(edge)
        for route, code in self._refused_edges.items():
            self._send_edge(route, encoder.encode(link.Close([], code)))
        self._refused_edges.clear()
        for room, tick, body in self._publications:
            if room in self._rooms:
                seal = self._rooms[room]
                assert tick > seal.newest_tick, "a room is sealed once a tick: a nonce must not be used twice"
                seal.newest_tick = tick
                self._publish((topic(room), *sealed(seal.key, room, seal.epoch, tick, body)))
        self._publications.clear()

    def _settle_room(self, room: int, seal: RoomSeal) -> None:
        """A fresh key for those who stay if somebody left; the key in use for those who joined."""
        if seal.stale:
            seal.epoch, seal.key, seal.stale = seal.epoch + 1, new_key(), False
            told = dict.fromkeys(peer.route for peer in (*seal.members, *seal.joining))
        else:
            told = dict.fromkeys(peer.route for peer in seal.joining)
        for route in told:
            conns = [peer.conn for peer in seal.joining if peer.route == route]
            self._edges[route].messages.append(link.ViewKey(room, room, seal.epoch, seal.key, conns))
        seal.members.update(seal.joining)
        seal.joining.clear()
        if not seal.members:
            del self._rooms[room]

    def _tell_looks(self, edge: Edge) -> None:
        """What each connection sees, one message for all that see the same; after the keys they need for it."""
        looks: dict[Look, list[int]] = {}
        for conn, look in edge.looks.items():
            looks.setdefault(look, []).append(conn)
        edge.looks = {}
        edge.messages += [link.Look(conns, *look[:2], list(look.cells)) for look, conns in looks.items()]

    def _flush_edge(self, edge: Edge) -> None:
        ready: list[link.ToEdge] = []
        if edge.looks:
            self._tell_looks(edge)
        if edge.rows:
            ready.append(link.ToBrowsers(edge.rows))
        ready += edge.messages
        edge.rows, edge.messages = [], []
        for message in ready:
            data = encoder.encode(message)
            edge.backlog.append(data)
            edge.backlog_bytes += len(data)
        outcome = Sent.OK
        while edge.backlog and outcome is Sent.OK:
            outcome = self._send_edge(edge.route, edge.backlog[0])
            if outcome is Sent.OK:
                edge.backlog_bytes -= len(edge.backlog.popleft())
        slow = edge.backlog_bytes > EDGE_BACKLOG_FACTOR * self.limits.outbound_bytes_max
        self.counters["edge_too_slow"] += slow
        if slow or outcome is Sent.LOST:
            self._drop_edge(edge)

    def _take(self) -> list[Received]:
        """All that was heard."""
        taken = list(self._events)
        self._events.clear()
        self._burst.begin()
        self._poses = self._gate.take()
        self.counters["frames_received"] += len(self._poses.rows) + self._gate.dropped
        self.counters["burst_frames"] += self._gate.dropped
        self._gate.dropped = 0
        return taken

    def poses(self) -> Poses:
        """See AnyWire."""
        return self._poses
