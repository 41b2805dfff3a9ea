"""A shard's wire on free ports with real clients, for the tests over sockets."""

import time
from collections.abc import Callable
from pathlib import Path

import zmq

from server.config import Limits
from server.net.addresses import addresses
from server.net.keys import CurvePair
from server.net.transport import Wire
from server.net.wire import Inbound, Received

PATIENCE_S = 10.0
SERVER = CurvePair(*(half.decode() for half in zmq.curve_keypair()))


class Stage:
    """A shard's wire on free ports, and clients of it."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.folder = folder
        self.meeting = addresses(folder)
        self.limits = limits or Limits()
        self.wire = Wire("tcp://127.0.0.1:*", self.meeting.edge, self.meeting.views, SERVER, self.limits)
        self.context = zmq.Context()
        self.heard: list[Received] = []

    def dealer(self, *, curve: bool = True, **options: object) -> zmq.Socket:
        socket = self.context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        if curve:
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
            socket.curve_serverkey = SERVER.public.encode()
        for name, value in options.items():
            setattr(socket, name, value)
        socket.connect(self.wire.endpoint)
        return socket

    def until(self, done: Callable[[], bool]) -> None:
        """Receive and flush until something is so."""
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, f"waited {PATIENCE_S} s in vain; heard {self.heard}"
            self.wire.wait(time.monotonic() + 0.005)
            self.heard += self.wire.receive(1000)
            self.wire.flush()

    def quiet(self, seconds: float = 0.3) -> None:
        """Turn the wire for a while."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def hear(self, socket: zmq.Socket, frame: bytes = b"\x90") -> Inbound:
        """Send a frame and wait until the wire has it."""
        seen = len(self.heard)
        socket.send(frame)
        self.until(lambda: any(isinstance(i, Inbound) and i.frame == frame for i in self.heard[seen:]))
        return next(i for i in self.heard[seen:] if isinstance(i, Inbound) and i.frame == frame)

    def close(self) -> None:
        self.wire.shut()
        self.context.destroy(0)


def read(socket: zmq.Socket) -> list[bytes]:
    assert socket.poll(int(PATIENCE_S * 1000)), "nothing came"
    return socket.recv_multipart()
