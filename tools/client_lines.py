"""How one client of `tools.client` is connected: over ZeroMQ, or in memory. Frames are opaque here."""

from typing import Protocol

import zmq

from server.net.memory import MemoryClient


class Line(Protocol):
    """A connection: frames out, frames in."""

    def send(self, frame: bytes) -> None:
        """Send one frame."""
        ...

    def read(self, timeout_s: float) -> list[bytes]:
        """The frames that came, in order; waits at most so long for the first."""
        ...

    def close(self) -> None:
        """End the connection without a word."""
        ...


class NativeLine:
    """ZeroMQ with CURVE. `curve`: the client's own pair (z85), fresh for every line unless a token names it."""

    def __init__(self, endpoint: str, server_key: str, curve: tuple[bytes, bytes]) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.curve_publickey = curve[0]
        self._socket.curve_secretkey = curve[1]
        self._socket.curve_serverkey = server_key.encode()
        self._socket.connect(endpoint)

    def send(self, frame: bytes) -> None:
        """See Line."""
        self._socket.send(frame)

    def read(self, timeout_s: float) -> list[bytes]:
        """See Line."""
        frames: list[bytes] = []
        wait_ms = int(timeout_s * 1000)
        while self._socket.poll(0 if frames else wait_ms):
            frames += self._socket.recv_multipart()
        return frames

    def close(self) -> None:
        """See Line."""
        self._socket.close()


class MemoryLine:
    """A line of the memory wire; waiting is somebody else's business there."""

    def __init__(self, end: MemoryClient) -> None:
        self.end = end

    def send(self, frame: bytes) -> None:
        """See Line."""
        self.end.send(frame)

    def read(self, timeout_s: float) -> list[bytes]:
        """See Line."""
        return [frame for message in self.end.read() for frame in message]

    def close(self) -> None:
        """See Line."""
        self.end.close()
