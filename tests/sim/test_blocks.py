"""All blocks in one call: the same bytes as block by block, and nobody lost, doubled or in a wrong block."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sim import blocks
from server.sim.blocks import NOTHING, Blocks, Contents, encode_blocks, views_of
from server.sim.grid import HERO_CELL
from server.sim.snapshot import View, decode_body, delta_body, keyframe_body
from server.sim.state import AvatarState, ThingState
from tests.sim.test_snapshot import SLOTS, THINGS, moved, random_avatars, random_things, same

ROOMS, CELLS, EVERY = 5, 6, 10


def scene(dice: np.random.Generator) -> tuple[AvatarState, ThingState]:
    """People and things in some rooms and cells; held things where their holder is."""
    avatars = random_avatars(dice)
    avatars.alive[:] = dice.random(SLOTS) < 0.8
    avatars.room[:], avatars.cell[:] = dice.integers(0, ROOMS, SLOTS), dice.integers(0, CELLS, SLOTS)
    things = random_things(dice, np.flatnonzero(avatars.alive).tolist())
    things.alive[:] = dice.random(THINGS) < 0.8
    held = things.owner >= 0
    things.room[:] = np.where(held, avatars.room[things.owner], dice.integers(0, ROOMS, THINGS))
    things.cell[:] = np.where(held, avatars.cell[things.owner], dice.integers(0, CELLS, THINGS))
    return avatars, things


def later(dice: np.random.Generator, avatars: AvatarState, things: ThingState) -> tuple[AvatarState, ThingState]:
    """A tick later: some moved, some changed their cell, came or left."""
    fresh, fresh_things = scene(dice)
    stays = dice.random(SLOTS) < 0.9
    cell = np.where(dice.random(SLOTS) < 0.8, avatars.cell, fresh.cell).astype(np.int16)
    room = np.where(stays, avatars.room, fresh.room).astype(np.int16)
    out = moved(dice, avatars)._replace(alive=np.where(stays, avatars.alive, fresh.alive), room=room, cell=cell)
    moving = things if dice.random() < 0.5 else fresh_things
    held = (moving.owner >= 0) & out.alive[moving.owner]
    owner = np.where(held, moving.owner, -1).astype(np.int32)
    places = (np.where(held, column[owner], own) for column, own in ((room, moving.room), (cell, moving.cell)))
    return out, moving._replace(owner=owner, **dict(zip(("room", "cell"), places, strict=True)))


def bodies(got: Blocks) -> dict[tuple[int, int], bytes]:
    keys = zip(got.room.tolist(), got.cell.tolist(), strict=True)
    return {key: got.data[got.start[b] : got.end[b]] for b, key in enumerate(keys)}


def one_by_one(avatars: AvatarState, shown: np.ndarray, hero: np.ndarray) -> dict[tuple[int, int], list[int]]:
    """The slots of every block, the plain way."""
    found: dict[tuple[int, int], list[int]] = {}
    for slot in np.flatnonzero(avatars.alive):
        if shown[avatars.room[slot]]:
            key = int(avatars.room[slot]), HERO_CELL if hero[slot] else int(avatars.cell[slot])
            found.setdefault(key, []).append(int(slot))
    return found


@given(st.integers(0, 2**32), st.integers(0, 0xFFFFFFFF))
@settings(max_examples=60, deadline=None)
def test_the_bytes_are_those_of_each_block_alone_tick_after_tick(seed: int, start: int) -> None:
    dice = np.random.default_rng(seed)
    avatars, things = scene(dice)
    shown, hero = dice.random(ROOMS) < 0.8, dice.random(SLOTS) < 0.1
    baselines, before = NOTHING, dict[tuple[int, int], View]()
    known: dict[tuple[int, int, int], View] = {}
    for step in range(4):
        tick = start + step & 0xFFFFFFFF
        got, baselines = encode_blocks(avatars, things, shown, np.flatnonzero(hero), tick, EVERY, baselines)
        now = views_of(blocks.contents(avatars, things, shown, hero, tick))
        assert {key: view.slots.tolist() for key, view in now.items() if len(view.rows)} == one_by_one(
            avatars, shown, hero
        )
        found = bodies(got)
        assert list(found) == sorted(now)
        for key, view in now.items():
            turn = key not in before or (tick + sum(key)) % EVERY == 0
            before[key] = view if turn else before[key]
            assert found[key] == (keyframe_body(view) if turn else delta_body(view, before[key]))
            shown_view = decode_body(found[key], key[0], tick, key[1], known)
            assert same(shown_view, view)
            if turn:
                known[*key, tick] = shown_view
        before = {key: before[key] for key in now}
        assert {key: view.tick for key, view in views_of(baselines).items()} == {
            key: v.tick for key, v in before.items()
        }
        avatars, things = later(dice, avatars, things)


@given(st.integers(0, 2**32), st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_sorting_by_key_is_a_stable_sort(seed: int, n: int) -> None:
    dice = np.random.default_rng(seed)
    keys, slots = dice.choice(dice.integers(0, 1 << 21, 20), n), np.arange(n)
    order = np.argsort(keys, kind="stable")
    want = keys[order]
    blocks.sort_by_key(keys, slots)
    np.testing.assert_array_equal(slots, order)
    np.testing.assert_array_equal(keys, want)


def test_a_baseline_too_old_or_of_a_room_nobody_saw_is_not_used() -> None:
    avatars, things = scene(np.random.default_rng(7))
    everywhere, nobody = np.ones(ROOMS, np.bool_), np.zeros(0, np.int64)

    def shows(tick: int, shown: np.ndarray, baselines: Contents) -> tuple[Blocks, Contents]:
        return encode_blocks(avatars, things, shown, nobody, tick, 200, baselines)

    first, baselines = shows(1, everywhere, NOTHING)
    assert first.keyframe.all()
    assert not shows(2, everywhere, baselines)[0].keyframe.any()
    assert shows(400, everywhere, baselines)[0].keyframe.all()
    seen, baselines = shows(2, np.arange(ROOMS) > 0, baselines)
    assert (seen.room > 0).all()
    again = shows(3, everywhere, baselines)[0]
    np.testing.assert_array_equal(again.keyframe, again.room == 0)


def test_compiled_and_plain_kernels_agree() -> None:
    dice = np.random.default_rng(8)
    avatars, things = scene(dice)
    shown, hero = np.ones(ROOMS, np.bool_), np.zeros(SLOTS, np.bool_)
    old = blocks.contents(avatars, things, shown, hero, 5)
    now = blocks.contents(*later(dice, avatars, things), shown, hero, 6)
    fast, slow = blocks.encode(now, old, 6, EVERY), blocks.encode.py_func(now, old, 6, EVERY)
    for a, b in zip((*fast[:4], *fast[4][:4]), (*slow[:4], *slow[4][:4]), strict=True):
        np.testing.assert_array_equal(a, b)
