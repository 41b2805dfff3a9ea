"""Crashes, power cuts and failing disks at every write of the writer's numbered order."""

import errno
import shutil
import sqlite3
from pathlib import Path

import pytest
from ledger_story import Author, Logs, accepted

from server.ledger.disk import Disk
from server.ledger.entry import leaf_hash
from server.ledger.start import StartError
from server.ledger.verify import verify
from server.ledger.wire import Ack, Refuse, Submit
from tools.faulty_disk import Crash, Faulty

RECORD = 5  # writes of a group: commit; head: write, sync, rename, folder
WRITES = RECORD + 4 * 4  # and of publishing it: bundle, tile, vkey and checkpoint
OVER = RECORD + 7 * 4 + 4 * 2  # over a tile's end: two bundles, three tiles, vkey, checkpoint; four new folders
CASES = [
    (30, at, mode, power) for at in range(WRITES) for mode in ("before", "after", "torn") for power in ("kept", "cut")
]
CASES += [(250, at, "before", "cut") for at in range(OVER)]


def survivors(logs: Logs, folder: Path, ana: Author, known: list[Ack], open_: list[Submit]) -> None:
    """Start again on what the crash left: everything acknowledged is there once, the rest can be submitted again."""
    writer = logs.open(folder)
    before = writer.signed_size
    assert before in (len(known), len(known) + len(open_)), "a group is there as a whole or not at all"
    for ack in known:
        assert writer._store.find(ack.leaf) == ack.index
    acks = accepted(writer.record(open_))
    assert [ack.index for ack in acks] == list(range(len(known), len(known) + len(open_)))
    accepted(writer.record([ana.note()]))
    writer.close()
    assert verify(writer.public).size == len(known) + len(open_) + 1


@pytest.mark.parametrize(("before", "at", "mode", "power"), CASES)
def test_crash_at_every_write(
    logs: Logs, ana: Author, tmp_path: Path, before: int, at: int, mode: str, power: str
) -> None:
    disk = Faulty()
    writer = logs.open(disk=disk)
    known = logs.fill(writer, ana, before, group=before)
    group = [ana.note(i) for i in range(20)]
    disk.arm(at, mode)
    acks: list[Ack] = []
    try:
        acks = accepted(writer.record(group))
        writer.publish(at_once=True)
        assert mode == "torn" and disk.count == WRITES, "only what is no write cannot be torn"
    except Crash:
        pass
    assert bool(acks) == (disk.count > RECORD or (disk.count == RECORD and mode != "after"))
    if power == "cut":
        disk.cut_power()
    left = tmp_path / "left"
    shutil.copytree(logs.folder, left)
    survivors(logs, left, ana, known + acks, [] if acks else group)


def test_every_prefix_of_the_database_log_starts_or_is_refused(logs: Logs, ana: Author, tmp_path: Path) -> None:
    """Torn writes of the last commit: the group before it, acknowledged, is always there."""
    disk = Faulty()
    writer = logs.open(disk=disk)
    known = logs.fill(writer, ana, 10)
    wal = logs.folder / "entries.db-wal"
    durable = wal.stat().st_size
    group = [ana.note(i) for i in range(10)]
    disk.arm(0, "after")
    with pytest.raises(Crash):
        writer.record(group)
    whole = wal.read_bytes()
    assert len(whole) > durable + 8192
    for length in (*range(durable, len(whole), 1021), len(whole) - 1, len(whole)):
        left = tmp_path / f"left{length}"
        shutil.copytree(logs.folder, left)
        (left / wal.name).write_bytes(whole[:length])
        survivors(logs, left, ana, known, group)
    lost = tmp_path / "lost"
    shutil.copytree(logs.folder, lost)
    (lost / wal.name).write_bytes(whole[: durable // 2])
    with pytest.raises(StartError, match=r"missing|cannot open"):
        logs.open(lost)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.EIO, "Input/output error"), "disk-error"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full"),
        (OSError(errno.EFBIG, "File too large"), "disk-full"),
        (sqlite3.OperationalError("disk I/O error"), "disk-error"),
    ],
)
@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5, 8, 20])
def test_after_a_failed_write_nothing_is_accepted_or_retried(
    logs: Logs, ana: Author, tmp_path: Path, at: int, error: Exception, code: str
) -> None:
    disk = Faulty()
    writer = logs.open(disk=disk)
    known = logs.fill(writer, ana, 30, group=15)
    group = [ana.note(i) for i in range(20)]
    disk.arm(at, "before", error)
    answers = writer.record(group)
    writer.publish(at_once=True)
    assert writer.stopped is not None and writer.stopped.code == code
    if at < 5:
        assert {a.code for a in answers if isinstance(a, Refuse)} == {code} and len(answers) == 20
    else:
        known += accepted(answers)
        group = []
    disk.arm(-1)
    later = writer.record([ana.note()])[0]
    writer.publish(at_once=True)
    assert isinstance(later, Refuse) and later.code == code
    assert disk.count == 0, "nothing was written after the failure"
    again = accepted(writer.record([Submit(7, known_entry(writer, known[5]))]))[0]
    assert again.index == known[5].index, "what is on record can still be shown"
    writer.close()
    assert disk.count == 0
    survivors(logs, logs.folder, ana, known, group)


