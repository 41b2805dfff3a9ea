"""The wire in sockets: native clients (ROUTER with CURVE), edges (ROUTER) and views (XPUB). For the shard's one thread.

Owns the sockets and their options. Never parses a client frame and never blocks but in `wait`. libzmq's own threads do
the sending; a pipe holds few messages, so a slow reader costs skipped snapshots instead of memory.
"""

import errno
from collections.abc import Sequence

import numpy as np
import zmq

from server.clock import Clock, SystemClock
from server.config import Limits
from server.net import zmq_calls
from server.net.ends import Sent
from server.net.gate import ROUTE_BYTES
from server.net.hub import Hub
from server.net.keys import CurvePair
from server.net.wire import Received
from server.net.zap import DOMAIN, Doorkeeper, ZapThread

IO_THREADS = 1  # two cost a fifth more for the same messages: see docs/native-wire.md
NATIVE_SHARE = 4  # of what is read in a tick, at least this part is natives'
INBOX_BYTES = 1 << 20
NATIVE_SEND_HWM = 8  # messages (ticks) in a native peer's pipe
NATIVE_SEND_BYTES = 32_768  # of the kernel's buffer, which doubles it
HANDSHAKE_MS = 3000
HEARTBEAT_MS = 5000
HEARTBEAT_TIMEOUT_MS = 15_000
BACKLOG = 512
EDGE_HWM = 4096
VIEWS_HWM = 4096
NOBLOCK, SNDMORE, POLLIN = int(zmq.NOBLOCK), int(zmq.SNDMORE), int(zmq.POLLIN)  # as enums each use costs 1 us
PROPERTY = np.frombuffer(zmq_calls.USER_ID, np.uint8)
OUTCOMES = (Sent.OK, Sent.FULL, Sent.LOST)


def _options(socket: zmq.Socket[bytes], options: dict[int, int]) -> None:
    for option, value in options.items():
        socket.setsockopt(option, value)


