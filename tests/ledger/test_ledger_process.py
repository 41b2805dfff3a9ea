"""The real process over its real socket: killed, crowded, on a full disk, locked, stopped; and the link to it."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from ledger_story import ORIGIN, Author, Logs, author

from server.clock import ManualClock, SystemClock
from server.ledger.link import LedgerLink, LinkFull
from server.ledger.process import run
from server.ledger.start import StartError
from server.ledger.verify import verify
from server.ledger.wire import (
    MESSAGE_BYTES_MAX,
    Ack,
    Asked,
    ChainIs,
    KeyIs,
    Refuse,
    Status,
    StatusIs,
    Submit,
    asked_decoder,
    encoder,
)

ROOT = Path(__file__).parents[2]
WAIT_S = 30.0
KILLS = 8


class Running:
    """A ledger process on `folder`, and a link to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"ipc://{folder}/ledger.ipc"
        self.clock = SystemClock()
        self.link = LedgerLink(self.address, self.clock, resend_s=2.0)
        self.process: subprocess.Popen[str] | None = None

    def start(self, before: Callable[[], None] | None = None) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "server.ledger.process", str(self.folder / "ledger"), self.address, ORIGIN]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=before)
        return self.process

    def ended(self, number: int) -> tuple[int, str]:
        assert self.process is not None
        self.process.send_signal(number)
        _, lines = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, lines

    def answers(self, wanted: Callable[[object], bool]) -> list[object]:
        """Poll until an answer is wanted; everything that came."""
        came: list[object] = []
        end_s = self.clock.monotonic_s() + WAIT_S
        while not any(wanted(answer) for answer in came):
            assert self.clock.monotonic_s() < end_s, f"no such answer, but {came[-3:]}"
            self.link.socket.poll(20)
            came += self.link.poll()
        return came

    def enrol(self, who: Author) -> Author:
        request = self.link.submit(who.enrol().entry)
        came = self.answers(lambda a: isinstance(a, Ack) and a.request == request)
        who.kid = next(a.index for a in came if isinstance(a, Ack) and a.request == request)
        return who


@pytest.fixture
def running() -> Iterator[Running]:
    folder = Path(tempfile.mkdtemp(prefix="ledger"))
    one = Running(folder)
    yield one
    one.link.close()
    if one.process is not None and one.process.poll() is None:
        one.process.kill()
        one.process.communicate()
    shutil.rmtree(folder)


def check_whole(logs: Logs, folder: Path, acks: dict[bytes, int], sent: int) -> None:
    """Every acknowledged entry is on the log exactly once, where it was said to be."""
    writer = logs.open(folder / "ledger")
    for leaf, index in acks.items():
        assert writer._store.leaves(index, index + 1) == [leaf]
    assert len(acks) <= writer.signed_size <= sent
    writer.close()
    assert verify(folder / "ledger" / "public").size == writer.signed_size


def test_killed_again_and_again_under_load_nothing_acknowledged_is_lost(running: Running, logs: Logs) -> None:
    running.start()
    crowd = [running.enrol(author(number)) for number in range(1, 9)]
    acks: dict[bytes, int] = {}
    sent, kills, since_kill = len(crowd), 0, 0
    while kills < KILLS:
        while running.link.waiting < 120:
            running.link.submit(crowd[sent % 8].note().entry)
            sent += 1
        running.link.socket.poll(50)
        for answer in running.link.poll():
            if isinstance(answer, Ack):
                assert acks.setdefault(answer.leaf, answer.index) == answer.index
                since_kill += 1
            assert not isinstance(answer, Refuse) or answer.code == "too-fast", answer
        if since_kill > 150:
            assert running.ended(signal.SIGKILL)[0] == -signal.SIGKILL
            running.start()
            kills, since_kill = kills + 1, 0
    while running.link.waiting:
        running.link.socket.poll(50)
        acks |= {answer.leaf: answer.index for answer in running.link.poll() if isinstance(answer, Ack)}
    running.enrol(author(99))  # the newest process is up
    assert running.ended(signal.SIGTERM)[0] == 0
    assert len(acks) > 1000
    check_whole(logs, running.folder, acks, sent + 1)


