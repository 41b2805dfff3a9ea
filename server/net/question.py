"""One question to the shard of this machine over its edge link, for the command line. Blocks until answered.

Owns its socket for the time of the question. Who may open the run directory may ask; a question carries its own token.
"""

import os

import zmq

from server.clock import Clock
from server.net import link
from server.net.messages import encoder
from server.net.protocol import PROTOCOL_HASH


class NoAnswer(RuntimeError):
    """No shard answered in time."""


def ask(address: str, kind: link.Question, body: bytes, clock: Clock, timeout_s: float = 5.0) -> link.Answer:
    """Put the question and wait for its answer. Raises NoAnswer."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(address)
        socket.send(encoder.encode(link.EdgeHello(PROTOCOL_HASH, f"question-{os.getpid()}")))
        socket.send(encoder.encode(link.Ask(1, kind, body)))
        end_s = clock.monotonic_s() + timeout_s
        while (left_s := end_s - clock.monotonic_s()) > 0:
            if socket.poll(int(left_s * 1000) + 1):
                said = link.to_edge_decoder.decode(socket.recv())
                if isinstance(said, link.Answer):
                    return said
    raise NoAnswer("no shard answered: is `asclepion serve` running with this --data?")
