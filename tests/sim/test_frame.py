"""The snapshot frame: what is put in comes out, and no bytes whatever do harm."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sim.frame import HEADER, Frame, read_frame, write_frame
from server.sim.snapshot import SnapshotError

BLOCKS = st.dictionaries(st.integers(0, 4097), st.binary(max_size=40), max_size=30).map(lambda d: sorted(d.items()))
FRAMES = st.builds(
    lambda room, tick, home, blocks: Frame(room, tick, home, tuple(blocks)),
    st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 4095), BLOCKS,
)  # fmt: skip


@given(FRAMES)
@settings(max_examples=200, deadline=None)
def test_a_frame_comes_back_as_it_was_written(frame: Frame) -> None:
    assert read_frame(write_frame(*frame)) == frame


@given(st.binary(max_size=80) | st.builds(lambda rest: b"\x01" + rest, st.binary(max_size=80)))
@settings(max_examples=500, deadline=None)
def test_no_bytes_whatever_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(SnapshotError):
        assert write_frame(*read_frame(data)) == data


@given(FRAMES, st.data())
@settings(max_examples=200, deadline=None)
def test_a_frame_cut_short_or_made_longer_is_refused(frame: Frame, data: st.DataObject) -> None:
    whole = write_frame(*frame)
    cut = data.draw(st.integers(0, len(whole) - 1))
    for wrong in (whole[:cut], whole + b"\0"):
        with pytest.raises(SnapshotError):
            read_frame(wrong)


def test_blocks_out_of_order_or_twice_are_refused() -> None:
    for cells in ((2, 1), (1, 1)):
        with pytest.raises(SnapshotError, match="ascend"):
            read_frame(write_frame(0, 1, 0, [(cell, b"") for cell in cells]))


def test_the_header_says_where_and_when() -> None:
    frame = write_frame(3, 70_000, 258, [(258, b"ab"), (4097, b"")])
    assert frame == bytes.fromhex("01 03 70110100 0201 02 0201 0200 6162 0110 0000") and HEADER.size == 9
