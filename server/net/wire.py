"""What the shard sees of the wire, whichever kind it is: sockets (`net.transport`) or memory (`net.memory`).

Owns the values that pass between shard and wire, and the interface of both. Frames are opaque here: never parsed.
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, Protocol

from server.net.compose import Look
from server.net.gate import NO_ROW
from server.net.link import Question
from server.net.uplink import Poses


class Peer(NamedTuple):
    """One client connection. `route` is the routing id of the native client, or of the edge it comes through."""

    kind: Literal["native", "edge"]
    route: bytes
    conn: int = 0  # the edge's number for the WebSocket; 0 for native clients


class Inbound(NamedTuple):
    """A frame of a client. `user_id`: the z85 CURVE key the connection proved (ZAP User-Id), "" through an edge."""

    peer: Peer
    frame: bytes
    user_id: str


class Gone(NamedTuple):
    """A connection that was heard of is no more. `reason`: "closed", "lost", "too-slow", "edge" or "identity"."""

    peer: Peer
    reason: str


class EdgeUp(NamedTuple):
    """An edge said hello."""

    edge: bytes


class EdgeDown(NamedTuple):
    """An edge is gone; `Gone` for each of its connections came before."""

    edge: bytes


class Asked(NamedTuple):
    """A request of an edge's HTTP side, to be answered by `answer` with the same number."""

    edge: bytes
    request: int
    kind: Question
    body: bytes


Received = Inbound | Gone | EdgeUp | EdgeDown | Asked


class AnyWire(Protocol):
    """What the shard calls each tick: receive, (step), then join, leave, look, post, show, publish; flush, wait."""

    counters: dict[str, int]  # drops and skips by reason, ever growing

    def receive(self, limit: int) -> list[Received]:
        """About `limit` messages that wait, in arrival order, and poses besides; the others wait on. Never blocks."""
        ...

    def poses(self) -> Poses:
        """The poses of the newest receive, of peers that were verified with a row before it; they come no other way."""
        ...

    def verified(self, peer: Peer, row: int = NO_ROW) -> None:
        """The peer's token was found right: it no longer counts as a stranger. From the next receive on its poses are
        gathered by `poses` under `row`; without a row they come as `Inbound` like all else."""
        ...

    def post(self, peers: Sequence[Peer], frame: bytes) -> None:
        """Queue a control or wave frame for peers. A peer whose queue is over its limit is Gone at the next receive."""
        ...

    def show(self, frame: bytes, peers: Collection[Peer]) -> None:
        """Queue this tick's snapshot of these native peers, shared by all of them."""
        ...

    def publish(self, room: int, tick: int, body: bytes) -> None:
        """Queue this tick's sheet of a room (`net.compose`), to be sealed for the edges with peers in it."""
        ...

    def flush(self) -> None:
        """Send all that is queued: one message per native peer, one ToBrowsers per edge, one publication per room."""
        ...

    def join_room(self, peer: Peer, room: int) -> None:
        """An edge may show this room to its connection from the next snapshot on (native peers are named in `show`)."""
        ...

    def leave_room(self, peer: Peer) -> None:
        """An edge's connection is in no room: the next snapshot is sealed under a key it was never told."""
        ...

    def look(self, peer: Peer, look: Look) -> None:
        """What an edge shows to its connection of the room it is in, from the next snapshot on."""
        ...

    def close(self, peer: Peer, code: str) -> None:
        """End a connection after what is queued for it was sent; nothing more is heard from it (no Gone follows)."""
        ...

    def answer(self, edge: bytes, request: int, status: int, body: bytes) -> None:
        """Answer what an edge asked."""
        ...

    def stats(self, values: dict[str, float]) -> None:
        """Send counters and gauges to every edge."""
        ...

    def wait(self, until_s: float) -> bool:
        """Sleep until something can be received (True) or the monotonic time has come (False)."""
        ...

    def shut(self) -> None:
        """Close everything."""
        ...
