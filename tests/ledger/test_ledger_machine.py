"""Random histories of a log: any order of entries, repeats, stale orders, restarts and crashes keeps its promises."""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from ledger_story import Author, Logs, accepted, author

from server.ledger.entry import leaf_hash
from server.ledger.note import parse_vkey
from server.ledger.proof import verify_receipt
from server.ledger.verify import verify
from server.ledger.wire import Ack, Refuse, Submit
from server.ledger.writer import Writer
from tools.faulty_disk import Crash, Faulty

PATIENTS = [bytes((number,)) * 16 for number in range(1, 4)]


class LogMachine(RuleBasedStateMachine):
    """The model: what was acknowledged, and the head of every patient's chain."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = ThreadPoolExecutor(1)
        self.home = Path(tempfile.mkdtemp(prefix="ledger"))
        self.logs = Logs(self.home / "0", self.pool)
        self.crashes = 0
        self.kept: dict[bytes, tuple[int, Submit]] = {}  # leaf -> index, submission
        self.chains: dict[bytes, tuple[int, bytes]] = dict.fromkeys(PATIENTS, (0, b""))
        self.receipt = b""
        self.disk: Faulty
        self.writer: Writer

    @initialize()
    def start(self) -> None:
        self.open()
        self.people: list[Author] = [author(1), author(2)]
        for one in self.people:
            one.kid = self.take([one.enrol()])[0].index

    def open(self) -> None:
        self.disk = Faulty()
        self.writer = self.logs.open(disk=self.disk)

    def take(self, group: list[Submit]) -> list[Ack]:
        acks = accepted(self.writer.record(group))
        for submit, ack in zip(group, acks, strict=True):
            assert self.kept.setdefault(ack.leaf, (ack.index, submit))[0] == ack.index
            self.receipt = ack.proof
        return acks

    def order(self, who: int, patient: bytes) -> Submit:
        made = self.people[who].order(patient, *self.chains[patient])
        self.chains[patient] = (self.chains[patient][0] + 1, leaf_hash(made.entry))
        return made

    @rule(who=st.integers(0, 1), notes=st.integers(0, 90), patients=st.lists(st.sampled_from(PATIENTS), max_size=5))
    def record(self, who: int, notes: int, patients: list[bytes]) -> None:
        group = [self.order(who, patient) for patient in patients] + [self.people[who].note() for _ in range(notes)]
        self.take(group)

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        picked = data.draw(st.lists(st.sampled_from(sorted(self.kept)), min_size=1, max_size=3))
        self.take([self.kept[leaf][1] for leaf in picked])

    @rule(who=st.integers(0, 1), patient=st.sampled_from(PATIENTS), ahead=st.integers(-2, 2).filter(bool))
    def stale(self, who: int, patient: bytes, ahead: int) -> None:
        seq = max(0, self.chains[patient][0] + ahead)
        if seq != self.chains[patient][0]:
            wrong = self.people[who].order(patient, seq, bytes(32) if seq else b"", epoch=9)
            answer = self.writer.record([wrong])[0]
            assert isinstance(answer, Refuse) and answer.code == "chain-moved"

    @rule()
    def publish(self) -> None:
        self.logs.clock.advance(1.0)
        self.writer.publish()

    @rule()
    def restart(self) -> None:
        self.writer.close()
        self.open()

    @rule(who=st.integers(0, 1), patient=st.sampled_from(PATIENTS), at=st.integers(0, 25), power=st.booleans())
    def crash(self, who: int, patient: bytes, at: int, power: bool) -> None:
        group = [self.order(who, patient), self.people[who].note()]
        self.disk.arm(at)
        try:
            self.take(group)
            self.logs.clock.advance(1.0)
            self.writer.publish()
        except Crash:
            pass
        if power:
            self.disk.cut_power()
        self.crashes += 1
        left = self.home / str(self.crashes)
        shutil.copytree(self.logs.folder, left)
        self.logs.folder = left
        self.open()
        self.take(group)

    @invariant()
    def chains_are_where_they_should_be(self) -> None:
        for patient, head in self.chains.items():
            assert self.writer.chain(patient) == head

    @invariant()
    def everything_acknowledged_is_there_once(self) -> None:
        assert self.writer.signed_size == len(self.kept)
        assert sorted(index for index, _ in self.kept.values()) == list(range(len(self.kept)))

    def teardown(self) -> None:
        try:
            self.writer.close()
            for leaf, (index, _) in self.kept.items():
                assert self.logs.open()._store.find(leaf) == index
                break
            assert verify(self.writer.public, since=self.receipt).size == len(self.kept)
            leaf = max(self.kept, key=lambda one: self.kept[one][0])
            proof = accepted(self.logs.open().record([self.kept[leaf][1]]))[0].proof
            assert verify_receipt(proof, leaf, parse_vkey(self.writer.vkey))[0] == len(self.kept) - 1
        finally:
            self.pool.shutdown()
            shutil.rmtree(self.home)


LogMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestLogMachine = LogMachine.TestCase
