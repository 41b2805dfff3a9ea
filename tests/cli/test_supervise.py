"""The supervisor with real child processes: order of stopping, restarts, operators' mistakes, its own end."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from server.config import Config, ConfigError
from server.datadir import VERSION, tell_ready
from server.supervise import Child, banner, check_ports

ROOT = Path(__file__).parents[2]

STAND_IN = """
import os, signal, sys, time
from pathlib import Path
from server import supervise
from server.config import Config
from server.settings import combine, from_environment

CHILD = '''
import json, os, signal, sys, time
from pathlib import Path
name, data = sys.argv[1], Path(os.environ["ASCLEPION_DATA"])
starts = data / (name + ".starts")
with starts.open("a") as file: file.write(str(os.getpid()) + chr(10))
def stop(*_):
    with (data / "order").open("a") as file: file.write(name + chr(10))
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if (data / (name + ".deaf")).exists() else stop)
if (data / (name + ".mistake")).exists(): sys.exit(2)
facts = {"edge": {"url": "http://127.0.0.1:1", "admin": "http://127.0.0.1:2"},
         "edge-2": {"url": "http://127.0.0.1:1", "admin": "http://127.0.0.1:3"},
         "shard": {"invites": [{"role": "clinician", "room": "ward", "code": "abc"}],
                   "feeds": [{"bed": "ward/bed-1", "token": "tok"}]}, "ledger": {}}[name]
(data / "run" / (name + ".ready")).write_text(json.dumps(facts))
sys.stdin.read()
stop()
'''

class Here(supervise.Child):
    async def start(self):
        self.starts += 1
        supervise.forget_ready(self.data, self.name)
        self.process = await supervise.asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, self.name, stdin=supervise.asyncio.subprocess.PIPE, env=self._environment,
            start_new_session=True)

supervise.Child = Here
supervise.is_primed = lambda: True
supervise.STOP_S = 1.0
edges, port = int(sys.argv[2]), int(sys.argv[3])
config = Config(data=sys.argv[1], edge_port=port, edges=edges, admin_port=0, native="ipc:///tmp/unused")
sys.exit(supervise.serve(config))
"""


class Running:
    """A supervisor in a process of its own, with small children in place of the big ones."""

    def __init__(self, data: Path, edges: int = 1, port: int = 0) -> None:
        self.data = data
        (data / "run").mkdir(parents=True, exist_ok=True)
        (data / "VERSION").write_text(f"{VERSION}\n")
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(STAND_IN), str(data), str(edges), str(port)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
        )  # fmt: skip
        self.lines: list[str] = []

    def until(self, text: str) -> str:
        """Read lines until one has `text` in it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} never came: {self.lines}")

    def pids(self, name: str) -> list[int]:
        return [int(line) for line in (self.data / f"{name}.starts").read_text().split()]

    def ends(self) -> int:
        assert self.process.stdout is not None
        self.lines += self.process.stdout.readlines()
        return self.process.wait(20)


@pytest.fixture
def start(tmp_path):
    begun: list[Running] = []

    def go(edges: int = 1, port: int = 0) -> Running:
        begun.append(Running(tmp_path, edges, port))
        return begun[-1]

    yield go
    for one in begun:
        one.process.kill()
        one.process.wait()
        assert one.process.stdout is not None
        one.process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_edge_then_shard_then_ledger_and_ends_well(start, tmp_path, number):
    running = start()
    running.until("ready after")
    running.process.send_signal(number)
    assert running.ends() == 0
    assert (tmp_path / "order").read_text().split() == ["edge", "shard", "ledger"]


