"""The swarm's arithmetic against oracles, its page, and that it notices a planted lie."""

import json
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sim.rows import COLUMNS, THING_COLUMN_COUNT
from server.sim.snapshot import View
from tools.swarm import Ask, SwarmError, main, members_of, split
from tools.swarm_report import (
    Figures,
    ages_ms,
    delivered,
    evaluate,
    per_second,
    percentiles,
    schedule_ns,
    table,
    write_html,
    write_json,
)
from tools.swarm_rooms import room_slug, room_text, side_m
from tools.swarm_truth import Verdict, compare
from tools.swarm_watch import Seen, Watch

MS = 1_000_000
TRUE = Verdict(100, 10, 0, 0, 0, (), 0, 0)


def a_view(tick, acks, room=0):
    rows = np.zeros((len(acks), COLUMNS), np.int64)
    rows[:, 0], rows[:, 1] = np.arange(len(acks)), acks
    return View(room, tick, rows, np.zeros((0, THING_COLUMN_COUNT), np.int64))


def a_run(ticks=60, hz=30, lose=()):
    """Two bots in a room; each poses once a tick and is seen 5 ms after the tick's frame, which is 2 ms old."""
    watch = Watch(2, every=1)
    both = {0: 0, 1: 1}
    for bot in (0, 1):
        watch.entered(bot, 0)
    watch.got(0, 0, 99, 10, 1)
    watch.saw(a_view(99, [0, 0]), both, 40)
    watch.begin()
    for k in range(ticks):
        start = 10**9 + round(k * 1e9 / hz)
        for bot in both:
            watch.sent(bot, k + 1, start - 3 * MS)
        watch.saw(a_view(100 + k, [k + 1 & 255] * 2), both, 40)
        for bot in both:
            if (bot, k) not in lose:
                watch.got(bot, 0, 100 + k, 40, start + 2 * MS)
    watch.end()
    return watch.record(hz, {"joined": 2}, cpu_s=0.5, wall_s=2.0)


def figures(**stats):
    base = {"tick_ms_p50": 1.0, "tick_ms_p99": 2.0, "ticks_over_budget_total": 5.0}
    return Figures(base | stats, {"ticks_over_budget_total": 3.0}, [base], {"shard": 0.3, "ledger": 0.01}, 30)


PLAN = {"bots": 2, "rooms": 1, "seconds": 2.0, "hz": 20.0, "seed": 1}


def test_a_whole_run_comes_out_as_it_was_made():
    s = evaluate([a_run()], figures(), TRUE, PLAN).summary
    assert s["delivered"] == 1.0
    assert s["input_to_seen_ms"]["p50"] == s["input_to_seen_ms"]["p99"] == pytest.approx(5.0)
    assert s["inputs_seen"] == 120
    assert s["snapshot_age_ms"]["p99"] == pytest.approx(0.0, abs=1e-3)
    assert s["bytes_per_avatar_update"] == 20.0
    assert s["bytes_in_per_bot_s"] == 40 * 30
    assert s["ticks_over_budget"] == 2
    assert s["server_cpu_us_per_client_tick"] == pytest.approx(0.31e6 / (2 * 30), abs=1e-2)
    assert s["mismatches"] == 0
    assert s["bots_cpu_cores"] == [0.25]


def test_a_lost_frame_is_seen_in_the_worst_bots_share():
    record = a_run(lose={(1, 7), (1, 8), (1, 9)})
    s = evaluate([record], figures(), TRUE, PLAN).summary
    assert s["delivered"] == pytest.approx(57 / 60, abs=1e-5)
    assert s["delivered_mean"] == pytest.approx(117 / 120, abs=1e-5)
    assert delivered(record.got_ns).tolist() == [1.0, 57 / 60]


def test_two_processes_are_joined_over_the_ticks_both_measured():
    short, long = a_run(40), a_run(60)
    s = evaluate([short, long], figures(), TRUE, PLAN).summary
    assert s["ticks"] == 40
    assert s["delivered"] == 1.0


def test_frames_that_differ_between_bots_are_mismatches():
    record = a_run()._replace(counters={"frames_differ": 3})
    assert evaluate([record], figures(), TRUE._replace(wrong=4, digests_differ=1), PLAN).summary["mismatches"] == 8


@given(st.lists(st.floats(0, 1e4), min_size=2, max_size=60))
def test_percentiles_agree_with_the_standard_library(values):
    found = percentiles(np.array(values))
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    assert found["p50"] == pytest.approx(cuts[49], abs=2e-3)
    assert found["p99"] == pytest.approx(cuts[98], abs=2e-3)
    assert found["max"] == pytest.approx(max(values), abs=2e-3)
    assert percentiles(np.zeros(0)) == {}


def test_ages_are_against_the_schedule_of_the_fastest_delivery():
    got = np.array([[1000, 1050, 0, 1112], [1004, 1041, 1075, 1110]]) * MS
    due = schedule_ns(got, 25)  # 40 ms a tick: the last frame came earliest for its tick
    assert due.tolist() == [990 * MS, 1030 * MS, 1070 * MS, 1110 * MS]
    age, columns = ages_ms(got, due)
    assert age.tolist() == [10.0, 20.0, 2.0, 14.0, 11.0, 5.0, 0.0]
    assert columns.tolist() == [0, 1, 3, 0, 1, 2, 3]


