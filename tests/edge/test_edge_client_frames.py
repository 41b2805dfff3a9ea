"""The reader of client frames against wsproto: any split of any stream, and any bytes whatever."""

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from server.edge.client_frames import BINARY, CLOSE, PING, PONG, FrameError, Message, Reader, unmask
from tests.edge.rough import masked

LIMIT = 400
NAMES = {Opcode.BINARY: BINARY, Opcode.CLOSE: CLOSE, Opcode.PING: PING, Opcode.PONG: PONG}
CODES = {1002, 1003, 1007, 1009}


def read(pieces: list[bytes], limit: int = LIMIT) -> tuple[list[Message], int]:
    """The messages, and the close code if the stream broke."""
    reader, found = Reader(limit), []
    try:
        for piece in pieces:
            reader.take(piece, found)
            assert len(reader._held) <= limit + 14 and len(reader._fragments or b"") <= limit
    except FrameError as error:
        reader.take(b"whatever" * 9, found)
        return found, error.code
    return found, 0


def oracle(data: bytes) -> tuple[list[Message], bool]:
    """What wsproto makes of it: messages, and whether the stream broke, as it does with a text message for us."""
    protocol, found, whole = FrameProtocol(client=False, extensions=[]), [], b""
    protocol.receive_bytes(data)
    try:
        for frame in protocol.received_frames():
            if frame.opcode is Opcode.CLOSE:
                code, reason = frame.payload
                found.append(Message(CLOSE, b"" if code == 1005 else struct.pack(">H", code) + reason.encode()))
                continue
            if frame.opcode is Opcode.TEXT:
                return found, True
            if frame.opcode is not Opcode.BINARY:
                found.append(Message(NAMES[frame.opcode], bytes(frame.payload)))
                continue
            whole += frame.payload
            if frame.message_finished:
                found.append(Message(BINARY, whole))
                whole = b""
    except ParseFailed:
        return found, True
    return found, False


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(at)]


masks = st.binary(min_size=4, max_size=4)
controls = st.builds(masked, st.binary(max_size=125), st.sampled_from((0x89, 0x8A)), masks)
whole = st.builds(masked, st.binary(max_size=LIMIT), st.just(0x82), masks)


