"""Locust's coordinator and two of its workers on loopback drive our fleets; the totals are those of the bots."""

import contextlib
import csv
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from tools.swarm_house import House
from tools.swarm_rooms import RoomPlan, write_rooms
from tools.swarm_run import free_port

pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="locust is not installed")
# Never imported here: it patches the whole process for gevent.
WAIT_S = 150.0
FLEET = 10
SNAPSHOTS, POSES = ("snapshot", "delivered"), ("pose", "seen")


@pytest.fixture
def house(tmp_path):
    write_rooms(tmp_path / "rooms", [RoomPlan("swarm-001", "ward", FLEET, 0), RoomPlan("swarm-002", "ward", FLEET, 0)])
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    settings = {"native": endpoint, "rooms": str(tmp_path / "rooms"), "demo": "false"}
    with House(tmp_path / "data", settings) as built:
        built.wait_ready(lambda _: None)
        yield built, endpoint


def counted(path):
    """Requests of each kind so far, as the coordinator's CSV file says."""
    if not path.exists():
        return {}
    with path.open() as file:
        return {(row["Type"], row["Name"]): int(row["Request Count"] or 0) for row in csv.DictReader(file)}


def start(words, log):
    with log.open("wb") as out:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)


def test_two_load_machines_and_a_coordinator_report_what_twenty_bots_got(house, tmp_path):
    built, endpoint = house
    port = str(free_port())
    command = [sys.executable, "-m", "locust", "-f", "tools/swarm_locust.py", "--headless"]
    master = [*command, "--master", "--master-bind-port", port, "--expect-workers", "2", "-u", "2", "-r", "2",
              "--data", str(built.data), "--endpoint", endpoint, "--fleet", str(FLEET), "--room-bots", str(FLEET),
              "--load-machines", "2", "--csv", str(tmp_path / "totals")]  # fmt: skip
    worker = [*command, "--worker", "--master-port", port]
    logs = [tmp_path / name for name in ("master", "first", "second")]
    processes = [start(words, log) for words, log in zip((master, worker, worker), logs, strict=True)]
    try:
        deadline_s, totals = time.monotonic() + WAIT_S, {}
        while totals.get(SNAPSHOTS, 0) < 20 * 30 or totals.get(POSES, 0) < 100:
            assert time.monotonic() < deadline_s, totals
            with contextlib.suppress(subprocess.TimeoutExpired):
                processes[0].wait(0.2)
            assert all(process.poll() is None for process in processes), logs[0].read_text()
            totals = counted(tmp_path / "totals_stats.csv")
        processes[0].send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(WAIT_S)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    said = "".join(log.read_text() for log in logs)
    totals = counted(tmp_path / "totals_stats.csv")
    assert totals[POSES] < totals[SNAPSHOTS] and totals["", "Aggregated"] == totals[POSES] + totals[SNAPSHOTS]
    assert "Traceback" not in said and ("swarm", "fleet") not in totals
