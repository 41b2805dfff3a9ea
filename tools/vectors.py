"""Writes the golden vectors that every implementation of the protocol is tested against: `python -m tools.vectors`.

Owns tests/vectors/{snapshot,pose,rotation,wave,messages,hello,protocol}.json. Everything is made from fixed numbers, so
a run writes the same files again; a test compares. Bytes are lower-case hex.
"""

import json
import struct
import types
import typing
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgpack
import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.net import hello, messages, protocol
from server.net.messages import encoder
from server.sim.poses import POSE, POSE_KIND
from server.sim.rotation import pack_rotation, unpack_rotation
from tools.vectors_snapshot import Json, number, snapshots, turn
from tools.waves import WaveBlock, write_wave

FOLDER = Path(__file__).parents[1] / "tests" / "vectors"


# --- the other binary frames ------------------------------------------------------------------------------------------


def poses() -> Json:
    """Pose frames with their fields, and frames to be refused."""
    rows: list[Json] = []
    for case in range(6):
        row = np.zeros((), POSE)
        row["kind"] = POSE_KIND
        row["seq"] = number(1, 0xFFFFFFFF, "seq", case)
        row["wish_mm_s"] = [number(-2200, 2200, "wish", case, i) for i in range(2)]
        row["yaw"], row["head_y_mm"] = number(0, 1023, "yaw", case), number(0, 4095, "y", case)
        row["head_rot"], row["left_rot"], row["right_rot"] = (turn("pose", case, part) for part in range(3))
        for hand in ("left_mm", "right_mm"):
            row[hand] = [number(-900, 900, hand, case, i) for i in range(3)]
        row["grips"], row["flags"] = number(0, 255, "grips", case), (0, 1, 2, 3, 8, 11)[case]
        fields = {name: row[name].tolist() for name in POSE.names or () if name != "kind"}
        rows.append({"hex": row.tobytes().hex(), "fields": fields})
    good = bytes.fromhex(str(rows[0]["hex"]))
    bad = {
        "short": good[:-1],
        "long": good + b"\0",
        "yaw 1024": good[:9] + struct.pack("<H", 1024) + good[11:],
        "head height 4096": good[:11] + struct.pack("<H", 4096) + good[13:],
        "rotation field 1023": good[:13] + struct.pack("<I", 1023 << 2) + good[17:],
        "reserved flag": good[:-1] + b"\x04",
    }
    return {"poses": rows, "refused": [{"name": name, "hex": frame.hex()} for name, frame in bad.items()]}


def rotations() -> Json:
    """Packed rotations and the unit quaternions they stand for; packing those gives the same again."""
    packed = [turn("r", case) for case in range(40)]
    exact = np.array([[0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, -1]], np.float64)
    ties = np.array([[0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5]])
    packs = [{"quaternion": q.tolist(), "packed": int(pack_rotation(q))} for q in (*exact, *ties)]
    return {
        "pack": packs,
        "unpack": [{"packed": p, "quaternion": np.round(unpack_rotation(p), 12).tolist()} for p in packed],
    }


def waves() -> Json:
    """Wave blocks with their samples."""
    blocks = [
        WaveBlock(0, 0, 0, 250, {1: (0, 5, -5, 1200), 3: (12_000, 12_100, -32_768, 8000)}),
        WaveBlock(255, 1, 0xFFFFFFFF, 125, {n: tuple(range(-n, 12 - n)) for n in range(1, 9)}),
        WaveBlock(3, 1, 77, 0, {}),
    ]
    rows = []
    for block in blocks:
        channels = {protocol.WAVE_CHANNELS[n - 1]: list(values) for n, values in block.channels.items()}
        fields = block._asdict() | {"channels": channels}
        rows.append({"hex": write_wave(block).hex(), "fields": fields})
    cut = write_wave(blocks[0])[:-1].hex()
    return {"blocks": rows, "refused": [{"name": "cut short", "hex": cut}, {"name": "header cut short", "hex": "0300"}]}


# --- control messages -------------------------------------------------------------------------------------------------


