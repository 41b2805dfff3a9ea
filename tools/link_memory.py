"""A faulty wire in memory, for a hand-turned clock: between a client of `tools.client` and an end of the memory wire.

Owns the messages that are under way. `turn` moves them on; nothing happens by itself. What a client sends as one frame,
and what a shard sends as one message of a tick, is one message here: it comes out whole or not at all. The wire holds
`BUFFER_BYTES` a direction, as sockets do; what is beyond it waits at the sender's end, who then feels a slow reader.
"""

import heapq
from collections import Counter, deque
from typing import Protocol

from server.clock import Clock
from tools.link import Direction, Faults, Kind, Line, cut_at, fate

BUFFER_BYTES = 131_072


class End(Protocol):
    """What the wire is attached to: `net.memory.MemoryClient`, or a browser's end at an edge."""

    received: deque[list[bytes]]
    open: bool

    def send(self, frame: bytes) -> None:
        """One frame to the shard."""
        ...

    def close(self) -> None:
        """Drop the connection without a word."""
        ...


class _Way:
    """One direction: its schedule and what is under way, soonest first."""

    def __init__(self, kind: Kind, faults: Faults, seed: int, direction: Direction) -> None:
        self.kind, self.faults, self.seed, self.direction = kind, faults, seed, direction
        self.line = Line()
        self.bytes = 0
        self.counters: Counter[str] = Counter()
        self._heap: list[tuple[float, int, list[bytes]]] = []
        self._number = 0

    def put(self, message: list[bytes], time_s: float) -> None:
        size = sum(map(len, message))
        what, self.line = fate(self.kind, self.faults, self.seed, self.direction, self.line, size, time_s)
        self.counters[what.reason or "on-time"] += 1
        for at_s in what.times_s:
            self._number += 1
            heapq.heappush(self._heap, (at_s, self._number, message))
            self.bytes += size

    def take(self, time_s: float) -> list[list[bytes]]:
        taken = []
        while self._heap and self._heap[0][0] <= time_s:
            message = heapq.heappop(self._heap)[2]
            self.bytes -= sum(map(len, message))
            taken.append(message)
        return taken


class FaultyLine:
    """A line (`tools.client_lines.Line`) with faults. `reading` off: the reader has stopped, the wire fills up."""

    def __init__(self, end: End, faults: Faults, seed: int, clock: Clock, kind: Kind = "stream") -> None:
        self.end, self.faults, self.seed, self.kind = end, faults, seed, kind
        self.reading = True
        self.up = _Way(kind, faults, seed, "up")
        self.down = _Way(kind, faults, seed, "down")
        self._clock, self._start_s = clock, clock.monotonic_s()
        self._arrived: deque[list[bytes]] = deque()

    def heal(self) -> None:
        """From now on nothing goes wrong; what is under way still comes when it was to."""
        self.reading, self.faults = True, Faults()
        self.up.faults = self.down.faults = self.faults

    def _now_s(self) -> float:
        return self._clock.monotonic_s() - self._start_s

    @property
    def open(self) -> bool:
        """Whether the connection still stands."""
        return self.end.open

    def send(self, frame: bytes) -> None:
        """See `tools.client_lines.Line`: under way from now on; `turn` hands it over when it is due."""
        if self.end.open:
            self.up.put([frame], self._now_s())

    def turn(self) -> None:
        """Hand over what is due both ways, and take up what the shard has sent while there is room for it."""
        now_s = self._now_s()
        cut = cut_at(self.faults, self.seed, now_s)
        if cut is not None and cut.ends and self.kind == "stream":
            self.end.close()
        for (frame,) in self.up.take(now_s):
            self.end.send(frame)
        while self.end.open and self.end.received and self.down.bytes < BUFFER_BYTES:
            self.down.put(self.end.received.popleft(), now_s)
        if self.reading and self.end.open:
            self._arrived += self.down.take(now_s)

    def read(self, timeout_s: float) -> list[bytes]:
        """See `tools.client_lines.Line`; never waits."""
        self.turn()
        taken = [frame for message in self._arrived for frame in message]
        self._arrived.clear()
        return taken

    def close(self) -> None:
        """See `tools.client_lines.Line`."""
        self.end.close()
