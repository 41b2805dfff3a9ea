"""How each server is spoken to, and what its views say: bytes into rows of (viewer, time, sender, number, values).

Owns the encodings of our own small peers. Colyseus' state patches are decoded by its own decoder, outside.
"""

import struct
from collections.abc import Callable, Iterable
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from tools.peers.motion import VALUES, float_poses
from tools.peers.plan import SEQ_BIG, SEQ_LITTLE, WEBSOCKET, Speech

SEEN = np.dtype([("viewer", "<u4"), ("ns", "<u8"), ("id", "<u2"), ("seq", "<u4"), ("values", "<f4", (VALUES,))])
PACKED = np.dtype([("id", "<u2"), ("seq", "<u4"), ("values", "<f4", (VALUES,))])
HEAD = 4  # bytes before the packed rows
EVERY_BYTE = bytes(range(256))
Rows = npt.NDArray[np.void]
Messages = Iterable[tuple[int, int, bytes]]
Decode = Callable[[Messages], Rows]


class DialectError(ValueError):
    """A server sent what its dialect does not have."""


def packed_poses() -> tuple[bytes, ...]:
    """u32 seq, 21 float32."""
    return tuple(bytes(4) + row.tobytes() for row in float_poses().astype("<f4"))


def pack_view(rows: Rows) -> bytes:
    """u8 1, u8 0, u16 n, n x PACKED."""
    return struct.pack("<BBH", 1, 0, len(rows)) + rows.astype(PACKED).tobytes()


def unpack_view(data: bytes) -> Rows:
    """The rows of a packed view; raises DialectError."""
    if len(data) < HEAD or data[0] != 1 or len(data) != HEAD + PACKED.itemsize * int.from_bytes(data[2:4], "little"):
        raise DialectError(f"{len(data)} bytes are no packed view")
    return np.frombuffer(data, PACKED, offset=HEAD)


def decode_packed(messages: Messages, skip: int = 0) -> Rows:
    """All rows of packed views, each behind `skip` bytes."""
    parts = []
    for viewer, ns, data in messages:
        view = unpack_view(data[skip:])
        rows = np.empty(len(view), SEEN)
        rows["viewer"], rows["ns"] = viewer, ns
        for name in PACKED.names or ():
            rows[name] = view[name]
        parts.append(rows)
    return np.concatenate(parts) if parts else np.empty(0, SEEN)


def _person(values: npt.NDArray[np.float32], seq: int) -> dict[str, Any]:
    head, left, right = (part.tolist() for part in values.reshape(3, 7))
    return {"seq": seq, "head": head, "left": left, "right": right}


def msgpack_poses() -> tuple[bytes, ...]:
    """{seq, head, left, right}; seq is written as a full u32, so that it can be changed in place."""
    out = []
    for row in float_poses():
        data = msgpack.packb(_person(row, 0xFFFF_FFFF))
        assert data[MSGPACK_SEQ_AT - 1] == 0xCE
        out.append(data)
    return tuple(out)


MSGPACK_SEQ_AT = 1 + len(msgpack.packb("seq")) + 1


def decode_msgpack(messages: Messages) -> Rows:
    """All rows of views that are lists of people; raises DialectError."""
    out: list[tuple[int, int, int, int, list[float]]] = []
    for viewer, ns, data in messages:
        for person in msgpack.unpackb(data):
            if person["seq"]:
                values = person["head"] + person["left"] + person["right"]
                if len(values) != VALUES:
                    raise DialectError(f"a person has {len(values)} values, {VALUES} were expected")
                out.append((viewer, ns, person["id"], person["seq"], values))
    return np.array([(*row[:4], tuple(row[4])) for row in out], SEEN) if out else np.empty(0, SEEN)


def packed(framing: int) -> Speech:
    """Of the peers with packed rows."""
    return Speech(framing=framing, poses=packed_poses(), seq_mode=SEQ_LITTLE, seq_at=0, view_bytes=b"\x01")


def as_msgpack() -> Speech:
    """Of the peers with MessagePack maps: a view is an array."""
    arrays = bytes(range(0x90, 0xA0)) + b"\xdc\xdd"
    return Speech(framing=WEBSOCKET, poses=msgpack_poses(), seq_mode=SEQ_BIG, seq_at=MSGPACK_SEQ_AT, view_bytes=arrays)


COLYSEUS_JOIN, COLYSEUS_STATE, COLYSEUS_PATCH, COLYSEUS_BYTES = 10, 14, 15, 17
COLYSEUS_TYPE = b"\xa1v"  # a message of type "v", as Colyseus writes it


def colyseus(broadcast: bool) -> Speech:
    """Messages of bytes upwards; downwards patches of the state, or our rows in a message of bytes."""
    poses = tuple(bytes((COLYSEUS_BYTES,)) + b"\xa1p" + pose for pose in packed_poses())
    views = bytes((COLYSEUS_BYTES,)) if broadcast else bytes((COLYSEUS_STATE, COLYSEUS_PATCH))
    return Speech(framing=WEBSOCKET, poses=poses, seq_mode=SEQ_LITTLE, seq_at=3, view_bytes=views,
                  record_all=not broadcast, reply_to=COLYSEUS_JOIN, reply=bytes((COLYSEUS_JOIN,)))  # fmt: skip


def decode_colyseus_broadcast(messages: Messages) -> Rows:
    """Packed rows in messages of bytes."""
    prefix = bytes((COLYSEUS_BYTES,)) + COLYSEUS_TYPE
    return decode_packed((m for m in messages if m[2].startswith(prefix)), len(prefix))