def example(kind: object, least: bool, *key: object) -> object:
    """A value of a declared type: the smallest allowed, or one well inside its limits."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: example(hint, least, *key, name) for name, hint in hints_of(kind).items()})
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return limited(args[0], args[1], least, *key)
    if origin is typing.Literal:
        return args[0 if least else -1]
    if origin is list:
        return [] if least else [example(args[0], False, *key, i) for i in range(2)]
    if origin in (types.UnionType, typing.Union):
        return None if least else example(args[0], False, *key)
    assert isinstance(kind, type)
    return limited(kind, msgspec.Meta(), least, *key)


def limited(kind: object, meta: msgspec.Meta, least: bool, *key: object) -> object:
    """A plain value within its limits."""
    if typing.get_origin(kind) is typing.Annotated:
        inner, outer = typing.get_args(kind)[:2]
        return limited(inner, outer if meta == msgspec.Meta() else meta, least, *key)
    low, high = meta.min_length or 0, meta.max_length if meta.max_length is not None else 24
    if kind is bool:
        return not least
    if kind is int:
        start, end = int(meta.ge or 0), int(meta.le if meta.le is not None else 0x7FFFFFFF)
        return start if least else number(start, end, *key)
    if kind is float:
        return 0.0 if least else number(0, 4000, *key) / 16
    size = low if least else min(high, max(low, 21))
    if kind is bytes:
        return bytes(number(0, 255, *key, i) for i in range(size))
    assert kind is str
    return "a" * size if least or meta.pattern else "Zoë – 测试"[: max(low, min(high, 9))]


def hints_of(struct: type[msgspec.Struct]) -> dict[str, object]:
    """Field name -> declared type, in wire order."""
    hints = typing.get_type_hints(struct, include_extras=True)
    return {f.name: hints[f.name] for f in msgspec.structs.fields(struct)}


def json_of(value: object) -> object:
    """As JSON: bytes as {"hex": ...}, structs as objects."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, msgspec.Struct):
        return {name: json_of(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list):
        return [json_of(item) for item in value]
    return value


def control() -> Json:
    """Two examples of every message, a short form of those that have one, and frames a server must refuse."""
    rows = [*examples("client", messages.ClientMessage), *examples("server", messages.ServerMessage)]
    return {"messages": rows, "refused": [{"name": n, "code": c, "hex": f.hex()} for n, c, f in refused_messages()]}


def examples(way: str, union: object) -> Iterator[Json]:
    """The examples of one direction."""
    for kind in protocol.message_types(union):
        for least in (True, False):
            message = kind(**{name: example(hint, least, kind.__name__, name) for name, hint in hints_of(kind).items()})
            yield row_of(way, message, encoder.encode(message))
        required = [f.name for f in msgspec.structs.fields(kind) if f.required]
        if len(required) < len(kind.__struct_fields__):
            short = kind(**{name: getattr(message, name) for name in required})
            yield row_of(way, short, msgpack.packb(msgpack.unpackb(encoder.encode(short))[: len(required) + 1]))


def row_of(way: str, message: msgspec.Struct, frame: bytes) -> Json:
    """One example."""
    return {
        "from": way,
        "tag": protocol.tag_of(type(message)),
        "name": type(message).__name__,
        "hex": frame.hex(),
        "fields": json_of(message),
    }


def refused_messages() -> Iterator[tuple[str, str, bytes]]:
    """What a server must refuse, with the code it must say."""
    yield "an unknown tag", "message", msgpack.packb([99, 1])
    yield "a server's message", "message", msgpack.packb([101, []])
    yield "an internal command", "message", msgpack.packb([67, "reason"])
    yield "a field missing", "message", msgpack.packb([17, 1])
    yield "a field too many", "message", msgpack.packb([18, 1, 1])
    yield "a wrong type", "message", msgpack.packb([18, "1"])
    yield "a number out of range", "message", msgpack.packb([17, 1, 65_536])
    yield "a text too long", "message", msgpack.packb([23, 1, "x" * 501])
    yield "a text that is not UTF-8", "encoding", b"\x93\x17\x01\xa2\xff\xfe"
    yield "a map", "message", msgpack.packb({"tag": 18})
    yield "two messages in a frame", "encoding", msgpack.packb([18, 1]) * 2
    yield "a message cut short", "encoding", msgpack.packb([23, 1, "hello"])[:-1]
    yield "deeply nested", "message", b"\x91" * 4000
    yield "no message at all", "encoding", b"\xc1"
    yield "an unknown binary kind", "kind", b"\x04\0\0"
    yield "a snapshot", "kind", b"\x01" + bytes(11)


def hellos() -> Json:
    """Proofs of a fixed key."""
    seed = sha256(b"golden hello").digest()
    key = Ed25519PrivateKey.from_private_bytes(seed)
    rows: list[Json] = []
    for token, resume in (("eyJ.a.b", b""), ("", sha256(b"resume").digest())):
        message = hello.make_hello(key, token=token, resume=resume)
        signed = hello.to_be_signed(token, resume, protocol.PROTOCOL_HASH)
        rows.append(
            {
                "token": token,
                "resume": resume.hex(),
                "to_be_signed": signed.hex(),
                "proof": message.proof.hex(),
                "frame": encoder.encode(message).hex(),
            }
        )
    public = key.public_key().public_bytes_raw()
    return {"seed": seed.hex(), "public": public.hex(), "person": hello.fingerprint(public).hex(), "hellos": rows}


def protocol_facts() -> Json:
    """The hash and the text it is of."""
    return {"hash": protocol.PROTOCOL_HASH.hex(), "subprotocol": protocol.SUBPROTOCOL, "text": protocol.canonical()}


MAKERS = {
    "snapshot": snapshots,
    "pose": poses,
    "rotation": rotations,
    "wave": waves,
    "messages": control,
    "hello": hellos,
    "protocol": protocol_facts,
}


def text_of(name: str) -> str:
    """The file's contents."""
    return json.dumps(MAKERS[name](), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all files."""
    for name in MAKERS:
        (FOLDER / f"{name}.json").write_text(text_of(name), encoding="utf-8")
        print(f"tests/vectors/{name}.json")


if __name__ == "__main__":
    main()
