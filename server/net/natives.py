"""Native peers: who they are, what is queued for each, and this tick's message to them.

Owns their table. Each gets one message a tick: the snapshot, shared by all who see the same, then control and wave
frames. Never parses a frame and never blocks: a full pipe costs the snapshot and wave blocks, never a control frame;
who lets control frames pile up beyond `outbound_bytes_max` is let go.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from server.config import Limits
from server.net.compose import blocks_in
from server.net.ends import Sent
from server.net.gate import NO_ROW, Burst, PoseGate, key_of
from server.net.session import FIRST_MESSAGE_BYTE
from server.net.wire import Gone, Inbound, Peer, Received


class Ways(Protocol):
    """The ways out to native peers, given by the wire."""

    def shared(self, frame: bytes) -> object:
        """A frame made ready to be handed to many peers."""
        ...

    def send_native(self, route: bytes, snapshot: object, frames: Sequence[bytes]) -> Sent:
        """Send one message of the snapshot (unless None) and the frames; all or nothing."""
        ...

    def send_alike(self, routes: Sequence[bytes], snapshot: object) -> dict[int, Sent]:
        """Send one message of nothing but this snapshot to each; what became of those, by index, who did not get it."""
        ...


@dataclass(slots=True, eq=False)
class Native:
    """A native peer: its queue, and this tick's snapshot (whatever the way out takes)."""

    peer: Peer
    user_id: str
    verified: bool = False
    closing: bool = False
    frames: list[bytes] = field(default_factory=list)
    queued_bytes: int = 0
    snapshot: object = None


class Natives:
    """All native peers of a shard."""

    def __init__(
        self,
        limits: Limits,
        counters: dict[str, int],
        gate: PoseGate,
        burst: Burst,
        events: deque[Received],
        ways: Ways,
    ) -> None:
        self._limits, self._counters = limits, counters
        self._gate, self._burst, self._events, self._ways = gate, burst, events, ways
        self._table: dict[bytes, Native] = {}
        self.strangers = 0  # peers that are not verified
        self._due: dict[Native, None] = {}
        self._blocks: dict[int, int] = {}  # of this tick's snapshots, by id

    @property
    def queued_bytes_max(self) -> int:
        """What waits for the peer for whom most waits."""
        return max((native.queued_bytes for native in self._table.values()), default=0)

    # --- in ---------------------------------------------------------------------------------------------------------

    def heard(self, route: bytes, user_id: str, frame: bytes) -> None:
        """A frame of a native peer. The first one makes the peer known; its CURVE key must stay the same."""
        native = self._table.get(route) or self._new(route, user_id)
        if native is None:
            return
        if native.user_id != user_id:
            self._counters["identity_changed"] += 1
            self._drop(native, "identity")
            return
        if not self._gate.let_in(key_of(route), frame) and self._burst.within(native.peer):
            self._events.append(Inbound(native.peer, frame, user_id))

    def _new(self, route: bytes, user_id: str) -> Native | None:
        if self._gate.muted(key_of(route)):
            self._counters["late_frames"] += 1
            return None
        if self.strangers >= self._limits.unverified_peers_max:
            self._counters["strangers_dropped"] += 1
            return None
        native = self._table[route] = Native(Peer("native", route), user_id)
        self.strangers += 1
        return native

    def verified(self, peer: Peer, row: int) -> None:
        """A stranger no longer; poses go to `row`, if it is one."""
        native = self._table.get(peer.route)
        if native is None:
            return
        self.strangers -= not native.verified
        native.verified = True
        if row != NO_ROW:
            self._gate.let(key_of(peer.route), row, native.user_id)

    # --- who is let go ----------------------------------------------------------------------------------------------

    def _drop(self, native: Native, reason: str) -> None:
        self._forget(native)
        self._events.append(Gone(native.peer, reason))

    def _forget(self, native: Native) -> None:
        self._due.pop(native, None)
        if self._table.pop(native.peer.route, None) is not None and not native.verified:
            self.strangers -= 1
        self._gate.mute(key_of(native.peer.route))

    def close(self, peer: Peer) -> None:
        """Let a peer go once what is queued for it was sent; nothing more is heard of it."""
        native = self._table.get(peer.route)
        if native is not None:
            native.closing = True
            self._gate.forget(key_of(peer.route))
            self._due[native] = None

    # --- out --------------------------------------------------------------------------------------------------------

    def queue(self, peer: Peer, frame: bytes) -> None:
        """A control or wave frame for a peer."""
        native = self._table.get(peer.route)
        if native is None:
            return
        native.frames.append(frame)
        native.queued_bytes += len(frame)
        self._due[native] = None
        if native.queued_bytes > self._limits.outbound_bytes_max:
            self._counters["too_slow"] += 1
            self._drop(native, "too-slow")

    def show(self, frame: bytes, peers: Collection[Peer]) -> None:
        """This tick's snapshot of these peers."""
        shared, table, due = self._ways.shared(frame), self._table, self._due
        self._blocks[id(shared)] = blocks_in(frame)
        for peer in peers:
            native = table.get(peer.route)
            if native is not None:
                native.snapshot = shared
                due[native] = None

    def flush(self) -> None:
        """Send each its message."""
        due, self._due = self._due, {}
        for native in self._flush_alike(due):
            snapshot, native.snapshot = native.snapshot, None
            outcome = Sent.OK
            if snapshot is not None or native.frames:
                outcome = self._ways.send_native(native.peer.route, snapshot, native.frames)
            self._sent(native, snapshot, outcome)
        self._blocks.clear()

    def _flush_alike(self, due: Iterable[Native]) -> list[Native]:
        """Send those who get a snapshot and nothing else, all of one snapshot in one call; the others come back."""
        others: list[Native] = []
        alike: dict[int, list[Native]] = {}
        for native in due:
            if native.snapshot is None or native.frames or native.closing:
                others.append(native)
            else:
                alike.setdefault(id(native.snapshot), []).append(native)
        for natives in alike.values():
            snapshot = natives[0].snapshot
            failed = self._ways.send_alike([native.peer.route for native in natives], snapshot)
            self._counters["messages_sent"] += len(natives) - len(failed)
            for native in natives:
                native.snapshot = None
            for index, outcome in failed.items():
                self._sent(natives[index], snapshot, outcome)
        return others

    def _sent(self, native: Native, snapshot: object, outcome: Sent) -> None:
        """What becomes of a peer after it was tried to send it all that was due."""
        if outcome is Sent.OK:
            self._counters["messages_sent"] += 1
            if native.frames:
                native.frames, native.queued_bytes = [], 0
        elif outcome is Sent.FULL:
            self._thin_out(native, snapshot)
        if native.closing:
            self._forget(native)
        elif outcome is Sent.LOST:
            self._drop(native, "lost")

    def _thin_out(self, native: Native, snapshot: object) -> None:
        """The pipe is full: the snapshot and wave blocks are skipped, control frames wait."""
        kept = [frame for frame in native.frames if frame[0] >= FIRST_MESSAGE_BYTE]
        self._counters["snapshots_skipped"] += snapshot is not None
        self._counters["held_back_pipe_full"] += self._blocks.get(id(snapshot), 0)
        self._counters["waves_skipped"] += len(native.frames) - len(kept)
        native.frames, native.queued_bytes = kept, sum(map(len, kept))
        if kept:
            self._due[native] = None