def test_questions_are_answered_and_a_stop_is_clean(running: Running, logs: Logs) -> None:
    running.start()
    ana = running.enrol(author(1))
    patient = bytes(range(16))
    order = ana.order(patient, 0, b"")
    running.link.submit(order.entry, order.blob, order.wrapped_key)
    ack = next(a for a in running.answers(lambda a: isinstance(a, Ack)) if isinstance(a, Ack))
    running.link.ask_chain(patient)
    chain = next(a for a in running.answers(lambda a: isinstance(a, ChainIs)) if isinstance(a, ChainIs))
    assert (chain.next_seq, chain.prev) == (ack.patient_seq, ack.prev) == (1, ack.leaf)
    running.link.ask_key(ana.actor)
    key = next(a for a in running.answers(lambda a: isinstance(a, KeyIs)) if isinstance(a, KeyIs))
    assert (key.actor, key.index) == (ana.actor, 0)
    running.answers(lambda a: isinstance(a, StatusIs) and a.size == 2)
    assert running.link.up and running.link.accepting and running.link.reason == ""
    address = running.address.removeprefix("ipc://")
    assert os.stat(address).st_mode & 0o077 == 0
    status, lines = running.ended(signal.SIGTERM)
    assert status == 0 and "ready" in lines and lines.endswith("stopped\n")
    check_whole(logs, running.folder, {ack.leaf: ack.index}, 2)


def test_a_second_ledger_on_the_directory_ends_with_one_line(running: Running) -> None:
    running.start()
    running.answers(lambda a: isinstance(a, StatusIs))
    second = Running(running.folder)
    _, lines = second.start().communicate(timeout=WAIT_S)
    second.link.close()
    assert second.process is not None and second.process.returncode == 1
    assert lines.count("\n") == 1 and "another ledger runs" in lines
    running.enrol(author(1))


def test_rubbish_is_dropped_and_others_are_served(running: Running) -> None:
    running.start()
    running.answers(lambda a: isinstance(a, StatusIs))
    rude: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    rude.setsockopt(zmq.LINGER, 0)
    rude.connect(running.address)
    bad_text = b"\x93\x01\x01\xc4\x01\xff"
    deep, long = b"\x91" * 5000, encoder.encode(Submit(1, bytes(5000)))
    for frame in (b"", b"\xc1", b"\x00" * 1000, bad_text, deep, long, os.urandom(9000)):
        rude.send(frame)
        rude.send_multipart([b"", frame])
    rude.send(encoder.encode(Submit(5, b"no entry")))
    assert rude.poll(int(WAIT_S * 1000))
    rude.send(bytes(MESSAGE_BYTES_MAX + 1))  # ends this connection
    running.enrol(author(1))
    rude.close()
    status, lines = running.ended(signal.SIGTERM)
    assert status == 0 and lines.count("malformed") == 1


def fill_until_refused(running: Running, crowd: list[Author], acks: dict[bytes, int]) -> Refuse:
    sent = 0
    while True:
        while running.link.waiting < 20:
            one = crowd[sent % len(crowd)]
            order = one.order(os.urandom(16), 0, b"")
            running.link.submit(order.entry, order.blob, os.urandom(4000))
            sent += 1
        running.link.socket.poll(50)
        for answer in running.link.poll():
            if isinstance(answer, Ack):
                acks[answer.leaf] = answer.index
            elif isinstance(answer, Refuse) and answer.code != "too-fast":
                return answer


def check_after_trouble(running: Running, logs: Logs, acks: dict[bytes, int], refusal: Refuse) -> None:
    """It says so, keeps saying so, and after a restart with room nothing acknowledged is missing."""
    running.answers(lambda a: isinstance(a, StatusIs) and not a.accepting and a.reason == refusal.text)
    assert running.link.up and not running.link.accepting and running.link.reason == refusal.text
    status, lines = running.ended(signal.SIGTERM)
    assert status == 0 and lines.count(refusal.code) == 1
    assert len(acks) > 5
    check_whole(logs, running.folder, acks, 1 << 30)


def test_a_file_that_may_not_grow_stops_the_ledger_and_loses_nothing(running: Running, logs: Logs) -> None:
    running.start(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000)))
    crowd = [running.enrol(author(number)) for number in range(1, 9)]
    acks: dict[bytes, int] = {}
    refusal = fill_until_refused(running, crowd, acks)
    assert refusal.code in ("disk-full", "disk-error")
    check_after_trouble(running, logs, acks, refusal)


