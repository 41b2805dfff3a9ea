"""The data directory: refused with one line when it cannot be used, and never left half written."""

import os
import subprocess
import sys

import pytest

from server import datadir
from server.datadir import DataError, Lock, check_version, forget_ready, open_data, read_ready, tell_ready


def test_a_fresh_directory_gets_a_version_and_can_be_opened_again(tmp_path):
    data = tmp_path / "deep/data"
    open_data(data, "serve").release()
    assert (data / "VERSION").read_text() == f"{datadir.VERSION}\n"
    assert (data / "run").stat().st_mode & 0o077 == 0
    open_data(data, "serve").release()


def test_two_of_the_same_verb_cannot_share_a_directory_and_other_verbs_can(tmp_path):
    lock = open_data(tmp_path, "shard")
    with pytest.raises(DataError, match=f"in use by another `asclepion shard` .process {os.getpid()}"):
        open_data(tmp_path, "shard")
    open_data(tmp_path, "ledger").release()
    lock.release()
    open_data(tmp_path, "shard").release()


def test_a_lock_ends_with_its_process(tmp_path):
    code = (
        "import os, pathlib, sys; from server.datadir import open_data; "
        "open_data(pathlib.Path(sys.argv[1]), 'shard'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    open_data(tmp_path, "shard").release()


@pytest.mark.parametrize("content", [b"1\n", b"3\n", b"", b"one", b"\xff"])
def test_a_directory_of_another_version_is_refused_and_untouched(tmp_path, content):
    (tmp_path / "VERSION").write_bytes(content)
    with pytest.raises(DataError):
        open_data(tmp_path, "serve")
    assert [p.name for p in tmp_path.iterdir()] == ["VERSION"] and (tmp_path / "VERSION").read_bytes() == content


def test_a_directory_of_somebody_else_is_refused_and_untouched(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="not a data directory"):
        open_data(tmp_path, "serve")
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_path_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        open_data(tmp_path / "file/data", "serve")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_we_may_not_write_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="cannot be written"):
        open_data(tmp_path, "serve")


def test_too_little_space_is_said_before_anything_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(datadir, "FREE_BYTES_MIN", 1 << 62)
    with pytest.raises(DataError, match="MiB free"):
        open_data(tmp_path, "serve")
    assert not (tmp_path / "VERSION").exists()
    check_version(tmp_path)


@pytest.fixture
def full_disk(tmp_path):
    """A file system with no byte left; needs the right to mount."""
    place = tmp_path / "full"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_leaves_no_half_written_version(full_disk, monkeypatch):
    monkeypatch.setattr(datadir, "FREE_BYTES_MIN", 0)
    (full_disk / "run").mkdir()
    Lock(full_disk, "serve").release()  # its file has its block already
    filler = os.open(full_disk / "run/filler", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError):
        while os.write(filler, bytes(4096)):
            continue
    os.close(filler)
    with pytest.raises(DataError, match="No space left"):
        open_data(full_disk, "serve")
    assert {p.name for p in full_disk.iterdir()} == {"run"} and not (full_disk / "run/VERSION.new").exists()


def test_what_a_process_says_when_ready_is_private_and_read_back(tmp_path):
    open_data(tmp_path, "shard").release()
    assert read_ready(tmp_path, "shard") is None
    tell_ready(tmp_path, "shard", {"invites": [{"code": "x"}]})
    assert read_ready(tmp_path, "shard") == {"invites": [{"code": "x"}]}
    assert (tmp_path / "run/shard.ready").stat().st_mode & 0o077 == 0
    forget_ready(tmp_path, "shard")
    forget_ready(tmp_path, "shard")
    assert read_ready(tmp_path, "shard") is None
