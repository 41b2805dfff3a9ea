"""What a viewer is sent: exactly the blocks of their look, within a budget, the nearest first, and never nothing."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.config import Limits
from server.net.audience import SAVED_S, Audience
from server.net.compose import (
    ANYWHERE,
    NOTHING_LOST,
    Budget,
    Chunk,
    Look,
    Sheet,
    Thinned,
    quadrant_of,
    rank,
    read_sheet,
    thinned,
    whole,
    write_sheet,
)
from server.sim.faults import SnapshotError
from server.sim.frame import BLOCK, BODY_BYTES_MAX, read_frame
from server.sim.grid import FAR, HERO_CELL, Grid, neighbours

TICK_HZ, EVERY, PARTS = 30, 10, 10
GRID = Grid(6, 6)
LIMITS = Limits()
BLOCKS = {"keyframe": 27, "delta": 15}  # bytes for each person


def chunk(cell: int, body: bytes, people: int = 1, speaking: bool = False) -> Chunk:
    return Chunk(BLOCK.pack(cell, len(body)) + body, people, speaking)


def look_at(home: int, *also: int) -> Look:
    return Look(0, home, tuple(sorted({*neighbours(GRID, home), *also, HERO_CELL, FAR})))


def a_sheet(tick: int, people: dict[int, int], far: int = 0, speaking: tuple[int, ...] = ()) -> Sheet:
    """A hall as the encoder makes it: so many people in each cell, keyframes staggered, the first ones in tick 1."""
    chunks = {}
    for cell, count in sorted(people.items()):
        age = min((tick + cell) % EVERY, max(0, tick - 1))
        body = bytes([age]) + bytes(count * BLOCKS["delta" if age else "keyframe"])
        chunks[cell] = chunk(cell, body, count, cell in speaking)
    part = tick % PARTS
    chunks[FAR] = chunk(FAR, bytes([part, PARTS, 0, 0]) + bytes(far * 15 // 20), far // PARTS)
    return Sheet(0, tick, GRID.columns, chunks)


CELLS = st.integers(0, GRID.cells - 1)
PEOPLE = st.dictionaries(CELLS, st.integers(0, 60), max_size=36)
SHEETS = st.builds(a_sheet, st.integers(0, 2**32 - 1), PEOPLE, st.integers(0, 1000))
LOOKS = st.builds(look_at, CELLS, CELLS)
HELD = st.dictionaries(CELLS, st.integers(1, 50)).map(lambda held: tuple(held.items()))
LACKS = st.builds(Thinned, st.frozensets(CELLS), HELD, st.tuples(CELLS, st.integers(0, 3000)))


# --- what is in a frame -----------------------------------------------------------------------------------------------


@given(SHEETS, LOOKS)
@settings(max_examples=150, deadline=None)
def test_a_whole_frame_is_exactly_the_blocks_of_the_look(sheet: Sheet, look: Look) -> None:
    composed = whole(sheet, look)
    frame = read_frame(composed.frame)
    assert (frame.room, frame.tick, frame.home) == (0, sheet.tick, look.home)
    want = {cell: one.data[BLOCK.size :] for cell, one in sheet.chunks.items() if cell in look.cells}
    assert dict(frame.blocks) == want
    assert composed.near == sum(sheet.chunks[cell].people for cell in want if cell != FAR)


@given(SHEETS, LOOKS, st.integers(-20_000, 20_000), LACKS, st.integers(ANYWHERE, 3))
@settings(max_examples=300, deadline=None)
def test_a_thinned_frame_shows_nothing_else_and_lists_what_it_holds_back(
    sheet: Sheet, look: Look, left: int, lack: Thinned, quadrant: int
) -> None:
    composed = thinned(sheet, look, Budget(left, 30_000), lack, quadrant)
    blocks = dict(read_frame(composed.frame).blocks)
    all_of_it = dict(read_frame(whole(sheet, look).frame).blocks)
    assert blocks.keys() == all_of_it.keys()
    given_ = {cell for cell, body in blocks.items() if body}
    assert all(blocks[cell] == all_of_it[cell] for cell in given_)
    assert composed.held == len(blocks) - len(given_)
    for cell in given_ - {FAR}:
        assert blocks[cell][0] == 0 or cell not in lack.lost, "a delta whose keyframe was not given is of no use"
    keyframes_held = {cell for cell, body in all_of_it.items() if cell != FAR and body[0] == 0} - given_
    assert keyframes_held <= composed.after.lost <= keyframes_held | lack.lost
    assert {cell for cell, _ in composed.after.held} == blocks.keys() - given_


@given(SHEETS, LOOKS, st.integers(0, 20_000), LACKS)
@settings(max_examples=200, deadline=None)
def test_only_what_may_not_be_left_out_goes_beyond_the_budget(
    sheet: Sheet, look: Look, left: int, lack: Thinned
) -> None:
    composed = thinned(sheet, look, Budget(left, 30_000), lack)
    forced = {cell: body for cell, body in read_frame(composed.frame).blocks if cell in (look.home, HERO_CELL, FAR)}
    headers = 9 + 4 * len(read_frame(composed.frame).blocks)
    assert len(composed.frame) <= max(left, headers + sum(map(len, forced.values())))


@given(SHEETS, LOOKS)
@settings(max_examples=150, deadline=None)
def test_a_frame_that_fits_is_whole(sheet: Sheet, look: Look) -> None:
    full = whole(sheet, look).frame
    assert thinned(sheet, look, Budget(len(full), len(full)), NOTHING_LOST).frame == full


def test_what_comes_first_keyframes_then_near_before_ones_eyes_speaking_and_long_held_back() -> None:
    home = 14  # row 2, column 2 of six
    look = look_at(home, 35)
    sheet = a_sheet(3, dict.fromkeys(range(36), 5), speaking=(7,))  # 7 is also the only keyframe near: (3 + 7) % 10
    deltas = replace_tick(sheet, 4)

    def rated(cell: int, age: int = 0, quadrant: int = ANYWHERE, of: Sheet = deltas) -> int:
        return rank(of, look, cell, age, quadrant)

    assert rated(7, of=sheet) > rated(8, of=sheet, age=200), "a keyframe before any delta"
    assert rated(8) > rated(9), "beside one before across a corner"
    assert rated(35) > rated(8), "who is in view for somebody's sake is as near as can be"
    assert rated(7) > rated(9), "somebody speaks there"
    facing = quadrant_of(0)  # to -z, where rows are smaller
    assert rated(8, quadrant=facing) > rated(20, quadrant=facing) == rated(20)
    assert rated(21, age=20) > rated(8), "who waits long enough comes first"


def replace_tick(sheet: Sheet, tick: int) -> Sheet:
    """The same with deltas only."""
    chunks = {
        cell: one if cell == FAR else chunk(cell, b"\1" + one.data[BLOCK.size + 1 :], one.people, one.speaking)
        for cell, one in sheet.chunks.items()
    }
    return sheet._replace(tick=tick, chunks=chunks)


def test_which_way_one_looks() -> None:
    yaws = [0, 127, 128, 256, 511, 512, 768, 900, 1023]
    assert [quadrant_of(yaw) for yaw in yaws] == [0, 0, 1, 1, 2, 2, 3, 0, 0]


# --- sheets on the way to an edge -------------------------------------------------------------------------------------


@given(SHEETS)
@settings(max_examples=100, deadline=None)
def test_a_sheet_comes_back_as_it_was_written(sheet: Sheet) -> None:
    assert read_sheet(write_sheet(sheet)) == sheet


@given(SHEETS, st.data())
@settings(max_examples=200, deadline=None)
def test_no_bytes_whatever_make_a_sheet_raise_anything_else(sheet: Sheet, data: st.DataObject) -> None:
    good = bytearray(write_sheet(sheet))
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=4)):
        good[place] = value
    cut = data.draw(st.integers(0, len(good)))
    for bad in (bytes(good), bytes(good[:cut]), bytes(good) + b"\0", data.draw(st.binary(max_size=60))):
        with contextlib.suppress(SnapshotError):
            assert write_sheet(read_sheet(bad))[: len(bad)] == bad or bad[-1:]


# --- budgets over time ------------------------------------------------------------------------------------------------


class Eye:
    """One viewer, who knows which keyframes they have."""

    def __init__(self) -> None:
        self.keyframes: dict[int, int] = {}
        self.ticks: dict[int, list[int]] = {}  # cell -> ticks it was shown in, of use to the viewer
        self.bytes: list[int] = []
        self.useless = 0

    def see(self, data: bytes) -> None:
        frame = read_frame(data)
        self.bytes.append(len(data))
        for cell, body in frame.blocks:
            if not body:
                continue
            if cell != FAR and body[0] == 0:
                self.keyframes[cell] = frame.tick
            elif cell != FAR and self.keyframes.get(cell) != frame.tick - body[0]:
                self.useless += 1
                continue
            self.ticks.setdefault(cell, []).append(frame.tick)

    def gap(self, cell: int, last: int) -> int:
        """Most ticks between two that showed this cell."""
        return int(np.diff([0, *self.ticks.get(cell, []), last]).max())


def crowd(people: int, home: int) -> dict[int, int]:
    """So many people in the nine cells around `home`."""
    cells = neighbours(GRID, home)
    return {cell: people // len(cells) + (index < people % len(cells)) for index, cell in enumerate(cells)}


def run(
    people: dict[int, int], far: int, limits: Limits, ticks: int, viewers: int = 1, skip: int = 0
) -> tuple[Audience[int], Eye]:
    audience: Audience[int] = Audience(limits, TICK_HZ, lambda viewer: 0)
    home = 14
    for viewer in range(viewers):
        audience.see(viewer, look_at(home))
    eye = Eye()
    for tick in range(1, ticks + 1):
        if skip and tick % skip == 0:
            audience.skip()
            continue
        shown = audience.show(a_sheet(tick, people, far))
        assert len(shown) <= 1, "all look the same way at the same cells"
        for one in shown:
            assert set(one.viewers) == set(range(viewers))
            eye.see(one.frame)
    return audience, eye


@pytest.mark.parametrize("people", [40, 100, 300])
def test_a_crowd_fits_the_budget_and_every_cell_is_seen_again_and_again(people: int) -> None:
    ticks = 20 * TICK_HZ
    audience, eye = run(crowd(people, 14), 1000, LIMITS, ticks)
    saved = LIMITS.view_bytes_per_s * SAVED_S
    spent = np.cumsum(eye.bytes)
    allowed = saved + LIMITS.view_bytes_per_s / TICK_HZ * np.arange(1, len(spent) + 1)
    assert (spent - eye.bytes <= allowed).all(), "never beyond the bucket by more than one frame"
    assert eye.useless == 0
    assert eye.gap(14, ticks) <= 2, "one's own cell is never left out twice"
    assert eye.gap(FAR, ticks) <= 2
    starving = {cell: gap for cell in neighbours(GRID, 14) if (gap := eye.gap(cell, ticks)) > 2 * TICK_HZ}
    assert not starving, "nobody near is left unseen for long"
    assert (audience.counters["held_back_view_bytes"] > 0) == (people >= 100)


def test_what_the_budget_cannot_hold_at_all_still_leaves_ones_own_cell_at_half_rate() -> None:
    limits = replace(LIMITS, view_bytes_per_s=1000)
    _, eye = run(crowd(90, 14), 500, limits, 300)
    assert eye.gap(14, 300) == 2 and eye.gap(FAR, 300) <= 2 * PARTS
    assert set(eye.ticks) == {14, FAR}


def test_messages_are_bounded_and_no_cell_is_missed_for_ever() -> None:
    limits = replace(LIMITS, view_messages_per_s=15)
    audience, eye = run(crowd(40, 14), 100, limits, 20 * TICK_HZ)
    assert len(eye.bytes) <= 15 * 20 + 15 * SAVED_S + 1
    assert len(eye.bytes) >= 15 * 19
    assert eye.useless == 0 and audience.counters["held_back_view_messages"] > 0
    assert {cell: gap for cell in neighbours(GRID, 14) if (gap := eye.gap(cell, 600)) > 3 * TICK_HZ} == {}


def test_a_room_over_its_budget_is_thinned_deltas_first_and_is_never_closed() -> None:
    people = crowd(40, 14)
    full = sum(len(whole(a_sheet(t, people, 100), look_at(14)).frame) for t in range(1, 31))
    limits = replace(LIMITS, room_bytes_per_s=full * 100 // 2)
    audience, eye = run(people, 100, limits, 300, viewers=100)
    assert audience.counters["view_bytes"] <= limits.room_bytes_per_s * (10 + SAVED_S) * 1.02
    assert audience.counters["held_back_room_bytes"] > 0 == audience.counters["held_back_view_bytes"]
    assert eye.useless == 0 and eye.gap(14, 300) <= 2


def test_ticks_left_out_for_overload_are_counted_and_cost_nobody_their_keyframes() -> None:
    audience, eye = run(crowd(40, 14), 100, LIMITS, 300, viewers=7, skip=3)
    assert audience.counters["held_back_overload"] == 100 * 7 * 10
    assert len(eye.bytes) == 200


def test_a_view_is_whole_again_when_the_crowd_has_gone() -> None:
    audience: Audience[int] = Audience(LIMITS, TICK_HZ)
    audience.see(1, look_at(14))
    for tick in range(1, 900):
        sheet = a_sheet(tick, crowd(400 if tick < 300 else 30, 14), 1000)
        (shown,) = audience.show(sheet)
        if tick > 400:
            assert shown.frame == whole(sheet, look_at(14)).frame


def test_one_frame_for_each_look_and_the_same_bytes_for_all_who_have_it() -> None:
    audience: Audience[str] = Audience(LIMITS, TICK_HZ)
    for number in range(60):
        audience.see(f"v{number}", look_at(number % 3 + 7))
    shown = audience.show(a_sheet(5, dict.fromkeys(range(36), 3), 100))
    assert len(shown) == audience.views == 3
    assert sorted(viewer for one in shown for viewer in one.viewers) == sorted(f"v{n}" for n in range(60))
    audience.forget("v0")
    assert audience.look_of("v0") is None and audience.look_of("v3") == look_at(7)


def test_nobody_grows_richer_by_walking_from_view_to_view() -> None:
    audience: Audience[int] = Audience(LIMITS, TICK_HZ)
    spent, ticks, heavy = 0, 600, dict.fromkeys(range(36), 60)
    for tick in range(1, ticks + 1):
        audience.see(1, look_at(7 + tick % 2))
        spent += sum(len(one.frame) for one in audience.show(a_sheet(tick, heavy, 0)))
    own = 2 * 60 * BLOCKS["keyframe"] + 200  # which is never left out for long
    assert spent <= LIMITS.view_bytes_per_s * (ticks / TICK_HZ + SAVED_S) + own * ticks


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 35)), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_whoever_comes_and_goes_everybody_is_shown_their_look_once(steps: list[tuple[int, int]]) -> None:
    audience: Audience[int] = Audience(LIMITS, TICK_HZ)
    model: dict[int, Look] = {}
    for tick, (viewer, home) in enumerate(steps):
        if home < 0:
            audience.forget(viewer)
            model.pop(viewer, None)
        else:
            audience.see(viewer, look_at(home))
            model[viewer] = look_at(home)
        shown = audience.show(a_sheet(tick, dict.fromkeys(range(36), 2), 50))
        got = {key: read_frame(one.frame).home for one in shown for key in one.viewers}
        assert got == {key: look.home for key, look in model.items()}
        assert sum(len(one.viewers) for one in shown) == len(model)
    assert BODY_BYTES_MAX == 65_535