def test_a_full_disk_stops_the_ledger_and_loses_nothing(running: Running, logs: Logs) -> None:
    disk = running.folder / "ledger"
    disk.mkdir(mode=0o700)
    mounted = (
        os.geteuid() == 0
        and shutil.which("mount") is not None
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("a small file system can be mounted by root only")
    try:
        running.start()
        crowd = [running.enrol(author(number)) for number in range(1, 9)]
        acks: dict[bytes, int] = {}
        refusal = fill_until_refused(running, crowd, acks)
        assert refusal.code == "disk-full"
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        check_after_trouble(running, logs, acks, refusal)
    finally:
        if running.process is not None and running.process.poll() is None:
            running.process.kill()
            running.process.communicate()
        subprocess.run(["umount", str(disk)], check=True)


def test_a_ledger_listens_on_this_machine_only(tmp_path: Path) -> None:
    for address in ("tcp://0.0.0.0:7700", "tcp://192.168.1.4:7700", "tcp://*:7700", "udp://127.0.0.1:1"):
        with pytest.raises(StartError, match="local"):
            run(tmp_path / "ledger", address, ORIGIN, lambda: True)
    with pytest.raises(StartError, match="cannot listen"):
        run(tmp_path / "ledger", f"ipc://{tmp_path}/no/such/folder/a.ipc", ORIGIN, lambda: True)
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot make"):
        run(tmp_path / "file" / "ledger", "inproc://x", ORIGIN, lambda: True)


# --- the link by itself, against a socket of the test -----------------------------------------------------------------


class Far:
    """The ledger's end, played by the test."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind("inproc://ledger")
        self.clock = ManualClock()
        self.link = LedgerLink("inproc://ledger", self.clock, waiting_max=3, context=self.context)
        self.peer = b""

    def asked(self) -> list[Asked]:
        found: list[Asked] = []
        while self.socket.poll(20):
            self.peer, frame = self.socket.recv_multipart()
            found.append(asked_decoder.decode(frame))
        return found

    def say(self, frame: bytes) -> list[object]:
        self.socket.send_multipart((self.peer, frame))
        assert self.link.socket.poll(1000)
        return list(self.link.poll())

    def status(self, boot: bytes, reason: str = "") -> list[object]:
        return self.say(encoder.encode(StatusIs(1, ORIGIN, "vkey", 4, not reason, reason, boot)))


@pytest.fixture
def far() -> Iterator[Far]:
    one = Far()
    yield one
    one.link.close()
    one.socket.close()
    one.context.term()


def ack(submit: Asked) -> bytes:
    return encoder.encode(Ack(submit.request, bytes(32), 0, 1, b"", 0, b""))


def test_a_link_is_up_while_statuses_come(far: Far) -> None:
    assert not far.link.up and far.link.reason == "the ledger does not answer"
    far.link.poll()
    assert [type(a) for a in far.asked()] == [Status]
    far.status(b"boot1")
    assert far.link.up and far.link.accepting
    far.status(b"boot1", "disk full")
    assert far.link.up and not far.link.accepting and far.link.reason == "disk full"
    far.clock.advance(2.1)
    assert not far.link.up and not far.link.accepting
    far.link.poll()
    assert [type(a) for a in far.asked()] == [Status]


def test_a_restarted_ledger_gets_what_it_did_not_answer_again(far: Far) -> None:
    far.link.poll()
    far.asked()
    far.status(b"boot1")
    for entry in (b"a", b"b", b"a"):
        far.link.submit(entry)
    first = far.asked()
    assert [s.entry for s in first if isinstance(s, Submit)] == [b"a", b"b"]
    assert [type(a) for a in far.say(ack(first[0]))] == [Ack]
    far.status(b"boot2")
    assert [s for s in far.asked() if isinstance(s, Submit)] == [first[1]]
    assert far.say(ack(first[0])) == [], "a second answer to the same submission is not passed on"
    far.clock.advance(5.1)
    far.status(b"boot2")
    assert [s for s in far.asked() if isinstance(s, Submit)] == [first[1]], "unanswered for long: sent again"
    assert len(far.say(ack(first[1]))) == 1 and far.link.waiting == 0


def test_a_link_holds_no_more_than_it_may(far: Far) -> None:
    for entry in (b"a", b"b", b"c"):
        far.link.submit(entry)
    with pytest.raises(LinkFull, match="3 entries"):
        far.link.submit(b"d")
    assert far.link.submit(b"a") == 1, "what waits already is not refused"
    far.link.poll()
    far.asked()
    assert far.say(encoder.encode(Refuse(2, bytes(32), "bad-entry", "no"))) != []
    far.link.submit(b"d")


def test_rubbish_from_the_far_end_is_no_answer(far: Far) -> None:
    far.link.poll()
    far.asked()
    for frame in (b"", b"\xc1", b"\x91" * 5000, b"\x92\x10\x01", encoder.encode(Status(1))):
        assert far.say(frame) == []
    far.status(b"boot")
    assert far.link.up
