"""The swarm's arithmetic against oracles, what counts as holding a service level, its page, and what may be asked."""

import json
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sim.rows import COLUMNS, THING_COLUMN_COUNT
from server.sim.snapshot import View
from tools.eyes import Glimpse
from tools.lines import Mail
from tools.swarm import main, passed
from tools.swarm_ask import Ask, Ramp, ServiceLevel, SwarmError, read_ramp
from tools.swarm_page import per_second, table, write_page
from tools.swarm_report import (
    Figures,
    Outcome,
    Sample,
    ages_ms,
    broken,
    delivered,
    evaluate,
    held,
    percentiles,
    schedule_ns,
    write_json,
)
from tools.swarm_run import members_of, split
from tools.swarm_truth import Verdict
from tools.swarm_watch import Watch

MS = 1_000_000
TRUE = Verdict(100, 10, 0, 0, 0, (), 0, 0)
SERVICE = ServiceLevel(0.95, 100.0, 0.01)
NONE = np.zeros(0, np.int64)


def a_glimpse(tick, acks, size=40):
    rows = np.zeros((len(acks), COLUMNS), np.int64)
    rows[:, 0], rows[:, 1] = np.arange(len(acks)), acks
    view = View(0, tick, rows, np.zeros((0, THING_COLUMN_COUNT), np.int64))
    return Glimpse(0, tick, 0, size, {0: view}, None, (), (), size, 0)


def mail(bots, tick, at_ns, size=40, base=None):
    base = tick if base is None else base
    bots = np.array(bots, np.int64)
    same = np.ones(len(bots), np.int64)
    return Mail(bots, at_ns * same, size * same, tick * same, 0 * same, 0 * same, tick * same, base * same, [], [], [])


def a_run(ticks=60, hz=30, lose=(), spike=()):
    """Two bots in a room; each poses once a tick and is seen 5 ms after the tick's frame, which is 2 ms old."""
    watch = Watch(2, every=1)
    both, sent_ns = np.array([0, 1]), np.zeros((2, 256), np.int64)
    watch.got(mail([0], 99, 1))
    watch.acked(a_glimpse(99, [0, 0]).near[0], both, sent_ns, both)
    watch.begin(2)
    for k in range(ticks):
        start = 10**9 + round(k * 1e9 / hz)
        sent_ns[:, (k + 1) & 255] = start - 3 * MS
        watch.posed(2)
        glimpse = a_glimpse(100 + k, [k + 1 & 255] * 2)
        watch.weighed(glimpse)
        watch.saw(k, glimpse, both, both)
        watch.acked(glimpse.near[0], both, sent_ns, both)
        watch.got(mail([bot for bot in (0, 1) if (bot, k) not in lose], 100 + k, start + 2 * MS))
        if k == 20 and spike:
            watch.spiked(np.array(spike), start + 3 * MS)
    watch.end()
    return watch.record(hz, {"joined": 2}, cpu_s=0.5, wall_s=2.0)


def figures(**stats):
    base = {"tick_ms_p50": 1.0, "tick_ms_p99": 2.0, "ticks_over_budget_total": 3.0, "snapshots_skipped_total": 9.0}
    return Figures(base | stats, {"ticks_over_budget_total": 3.0}, {"shard": 0.3, "ledger": 0.01}, 30)


def outcome_of(*levels, verdict=TRUE, ramp=""):
    samples = [Sample(float(i), 2, 2, "run", {"tick_ms_p50": 1.0}, {"shard": 0.3 * i}) for i in range(4)]
    plan = {"bots": 2, "rooms": 1, "scene": "ward", "transport": "native", "seconds": 2.0, "ramp": ramp}
    return Outcome(plan, "python -m tools.swarm <&>", list(levels), samples, verdict, SERVICE, 30)


def test_a_whole_run_comes_out_as_it_was_made():
    s = evaluate(2, [a_run()], figures(ticks_over_budget_total=5.0)).summary
    assert s["delivered"] == s["delivered_median"] == 1.0
    assert s["input_to_seen_ms"]["p50"] == s["input_to_seen_ms"]["p99"] == pytest.approx(5.0)
    assert s["inputs_seen"] == 120
    assert s["snapshot_age_ms"]["p99"] == pytest.approx(0.0, abs=1e-3)
    assert s["bytes_per_avatar_update"] == 20.0 and s["near_avatars_per_view"] == 2.0
    assert s["bytes_in_per_bot_s"] == 40 * 30
    assert s["mbit_in_per_bot_s"] == pytest.approx(40 * 30 * 8e-6, abs=1e-4)
    assert s["ticks_over_budget"] == 2
    assert s["server_cpu_us_per_client_tick"] == pytest.approx(0.31e6 / (2 * 30), abs=1e-2)
    assert s["bots_cpu_cores"] == [0.25]
    assert s["poses_per_bot_s"] == 30.0


def test_a_lost_frame_is_seen_in_the_worst_bots_share():
    record = a_run(lose={(1, 7), (1, 8), (1, 9)})
    s = evaluate(2, [record], figures()).summary
    assert s["delivered"] == pytest.approx(57 / 60, abs=1e-5)
    assert delivered(record.got_ns).tolist() == [1.0, 57 / 60]


def test_a_delta_whose_keyframe_did_not_come_is_as_good_as_lost():
    watch = Watch(2, every=1)
    watch.got(mail([0, 1], 99, 1))
    watch.begin(2)
    watch.got(mail([0], 100, 5))
    for tick in range(101, 105):
        watch.got(mail([0, 1], tick, 6, base=100))
    watch.got(mail([0, 1], 110, 7))
    watch.got(mail([0, 1], 111, 8, base=110))
    watch.end()
    got = watch.record(30, {}, 0.0, 1.0).got_ns > 0
    assert got[0].sum() == 7 and got[1].sum() == 2 and watch.useless == 4