def test_edges_that_share_a_port_are_started_shown_and_stopped_each(start, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = start(edges=2, port=port)
    running.until("ready after")
    text = "".join(running.lines)
    assert "http://127.0.0.1:2/readyz" in text and "http://127.0.0.1:3/readyz" in text
    running.process.send_signal(signal.SIGTERM)
    assert running.ends() == 0
    assert (tmp_path / "order").read_text().split() == ["edge-2", "edge", "shard", "ledger"]


def test_every_edge_has_an_admin_port_of_its_own():
    with pytest.raises(ConfigError, match="admin_port and edge_port are both 5001"):
        check_ports(Config(edge_port=5001, admin_port=5000, edges=2, native="ipc:///unused"))


@pytest.mark.parametrize("wrong", [{"edges": 0}, {"edges": 17}, {"edges": 2, "edge_port": 0},
                                   {"edges": 3, "admin_port": 65_534}])  # fmt: skip
def test_edges_that_cannot_all_listen_are_refused(wrong):
    with pytest.raises(ConfigError, match="allowed"):
        Config(**wrong)


def test_the_banner_shows_links_and_a_feed_token(start):
    running = start()
    running.until("ready after")
    text = "".join(running.lines)
    assert "clinician  http://127.0.0.1:1/r/ward#abc" in text
    assert "http://127.0.0.1:2/readyz" in text and "bed ward/bed-1, token tok" in text


def test_a_child_that_dies_is_brought_back_and_that_is_said(start):
    running = start()
    running.until("ready after")
    for name in ("shard", "ledger", "edge"):
        os.kill(running.pids(name)[-1], signal.SIGKILL)
        assert "SIGKILL" in running.until(f"{name} ended")
        running.until(f"{name} is back")
        assert len(running.pids(name)) == 2
    running.process.send_signal(signal.SIGTERM)
    assert running.ends() == 0


def test_an_operators_mistake_in_one_child_stops_all(start, tmp_path):
    (tmp_path / "shard.mistake").touch()
    running = start()
    assert running.ends() == 2
    assert running.pids("shard") and len(running.pids("shard")) == 1


def test_a_child_that_does_not_stop_is_ended_and_the_status_says_so(start, tmp_path):
    (tmp_path / "shard.deaf").touch()
    running = start()
    running.until("ready after")
    running.process.send_signal(signal.SIGTERM)
    assert running.ends() == 1
    assert "shard did not stop" in "".join(running.lines)


def test_a_second_signal_ends_everything_at_once(start, tmp_path):
    (tmp_path / "edge.deaf").touch()
    running = start()
    running.until("ready after")
    running.process.send_signal(signal.SIGINT)
    running.until("once more")
    running.process.send_signal(signal.SIGINT)
    assert running.ends() == 130


def test_children_end_when_the_supervisor_is_killed(start, tmp_path):
    running = start()
    running.until("ready after")
    running.process.kill()
    running.process.wait()
    deadline = time.monotonic() + 10
    while len((tmp_path / "order").read_text().split() if (tmp_path / "order").exists() else []) < 3:
        assert time.monotonic() < deadline, "a child lives on"


def test_a_second_server_on_the_same_directory_is_refused(start):
    first = start()
    first.until("ready after")
    second = start()
    assert second.ends() != 0
    assert "in use by another `asclepion serve`" in "".join(second.lines)


@pytest.mark.parametrize("name", ["edge_port", "admin_port", "native"])
def test_a_taken_port_is_refused_with_the_flag_that_helps(name):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        free = {"edge_port": 0, "admin_port": 0, "native": "ipc:///unused"}
        config = Config(**(free | {name: f"tcp://127.0.0.1:{port}" if name == "native" else port}))
        with pytest.raises(ConfigError, match="--" + name.replace("_", "-")):
            check_ports(config)


def test_one_port_for_two_purposes_is_refused():
    with pytest.raises(ConfigError, match="admin_port and edge_port are both 4999"):
        check_ports(Config(edge_port=4999, admin_port=4999, native="ipc:///unused"))


@pytest.mark.parametrize("native", ["tcp://127.0.0.1", "tcp://127.0.0.1:x"])
def test_a_native_endpoint_without_a_port_is_refused(native):
    with pytest.raises(ConfigError, match="allowed is tcp://ADDRESS:PORT"):
        check_ports(Config(edge_port=0, admin_port=0, native=native))


def test_pauses_grow_while_a_child_keeps_dying_and_shrink_once_it_is_steady():
    child = Child("shard", Config())
    pauses = [child.next_pause_s(0.1) for _ in range(8)]
    assert pauses == sorted(pauses) and pauses[0] < 1 and pauses[-1] == 10.0
    assert child.next_pause_s(60.0) < 1


def test_a_banner_without_invites_still_says_where_to_look(tmp_path):
    (tmp_path / "run").mkdir()
    tell_ready(tmp_path, "shard", {})
    facts = {"edge": {"url": "http://x", "admin": "http://y"}, "shard": {}, "ledger": {}}
    assert any("http://x" in line for line in banner(Config(data=str(tmp_path)), facts))
