"""What the load generator is asked to do, as the file it reads, and what it found, as the files it leaves.

Owns both layouts (tools/peers/load/load.c). Never starts it.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from tools.peers.motion import HZ, STRIDE

WEBSOCKET, ZMTP_NULL, ZMTP_CURVE = 0, 1, 2
SEQ_LITTLE, SEQ_BIG, SEQ_DECIMAL = 0, 1, 2
SENT_RING = 2048
NO_REPLY = 0xFFFF_FFFF
MESSAGE = struct.Struct("<IQI")  # client, ns, bytes that follow


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How a server is spoken to."""

    framing: int
    poses: tuple[bytes, ...]  # one period; `seq` is written at `seq_at`
    seq_mode: int
    seq_at: int
    view_bytes: bytes  # first bytes of messages that are views
    record_all: bool = False  # sampled clients keep every message from the first one on, not only the measured ones
    reply_to: int = NO_REPLY  # first byte of a message that is answered by `reply`
    reply: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One run of the generator. `opening` and `hello` are one for each client: the upgrade request, the first frame."""

    speech: Speech
    port: int
    opening: list[bytes]
    hello: list[bytes]
    warm_s: float
    run_s: float
    sampled: int
    patience_s: float = 60.0
    opening_max: int = 24
    server_key: bytes = b""

    def to_bytes(self) -> bytes:
        """The plan file."""
        speech, clients = self.speech, len(self.opening)
        words = (
            speech.framing, self.port, clients, HZ * 1000, round(self.warm_s * 1000), round(self.run_s * 1000),
            round(self.patience_s * 1000), self.opening_max, len(speech.poses), STRIDE, speech.seq_mode, speech.seq_at,
            self.sample_every, int(speech.record_all), speech.reply_to,
        )  # fmt: skip
        pieces = (speech.view_bytes, self.server_key, speech.reply, *speech.poses, *self.opening, *self.hello)
        return struct.pack(f"<{len(words)}I", *words) + b"".join(struct.pack("<I", len(p)) + p for p in pieces)

    @property
    def sample_every(self) -> int:
        """Every so manieth client keeps what it gets."""
        return max(1, len(self.opening) // self.sampled)


class Counted(msgspec.Struct):
    """The generator's own figures of the measured time."""

    clients: int
    ready: int
    closed: int
    seconds: float
    views: int
    fewest_views: int
    bytes: int
    poses: int
    blocked: int
    late_p50_ms: float
    late_p99_ms: float
    cpu_s: float
    born_ns: int
    failure: str
    start_ns: int = 0
    end_ns: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What a run of the generator left."""

    counted: Counted
    seen: Path
    sent_us: npt.NDArray[np.uint32] = field(repr=False)  # (clients, SENT_RING) since counted.born_ns


def read_found(counted: Counted, stem: Path) -> Found:
    """The files beside `stem`."""
    sent = np.fromfile(stem.with_suffix(".sent"), np.uint32).reshape(counted.clients, SENT_RING)
    return Found(counted, stem.with_suffix(".seen"), sent)


def read_messages(path: Path) -> list[tuple[int, int, bytes]]:
    """Every kept message: client, monotonic nanoseconds, bytes."""
    data, at, out = path.read_bytes(), 0, []
    while at < len(data):
        client, ns, size = MESSAGE.unpack_from(data, at)
        at += MESSAGE.size
        out.append((client, ns, data[at : at + size]))
        at += size
    return out