def test_who_was_cut_off_by_a_spike_counts_by_when_they_were_back_not_as_badly_served():
    s = evaluate(2, [a_run(lose={(1, k) for k in range(21, 30)}, spike=[1])], figures()).summary
    assert s["delivered"] == 1.0
    assert s["spike"]["cut_off"] == 1 and s["spike"]["never_back"] == 0
    assert s["spike"]["back_s"]["p50"] == pytest.approx(10 / 30 - 0.001, abs=2e-3)
    gone = evaluate(2, [a_run(lose={(1, k) for k in range(21, 60)}, spike=[1])], figures()).summary["spike"]
    assert gone["never_back"] == 1 and gone["back_s"] == {}


def test_two_processes_are_joined_over_the_ticks_both_measured():
    s = evaluate(4, [a_run(40), a_run(60)], figures()).summary
    assert s["ticks"] == 40
    assert s["delivered"] == 1.0


@pytest.mark.parametrize(
    ("lose", "stats", "words"),
    [
        ((), {}, []),
        ({(0, k) for k in range(10)}, {}, ["worst bot got 83.33%"]),
        ((), {"ticks_over_budget_total": 4.0}, ["1 of 60 ticks over budget"]),
    ],
)
def test_what_breaks_a_service_level_is_named(lose, stats, words):
    level = evaluate(2, [a_run(lose=lose)], figures(**stats))
    assert held(level, SERVICE) == (not words)
    assert [text[: len(word)] for text, word in zip(broken(level, SERVICE), words, strict=True)] == words
    strict = SERVICE._replace(seen_p99_ms=4.0)
    assert any("input to seen p99 5 ms" in text for text in broken(level, strict))


def test_a_ramp_holds_as_far_as_its_last_good_level_and_not_at_all_if_somebody_saw_a_lie():
    good, bad = evaluate(2, [a_run()], figures()), evaluate(2, [a_run(lose={(1, k) for k in range(9)})], figures())
    ramp = outcome_of(good._replace(bots=100), bad._replace(bots=200), ramp="100:200:100")
    assert ramp.last_held is not None and ramp.last_held.bots == 100 and ramp.summary["bots"] == 2
    assert "worst bot" in ramp.broke[0] and passed(ramp)
    assert not passed(ramp._replace(verdict=TRUE._replace(missing=1)))
    assert not passed(outcome_of(bad, ramp="2:4:2"))
    assert outcome_of(good, verdict=TRUE._replace(wrong=4, digests_differ=1)).mismatches == 5


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


def test_the_page_is_one_file_and_escapes_what_it_shows(tmp_path):
    level = evaluate(2, [a_run()], figures())
    lie = TRUE._replace(named=("room 1, tick 5: <avatar>",))
    for number, outcome in enumerate(
        (outcome_of(level, verdict=lie), outcome_of(level, level._replace(bots=4), ramp="2:4:2"))
    ):
        write_page(tmp_path / f"{number}.html", outcome, True)
        page = (tmp_path / f"{number}.html").read_text()
        assert "&lt;&amp;&gt;" in page and "<avatar>" not in page
        assert "src=" not in page.split("</style>")[1].split("plotly.js")[0]
        assert ("Levels: delivered" in page) == (number == 1)
        assert "shard: snapshots_skipped" in page
    assert "<td>&lt;b&gt;</td>" in table(("a", "b"), [("<b>", 3)])
    write_json(tmp_path / "s.json", outcome_of(level).summary)
    assert json.loads((tmp_path / "s.json").read_text())["levels"][0]["broke"] == []


# --- what may be asked ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [["--bots", "1"], ["--rooms", "999"], ["--ramp", "5"], ["--ramp", "9:5:1"], ["--ramp", "2:4000:1"],
     ["--data", "nowhere"], ["--libzmq", "--websocket"], ["--spike", "101"], ["--check-share", "2"],
     ["--scene", "party"], ["--web", "https://x", "--data", "."]],
)  # fmt: skip
def test_what_cannot_be_is_one_line_and_status_2(words, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("swarm: ") and error.count("\n") == 1


def test_a_ramp_reaches_its_last_level_whatever_the_step():
    assert read_ramp("100:250:100") == Ramp(100, 250, 100)
    assert Ramp(100, 250, 100).levels == (100, 200, 250)
    with pytest.raises(SwarmError, match="FIRST:LAST:STEP"):
        read_ramp("a:b:c")


@given(st.integers(2, 300), st.integers(1, 4), st.sampled_from(["ward", "hall", "consult", "mixed"]))
def test_every_bot_is_in_one_process_and_rooms_stay_together(bots, parts, scene):
    ask = Ask(bots=bots, scene=scene)
    members = members_of(ask, ask.plans)
    shares = split(members, (max(2, bots // 2), bots), parts)
    assert sorted(m.name for part, _ in shares for m in part) == sorted(m.name for m in members)
    assert [sum(counts[k] for _, counts in shares) for k in (0, 1)] == [max(2, bots // 2), bots]
    rooms = [{m.room for m in part} for part, _ in shares]
    assert all(counts[0] > 0 for _, counts in shares)
    if len({m.room for m in members[: max(2, bots // 2)]}) >= parts:
        assert sum(len(part) for part in rooms) == len({m.room for m in members})
