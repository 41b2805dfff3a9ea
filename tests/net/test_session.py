"""A session takes what the table allows and refuses the rest, whatever the bytes."""

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.config import Limits
from server.net import messages
from server.net.messages import Bye, Hello, Ping, encoder
from server.net.session import (
    CLIENT_TYPES,
    HELLO_BYTES_MAX,
    POSE_STRUCT,
    TRANSITIONS,
    Pose,
    ProtocolError,
    Session,
    State,
    after,
    parse,
    read_hello,
)
from server.sim.rotation import IDENTITY
from server.world.commands import PlaceOrder, Say, Stand
from tools import vectors

LIMITS = Limits()
CODES = {
    "closed", "size", "rate-messages", "rate-bytes", "out-of-state", "sequence", "kind", "pose", "message", "encoding",
}  # fmt: skip


def pose(seq: int = 1, **changed: Any) -> bytes:
    fields = {
        "yaw": 0, "head_y": 1600, "head_rot": IDENTITY, "left_rot": IDENTITY, "right_rot": IDENTITY, "flags": 0,
    } | changed  # fmt: skip
    return POSE_STRUCT.pack(
        0x10, seq, 0, 0, fields["yaw"], fields["head_y"], fields["head_rot"], 0, 0, 0, fields["left_rot"], 0, 0, 0,
        fields["right_rot"], 0, fields["flags"],
    )  # fmt: skip


def sample(kind: type, seq: int = 1) -> bytes:
    if kind is Pose:
        return pose(seq)
    message = vectors.example(kind, False, "sample")
    assert isinstance(message, msgspec.Struct)
    if "seq" in message.__struct_fields__:
        message = msgspec.structs.replace(message, seq=seq)
    return encoder.encode(message)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", CLIENT_TYPES, ids=lambda kind: kind.__name__)
def test_every_pair_of_state_and_message_is_as_the_table_says(state: State, kind: type) -> None:
    frame = sample(kind)
    allowed = TRANSITIONS.get((state, kind))
    if state is State.NEW:
        if kind is Hello:
            assert isinstance(read_hello(frame), Hello) and allowed is State.ACTIVE
        else:
            with pytest.raises(ProtocolError) as refusal:
                read_hello(frame)
            assert refusal.value.code == "out-of-state" and allowed is None
        return
    session = Session(LIMITS, 0.0)
    if state is State.CLOSED:
        session.close()
    if allowed is None:
        with pytest.raises(ProtocolError) as refusal:
            session.receive(frame, 0.0)
        assert refusal.value.code == ("closed" if state is State.CLOSED else "out-of-state")
        assert session.state is State.CLOSED
    else:
        assert type(session.receive(frame, 0.0)) is kind
        assert session.state is allowed


def test_the_table_knows_no_other_kinds() -> None:
    assert {kind for _, kind in TRANSITIONS} == set(CLIENT_TYPES)
    assert TRANSITIONS[State.ACTIVE, Bye] is State.CLOSED
    assert not any(state is State.CLOSED for state, _ in TRANSITIONS)
    with pytest.raises(ProtocolError):
        after(State.CLOSED, Ping(1, 1))


@pytest.mark.parametrize("bad", [pose(5), encoder.encode(Ping(8, 0))])
def test_poses_and_messages_each_have_their_growing_sequence(bad: bytes) -> None:
    session = Session(LIMITS, 0.0)
    session.receive(encoder.encode(Say(6, "hello")), 0.0)
    session.receive(pose(5), 0.0)
    session.receive(encoder.encode(Ping(8, 0)), 0.0)
    session.receive(pose(6), 0.0)
    session.receive(encoder.encode(Ping(9, 0)), 0.0)
    with pytest.raises(ProtocolError, match=r"seq is \d, it must be over \d") as refusal:
        session.receive(bad, 0.0)
    assert refusal.value.code == "sequence"


def test_the_first_number_is_at_least_one() -> None:
    with pytest.raises(ProtocolError) as refusal:
        Session(LIMITS, 0.0).receive(pose(0), 0.0)
    assert refusal.value.code == "sequence"


def test_a_session_that_was_refused_once_is_over() -> None:
    session = Session(LIMITS, 0.0)
    with pytest.raises(ProtocolError):
        session.receive(b"\xc1", 0.0)
    with pytest.raises(ProtocolError) as refusal:
        session.receive(pose(), 0.0)
    assert refusal.value.code == "closed"


@pytest.mark.parametrize(
    "changed",
    [{"yaw": 1024}, {"head_y": 4096}, {"flags": 4}, {"flags": 32}, {"head_rot": 1023 << 2}, {"left_rot": 1023 << 12},
     {"right_rot": 1023 << 22}],
)  # fmt: skip
def test_pose_fields_are_held_to_their_ranges(changed: dict[str, int]) -> None:
    with pytest.raises(ProtocolError) as refusal:
        Session(LIMITS, 0.0).receive(pose(**changed), 0.0)
    assert refusal.value.code == "pose"


def test_the_edges_of_the_ranges_are_allowed() -> None:
    frame = pose(0xFFFFFFFF, yaw=1023, head_y=4095, flags=1 | 2 | 8, head_rot=3 | 1022 << 2 | 1022 << 12 | 1022 << 22)
    got = Session(LIMITS, 0.0).receive(frame, 0.0)
    assert isinstance(got, Pose)
    assert (got.seq, got.raw, int(got.row["yaw"]), int(got.row["flags"])) == (0xFFFFFFFF, frame, 1023, 11)