@st.composite
def fragmented(draw) -> bytes:
    parts = draw(st.lists(st.binary(max_size=LIMIT // 4), min_size=2, max_size=4))
    out = []
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        out.append(masked(part, (0x80 if last else 0) | (0 if number else 2), draw(masks)))
        out += draw(st.lists(controls, max_size=1)) if not last else []
    return b"".join(out)


closes = st.builds(
    lambda code, text: masked(struct.pack(">H", code) + text.encode(), 0x88),
    st.sampled_from((1000, 1001, 3000, 4999)),
    st.text(max_size=30),
)
valid = st.builds(
    lambda frames, end: b"".join(frames) + end,
    st.lists(st.one_of(whole, controls, fragmented()), max_size=6),
    st.one_of(st.just(b""), st.just(masked(b"", 0x88)), closes),
)
splits = st.lists(st.integers(0, 5000), max_size=12)


@settings(max_examples=150, deadline=None)
@given(valid, splits)
def test_any_split_of_any_valid_stream_gives_the_same_messages(data, places):
    expected, broken = oracle(data)
    assert not broken
    assert read(cut(data, places)) == (expected, 0)


@settings(max_examples=300, deadline=None)
@given(valid, st.binary(max_size=12), splits, st.data())
def test_bytes_that_are_no_frames_end_the_stream_as_they_do_for_wsproto(data, junk, places, draw):
    at = draw.draw(st.integers(0, len(data)))
    spoiled = data[:at] + junk + data[at + draw.draw(st.integers(0, 3)) :]
    found, code = read(cut(spoiled, places))
    assert code == 0 or code in CODES
    expected, broken = oracle(spoiled)
    if code in (1002, 1007):
        late = oracle(spoiled + bytes(12))[
            1
        ]  # wsproto looks at a header once it is all there, we at its first two bytes
        assert (broken or late) and found[: len(expected)] == expected
    assert code or not broken


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), splits)
def test_any_bytes_whatever_give_messages_or_a_close_code_the_same_for_every_split(data, places):
    assert read(cut(data, places)) == read([data])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x82\x01x", 1002),  # no mask
        (b"\x82\x01", 1002),  # seen before the payload comes
        (masked(b"x", 0xC2), 1002),  # reserved bit
        (masked(b"x", 0x83), 1002),  # unknown kind
        (masked(b"x", 0x8B), 1002),
        (masked(b"x", 0x80), 1002),  # continuation of nothing
        (masked(b"x", 0x02) + masked(b"y", 0x82), 1002),  # a message within a message
        (masked(b"x", 0x09), 1002),  # a control frame in parts
        (b"\x89\xfe\x00\x7e", 1002),  # a control frame of 126 bytes
        (b"\x82\xfe\x00\x05", 1002),  # five bytes said in two
        (b"\x82\xff" + bytes(6) + b"\xff\xff", 1002),
        (b"\x82\xff\x80" + bytes(7), 1009),
        (masked(b"hi", 0x81), 1003),
        (masked(b"hi", 0x01), 1003),
        (masked(b"x" * (LIMIT + 1)), 1009),
        (b"\x82\xfe\x01\x91", 1009),  # before a byte of it is kept
        (masked(b"x" * 300, 0x02) + masked(b"x" * 101, 0x80), 1009),
        (masked(b"\x03", 0x88), 1002),
        (masked(b"\x00\x00", 0x88), 1002),
        (masked(struct.pack(">H", 1005), 0x88), 1002),
        (masked(struct.pack(">H", 1006), 0x88), 1002),
        (masked(struct.pack(">H", 1015), 0x88), 1002),
        (masked(struct.pack(">H", 2999), 0x88), 1002),
        (masked(struct.pack(">H", 5000), 0x88), 1002),
        (masked(b"\x03\xe8\xff\xff", 0x88), 1007),
    ],
)
def test_what_no_client_may_send_has_its_close_code(data, code):
    before = masked(b"before")
    found, got = read([before + data])
    assert (found[0], got) == (Message(BINARY, b"before"), code)


def test_nothing_is_read_behind_a_close_frame():
    found, code = read([masked(b"\x03\xe8bye", 0x88) + masked(b"late") + b"\x00\x00"])
    assert (found, code) == ([Message(CLOSE, b"\x03\xe8bye")], 0)


def test_a_message_of_exactly_the_limit_passes_in_one_piece_and_in_parts():
    assert read([masked(bytes(LIMIT))]) == ([Message(BINARY, bytes(LIMIT))], 0)
    parts = masked(bytes(LIMIT - 1), 0x02) + masked(b"", 0x00) + masked(b"\x00", 0x80)
    assert read([parts]) == ([Message(BINARY, bytes(LIMIT))], 0)


def test_the_reader_says_how_much_it_waits_for_and_counts_what_is_no_message():
    reader, found = Reader(LIMIT), []
    frame = masked(bytes(300))
    reader.take(frame[:100], found)
    assert (reader.wanted, reader.clean, found) == (len(frame) - 100, False, [])
    reader.take(frame[100:], found)
    assert (reader.wanted, reader.clean, reader.extras, len(found)) == (0, True, 0, 1)
    reader.take(masked(b"", 0x89) + masked(b"a", 0x02) + masked(b"b", 0x80), found)
    assert (reader.extras, found[1:]) == (3, [Message(PING, b""), Message(BINARY, b"ab")])


@settings(deadline=None)
@given(st.binary(max_size=99), masks)
def test_masking_twice_changes_nothing(data, mask):
    assert unmask(unmask(data, mask), mask) == data
    assert masked(data, mask=mask)[6:] == unmask(data, mask)