class Wire(Hub):
    """The shard's sockets; `net.wire.AnyWire` says what each method is for."""

    def __init__(
        self,
        native: str,
        edge: str,
        views: str,
        curve: CurvePair,
        limits: Limits,
        tick_hz: int = 30,
        clock: Clock | None = None,
    ) -> None:
        """Listen at the three endpoints. `tick_hz` is what edges are told. Raises OSError, naming the address."""
        super().__init__(limits, tick_hz)
        self._clock = clock or SystemClock()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(IO_THREADS)
        self._native = self._native_socket(curve)
        self._edge = self._edge_socket()
        self._views_socket = self._context.socket(zmq.XPUB)
        _options(self._views_socket, {zmq.LINGER: 0, zmq.SNDHWM: VIEWS_HWM})
        watched = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED
        self.doorkeeper = Doorkeeper(limits.avatars_max + limits.unverified_peers_max, self._clock)
        self._zap = ZapThread(self._context, self._native.get_monitor_socket(watched), self.doorkeeper)
        for socket, address in ((self._native, native), (self._edge, edge), (self._views_socket, views)):
            self._bind(socket, address)
        self.endpoint = str(self._native.get_string(zmq.LAST_ENDPOINT))
        frames, others = limits.frames_per_tick_max, limits.messages_per_tick_max
        self._inbox = zmq_calls.new_inbox(frames, others, INBOX_BYTES + limits.frame_bytes_max)
        self._compiled = zmq_calls.AVAILABLE
        self._poller = zmq.Poller()
        self._poller.register(self._native, zmq.POLLIN)
        self._poller.register(self._edge, zmq.POLLIN)

    def _native_socket(self, curve: CurvePair) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.ROUTER)
        socket.curve_server = True
        socket.curve_secretkey = curve.secret.encode()
        socket.curve_publickey = curve.public.encode()
        socket.setsockopt_string(zmq.ZAP_DOMAIN, DOMAIN)
        _options(
            socket,
            {
                zmq.ZAP_ENFORCE_DOMAIN: 1,
                zmq.ROUTER_MANDATORY: 1,
                zmq.LINGER: 0,
                zmq.SNDHWM: NATIVE_SEND_HWM,
                zmq.SNDBUF: NATIVE_SEND_BYTES,
                zmq.RCVHWM: self.limits.inbound_queue_max,
                zmq.MAXMSGSIZE: self.limits.frame_bytes_max,
                zmq.HANDSHAKE_IVL: HANDSHAKE_MS,
                zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
                zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
                zmq.BACKLOG: BACKLOG,
            },
        )
        return socket

    def _edge_socket(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.ROUTER)
        _options(socket, {zmq.ROUTER_MANDATORY: 1, zmq.LINGER: 0, zmq.SNDHWM: EDGE_HWM, zmq.RCVHWM: EDGE_HWM})
        return socket

    def _bind(self, socket: zmq.Socket[bytes], address: str) -> None:
        try:
            socket.bind(address)
        except zmq.ZMQError as bad:
            self.shut()
            raise OSError(bad.errno, f"cannot listen on {address}: {bad.strerror}") from bad

    # --- in ---------------------------------------------------------------------------------------------------------

    def receive(self, limit: int) -> list[Received]:
        """See AnyWire. What finds no room in `limit` waits in libzmq's queues, which are bounded too."""
        self._drain_views()
        left = max(limit - self._read_edges(limit), limit // NATIVE_SHARE)
        if self._compiled:
            self._read_natives(left)
        while not self._compiled and left > 0 and self._read_native():
            left -= 1
        return self._take()

    def _read_natives(self, limit: int) -> None:
        """Read what native peers sent in one call; poses of those who are known never become objects."""
        inbox = self._inbox._replace(sizes=self._inbox.sizes[:limit])
        known, frame_max = self._gate.known, self.limits.frame_bytes_max
        read = zmq_calls.read_peers(self._native.underlying, PROPERTY, known, frame_max, inbox)
        self._gate.add(inbox.rows[: read.poses], inbox.raw[: read.poses])
        for name, count in zip(("multipart", "chosen_route", "late_frames"), read[2:], strict=True):
            self.counters[name] += count
        for route, user_id, frame in zmq_calls.others_of(inbox, read.others):
            self._natives.heard(route, user_id, frame)

    def _read_native(self) -> bool:
        """Read one message of a native peer; False if none waits."""
        try:
            route = self._native.recv(NOBLOCK)
        except zmq.Again:
            return False
        part = self._native.recv(NOBLOCK, copy=False)
        if part.more:
            while self._native.getsockopt(zmq.RCVMORE):
                self._native.recv(NOBLOCK)
            self.counters["multipart"] += 1
        elif route[0] != 0 or len(route) != ROUTE_BYTES:
            self.counters["chosen_route"] += 1  # routing ids are ours to give: a chosen one might be somebody's next
        else:
            self._natives.heard(route, str(part.get("User-Id")), part.bytes)
        return True

    def _read_edges(self, limit: int) -> int:
        """Read link messages until `limit` things were heard of; how many were."""
        before = len(self._events)
        while self._work_off(before + limit) and len(self._events) < before + limit and _waits(self._edge):
            parts = self._edge.recv_multipart(NOBLOCK)
            if len(parts) == 2:
                self._heard_edge(parts[0], parts[1])
        return len(self._events) - before

    def _drain_views(self) -> None:
        """Subscriptions are libzmq's business; what they say is read and forgotten."""
        while _waits(self._views_socket):
            self._views_socket.recv_multipart(NOBLOCK)

    # --- out --------------------------------------------------------------------------------------------------------

    def shared(self, frame: bytes) -> object:
        """See `net.natives.Ways`."""
        return frame if self._compiled else zmq.Frame(frame)

    def send_alike(self, routes: Sequence[bytes], snapshot: object) -> dict[int, Sent]:
        """See `net.natives.Ways`."""
        if not isinstance(snapshot, bytes):
            return super().send_alike(routes, snapshot)
        outcomes = np.zeros(len(routes), np.uint8)
        ids = np.frombuffer(b"".join(routes), np.uint8).reshape(-1, ROUTE_BYTES)
        frame = np.frombuffer(snapshot, np.uint8)
        if zmq_calls.send_to_all(self._native.underlying, ids, frame, outcomes) == len(routes):
            return {}
        return {int(index): OUTCOMES[outcomes[index]] for index in np.flatnonzero(outcomes)}

    def send_native(self, route: bytes, snapshot: object, frames: Sequence[bytes]) -> Sent:
        """See `net.natives.Ways`."""
        socket = self._native
        outcome = _try_send(socket, route)
        if outcome is not Sent.OK:
            return outcome
        if isinstance(snapshot, zmq.Frame | bytes):
            socket.send(snapshot, SNDMORE if frames else 0, copy=not isinstance(snapshot, zmq.Frame))
        for frame in frames[:-1]:
            socket.send(frame, SNDMORE)
        if frames:
            socket.send(frames[-1])
        return Sent.OK

    def _send_edge(self, route: bytes, data: bytes) -> Sent:
        outcome = _try_send(self._edge, route)
        if outcome is Sent.OK:
            self._edge.send(data)
        return outcome

    def _publish(self, parts: Sequence[bytes]) -> None:
        self._views_socket.send_multipart(parts, NOBLOCK)

    # --- waiting and ending -----------------------------------------------------------------------------------------

    def wait(self, until_s: float) -> bool:
        """See AnyWire. libzmq waits in whole milliseconds; the rest is slept."""
        rest_s = until_s - self._clock.monotonic_s()
        if self._events or self._poller.poll(max(0, int(rest_s * 1000))):
            return True
        self._clock.sleep_until(until_s)
        return False

    def shut(self) -> None:
        """See AnyWire."""
        self._native.disable_monitor()
        self._zap.stop()
        for socket in (self._native, self._edge, self._views_socket):
            socket.close(0)
        self._context.term()


def _waits(socket: zmq.Socket[bytes]) -> bool:
    """Whether something can be read; cheaper than the exception that says no."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & POLLIN)


def _try_send(socket: zmq.Socket[bytes], route: bytes) -> Sent:
    """Begin a message to a peer; once begun, its other parts never block.

    libzmq takes note of room made in its pipes about once a millisecond; asking for EVENTS makes it do so at once.
    """
    outcome = _begin(socket, route)
    if outcome is Sent.FULL:
        socket.getsockopt(zmq.EVENTS)
        outcome = _begin(socket, route)
    return outcome


def _begin(socket: zmq.Socket[bytes], route: bytes) -> Sent:
    try:
        socket.send(route, SNDMORE | NOBLOCK)
    except zmq.Again:
        return Sent.FULL
    except zmq.ZMQError as bad:
        if bad.errno != errno.EHOSTUNREACH:
            raise
        return Sent.LOST
    return Sent.OK