@pytest.mark.parametrize("length", [0, 16_385])
def test_size_is_looked_at_first(length: int) -> None:
    with pytest.raises(ProtocolError) as refusal:
        Session(LIMITS, 0.0).receive(b"\x91" * length, 0.0)
    assert refusal.value.code == "size"


def test_a_first_frame_is_small() -> None:
    with pytest.raises(ProtocolError) as refusal:
        read_hello(b"\x90" * (HELLO_BYTES_MAX + 1))
    assert refusal.value.code == "size"
    assert len(encoder.encode(Hello(bytes(8), "x" * 1024, b"", bytes(32), bytes(64)))) <= HELLO_BYTES_MAX


def test_the_largest_order_fits_into_a_frame() -> None:
    order = PlaceOrder(1, 1, bytes(2048), bytes(8192), bytes(32), bytes(32), bytes(12))
    assert Session(LIMITS, 0.0).receive(encoder.encode(order), 0.0) == order


def test_a_steady_sender_is_never_too_fast_and_a_faster_one_is() -> None:
    steady, fast = Session(LIMITS, 0.0), Session(LIMITS, 0.0)
    for number in range(1, 1201):
        steady.receive(pose(number), number / LIMITS.messages_per_s)
    with pytest.raises(ProtocolError) as refusal:
        for number in range(1, 1201):
            fast.receive(pose(number), number / (2 * LIMITS.messages_per_s))
    assert refusal.value.code == "rate-messages"


def test_bytes_are_counted_too() -> None:
    session = Session(Limits(bytes_per_s=10_000), 0.0)
    with pytest.raises(ProtocolError) as refusal:
        for number in range(1, 60):
            session.receive(encoder.encode(Say(number, "x" * 480)), 0.0)
    assert refusal.value.code == "rate-bytes" and number == 42


def test_a_clock_that_stands_still_gives_no_credit() -> None:
    session = Session(Limits(messages_per_s=1), 5.0)
    session.receive(encoder.encode(Stand(1)), 5.0)
    session.receive(encoder.encode(Stand(2)), 4.0)
    with pytest.raises(ProtocolError):
        session.receive(encoder.encode(Stand(3)), 4.0)


def test_refusals_do_not_repeat_what_was_said() -> None:
    secret = "Jane Roe has a cough"
    for frame in (msgspec.msgpack.encode([25, 1, 1, secret]), msgspec.msgpack.encode([19, 1, secret])):
        with pytest.raises(ProtocolError) as refusal:
            parse(frame)
        assert "Jane" not in str(refusal.value) and "$[" in str(refusal.value)


@given(st.binary(max_size=300))
@settings(max_examples=1000, deadline=None)
def test_no_bytes_whatever_raise_anything_but_a_protocol_error(data: bytes) -> None:
    for frame in (data, b"\x10" + data, b"\x95" + data, bytes([0x90 | len(data) % 16, 16 + len(data) % 16]) + data):
        for read in (read_hello, lambda f: Session(LIMITS, 0.0).receive(f, 0.0)):
            try:
                read(frame)
            except ProtocolError as refusal:
                assert refusal.code in CODES and refusal.text


@given(st.sampled_from(CLIENT_TYPES), st.data())
@settings(max_examples=1000, deadline=None)
def test_mutated_messages_raise_nothing_but_a_protocol_error(kind: type, data: st.DataObject) -> None:
    frame = bytearray(sample(kind))
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(frame) - 1), st.integers(0, 255)), max_size=4)):
        frame[place] = value
    cut = data.draw(st.integers(0, len(frame)))
    for bad in (bytes(frame), bytes(frame[:cut]), bytes(frame[cut:])):
        try:
            got = Session(LIMITS, 0.0).receive(bad, 0.0)
        except ProtocolError as refusal:
            assert refusal.code in CODES
        else:
            assert isinstance(got, CLIENT_TYPES)


def nested() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@given(st.lists(nested(), max_size=8), st.integers(0, 120))
@settings(max_examples=500, deadline=None)
def test_well_formed_messagepack_of_any_shape_is_taken_or_refused(fields: list[Any], tag: int) -> None:
    frame = msgspec.msgpack.encode([tag, *fields])
    try:
        got = Session(LIMITS, 0.0).receive(frame, 0.0)
    except ProtocolError as refusal:
        assert refusal.code in CODES
    else:
        assert isinstance(got, CLIENT_TYPES)


def test_what_is_accepted_is_what_was_meant() -> None:
    for kind in CLIENT_TYPES:
        if kind not in (Hello, Pose):
            assert encoder.encode(Session(LIMITS, 0.0).receive(sample(kind), 0.0)) == sample(kind)


def test_server_messages_come_back_from_their_bytes() -> None:
    welcome = messages.Welcome(1, bytes(32), 5, 30, 60, 20, "Zoë", "", -1, False)
    assert messages.server_decoder.decode(encoder.encode(welcome)) == welcome
    assert struct.calcsize("<BIhhHHI3hI3hIBB") == 39