def known_entry(writer: object, ack: Ack) -> bytes:
    return writer._store.entries(ack.index, ack.index + 1)[0]  # type: ignore[attr-defined,no-any-return]


def test_a_database_that_may_not_grow_is_a_full_disk(logs: Logs, ana: Author) -> None:
    writer = logs.open()
    known = logs.fill(writer, ana, 10)
    pages = writer._store._db.execute("PRAGMA page_count").fetchone()[0]
    writer._store._db.execute(f"PRAGMA max_page_count={pages + 2}")
    refused: list[Refuse] = []
    while not refused:
        group = [ana.note() for _ in range(20)]
        answers = writer.record(group)
        refused = [answer for answer in answers if isinstance(answer, Refuse)]
        known += [answer for answer in answers if isinstance(answer, Ack)]
    assert len(refused) == 20 and refused[0].code == "disk-full"
    writer.close()
    survivors(logs, logs.folder, ana, known, group)


class Flips(Disk):
    """Changes one bit of the newest entry on its way to the disk."""

    armed = False

    def commit(self, database: sqlite3.Connection) -> None:
        if self.armed:
            newest = "SELECT number, entry FROM entries ORDER BY number DESC LIMIT 1"
            number, entry = database.execute(newest).fetchone()
            flipped = entry[:-1] + bytes((entry[-1] ^ 1,))
            database.execute("UPDATE entries SET entry = ? WHERE number = ?", (flipped, number))
        super().commit(database)


def test_a_bit_that_flips_on_its_way_to_the_disk_is_never_signed(logs: Logs, ana: Author) -> None:
    disk = Flips()
    writer = logs.open(disk=disk)
    logs.fill(writer, ana, 10)
    head = (logs.folder / "head").read_bytes()
    disk.armed = True
    answers = writer.record([ana.note() for _ in range(5)])
    assert {a.code for a in answers if isinstance(a, Refuse)} == {"damaged"} and len(answers) == 5
    assert (logs.folder / "head").read_bytes() == head
    writer.close()
    with pytest.raises(StartError, match="damaged"):
        logs.open()


def test_a_head_that_somebody_else_wrote_is_not_overwritten(logs: Logs, ana: Author) -> None:
    writer = logs.open()
    logs.fill(writer, ana, 10)
    (logs.folder / "head").write_bytes(b"theirs")
    answer = writer.record([ana.note()])[0]
    assert isinstance(answer, Refuse) and answer.code == "damaged"
    assert (logs.folder / "head").read_bytes() == b"theirs"


def test_an_entry_that_is_durable_but_unsigned_is_not_acknowledged(logs: Logs, ana: Author) -> None:
    disk = Faulty()
    writer = logs.open(disk=disk)
    logs.fill(writer, ana, 3)
    note = ana.note()
    disk.arm(1, "before", OSError(errno.EIO, "Input/output error"))
    for _ in range(2):
        answer = writer.record([note])[0]
        assert isinstance(answer, Refuse) and answer.code == "disk-error" and answer.leaf == leaf_hash(note.entry)
    writer.close()
    assert accepted(logs.open().record([note]))[0].index == 4
