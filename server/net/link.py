"""What an edge and its shard say to each other over their own socket pair (ipc, or tcp with CURVE).

Owns the shape of the messages; both ends decode with these types. Clients never see them. One frame per message.
Snapshots do not come this way: they are published sealed (`net.seal`), and `ViewKey` says who may open what.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from server.world.commands import U32, Digest32, Wire

LOOK_CELLS_MAX = 64
Conn = U32  # number the edge gave to one WebSocket, never reused while the edge lives


class EdgeHello(Wire, tag=1, frozen=True):
    """First message of an edge after (re)connecting. All its earlier connections count as gone."""

    protocol: bytes
    name: str


class FromBrowsers(Wire, tag=2, frozen=True):
    """Frames of browsers in arrival order; at most one message per edge and tick interval.

    Poses (39 bytes that begin with 0x10) go apart: `conns` has n u32 little endian, `poses` n x 39 bytes, in arrival
    order. Everything else is in `rows`; a pose there is taken too.
    """

    rows: list[tuple[Conn, bytes]]
    conns: bytes = b""
    poses: bytes = b""


class Gone(Wire, tag=3, frozen=True):
    """These WebSockets closed."""

    conns: list[Conn]


Question = Literal["redeem", "who", "feed", "invite"]


class Ask(Wire, tag=4, frozen=True):
    """A request of the edge's HTTP side; answered by Answer with the same number. `body` is JSON bytes.

    "redeem": {"room","invite","name","key"(base64url Ed25519 public key),"curve"(z85, optional)}
        -> 200 {"token","room","role","name","endpoint","curve"} or 403/404/410/429 {"code","text"}
    "who":    {"room","invite"} -> 200 {"title","kind","role","capacity","people":[{"name","role"}]}
    "feed": {"authorization": bearer token, "bed": "room/id", "block": base64 of a MessagePack DeviceBlock without bed}
        -> 202 {} or 401/404/422/429 {"code","text"}
    "invite": {"authorization": invite token} -> 200 {"code","room","role"} or 401/404 {"code","text"}; asked by the
        command line only
    """

    request: U32
    kind: Question
    body: Annotated[bytes, Meta(max_length=65_536)]


class EdgeWelcome(Wire, tag=5, frozen=True):
    """The shard accepts this edge."""

    shard: str
    tick_hz: int


class ToBrowsers(Wire, tag=6, frozen=True):
    """Frames for browsers: each row is (connections, frame); at most one message per edge and tick."""

    rows: list[tuple[list[Conn], bytes]]


class ViewKey(Wire, tag=7, frozen=True):
    """From now on `conns` (added to those already told) are in view `view` (a room), sealed under this epoch's key."""

    view: U32
    room: int
    epoch: U32
    key: Digest32
    conns: list[Conn]


class ViewLeft(Wire, tag=8, frozen=True):
    """These connections are no longer in the view; effective before anything of a later epoch is passed on."""

    view: U32
    conns: list[Conn]


class Look(Wire, tag=12, frozen=True):
    """From the next snapshot on these connections see the cells `cells` of the room, from the cell `home`.

    A connection without a Look in the room it belongs to (ViewKey) is shown nothing; ViewLeft ends its Look.
    """

    conns: list[Conn]
    room: Annotated[int, Meta(ge=0, le=255)]
    home: Annotated[int, Meta(ge=0, le=4095)]
    cells: Annotated[list[int], Meta(max_length=LOOK_CELLS_MAX)]


class Close(Wire, tag=9, frozen=True):
    """End these connections; the Bye frame was sent before.

    Without connections it is about the link: code "hello" asks the edge for its EdgeHello (the shard does not know it,
    or not any more), "protocol" refuses the edge for good.
    """

    conns: list[Conn]
    code: str


class Answer(Wire, tag=10, frozen=True):
    """Answer to Ask: an HTTP status and a JSON body."""

    request: U32
    status: int
    body: bytes


class Stats(Wire, tag=11, frozen=True):
    """Once a second: counters and gauges of the shard for the edge's /metrics and /readyz. No patient data."""

    values: dict[str, float]


FromEdge = EdgeHello | FromBrowsers | Gone | Ask
ToEdge = EdgeWelcome | ToBrowsers | ViewKey | ViewLeft | Close | Answer | Stats | Look

from_edge_decoder = msgspec.msgpack.Decoder(FromEdge)
to_edge_decoder = msgspec.msgpack.Decoder(ToEdge)
