"""Bots against a real shard and a real ledger, over real sockets."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tools.access import Pass
from tools.fleet import Fleet
from tools.fleet_state import Member, Nobody
from tools.lines import NativeLines
from tools.rounds import Pace
from tools.swarm import main
from tools.swarm_house import House, HouseError, read_stats
from tools.swarm_rooms import RoomPlan, room_text
from tools.swarm_run import free_port
from tools.wardround import WardRound

NAMES = ("lobby", "ward")
WAIT_S = 40.0


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A lobby and a ward with two beds; started again by `again`."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "rooms").mkdir()
    for index, name in enumerate(NAMES):
        text = room_text(RoomPlan(name, "ward", 10, 2 * index), NAMES[1 - index])
        (folder / "rooms" / f"{name}.toml").write_text(text)
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    settings = {"native": endpoint, "rooms": str(folder / "rooms"), "demo": "false"}
    with House(folder / "data", settings) as built:
        built.wait_ready(lambda _: None)
        yield built, endpoint


def turn_until(walk, done):
    deadline_s = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline_s, dict(walk.fleet.counters)
        walk.turn(time.monotonic())


def test_a_small_swarm_sees_the_truth_and_nothing_but(tmp_path):
    words = ["--bots", "10", "--rooms", "2", "--seconds", "3", "--json", str(tmp_path / "s.json"), "--html",
             str(tmp_path / "s.html"), "--delivered-min", "0.5"]  # fmt: skip
    assert main(words) == 0
    s = json.loads((tmp_path / "s.json").read_text())
    assert (s["bots"], s["rooms"], s["seconds"], s["hz"]) == (10, 2, 3.0, 20.0)
    assert s["delivered"] >= 0.5
    assert s["mismatches"] == 0 and s["compared"]["rows"] > 500
    for key in ("input_to_seen_ms", "snapshot_age_ms", "tick_ms"):
        assert 0 <= s[key]["p50"] <= s[key]["p99"]
    assert s["input_to_seen_ms"]["p50"] > 0
    assert s["ticks_over_budget"] >= 0
    assert s["server_cpu_us_per_client_tick"] > 0
    assert 10 < s["bytes_per_avatar_update"] < 60
    assert (tmp_path / "s.html").stat().st_size > 1_000_000


def test_a_lecture_climbs_level_by_level_through_an_edge_and_sees_the_truth(tmp_path):
    words = ["--ramp", "30:70:40", "--hold", "2", "--scene", "lecture", "--websocket", "--json", str(tmp_path / "s"),
             "--delivered-min", "0.1", "--seen-p99-max", "60000", "--over-budget-max", "1",
             "--spike", "10"]  # fmt: skip
    assert main(words) == 0
    s = json.loads((tmp_path / "s").read_text())
    assert [level["bots"] for level in s["levels"]] == [30, 70]
    assert s["bots"] == 70 and s["mismatches"] == 0
    assert s["compared"]["rows"] > 500 and s["compared"]["far_rows"] > 100 and s["compared"]["views"] > 50
    assert s["spike"]["cut_off"] == 10 and s["spike"]["never_back"] == 0
    assert s["counters"]["resumed"] == 10
    assert set(s["cpu_cores"]) == {"ledger", "shard", "edge"}


def test_the_ward_round_walks_to_the_ward_and_survives_a_killed_shard(house):
    built, endpoint = house
    walk = WardRound(3, endpoint, Pass(built.data), 1, Pace(2.0, (0.2, 0.4)))
    try:
        turn_until(walk, lambda: walk.fleet.inside == 3 and walk.round.room)
        built.again("shard")
        turn_until(walk, lambda: walk.fleet.counters["resumed"] == 3 and walk.fleet.inside == 3)
        assert walk.fleet.counters["joined"] == 3  # the seats were kept: nobody came in anew
        turn_until(walk, lambda: walk.fleet.counters["asked_go"] >= 3 and walk.round.room == "ward")
    finally:
        walk.stop()


def test_the_ward_round_as_a_process_ends_cleanly_on_sigterm(house):
    built, endpoint = house
    lines = NativeLines(endpoint, Pass(built.data).server_key, 1)
    guest = Fleet([Member("Guest", "student", "lobby")], lines, Pass(built.data).mint, Nobody(), 1, 20)
    words = [sys.executable, "-m", "tools.wardround", "--data", str(built.data), "--bots", "2", "--endpoint", endpoint]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline_s = time.monotonic() + WAIT_S
        while not any(len(p.people.get(0, ())) == 3 for p in guest.places.values() if p.slug == "lobby"):
            assert time.monotonic() < deadline_s, process.poll()
            guest.knock(time.monotonic())
            guest.receive(0.05, time.monotonic())
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
        assert process.stdout.read() == b""
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
        lines.close()


def test_figures_of_the_shard_can_be_read(house):
    built, _ = house
    assert {"tick_ms_p50", "tick_ms_p99", "ticks_over_budget_total"} <= set(read_stats(built.data))
    assert read_stats(built.data / "nowhere") == {}


def test_a_server_that_cannot_start_is_one_line(tmp_path):
    with (
        pytest.raises(HouseError, match="the shard ended with status"),
        House(tmp_path / "data", {"native": "tcp://127.0.0.1:1", "rooms": str(tmp_path / "none")}) as built,
    ):
        built.wait_ready(lambda _: None)
