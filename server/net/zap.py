"""Who may shake hands: the ZAP handler (RFC 27) of the native socket, in a thread of its own.

Owns the answer to each CURVE handshake, and how many connections may stand. Any key is let in to show a token; what it
may do is decided by the token. Never sees a frame. Without this handler CURVE would admit everyone, to everything.
"""

import threading

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from server.clock import Clock
from server.net.session import Bucket

ADDRESS = "inproc://zeromq.zap.01"
STOP_ADDRESS = "inproc://asclepion-zap-stop"
DOMAIN = "asclepion"
HANDSHAKES_PER_S = 250.0  # sustained; about a quarter of a core
CURVE_KEY_BYTES = 32


class Doorkeeper:
    """Decides on handshakes; no socket here."""

    def __init__(self, connections_max: int, clock: Clock) -> None:
        self.open = 0
        self.refused = 0
        self._max = connections_max
        self._clock = clock
        self._bucket = Bucket(HANDSHAKES_PER_S, clock.monotonic_s())

    def watch(self, event: int) -> None:
        """Count a connection that came or went."""
        if event == zmq.EVENT_ACCEPTED:
            self.open += 1
        elif event == zmq.EVENT_DISCONNECTED:
            self.open -= 1

    def answer(self, request: list[bytes]) -> list[bytes]:
        """The reply to a ZAP request: 200 with the z85 key as User-Id, 300 to come again later, 400 never."""
        number = request[1] if len(request) > 1 else b""
        code, text, user = self._decide(request)
        self.refused += code != b"200"
        return [b"1.0", number, code, text, user, b""]

    def _decide(self, request: list[bytes]) -> tuple[bytes, bytes, bytes]:
        if len(request) != 7 or request[0] != b"1.0":
            return b"500", b"not a request of version 1.0", b""
        domain, mechanism, key = request[2], request[5], request[6]
        if domain != DOMAIN.encode() or mechanism != b"CURVE" or len(key) != CURVE_KEY_BYTES:
            return b"400", b"this domain is entered by CURVE", b""
        if self.open > self._max:
            return b"400", b"too many connections", b""
        if not self._bucket.take(1.0, self._clock.monotonic_s()):
            return b"300", b"too many at once, come again", b""
        return b"200", b"", z85.encode(key)


class ZapThread:
    """Answers handshakes of a context until stopped."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], monitor: zmq.Socket[bytes], keeper: Doorkeeper) -> None:
        self._handler = context.socket(zmq.REP)
        self._handler.bind(ADDRESS)
        self._stopped = context.socket(zmq.PAIR)
        self._stopped.bind(STOP_ADDRESS)
        self._stopper = context.socket(zmq.PAIR)
        self._stopper.connect(STOP_ADDRESS)
        self._monitor = monitor
        self._keeper = keeper
        self._thread = threading.Thread(target=self._run, name="zap", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        poller = zmq.Poller()
        for socket in (self._handler, self._monitor, self._stopped):
            poller.register(socket, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._monitor in ready:
                self._keeper.watch(parse_monitor_message(self._monitor.recv_multipart())["event"])
            if self._handler in ready:
                self._handler.send_multipart(self._keeper.answer(self._handler.recv_multipart()))
            if self._stopped in ready:
                break
        for socket in (self._handler, self._monitor, self._stopped):
            socket.close(0)

    def stop(self) -> None:
        """End the thread; it closes what it used."""
        self._stopper.send(b"")
        self._thread.join()
        self._stopper.close(0)
