"""What the hub remembers of each end: edges, and the keys of rooms that edges show.

Owns the rows of those tables; `net.hub` alone changes them.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from server.net import link
from server.net.compose import Look
from server.net.seal import new_key
from server.net.wire import Peer


class Sent(Enum):
    """What became of an attempt to send."""

    OK = "ok"
    FULL = "full"
    LOST = "lost"


@dataclass(slots=True, eq=False)
class Edge:
    """An edge: its connections that were heard of, frames for them, and link messages, in order."""

    route: bytes
    name: str
    number: int = 0  # among all edges that ever were
    conns: dict[int, None] = field(default_factory=dict)
    waiting: deque[tuple[int, bytes | None]] = field(default_factory=deque)  # frames not yet heard; None: it closed
    rows: list[tuple[list[int], bytes]] = field(default_factory=list)
    messages: list[link.ToEdge] = field(default_factory=list)
    looks: dict[int, Look] = field(default_factory=dict)  # of connections, to be told
    backlog: deque[bytes] = field(default_factory=deque)
    backlog_bytes: int = 0


@dataclass(slots=True, eq=False)
class RoomSeal:
    """A room with viewers behind edges: its members, epoch and key. `stale`: a member left, so a new key is due."""

    members: dict[Peer, None] = field(default_factory=dict)
    joining: dict[Peer, None] = field(default_factory=dict)
    epoch: int = 1
    key: bytes = field(default_factory=new_key)
    stale: bool = False
    newest_tick: int = -1
