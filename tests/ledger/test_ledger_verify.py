"""The offline check: whole logs pass, and whatever is done to a public file is found where it was done."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_story import ORIGIN, Author, Logs, accepted, author

from server.ledger.checkpoint import Checkpoint, sign_checkpoint
from server.ledger.disk import Disk
from server.ledger.entry import leaf_hash
from server.ledger.merkle import Tree
from server.ledger.start import load_key
from server.ledger.tiles import new_files, unpack_bundle
from server.ledger.verify import Bad, main, verify

PATIENT = bytes(range(16))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, pool: object) -> Path:
    """A log of 600 entries with several partial tiles, a chain, and two authors."""
    logs = Logs(tmp_path_factory.mktemp("made") / "ledger", pool)  # type: ignore[arg-type]
    writer = logs.open()
    ana, bob = author(1), author(2)
    logs.fill(writer, ana, 300, group=60)
    logs.fill(writer, bob, 200, group=60)
    prev = b""
    for seq in range(99 - 1):
        order = (ana, bob)[seq % 2].order(PATIENT, seq, prev)
        prev = leaf_hash(order.entry)
        accepted(writer.record([order]))
        if seq % 20 == 0:
            writer.publish(at_once=True)
    writer.close()
    assert verify(writer.public).size == 600
    return logs.folder


@pytest.fixture
def public(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "public", tmp_path / "public"))


def files_of(public: Path) -> list[str]:
    return sorted(p.relative_to(public).as_posix() for p in public.rglob("*") if p.is_file())


def record_around(public: Path, file: str, at: int) -> tuple[int, int]:
    """The record that byte `at` is part of: the byte in a tile, the entry in a bundle, else the whole file."""
    data = (public / file).read_bytes()
    if file in ("checkpoint", "vkey"):
        return 0, len(data)
    if not file.startswith("tile/entries/"):
        return at, at + 1
    start = 0
    while True:
        end = start + 2 + int.from_bytes(data[start : start + 2], "big")
        if start <= at < end:
            return start, end
        start = end


@settings(max_examples=90, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_flipped_byte_is_named_by_file_and_place(public: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(files_of(public)))
    good = (public / file).read_bytes()
    at, change = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(1, 255))
    start, end = record_around(public, file, at)
    (public / file).write_bytes(good[:at] + bytes((good[at] ^ change,)) + good[at + 1 :])
    try:
        with pytest.raises(Bad) as caught:
            verify(public)
        assert caught.value.file == file
        if file.startswith("tile/entries/") and ".p/" in file and caught.value.offset == at:
            return  # an older partial bundle is compared byte by byte
        assert start <= caught.value.offset < end
    finally:
        (public / file).write_bytes(good)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_file_cut_lengthened_or_gone_is_named(public: Path, data: st.DataObject) -> None:
    kept = {file: (public / file).read_bytes() for file in files_of(public)}
    older = [file for file in kept if ".p/" in file]
    file = data.draw(st.sampled_from(sorted(kept)))
    change = data.draw(st.sampled_from(["cut", "more", "gone"]))
    if change == "gone":
        (public / file).unlink()
    else:
        cut = data.draw(st.integers(0, len(kept[file]) - 1))
        (public / file).write_bytes(kept[file][:cut] if change == "cut" else kept[file] + b"\0" * (cut + 1))
    try:
        if change == "gone" and file in older and file not in needed(public):
            verify(public)  # an older partial tile may be removed
        elif change == "gone" and file in ("checkpoint", "vkey"):
            with pytest.raises(OSError):
                verify(public)
        else:
            with pytest.raises(Bad) as caught:
                verify(public)
            assert caught.value.file == file
    finally:
        (public / file).write_bytes(kept[file])


def needed(public: Path) -> set[str]:
    """What the newest checkpoint needs: 600 entries are two full tiles and one of 88, and 2 hashes above."""
    return {f"tile/{kind}/002.p/88" for kind in (0, "entries")} | {"tile/1/000.p/2"}


def test_a_file_that_does_not_belong_is_named(public: Path) -> None:
    (public / "tile" / "0" / "003").write_bytes(b"x")
    with pytest.raises(Bad, match="tile/0/003 byte 0"):
        verify(public)


def rebuilt(made: Path, public: Path, entries: list[bytes]) -> None:
    """Publish other entries in place of a log's own, signed with the log's real key."""
    shutil.rmtree(public)
    tree = Tree(lambda start, end: [leaf_hash(e) for e in entries[start:end]])
    for entry in entries:
        tree.append(leaf_hash(entry))
    for file in new_files(tree, 0, len(entries), lambda start, end: entries[start:end]):
        (public / file.path).parent.mkdir(parents=True, exist_ok=True)
        (public / file.path).write_bytes(file.data)
    shutil.copy(made / "public" / "vkey", public / "vkey")
    key = load_key(made / "log.key", False, Disk())
    head = Checkpoint(ORIGIN, len(entries), tree.root(len(entries)))
    (public / "checkpoint").write_bytes(sign_checkpoint(head, key))


def all_entries(public: Path) -> list[bytes]:
    names = (("000", 256), ("001", 256), ("002.p/88", 88))
    return [e for name, count in names for e in unpack_bundle((public / "tile/entries" / name).read_bytes(), count)]


def swap(entries: list[bytes]) -> list[bytes]:
    return [*entries[:559], entries[560], entries[559], *entries[561:]]


ATTACKS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "two orders of a patient swapped": swap,
    "an order left out": lambda e: [*e[:550], *e[551:]],
    "an order twice": lambda e: [*e[:551], e[550], *e[551:]],
    "the key entry left out": lambda e: e[1:],
    "a signature byte": lambda e: [*e[:70], e[70][:-1] + bytes((e[70][-1] ^ 1,)), *e[71:]],
    "a stranger's entry": lambda e: [*e[:70], Author(Ed25519PrivateKey.generate(), kid=0).note().entry, *e[71:]],
    "no entry at all": lambda e: [*e, b"\xd2\x84"],
    "an empty entry": lambda e: [*e[:30], b"", *e[30:]],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_entries_changed_and_signed_again_with_the_real_key_are_found(made: Path, public: Path, attack: str) -> None:
    rebuilt(made, public, all_entries(public))
    assert verify(public).size == 600
    rebuilt(made, public, ATTACKS[attack](all_entries(public)))
    with pytest.raises(Bad, match=r"tile/entries/.*entry"):
        verify(public)


@pytest.mark.parametrize("name", ["cut off", "forked", "replaced"])
def test_what_only_memory_can_tell_is_told_by_an_older_checkpoint(made: Path, public: Path, name: str) -> None:
    entries = all_entries(public)
    older = (public / "checkpoint").read_bytes()
    changed = {
        "cut off": entries[:400],
        "forked": [*entries[:10], Author(author(1).key, count=9999).note().entry, *entries[11:]],
        "replaced": entries[:301] * 2,
    }[name]
    rebuilt(made, public, changed)
    assert verify(public).size == len(changed), "by itself this log is whole"
    with pytest.raises(Bad, match=r"older checkpoint|cut off"):
        verify(public, since=older)


def test_an_older_checkpoint_or_receipt_of_this_log_is_accepted(logs: Logs, ana: Author) -> None:
    writer = logs.open()
    acks = logs.fill(writer, ana, 20, group=1)
    writer.publish(at_once=True)
    older = (writer.public / "checkpoint").read_bytes()
    logs.fill(writer, ana, 500)
    writer.close()
    for since in (older, *(ack.proof for ack in acks)):
        assert verify(writer.public, since=since).size == 521
    with pytest.raises(Bad, match="the older checkpoint"):
        verify(writer.public, since=older.replace(b"\n21\n", b"\n20\n"))


def test_another_key_than_the_trusted_one_is_refused(public: Path) -> None:
    vkey = (public / "vkey").read_text()
    assert verify(public, vkey=vkey).origin == ORIGIN
    with pytest.raises(Bad, match="vkey"):
        verify(public, vkey=vkey.replace("tests+", "other+"))


def test_the_command_says_what_it_found_by_words_and_exit_status(
    made: Path, public: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(made) == main(public) == 0
    assert "verified: 600 entries of asclepion.example/tests" in capsys.readouterr().out
    tile = public / "tile" / "0" / "001"
    tile.write_bytes(tile.read_bytes()[:70] + b"\0\0" + tile.read_bytes()[72:])
    assert main(public) == 1
    assert "BAD: tile/0/001 byte 70" in capsys.readouterr().out
    assert main(tmp_path / "nowhere") == 2
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "server.ledger.verify", str(made)], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "verified")


def test_it_stands_alone() -> None:
    """Copied away from this house it still runs: nothing of ours is imported."""
    source = (Path(__file__).parents[2] / "server" / "ledger" / "verify.py").read_text()
    assert "import server" not in source and "from server" not in source