def test_a_schedule_that_slipped_does_not_make_all_later_snapshots_old():
    on_time = 1000 + 40 * np.arange(50)
    got = np.where(np.arange(50) < 20, on_time, on_time + 700)[None, :] * MS
    age, _ = ages_ms(got, schedule_ns(got, 25))
    assert age.max() == 0.0
    late = on_time.copy()
    late[20:24] += (160, 120, 80, 40)  # caught up again: no slip, so these were old
    age, _ = ages_ms(late[None, :] * MS, schedule_ns(late[None, :] * MS, 25))
    assert age[20:24].tolist() == [160.0, 120.0, 80.0, 40.0] and age[24:].max() == 0.0


def test_per_second_groups_by_ticks():
    out = per_second(np.array([1.0, 3.0, 10.0]), np.array([100, 129, 130]), 100, 30)
    assert out == {"s": [0.0, 1.0], "p50": [2.0, 10.0], "p99": [pytest.approx(2.98), 10.0]}


def rows_of(*slots):
    rows = np.arange(len(slots) * COLUMNS).reshape(len(slots), COLUMNS)
    rows[:, 0] = slots
    return rows


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (lambda r: r, []),
        (lambda r: r[:-1], ["missing"]),
        (lambda r: np.vstack((r, rows_of(9))), ["extra"]),
        (lambda r: np.where(np.arange(COLUMNS) == 7, r ^ 1, r), ["wrong"] * 3),
        (lambda r: np.vstack((r[:2], rows_of(8))), ["missing", "extra"]),
    ],
)
def test_a_planted_lie_is_found_and_named(change, kinds):
    truth = View(3, 50, rows_of(1, 4, 6), np.zeros((0, THING_COLUMN_COUNT), np.int64))
    seen = Seen(3, 50, change(truth.rows).astype(np.uint32), truth.things.astype(np.uint32))
    found = list(compare(seen, truth))
    assert [kind for kind, _ in found] == kinds
    assert all("room 3, tick 50" in text for _, text in found)


def test_a_thing_in_the_wrong_hand_is_found():
    things = np.array([[2, 1, 5, 0, 0, 0, 0, 0]])
    truth = View(0, 1, rows_of(5), things)
    other = things.copy()
    other[0, 3] = 1
    seen = Seen(0, 1, truth.rows.astype(np.uint32), other.astype(np.uint32))
    assert [kind for kind, _ in compare(seen, truth)] == ["wrong"]


def test_the_page_needs_nothing_from_elsewhere_and_escapes(tmp_path):
    run = a_run()._replace(counters={"<script>alert(1)</script>": 1})
    outcome = evaluate([run], figures(), TRUE._replace(named=("a <b> lie",)), PLAN)
    write_html(tmp_path / "r.html", outcome, False)
    page = (tmp_path / "r.html").read_text()
    assert "Plotly.newPlot" in page and len(page) > 1_000_000
    assert "<script>alert" not in page and "a <b> lie" not in page
    assert "<script src" not in page and "<link" not in page and "@import" not in page
    assert outcome.summary["machine"]["cores"] >= 1 and str(outcome.summary["machine"]["processor"]) in page
    write_json(tmp_path / "r.json", outcome.summary)
    assert json.loads((tmp_path / "r.json").read_text())["bots"] == 2


def test_tables_put_thousands_apart():
    assert '<td class="n">1,234</td>' in table(("n",), [(1234,)])


def an_ask(**changes):
    base = {"bots": 10, "rooms": 3, "seconds": 3.0, "hz": 20.0, "tick_hz": 30, "seed": 1, "beds": 0, "roam": 0.0,
            "processes": 0, "data": None, "endpoint": "", "websocket": False, "web": ""}  # fmt: skip
    return Ask(**base | changes)


@given(st.integers(2, 300), st.integers(1, 40), st.integers(1, 4))
def test_everybody_has_a_room_and_no_room_is_in_two_processes(bots, rooms, processes):
    if -(-bots // rooms) > 60:
        with pytest.raises(SwarmError):
            an_ask(bots=bots, rooms=rooms)
        return
    ask = an_ask(bots=bots, rooms=rooms)
    members = members_of(ask, [room_slug(i) for i in range(rooms)])
    assert len(members) == bots and len({m.name for m in members}) == bots
    sizes = [sum(m.room == room_slug(i) for m in members) for i in range(rooms)]
    assert max(sizes) <= ask.people
    parts = split(members, min(processes, rooms))
    assert sum(map(len, parts)) == bots
    homes = [{m.room for m in part} for part in parts]
    assert sum(map(len, homes)) == len(set().union(*homes))


@given(st.integers(0, 20), st.integers(1, 21), st.integers(1, 60), st.integers(0, 8))
def test_room_files_hold_what_they_promise(index, rooms, people, beds):
    import tomllib

    room = tomllib.loads(room_text(index, rooms, people, beds))
    side = side_m(people)
    assert room["capacity"] >= people
    assert len(room.get("bed", [])) <= beds
    for part in ("bed", "spawn", "seat", "box"):
        assert all(abs(c) <= side / 2 for one in room.get(part, []) for c in one["at"])


@pytest.mark.parametrize(
    "words",
    [["--bots", "1"], ["--bots", "100", "--rooms", "1"], ["--endpoint", "tcp://127.0.0.1:1"], ["--seconds", "0"],
     ["--colour", "red"], ["--data", "/nowhere", "--endpoint", "tcp://127.0.0.1:1", "--bots", "2"]],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_line_and_status_2(words, capsys):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("swarm: ") and err.count("\n") == 1
