"""The comparison with other servers: its arithmetic, its dialects, and the load generator against the relay in C."""

import os
import struct

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.peers import build, comparison, dialects, entrants, register, rounds, tables, verdict
from tools.peers.contest import free_port, served
from tools.peers.entrants import ENTRANTS, Load
from tools.peers.motion import HZ, STEPS, STRIDE, VALUES, float_poses, step_of, wire_poses
from tools.peers.plan import SENT_RING, WEBSOCKET, Counted, Errand, read_messages
from tools.peers.rounds import Largest, Row

SECOND_NS = 1_000_000_000


def counted(**changes: float) -> Counted:
    base = {"clients": 4, "ready": 4, "closed": 0, "seconds": 1.0, "views": 80, "fewest_views": 20, "bytes": 16_000,
            "poses": 80, "blocked": 0, "late_p50_ms": 0.1, "late_p99_ms": 0.3, "cpu_s": 0.01, "born_ns": 0,
            "failure": "", "start_ns": SECOND_NS, "end_ns": 2 * SECOND_NS}  # fmt: skip
    return Counted(**(base | changes))


def run_of_two(delay_ms: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Two people in a room seeing each other (and themselves) for a second: rows of SEEN, times of sending."""
    sent_us = np.zeros((2, SENT_RING), np.uint32)
    rows = []
    poses = float_poses()
    for seq in range(1, 45):
        sent_us[:, seq] = seq * 50_000
        for viewer in range(2):
            for sender in range(2):
                values = poses[int(step_of(np.array([sender]), np.array([seq]))[0])]
                rows.append((viewer, (seq * 50 + delay_ms) * 1_000_000, sender, seq, values))
    return np.array(rows, dialects.SEEN), sent_us


def figures_of(rows: np.ndarray, sent_us: np.ndarray, **changes: float) -> verdict.Figures:
    found = counted(clients=2, ready=2, views=40, **changes)
    sight = verdict.look(rows, found, sent_us, 2, 2)
    return verdict.figures("a", 2, found, sight, 0.2, 0.0)


def test_a_clean_run_is_held_and_its_figures_are_what_happened():
    figures = figures_of(*run_of_two(30))
    assert figures.held and figures.wrong == 0
    assert figures.delivered == pytest.approx(1.0)
    assert figures.p50_ms == pytest.approx(30.0) and figures.p99_ms == pytest.approx(30.0)
    assert figures.core == pytest.approx(0.2)
    assert figures.us == pytest.approx(0.2e6 / (2 * HZ))
    assert figures.bytes_per_update == pytest.approx(16_000 / (40 * 2))


def test_a_value_that_nobody_sent_is_wrong():
    rows, sent_us = run_of_two()
    rows["values"][len(rows) // 2, 5] += 0.001
    figures = figures_of(rows, sent_us)
    assert figures.wrong == 1 and not figures.held


def test_somebody_of_another_room_is_wrong():
    rows, sent_us = run_of_two()
    sight = verdict.look(rows, counted(clients=2), sent_us, 1, 2)
    measured = rows[(rows["ns"] >= SECOND_NS) & (rows["ns"] < 2 * SECOND_NS)]
    assert sight.wrong == (measured["viewer"] != measured["id"]).sum() > 0


def test_old_states_shown_again_are_not_delivered():
    rows, sent_us = run_of_two()
    stale = rows[rows["seq"] > 10].copy()
    stale["seq"] = 10
    stale["values"] = float_poses()[step_of(stale["id"], stale["seq"])]
    figures = figures_of(stale, sent_us)
    assert figures.wrong == 0 and figures.delivered == 0.0 and not figures.held


def test_late_sights_and_missing_views_and_lost_clients_break_the_level():
    assert not figures_of(*run_of_two(130)).held
    rows, sent_us = run_of_two()
    assert not figures_of(rows[rows["seq"] % 8 != 0], sent_us).held  # 12 % of all rows never came
    lost = figures_of(rows, sent_us, closed=1)
    assert lost.lost == 1 and not lost.held


def test_a_pose_counts_at_its_first_sight():
    viewer, sender, seq = np.array([0, 0, 1, 0]), np.array([5, 5, 5, 5]), np.array([7, 7, 7, 8])
    assert verdict.first_sights(viewer, sender, seq).tolist() == [0, 2, 3]


def test_medians_and_ratios():
    assert verdict.spread_of([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    assert verdict.ratio(10.0, 25.0) == 2.5
    assert verdict.ratio(0.0, 25.0) == 0.0
    assert tables.cell(verdict.Spread(2.0, 1.0, 3.0), ".1f") == "2.0 [1.0-3.0]"


def test_tables_show_what_others_take_as_a_multiple_of_ours():
    rows, sent_us = run_of_two()
    ours, other = figures_of(rows, sent_us), figures_of(rows, sent_us)
    ours.server, other.us = "ours", 2.5 * ours.us
    text = tables.table(Row("1 room of 2", 2, 2), [ours, other], {"a": "another"}, "ours")
    assert "| another |" in text and "(x 2.50)" in text and text.count("| yes |") == 2
    found = {"a": {"wards of 20": Largest(400, 440, ours), "one hall": Largest(2000, 0, ours)}}
    limits = tables.largest_table(found, {}, 2000)
    assert "| 400 (" in limits and "| >= 2,000 (" in limits


def test_everybody_has_a_turn_before_anybody_has_a_second():
    rows = (Row("x", 1, 1), Row("y", 2, 2))
    order = [(repeat, row.name, name) for repeat, row, name in rounds.interleave(rows, ["a", "b"], 2)]
    assert order == [(r, row, name) for r in range(2) for row in ("x", "y") for name in ("a", "b")]


@given(st.integers(1, 3000), st.integers(1, 4000), st.sampled_from([1, 20, 25]))
@settings(deadline=None, max_examples=60)
def test_the_search_ends_close_below_what_fails(limit, first, step):
    most = 2000
    held, broken = figures_of(*run_of_two()), figures_of(*run_of_two(130))
    found = rounds.search(lambda n: held if n <= limit else broken, first, step, most)
    assert found.held % step == 0 and found.held <= min(limit, most)
    if found.held:
        assert limit < max(found.held * rounds.NARROW, found.held + step) or found.held == most
    else:
        assert limit < step


def test_packed_views_round_trip_and_what_is_not_one_is_refused():
    rows = np.zeros(3, dialects.PACKED)
    rows["id"], rows["seq"], rows["values"] = [4, 5, 6], [10, 11, 12], float_poses()[:3]
    data = dialects.pack_view(rows)
    assert np.array_equal(dialects.unpack_view(data), rows)
    seen = dialects.decode_packed([(2, 99, data)])
    assert seen["viewer"].tolist() == [2, 2, 2] and np.array_equal(seen["values"], rows["values"])
    prefixed = bytes((dialects.COLYSEUS_BYTES,)) + dialects.COLYSEUS_TYPE + data
    assert len(dialects.decode_colyseus_broadcast([(2, 99, prefixed), (2, 99, b"\x0a")])) == 3
    for bad in (b"", data[:-1], b"\x02" + data[1:]):
        with pytest.raises(dialects.DialectError):
            dialects.unpack_view(bad)


def patched(speech: dialects.Speech, step: int, seq: int) -> bytes:
    """A pose as the generator sends it."""
    form = {0: "<I", 1: ">I"}[speech.seq_mode]
    pose = bytearray(speech.poses[step])
    pose[speech.seq_at : speech.seq_at + 4] = struct.pack(form, seq)
    return bytes(pose)


def test_msgpack_people_round_trip():
    speech = dialects.as_msgpack()
    person = msgpack.unpackb(patched(speech, 9, 77))
    assert person["seq"] == 77
    view = msgpack.packb([person | {"id": 3}, {"id": 4, "seq": 0}])
    assert speech.view_bytes.count(view[0])
    seen = dialects.decode_msgpack([(1, 5, view)])
    assert seen["id"].tolist() == [3] and np.array_equal(seen["values"][0], float_poses()[9])


def test_poses_of_all_dialects_are_the_same_walk():
    packed = patched(dialects.packed(WEBSOCKET), 40, 5)
    assert struct.unpack_from("<I", packed)[0] == 5
    assert np.array_equal(np.frombuffer(packed, "<f4", VALUES, 4), float_poses()[40])
    carried = patched(dialects.colyseus(False), 40, 5)
    assert carried.endswith(packed)
    ours = wire_poses()[40]
    assert abs(int(ours["head_y_mm"]) - 1000 * float_poses()[40, 1]) <= 0.5
    hand = (float_poses()[40, 7:10] - float_poses()[40, :3]) * 1000
    assert np.abs(ours["left_mm"] - hand).max() <= 1.01
    assert step_of(np.array([2]), np.array([3])).tolist() == [3 + 2 * STRIDE]
    assert len(float_poses()) == len(wire_poses()) == STEPS


def test_where_rooms_and_numbers_stand():
    openings, _ = entrants.by_path(80, 45, 20)
    assert openings[44].startswith(b"GET /2/44 HTTP/1.1\r\n") and openings[44].endswith(b"\r\n\r\n")
    assert struct.unpack("<HH", entrants.by_hello(80, 45, 20)[1][21]) == (1, 21)


def test_kept_messages_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "load.seen"
    path.write_bytes(struct.pack("<IQI", 3, 99, 2) + b"ab" + struct.pack("<IQI", 4, 100, 0))
    assert read_messages(path) == [(3, 99, b"ab"), (4, 100, b"")]


@pytest.fixture(scope="session")
def compiled():
    try:
        build.compiler_here()
    except build.BuildError as missing:
        pytest.skip(str(missing))
    if not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("two cores are needed")


def test_the_generator_finds_the_relay_in_order(compiled):
    relay = next(entrant for entrant in ENTRANTS if entrant.name == "relay")
    figures = entrants.run(relay, Load(10, 5, 0.3, 0.8))
    assert (figures.wrong, figures.lost) == (0, 0)
    assert figures.rows > 10 * 5
    assert 90 <= figures.bytes_per_update < 95
    assert 0 < figures.core < 1 and 0 < figures.p50_ms <= figures.p99_ms


def test_the_generator_tells_of_a_server_that_refuses(compiled, tmp_path):
    relay = next(entrant for entrant in ENTRANTS if entrant.name == "relay")
    port = free_port()
    with served(relay.words(port), port, tmp_path / "log") as pid:
        bad = [entrants.upgrade("/no-room", port)] * 3
        errand = Errand(speech=relay.speech(), port=port, opening=bad, hello=[b""] * 3, warm_s=0.1, run_s=0.1,
                        sampled=1, patience_s=5.0)  # fmt: skip
        found, _ = entrants.drive(errand, {"relay": pid}, tmp_path)
    assert found.counted.ready == 0 and found.counted.closed == 3 and "hung up" in found.counted.failure


def test_figures_of_an_earlier_run_stand_beside_those_of_this_one(tmp_path):
    rows, sent_us = run_of_two()
    figures = figures_of(rows, sent_us)
    figures.server = "picows"
    earlier = comparison.Results(machine={}, runs={"1 room of 20": [figures]},
                                 largest={"picows": {"one hall": Largest(900, 950, figures)}})  # fmt: skip
    comparison.write_json(tmp_path / "a.json", earlier)
    now = comparison.Results(machine={}, skipped={"colyseus": "no Node.js"})
    now.add(comparison.read_json(tmp_path / "a.json"))
    text = comparison.report(now)
    assert "### 1 room of 20" in text and "picows, packed rows" in text and "| 900 (" in text
    assert "Not measured: colyseus: no Node.js" in text


def test_names_that_nobody_has_are_refused():
    assert register.chosen("picows,relay") == ["relay", "picows"]
    assert all(name.startswith("ours") for name in register.chosen("ours")) and register.chosen("ours")
    with pytest.raises(ValueError, match="no server is called nobody"):
        register.chosen("picows,nobody")
