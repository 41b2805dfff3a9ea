"""The benches measure what they say: material that decodes, medians with ranges, and errors in one line."""

import json
import os
import statistics
import time

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from server.net.keys import load_or_make_curve
from server.sim.bits import words_for
from server.sim.frame import read_frame
from server.sim.snapshot import View, decode_body, delta_body, view_of
from server.sim.state import new_things
from tools import bench_coders, bench_edge, bench_growth, bench_native, bench_views, plain_codec, rans
from tools.bench import SECTIONS, main, write_json
from tools.bench_codec import a_scene, bytes_per_avatar, naive_bytes
from tools.bench_fanout import ROOM, frames_of_a_room
from tools.bench_motion import people, rules
from tools.bench_timing import Row, Sample, cost_us, figure, sample_of, table
from tools.moving import walkers
from tools.train_codec import rows_of


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_a_sample_is_a_median_between_its_bounds(values):
    found = sample_of(values)
    assert found == (statistics.median(values), min(values), max(values))
    assert found.low <= found.median <= found.high


def test_twice_the_work_costs_more():
    small, large = (cost_us(lambda n=n: sum(range(n)), repeats=3, round_s=0.01) for n in (1_000, 50_000))
    assert 0 < small.median < large.median


def test_the_fanout_sends_what_a_client_can_read():
    ours, naive = frames_of_a_room()
    known: dict[tuple[int, int, int], View] = {}
    for tick, frame in enumerate(map(read_frame, ours)):
        ((cell, body),) = frame.blocks
        view = decode_body(body, frame.room, frame.tick, cell, known)
        known.setdefault((0, 0, 0), view)
        assert (view.tick, len(view.rows)) == (tick, ROOM)
    assert len(msgpack.unpackb(naive[0])) == ROOM


def test_naive_and_ours_hold_the_same_scene():
    avatars = next(iter(a_scene(8, 1)))
    view = view_of(avatars, new_things(1), 0, np.arange(8), np.zeros(0, np.int64), 0)
    rows = msgpack.unpackb(naive_bytes(avatars))
    assert [row[1] for row in rows] == view.head_mm.tolist()
    assert [row[-1] for row in rows] == view.ack.tolist()


def test_a_keyframe_is_dearer_than_a_delta():
    key, delta, mean = bytes_per_avatar(a_scene(20, 20), 20, 7)
    assert delta < mean < key < 40


def test_the_plain_packer_and_the_range_coder_give_back_what_they_were_given():
    rows = rows_of(walkers(30), 30, 12)
    words, back = words_for(30 * plain_codec.RECORD_BITS_MAX), np.empty_like(rows[0])
    end = plain_codec.put_records(rows[1], rows[9], words, 0)
    assert plain_codec.get_records(rows[1], back, words, 0) == end
    np.testing.assert_array_equal(back[:, 1:], rows[9][:, 1:])
    coder = bench_coders.train_ranged([rows_of(walkers(30), 30, 40)])
    contexts, symbols, _ = bench_coders.contexts_of(rows[1], rows[9], 8)
    data, found = np.empty(len(contexts) + 2, np.int64), np.empty_like(symbols)
    count = rans.encode(contexts, symbols, coder.table, coder.starts, data)
    assert rans.decode(contexts, data, count, *coder, found) == 0
    np.testing.assert_array_equal(found, symbols)


def test_bytes_by_symbols_are_those_of_the_encoder():
    rows = rows_of(walkers(40), 40, 20)
    for age in (1, 9):
        views = [View(0, tick, rows[tick], bench_coders.NO_THINGS) for tick in (5, 5 + age)]
        bits = bench_coders.record_bits(rows[5], rows[5 + age], age)
        assert len(delta_body(views[1], views[0])) == -(-(9 + bits) // 8)


def test_people_of_the_motion_bench_are_spread_over_rooms_and_poses_are_everybodys():
    avatars, _, batch = people(50)
    assert sorted(set(avatars.room.tolist())) == [0, 1, 2]
    assert len(batch.rows) == len(batch.client) == 50
    assert rules().hand_step_mm == 266


def test_tables_and_json_show_every_row(tmp_path):
    row = Row("a thing", "us", Sample(2.0, 1.0, 3.0), beside=8.0, note="once")
    console = Console(record=True, width=120)
    console.print(table("Title", [row]))
    text = console.export_text()
    assert "a thing" in text and "4.0" in text and "1 - 3" in text and "once" in text
    write_json(tmp_path / "b.json", {"codec": [row]})
    assert json.loads((tmp_path / "b.json").read_text())["sections"]["codec"][0]["naive"] == 8.0
    assert figure(1234.5) == "1,234" and figure(0.012345) == "0.0123"


@pytest.mark.parametrize("words", [["nonsense"], ["codec", "--colour"], ["--json"]])
def test_what_cannot_be_meant_is_one_line_and_status_2(words, capsys):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("bench: ") and err.count("\n") == 1


def test_every_part_that_was_asked_for_has_a_section():
    assert {"tick", "codec", "fanout", "native", "memory", "growth", "motion", "twins", "ledger"} <= set(SECTIONS)


def test_the_edge_bench_measures_an_edge_among_browsers(monkeypatch):
    for name, value in (("SETTLE_TICKS", 1), ("REPEAT_TICKS", 2), ("REPEATS", 2)):
        monkeypatch.setattr(bench_edge, name, value)
    sample = bench_edge.our_edge(3, 100)
    assert 0 < sample.low <= sample.median <= sample.high


def test_the_growth_bench_turns_a_whole_shard(monkeypatch):
    for name, value in (("TICKS", 2), ("ROUNDS", 1), ("WARM", 1)):
        monkeypatch.setattr(bench_growth, name, value)
    (row,) = bench_growth.rows_of(20)
    assert row.sample.median > 0 and "publish" in row.note


def test_the_views_bench_shows_a_hall_to_everybody_in_it(monkeypatch):
    for name, value in (("WINDOW", 3), ("REPEATS", 2), ("WARM_UP", 11)):
        monkeypatch.setattr(bench_views, name, value)
    (cost, updates, size), each = bench_views.rows_of(80, 1)
    assert cost.sample.median == each * 80 > 0 and updates.sample.median > 0
    assert 0 < size.sample.median < 500 and "0.00 blocks held back" in size.note
    assert bench_views.with_sending(10).unit == "us/tick"


@pytest.mark.parametrize("compiled", [True, False])
def test_the_native_bench_tells_the_tick_from_all_threads(monkeypatch, tmp_path, compiled):
    for name, value in (("CLIENTS", 3), ("TICKS", 5)):
        monkeypatch.setattr(bench_native, name, value)
    curve = load_or_make_curve(tmp_path / "keys")
    whole, own = bench_native.cost_of(bench_native.Way("one", compiled=compiled), [b"\x01" * 300], tmp_path, curve)
    assert 0 < own < whole


def test_the_clock_of_another_process_is_its_processor_time():
    before = time.process_time()
    assert before <= bench_edge.process_s(os.getpid()) <= time.process_time()
