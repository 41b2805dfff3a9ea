"""Golden vectors: written by the tools exactly as they lie there, and read right by every decoder we have."""

import json
from typing import Any

import msgpack
import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from server.config import Limits
from server.net import messages, protocol
from server.net.session import Pose, ProtocolError, Session, parse, read_hello
from server.sim.code_lengths import MASK_LENGTHS, ROWS_LENGTHS
from server.sim.far import decode_far
from server.sim.frame import read_frame
from server.sim.poses import POSE
from server.sim.rotation import pack_rotation, unpack_rotation
from server.sim.snapshot import SnapshotError, View, decode_body
from server.twin import shown
from server.world import events
from tools import train_codec, vectors, vectors_snapshot
from tools.waves import WaveError, read_wave


def load(name: str) -> Any:
    return json.loads((vectors.FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(vectors.MAKERS))
def test_the_files_are_what_the_tool_writes(name: str) -> None:
    assert (vectors.FOLDER / f"{name}.json").read_text(encoding="utf-8") == vectors.text_of(name), (
        "the protocol changed: run python -m tools.vectors and update PROTOCOL.md and the clients"
    )


def test_bodies_decode_to_the_fields_that_are_written_there() -> None:
    golden = load("snapshot")
    named: dict[str, View] = {}
    for row in golden["bodies"]:
        room, tick = row["view"]["room"], row["view"]["tick"]
        baselines = {(v.room, 4, v.tick): v for v in [named[row["baseline"]]]} if row["baseline"] else {}
        view = named[row["name"]] = decode_body(bytes.fromhex(row["hex"]), room, tick, 4, baselines)
        assert vectors_snapshot.view_json(view) == row["view"], row["name"]
    crowd = named["crowd"]
    for row in golden["refused"]:
        with pytest.raises(SnapshotError):
            decode_body(bytes.fromhex(row["hex"]), crowd.room, crowd.tick + 1, 4, {(crowd.room, 4, crowd.tick): crowd})
            pytest.fail(row["name"])


def test_far_blocks_decode_to_the_fields_that_are_written_there() -> None:
    golden = load("snapshot")
    for row in golden["far"]:
        rows = decode_far(bytes.fromhex(row["hex"]))
        assert (rows.part, rows.parts, vectors_snapshot.far_rows(rows)) == (row["part"], row["parts"], row["rows"])
    for row in golden["far_refused"]:
        with pytest.raises(SnapshotError):
            decode_far(bytes.fromhex(row["hex"]))
            pytest.fail(row["name"])


def test_frames_split_into_the_blocks_that_are_written_there() -> None:
    golden = load("snapshot")
    for row in golden["frames"]:
        frame = read_frame(bytes.fromhex(row["hex"]))
        assert (frame.room, frame.tick, frame.home) == (row["room"], row["tick"], row["home"])
        assert [{"cell": cell, "body": body.hex()} for cell, body in frame.blocks] == row["blocks"]
    for row in golden["frames_refused"]:
        with pytest.raises(SnapshotError):
            read_frame(bytes.fromhex(row["hex"]))
            pytest.fail(row["name"])


def test_deltas_use_every_class_of_difference() -> None:
    sizes = [len(row["hex"]) for row in load("snapshot")["bodies"] if row["name"].startswith("moved")]
    assert sizes == sorted(sizes) and len(set(sizes)) == len(sizes) == 4


def test_poses() -> None:
    golden = load("pose")
    for row in golden["poses"]:
        pose = parse(bytes.fromhex(row["hex"]))
        assert isinstance(pose, Pose)
        assert {name: pose.row[name].tolist() for name in POSE.names if name != "kind"} == row["fields"]
    for row in golden["refused"]:
        with pytest.raises(ProtocolError) as refusal:
            parse(bytes.fromhex(row["hex"]))
        assert refusal.value.code == "pose", row["name"]


def test_rotations() -> None:
    golden = load("rotation")
    for row in golden["pack"]:
        assert pack_rotation(row["quaternion"]) == row["packed"]
    for row in golden["unpack"]:
        np.testing.assert_allclose(unpack_rotation(row["packed"]), row["quaternion"], atol=1e-11)
        assert pack_rotation(row["quaternion"]) == row["packed"]


def test_wave_blocks() -> None:
    golden = load("wave")
    assert tuple(shown.CHANNELS) == protocol.WAVE_CHANNELS and list(shown.CHANNELS.values()) == list(range(1, 9))
    for row in golden["blocks"]:
        fields = read_wave(bytes.fromhex(row["hex"]))._asdict()
        fields["channels"] = {protocol.WAVE_CHANNELS[n - 1]: list(v) for n, v in fields["channels"].items()}
        assert fields == row["fields"]
    for row in golden["refused"]:
        with pytest.raises(WaveError):
            read_wave(bytes.fromhex(row["hex"]))


def as_array(value: Any) -> Any:
    """A message's JSON fields as the independent decoder sees them."""
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if set(value) == {"hex"} else [as_array(v) for v in value.values()]
    return [as_array(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("row", load("messages")["messages"], ids=lambda row: f"{row['name']}-{len(row['hex'])}")
def test_an_independent_decoder_reads_every_message(row: dict[str, Any]) -> None:
    frame = bytes.fromhex(row["hex"])
    tag, *fields = msgpack.unpackb(frame)
    assert tag == row["tag"]
    wanted = list(row["fields"].values())
    assert fields == [as_array(v) for v in wanted][: len(fields)]
    decoder = messages.client_decoder if row["from"] == "client" else messages.server_decoder
    message = decoder.decode(frame)
    assert vectors.json_of(message) == row["fields"]
    assert frame[0] >= 0x80


def test_every_message_and_every_row_has_examples() -> None:
    named = {(row["from"], row["name"]) for row in load("messages")["messages"]}
    for way, union in (("client", messages.ClientMessage), ("server", messages.ServerMessage)):
        assert {n for w, n in named if w == way} == {s.__name__ for s in protocol.message_types(union)}
    rows = {s.__name__ for s in vars(events).values() if isinstance(s, type) and issubclass(s, msgspec.Struct)}
    tagged = {s.__name__ for s in protocol.message_types(messages.ServerMessage)}
    assert rows - tagged - {"Wire"} == {s.__name__ for s in protocol.NESTED}


@pytest.mark.parametrize("row", load("messages")["refused"], ids=lambda row: row["name"])
def test_what_a_server_must_refuse_is_refused_with_that_code(row: dict[str, Any]) -> None:
    session = Session(Limits(), 0.0)
    with pytest.raises(ProtocolError) as refusal:
        session.receive(bytes.fromhex(row["hex"]), 0.0)
    assert refusal.value.code == row["code"]


def test_hellos_are_signed_by_the_key_they_name() -> None:
    golden = load("hello")
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(golden["public"]))
    for row in golden["hellos"]:
        hello = read_hello(bytes.fromhex(row["frame"]))
        key.verify(hello.proof, bytes.fromhex(row["to_be_signed"]))
        assert (hello.token, hello.resume.hex(), hello.proof.hex()) == (row["token"], row["resume"], row["proof"])


def test_the_hash_is_of_the_text() -> None:
    golden = load("protocol")
    assert golden["hash"] == protocol.PROTOCOL_HASH.hex() and len(protocol.PROTOCOL_HASH) == 8
    assert golden["text"] == protocol.canonical()


def test_the_browser_has_the_same_codes() -> None:
    assert train_codec.WEB.read_text(encoding="utf-8") == train_codec.web_text(list(ROWS_LENGTHS), MASK_LENGTHS)
    assert train_codec.PYTHON.read_text(encoding="utf-8") == train_codec.python_text(list(ROWS_LENGTHS), MASK_LENGTHS)
