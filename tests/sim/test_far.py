"""The FAR block: everybody of a class comes back within its steps, and no bytes whatever do harm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sim import bits, far
from server.sim.far import decode_far, far_body
from server.sim.snapshot import SnapshotError
from server.sim.state import AvatarState, new_avatars

SLOTS = 90


def spread(dice: np.random.Generator) -> AvatarState:
    avatars = new_avatars(SLOTS)
    low, high = [-32_768, 0, -32_768], [32_767, 4095, 32_767]
    avatars.head_mm[:] = dice.integers(low, high, (SLOTS, 3), endpoint=True)
    avatars.yaw[:] = dice.integers(0, 1024, SLOTS)
    avatars.flags[:] = dice.integers(0, 64, SLOTS)
    return avatars


@given(st.integers(0, 2**32), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_the_parts_together_show_everybody_once(seed: int, parts: int) -> None:
    dice = np.random.default_rng(seed)
    avatars, slots = spread(dice), np.flatnonzero(dice.random(SLOTS) < dice.random())
    shown = []
    for part in range(parts):
        rows = decode_far(far_body(avatars, slots, part, parts))
        assert (rows.part, rows.parts) == (part, parts)
        assert np.abs(rows.head_mm - avatars.head_mm[rows.slot]).max(initial=0) <= 15
        assert np.abs((rows.yaw - avatars.yaw[rows.slot] + 512) % 1024 - 512).max(initial=0) <= 8
        np.testing.assert_array_equal(rows.flags, avatars.flags[rows.slot])
        shown += rows.slot.tolist()
    assert sorted(shown) == slots.tolist()


def test_a_head_within_the_room_is_off_by_half_a_step_at_most() -> None:
    avatars = spread(np.random.default_rng(1))
    avatars.head_mm[:, 1] = np.clip(avatars.head_mm[:, 1], 0, 4080)
    rows = decode_far(far_body(avatars, np.arange(SLOTS), 0, 1))
    assert np.abs(rows.head_mm - avatars.head_mm).max() == 8


@given(st.binary(max_size=60), st.integers(0, 60), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_no_bytes_whatever_raise_anything_but_a_snapshot_error(data: bytes, place: int, value: int) -> None:
    good = bytearray(far_body(spread(np.random.default_rng(2)), np.arange(7), 0, 1))
    good[place % len(good)] = value
    for body in (data, bytes(good), bytes(good)[:place]):
        try:
            rows = decode_far(body)
        except SnapshotError:
            continue
        assert len(rows.slot) <= len(body)


def test_every_cut_and_what_follows_is_refused() -> None:
    body = far_body(spread(np.random.default_rng(3)), np.arange(5), 0, 1)
    for bad in [body[:n] for n in range(len(body))] + [body + b"\0", body[:-1] + bytes([body[-1] | 0x80])]:
        with pytest.raises(SnapshotError):
            decode_far(bad)


def test_slots_of_another_part_and_out_of_order_are_refused() -> None:
    avatars = spread(np.random.default_rng(4))
    body = far_body(avatars, np.arange(20), 1, 10)
    with pytest.raises(SnapshotError, match="another part"):
        decode_far(b"\x02" + body[1:])
    words = bits.words_for(120)
    at = bits.put(words, bits.put(words, 0, 5, 60), 5, 60)
    with pytest.raises(SnapshotError, match="ascend"):
        decode_far(far.HEAD.pack(0, 1, 2) + bits.to_bytes(words, at))


def test_compiled_and_plain_kernels_agree() -> None:
    avatars, slots = spread(np.random.default_rng(5)), np.arange(SLOTS)
    fast, slow = bits.words_for(60 * SLOTS), bits.words_for(60 * SLOTS)
    assert far.put_far(avatars, slots, 2, 3, fast) == far.put_far.py_func(avatars, slots, 2, 3, slow) == 30
    np.testing.assert_array_equal(fast, slow)
    a, b = np.empty((30, 6), np.int64), np.empty((30, 6), np.int64)
    assert far.get_far(fast, 2, 3, a) and far.get_far.py_func(fast, 2, 3, b)
    np.testing.assert_array_equal(a, b)
