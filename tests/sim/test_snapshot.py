"""The snapshot codec: what is encoded comes back, deltas apply, and no bytes whatever do harm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sim import bits, code, rows, snapshot, snapshot_read, snapshot_write
from server.sim.rotation import coarse_all, pack_rotation, unpack_rotation
from server.sim.snapshot import (
    SnapshotError,
    View,
    decode_body,
    delta_body,
    keyframe_body,
    view_of,
)
from server.sim.state import AvatarState, ThingState
from tools.codec_symbols import of_changes
from tools.train_codec import lengths_of

SLOTS = 64
THINGS = 12


def random_rotations(dice: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    turns = dice.normal(size=(*shape, 4))
    return pack_rotation(turns / np.linalg.norm(turns, axis=-1, keepdims=True))


def random_avatars(dice: np.random.Generator) -> AvatarState:
    low, high = np.array([-32_768, 0, -32_768]), np.array([32_767, 4095, 32_767])
    return AvatarState(
        alive=np.ones(SLOTS, np.bool_),
        room=np.zeros(SLOTS, np.int16),
        head_mm=dice.integers(low, high, (SLOTS, 3), endpoint=True).astype(np.int32),
        head_rot=random_rotations(dice, (SLOTS,)),
        yaw=dice.integers(0, 1024, SLOTS).astype(np.uint16),
        hand_mm=dice.integers(-512, 512, (SLOTS, 2, 3)).astype(np.int32) * 2,
        hand_rot=coarse_all(random_rotations(dice, (SLOTS, 2))),
        grips=dice.integers(0, 256, SLOTS).astype(np.uint8),
        flags=dice.integers(0, 256, SLOTS).astype(np.uint8),
        ack=dice.integers(0, 256, SLOTS).astype(np.uint8),
        cell=np.zeros(SLOTS, np.int16),
    )


def random_things(dice: np.random.Generator, holders: list[int]) -> ThingState:
    owner = np.full(THINGS, -1, np.int32)
    if holders:
        owner = np.where(dice.random(THINGS) < 0.4, dice.choice(holders, THINGS), -1).astype(np.int32)
    return ThingState(
        alive=np.ones(THINGS, np.bool_),
        room=np.zeros(THINGS, np.int16),
        cell=np.zeros(THINGS, np.int16),
        pos_mm=dice.integers([-32_768, 0, -32_768], [32_768, 4096, 32_768], (THINGS, 3)).astype(np.int32),
        rot=random_rotations(dice, (THINGS,)),
        owner=owner,
        hand=dice.integers(0, 2, THINGS).astype(np.uint8),
    )


def some(dice: np.random.Generator, n: int) -> np.ndarray:
    return np.flatnonzero(dice.random(n) < dice.random())


def moved(dice: np.random.Generator, avatars: AvatarState) -> AvatarState:
    """Some stay, some move a little, some jump."""
    reach = dice.choice([0, 1, 15, 100, 1000, 60_000], (SLOTS, 1))
    low, high = np.array([-32_768, 0, -32_768]), np.array([32_767, 4095, 32_767])
    step = (dice.random((SLOTS, 3)) * 2 - 1) * reach
    turn = dice.choice([0, 0.005, 0.05, 1], (SLOTS, 1))
    turned = unpack_rotation(avatars.head_rot) + dice.normal(size=(SLOTS, 4)) * turn
    turned_hands = unpack_rotation(avatars.hand_rot) + dice.normal(size=(SLOTS, 2, 4)) * turn[:, None]
    return avatars._replace(
        head_mm=np.clip(avatars.head_mm + step, low, high).astype(np.int32),
        head_rot=pack_rotation(turned / np.linalg.norm(turned, axis=1, keepdims=True)),
        hand_mm=np.clip(avatars.hand_mm + step[:, None] / 10, -1024, 1023).astype(np.int32) & ~1,
        hand_rot=coarse_all(pack_rotation(turned_hands / np.linalg.norm(turned_hands, axis=2, keepdims=True))),
        ack=np.where(dice.random(SLOTS) < 0.5, avatars.ack, avatars.ack + dice.choice([1, 3, 14, 15, 90])).astype(
            np.uint8
        ),
        yaw=((avatars.yaw + dice.choice([0, 1, -9, 300, 512], SLOTS)) & 1023).astype(np.uint16),
        flags=np.where(dice.random(SLOTS) < 0.8, avatars.flags, 3).astype(np.uint8),
    )


def read(body: bytes, *, room: int = 3, tick: int = 1000, old: View | None = None) -> View:
    """Decode a body of cell 9, with a baseline at hand or none."""
    return decode_body(body, room, tick, 9, {} if old is None else {(old.room, 9, old.tick): old})


def read_delta(body: bytes, old: View) -> View:
    """Decode a delta as of the tick its age says."""
    return read(body, room=old.room, tick=old.tick + body[0], old=old)


def same(a: View, b: View) -> bool:
    return a[:2] == b[:2] and np.array_equal(a.rows, b.rows) and np.array_equal(a.things, b.things)


def scene(seed: int, tick: int = 1000) -> tuple[np.random.Generator, AvatarState, ThingState, np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    slots = some(dice, SLOTS)
    return dice, random_avatars(dice), random_things(dice, slots.tolist()), slots, some(dice, THINGS)


def pair(seed: int) -> tuple[View, View]:
    """A view and a later one: people and things come, go, move and are picked up."""
    dice, avatars, things, slots, shown = scene(seed)
    old = view_of(avatars, things, 3, slots, shown, 1000)
    later = np.flatnonzero(np.isin(np.arange(SLOTS), slots) ^ (dice.random(SLOTS) < 0.2))
    still = things._replace(owner=np.full_like(things.owner, -1))
    new_things = random_things(dice, later.tolist()) if dice.random() < 0.7 else still
    new = view_of(moved(dice, avatars), new_things, 3, later, some(dice, THINGS), 1000 + int(dice.integers(1, 256)))
    return old, new


@given(st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_a_keyframe_shows_exactly_what_was_there(seed: int) -> None:
    _, avatars, things, slots, shown = scene(seed)
    body = keyframe_body(view_of(avatars, things, 7, slots, shown, 123_456))
    view = read(body, room=7, tick=123_456)
    assert (view.room, view.tick) == (7, 123_456)
    for column in ("head_mm", "head_rot", "yaw", "hand_mm", "hand_rot", "grips", "flags", "ack"):
        np.testing.assert_array_equal(getattr(view, column), getattr(avatars, column)[slots])
    np.testing.assert_array_equal(view.slots, slots)
    np.testing.assert_array_equal(view.thing_slots, shown)
    held = things.owner[shown] >= 0
    np.testing.assert_array_equal(view.thing_owner, things.owner[shown])
    np.testing.assert_array_equal(view.thing_hand[held], things.hand[shown][held])
    np.testing.assert_array_equal(view.thing_mm[~held], things.pos_mm[shown][~held])
    np.testing.assert_array_equal(view.thing_rot[~held], things.rot[shown][~held])


@given(st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_a_delta_turns_the_old_view_into_the_new(seed: int) -> None:
    old, new = pair(seed)
    assert same(read_delta(delta_body(new, old), old), new)


@given(st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_compiled_and_plain_kernels_write_and_read_the_same(seed: int) -> None:
    old, new = pair(seed)
    age = new.tick - old.tick
    words, slow = (bits.words_for(SLOTS * 2 * (rows.CHANGED_BITS_MAX + rows.FULL_BITS_MAX)) for _ in range(2))
    end = snapshot_write.put_delta_body(old.rows, new.rows, old.things, new.things, age, words, 0)
    plain = snapshot_write.put_delta_body.py_func(old.rows, new.rows, old.things, new.things, age, slow, 0)
    assert end == plain
    np.testing.assert_array_equal(words, slow)
    body = bits.to_bytes(words, end)
    words = bits.from_bytes(body, rows.SPARE_BITS)
    fast = snapshot_read.get_body(words, 8 * len(body), old.rows, old.things)
    slow_read = snapshot_read.get_body.py_func(words, 8 * len(body), old.rows, old.things)
    assert fast[0] == slow_read[0] == 0
    np.testing.assert_array_equal(fast[1], slow_read[1])
    np.testing.assert_array_equal(fast[2], slow_read[2])


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_delta_is_as_long_as_its_symbols(seed: int) -> None:
    """The second telling of what a delta record says, which trains the codes, agrees with the encoder."""
    dice, avatars, things, _, _ = scene(seed)
    slots, none, age = np.arange(SLOTS), np.arange(0), int(dice.integers(1, 20))
    old = view_of(avatars, things, 3, slots, none, 1000)
    new = view_of(moved(dice, avatars), things, 3, slots, none, 1000 + age)
    symbols, masks = of_changes(old.rows, new.rows, np.full(SLOTS, age))
    assert (code.LENGTHS[symbols.row, symbols.symbol] > 0).all()
    records = int(code.LENGTHS[symbols.row, symbols.symbol].sum() + symbols.extra.sum() + code.MASK_LENGTH[masks].sum())
    records += 16 * int((masks >> rows.OTHER_BIT & 1).sum())
    assert len(delta_body(new, old)) == (8 + 1 + records + 7) // 8


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=40), st.integers(6, 12))
@settings(max_examples=60, deadline=None)
def test_codes_are_whole_bounded_and_shorter_for_what_is_frequent(counts: list[int], longest: int) -> None:
    lengths = lengths_of([float(count) for count in counts], longest)
    assert sum(2.0**-length for length in lengths) == 1.0 and max(lengths) <= longest
    by_count = [length for _, length in sorted(zip(counts, lengths, strict=True), key=lambda pair: (pair[0], -pair[1]))]
    assert by_count == sorted(by_count, reverse=True)
    codes, lookup = code.canonical(lengths)
    for symbol, length in enumerate(lengths):
        assert lookup[codes[symbol]] == symbol << 4 | length


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 32)), max_size=40))
@settings(deadline=None)
def test_bits_come_back_in_order(fields: list[tuple[int, int]]) -> None:
    words, at = bits.words_for(sum(size for _, size in fields)), 0
    for value, size in fields:
        at = bits.put(words, at, value, size)
    whole = int.from_bytes(bits.to_bytes(words, at), "little")
    at = 0
    for value, size in fields:
        want = value & ((1 << size) - 1)
        assert bits.get(words, at, size) == want == whole >> at & ((1 << size) - 1)
        at += size


@given(st.binary(max_size=400), st.integers(0, 2**16))
@settings(max_examples=400, deadline=None)
def test_no_bytes_whatever_raise_anything_but_a_snapshot_error(data: bytes, seed: int) -> None:
    old, _ = pair(seed)
    for body in (data, b"\x01" + data, b"\x00\x01" + data):
        try:
            read(body, tick=1001, old=old)
        except SnapshotError:
            continue


@given(st.integers(0, 2**16), st.data())
@settings(max_examples=400, deadline=None)
def test_mutated_and_cut_frames_raise_nothing_but_a_snapshot_error(seed: int, data: st.DataObject) -> None:
    old, new = pair(seed)
    frame = bytearray(data.draw(st.sampled_from([delta_body(new, old), keyframe_body(new)])))
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(frame) - 1), st.integers(0, 255)), max_size=6)):
        frame[place] = value
    cut = data.draw(st.integers(0, len(frame)))
    for bad in (bytes(frame), bytes(frame[:cut]), bytes(frame) + b"\0"):
        try:
            view = read(bad, tick=new.tick, old=old)
        except SnapshotError:
            continue
        assert read(keyframe_body(view)).rows.tolist() == view.rows.tolist()


def test_every_cut_of_a_frame_is_refused() -> None:
    old, new = pair(11)
    for body in (delta_body(new, old), keyframe_body(new)):
        for length in range(len(body)):
            with pytest.raises(SnapshotError):
                read(body[:length], tick=new.tick, old=old)


def test_what_follows_the_last_record_is_refused() -> None:
    old, new = pair(11)
    for body in (delta_body(new, old), keyframe_body(new)):
        with pytest.raises(SnapshotError, match="after the last record"):
            read(body + b"\0", tick=new.tick, old=old)


def test_an_invalid_rotation_is_refused() -> None:
    old, _ = pair(11)
    old.rows[0, 5] |= 1023 << 12
    with pytest.raises(SnapshotError, match="rotation"):
        read(keyframe_body(old))


def test_a_delta_without_its_keyframe_says_so() -> None:
    old, new = pair(11)
    body = delta_body(new, old)
    for key in ((4, 9, 1000), (3, 8, 1000), (3, 9, 1001)):
        with pytest.raises(snapshot.NoBaseline):
            decode_body(body, 3, new.tick, 9, {key: old})


def test_a_thing_carried_out_of_the_block_leaves_with_the_next_delta() -> None:
    _, avatars, things, slots, _ = scene(5)
    both = np.array([2, 6])
    old = view_of(avatars, things, 0, slots, both, 10)
    body = delta_body(view_of(avatars, things, 0, slots, both[1:], 11), old)
    assert read_delta(body, old).thing_slots.tolist() == [6]


def test_a_still_room_costs_less_than_a_byte_a_person() -> None:
    _, avatars, things, _, shown = scene(5)
    view = view_of(avatars, things, 0, np.arange(40), shown, 10)
    assert len(delta_body(view._replace(tick=11), view)) <= 2 + 40 * 6 / 8


def test_every_column_of_a_row_is_in_the_field_table() -> None:
    assert 1 + sum(1 if field.column.endswith("rot") else len(field.bits) for field in rows.FIELDS) == rows.COLUMNS
    assert rows.FULL_BITS_MIN == 4 + 8 + 44 + 32 + 10 + 8 + 1 + 2 * 59
    assert len(rows.BIAS) == rows.COLUMNS


def test_after_prime_no_kernel_is_compiled_again_for_a_frame() -> None:
    snapshot.prime()
    kernels = (snapshot_write.put_keyframe_body, snapshot_write.put_delta_body, snapshot_read.get_body)
    before = [kernel.signatures for kernel in kernels]
    old, new = pair(3)
    read(keyframe_body(new))
    read_delta(delta_body(new, old), old)
    assert [kernel.signatures for kernel in kernels] == before
    assert all(before)
