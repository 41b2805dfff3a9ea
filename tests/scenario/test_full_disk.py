"""A shard whose disk is full stops with one line, and what it wrote before is whole."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.datadir import FREE_BYTES_MIN
from server.replay import main as replay


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    size = FREE_BYTES_MIN + 8 * 1024 * 1024
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no small disk can be mounted: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(place: Path) -> None:
    with (place / "filler").open("wb", buffering=0) as out:
        for size in (1 << 20, 1 << 12, 1):
            while True:
                try:
                    out.write(bytes(size))
                except OSError:
                    break


def test_a_full_disk_stops_the_shard_with_one_line_and_loses_nothing_written(small_disk: Path) -> None:
    data = small_disk / "data"
    words = [sys.executable, "-m", "server", "shard", "--data", str(data), "--native", "tcp://127.0.0.1:*"]
    shard = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        while not (data / "run" / "shard.ready").exists():
            assert shard.poll() is None, shard.stderr.read()
            os.sched_yield()
        fill(small_disk)
        said = shard.communicate(timeout=60)[1]
    finally:
        shard.kill()
    assert shard.returncode == 2
    lines = [line for line in said.splitlines() if line]
    assert len(lines) == 1 and "No space left" in lines[0], said
    (small_disk / "filler").unlink()
    assert replay(data / "world", quiet=True) == 0
