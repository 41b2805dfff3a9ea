"""The edge as a process of its own: started by the command line, stopped by a signal, refused when it cannot run."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from server.datadir import read_ready
from server.edge.static import ClientError, client_folder
from server.net.protocol import SUBPROTOCOL

ROOT = Path(__file__).parents[2]


@pytest.fixture
def built():
    try:
        return client_folder()
    except ClientError:
        pytest.skip("the web client is not built")


@pytest.fixture
def begin(data):
    """Starts an edge; none outlives the test."""
    begun = []

    def go(*flags, edge_port=0, admin_port=0):
        words = [sys.executable, "-m", "server", "edge", "--data", str(data), *flags]
        words += ["--edge-port", str(edge_port), "--admin-port", str(admin_port)]
        pipe = subprocess.PIPE
        begun.append(subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return begun[-1]

    yield go
    for process in begun:
        process.kill()
        process.communicate()


def ready(process, data, name="edge"):
    while (facts := read_ready(data, name)) is None:
        assert process.poll() is None, process.communicate()
    return facts


def test_an_edge_by_itself_serves_browsers_and_ends_well_on_sigterm(built, data, shard, begin):
    process = begin()
    facts = ready(process, data)

    async def story():
        async with aiohttp.ClientSession(auto_decompress=False) as http:
            async with asyncio.timeout(20):
                while (await http.get(f"{facts['admin']}/readyz")).status != 200:
                    await asyncio.sleep(0.02)
            page = await http.get(f"{facts['url']}/r/lobby", headers={"Accept-Encoding": "br, gzip"})
            assert (page.status, page.headers.get("Content-Encoding")) in ((200, "br"), (200, None))
            async with http.ws_connect(f"{facts['url']}/ws", protocols=(SUBPROTOCOL,)) as browser:
                await browser.send_bytes(b"\x80hi")
                assert (await browser.receive()).data == b"\x90\x80hi"
                process.send_signal(signal.SIGTERM)
                message = await browser.receive()
                assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)

    asyncio.run(story())
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert "listening" in out and "stopped" in out
    assert read_ready(data, "edge") is None


def test_edges_on_one_port_share_the_browsers_and_what_they_see(built, data, shard, begin):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [begin("--edges", "2", "--number", str(number), edge_port=port) for number in (1, 2)]
    facts = [ready(process, data, name) for process, name in zip(both, ("edge", "edge-2"), strict=True)]
    assert facts[0]["url"] == facts[1]["url"] and facts[0]["admin"] != facts[1]["admin"]

    async def story():
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            sockets = [await http.ws_connect(f"{facts[0]['url']}/ws", protocols=(SUBPROTOCOL,)) for _ in range(30)]
            for one in sockets:
                await one.send_bytes(b"\x90view1")
            for one in sockets:
                assert (await one.receive()).data.endswith(shard.snapshot)
            shares = [await browsers(http, one["admin"]) for one in facts]
            assert sum(shares) == 30 and all(shares)
            both[0].send_signal(signal.SIGTERM)
            ends = await asyncio.gather(*[end_of(one, shard.snapshot) for one in sockets])
            assert ends.count(1012) == shares[0] and ends.count(0) == shares[1]

    asyncio.run(story())


async def browsers(http, admin):
    text = await (await http.get(f"{admin}/metrics")).text()
    return int(float(re.search(r"^asclepion_edge_browsers (\S+)$", text, re.MULTILINE)[1]))


async def end_of(browser, snapshot):
    """The close code; 0 for one who sees fifty snapshots more."""
    for _ in range(50):
        message = await browser.receive()
        if message.type is aiohttp.WSMsgType.CLOSE:
            return message.data
        assert message.data.endswith(snapshot)
    return 0


def test_an_edge_ends_when_its_supervisor_is_gone(built, data, shard, begin):
    process = begin("--supervised")
    ready(process, data)
    _, err = process.communicate(timeout=20)  # closes its input, as the end of a supervisor does
    assert (process.returncode, err) == (0, "")


def test_a_taken_port_is_one_line_and_status_2(built, begin):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = begin(admin_port=taken.getsockname()[1])
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err.count("\n") == 1 and "cannot be listened on" in err and "--admin-port" in err


def test_a_directory_of_another_version_is_one_line_and_status_2(data):
    (data / "VERSION").write_text("99\n")
    done = subprocess.run([sys.executable, "-m", "server", "edge", "--data", str(data)], cwd=ROOT, capture_output=True,
                          text=True, env=dict(os.environ), check=False)  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "version '99'" in done.stderr
