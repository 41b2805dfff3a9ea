"""`asclepion serve` with its real parts, as an operator starts and stops it."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from server.__main__ import main
from server.datadir import VERSION
from server.edge.static import ClientError, client_folder

ROOT = Path(__file__).parents[2]
FREE = ["--edge-port", "0", "--admin-port", "0", "--native", "tcp://127.0.0.1:0"]


@pytest.fixture
def house(tmp_path):
    """A started server: its process, and the lines up to the banner's end."""
    try:
        client_folder()
    except ClientError:
        pytest.skip("the web client is not built")
    words = [sys.executable, "-m", "server", "serve", "--data", str(tmp_path / "data"), *FREE]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "ready after" in line:
            break
    yield process, lines
    process.kill()
    process.wait()
    process.stdout.close()


def test_one_command_brings_up_all_and_ctrl_c_ends_it_well(house, tmp_path):
    process, lines = house
    assert process.poll() is None, "".join(lines)
    text = "".join(lines)
    for role in ("patient", "clinician", "carer", "student", "observer", "operator"):
        assert f"\n  {role:<10} http://127.0.0.1:" in text
    assert "\n  feed       bed " in text
    admin = next(line.split()[1] for line in lines if line.startswith("  admin"))
    with urllib.request.urlopen(admin, timeout=10) as answer:
        assert json.load(answer)["status"] == "ok"
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(30) == 0, rest
    assert sorted(p.name for p in (tmp_path / "data/run").glob("*.ready")) == []
    assert (tmp_path / "data/VERSION").read_text() == f"{VERSION}\n"


def test_an_edge_that_is_killed_comes_back_linked(house, tmp_path):
    process, _ = house
    before = json.loads((tmp_path / "data/run/edge.ready").read_text())
    edge = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "server edge"], capture_output=True, text=True, check=True
    )
    os.kill(int(edge.stdout), signal.SIGKILL)
    for line in process.stdout:
        if "edge is back" in line:
            break
    after = json.loads((tmp_path / "data/run/edge.ready").read_text())
    assert before != after  # another free port: it is another process
    with urllib.request.urlopen(f"{after['admin']}/readyz", timeout=10) as answer:
        assert json.load(answer)["status"] == "ok"


def refused(tmp_path, capsys, *flags):
    assert main(["serve", "--data", str(tmp_path / "data"), *flags]) == 2
    said = capsys.readouterr().err
    assert said.startswith("asclepion: ") and said.count("\n") == 1
    return said


def test_a_taken_port_is_refused_before_anything_is_written(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refused(tmp_path, capsys, *FREE[2:], "--edge-port", port)
    assert port in said and not (tmp_path / "data").exists()


def test_a_directory_of_another_version_is_refused_and_untouched(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/VERSION").write_text("7\n")
    assert "version '7'" in refused(tmp_path, capsys, *FREE)
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["VERSION"]


def test_a_path_that_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "data").write_text("a letter")
    refused(tmp_path, capsys, *FREE)
    assert (tmp_path / "data").read_text() == "a letter"
