"""Starting: a directory that does not fit together is refused with one line, and what it holds stays as it is."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_story import Author, Logs, accepted

from server.ledger.entry import Entry, leaf_hash, sign
from server.ledger.start import DirectoryLock, StartError
from server.ledger.store import Row


def sql(folder: Path, statement: str, *values: bytes | int) -> None:
    with sqlite3.connect(folder / "entries.db") as database:
        database.execute(statement, values)
    database.close()


def another_key(folder: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from server.ledger.disk import Disk
    from server.ledger.start import load_key

    (folder / "log.key").unlink()
    assert isinstance(load_key(folder / "log.key", True, Disk()), Ed25519PrivateKey)


def flip_entry(folder: Path) -> None:
    with sqlite3.connect(folder / "entries.db") as database:
        data = bytearray(database.execute("SELECT entry FROM entries WHERE number = 4").fetchone()[0])
    database.close()
    data[-1] ^= 1
    sql(folder, "UPDATE entries SET entry = ? WHERE number = 4", bytes(data))


def rewrite_entry(folder: Path) -> None:
    """Another entry with the right leaf hash beside it: only the signed root tells."""
    sql(folder, "UPDATE entries SET entry = ?, leaf = ? WHERE number = 4", b"other", leaf_hash(b"other"))


def text_database(folder: Path) -> None:
    (folder / "entries.db").write_text("text" * 1000)


def flip_head(folder: Path) -> None:
    head = folder / "head"
    head.write_bytes(head.read_bytes().replace(b"\n11\n", b"\n10\n"))


HARMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "the key is gone": (lambda f: (f / "log.key").unlink(), "log.key is missing"),
    "another key": (another_key, "not of this log"),
    "the head is gone": (lambda f: (f / "head").unlink(), "no head was signed"),
    "the head was changed": (flip_head, "not of this log"),
    "the database is gone": (lambda f: (f / "entries.db").unlink(), "entries.db is missing"),
    "the database is text": (text_database, "cannot open"),
    "the last entry is gone": (lambda f: sql(f, "DELETE FROM entries WHERE number = 10"), "entries are missing"),
    "an entry is gone": (lambda f: sql(f, "DELETE FROM entries WHERE number = 4"), "entry 4 is missing"),
    "a byte of an entry": (flip_entry, "not those written"),
    "an entry with its hash": (rewrite_entry, "does not reproduce the signed root"),
    "another version": (lambda f: sql(f, "PRAGMA user_version=99"), "version 99"),
    "no version": (lambda f: sql(f, "PRAGMA user_version=0"), "no version"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_directory_that_does_not_fit_together_is_not_started(logs: Logs, ana: Author, harm: str) -> None:
    writer = logs.open()
    logs.fill(writer, ana, 10)
    writer.close()
    act, words = HARMS[harm]
    act(logs.folder)
    before = {file: file.read_bytes() for file in logs.folder.rglob("*") if file.is_file()}
    with pytest.raises(StartError, match=words) as caught:
        logs.open()
    assert "\n" not in str(caught.value)
    assert {file: file.read_bytes() for file in logs.folder.rglob("*") if file.is_file()} == before


def test_another_origin_is_another_log(logs: Logs, ana: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.open().close()
    monkeypatch.setattr("ledger_story.ORIGIN", "asclepion.example/other")
    with pytest.raises(StartError, match=r"asclepion\.example/other"):
        logs.open()
    monkeypatch.setattr("ledger_story.ORIGIN", "two words")
    with pytest.raises(StartError, match="spaces"):
        logs.open(logs.folder.with_name("new"))


def test_a_backup_older_than_what_was_published_is_not_started(logs: Logs, ana: Author) -> None:
    writer = logs.open()
    logs.fill(writer, ana, 10)
    writer.close()
    old = {name: (logs.folder / name).read_bytes() for name in ("head", "entries.db")}
    writer = logs.open()
    accepted(writer.record([ana.note()]))
    writer.close()
    for name, data in old.items():
        (logs.folder / name).write_bytes(data)
    with pytest.raises(StartError, match="a checkpoint of 12 entries was published"):
        logs.open()


def test_public_files_that_were_lost_are_published_again(logs: Logs, ana: Author) -> None:
    import shutil

    from server.ledger.verify import verify

    writer = logs.open()
    logs.fill(writer, ana, 300)
    writer.close()
    shutil.rmtree(writer.public)
    logs.open().close()
    assert verify(writer.public).size == 301
    (writer.public / "tile" / "0" / "000").unlink()
    logs.open().close()
    assert verify(writer.public).size == 301
    (writer.public / "checkpoint").write_text("torn")
    logs.open().close()
    assert verify(writer.public).size == 301


def test_a_forged_entry_beyond_the_signed_head_is_not_signed(logs: Logs, ana: Author, bob: Author) -> None:
    """Who can write to the database but has no author's key cannot get an entry signed by a restart."""
    writer = logs.open()
    logs.fill(writer, ana, 3)
    raw = sign(Entry("note", 1, 1, ana.actor), bob.key, ana.kid)
    writer._store.append(4, [Row(leaf_hash(raw), raw, "note", ana.actor, b"", 0, 1, b"", b"")])
    writer.close()
    with pytest.raises(StartError, match="entry 4, durable but not signed, may not be signed"):
        logs.open()


def test_an_entry_out_of_its_chain_beyond_the_signed_head_is_not_signed(logs: Logs, ana: Author) -> None:
    """A refused order, good signature and all, does not come onto the log by way of the database."""
    writer = logs.open()
    ana.kid = accepted(writer.record([ana.enrol()]))[0].index
    patient = bytes(range(16))
    first = accepted(writer.record([ana.order(patient, 0, b"")]))[0]
    stale = ana.order(patient, 2, first.leaf)
    row = Row(leaf_hash(stale.entry), stale.entry, "order", ana.actor, patient, 2, 1, stale.blob, b"")
    writer._store.append(2, [row])
    writer.close()
    with pytest.raises(StartError, match="does not follow"):
        logs.open()


def test_two_ledgers_on_one_directory_are_refused(logs: Logs) -> None:
    logs.folder.mkdir()
    lock = DirectoryLock(logs.folder)
    with pytest.raises(StartError, match="another ledger"):
        DirectoryLock(logs.folder)
    lock.release()
    DirectoryLock(logs.folder).release()


def test_keys_are_private_and_must_stay_so(logs: Logs) -> None:
    logs.open().close()
    key = logs.folder / "log.key"
    assert key.stat().st_mode & 0o777 == 0o600 and logs.folder.stat().st_mode & 0o077 == 0
    key.chmod(0o640)
    with pytest.raises(StartError, match="0600"):
        logs.open()


NO_KEY = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("content", [b"", b"garbage", NO_KEY])
def test_an_unreadable_key_is_one_clear_line(logs: Logs, content: bytes) -> None:
    logs.open().close()
    (logs.folder / "log.key").write_bytes(content)
    with pytest.raises(StartError, match="no readable private key") as caught:
        logs.open()
    assert "\n" not in str(caught.value)
