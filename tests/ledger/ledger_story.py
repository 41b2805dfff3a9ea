"""What the ledger's tests share: authors with keys, and whole logs in a temporary folder with a hand-turned clock."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.clock import ManualClock
from server.ledger.disk import Disk
from server.ledger.entry import Entry, fingerprint, key_entry, seal_content, sign
from server.ledger.limits import LedgerLimits
from server.ledger.start import open_log
from server.ledger.wire import Ack, Refuse, Submit
from server.ledger.writer import Writer

ORIGIN = "asclepion.example/tests"


@dataclass
class Author:
    """Somebody with a key; `kid` once it is on record."""

    key: Ed25519PrivateKey
    kid: int = 0
    count: int = 0

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    @property
    def actor(self) -> bytes:
        return fingerprint(self.public)

    def enrol(self) -> Submit:
        return Submit(0, key_entry(self.key, 1_700_000_000_000, 0))

    def note(self, request: int = 0) -> Submit:
        """A different entry each time, of no patient."""
        self.count += 1
        entry = Entry("note", 1_700_000_000_000 + self.count, self.count, self.actor)
        return Submit(request, sign(entry, self.key, self.kid))

    def order(self, patient: bytes, seq: int, prev: bytes, request: int = 0, **changes: Any) -> Submit:
        sealed = seal_content(b'{"resourceType":"MedicationRequest"}', bytes(32), bytes(12), bytes(32))
        base = Entry("order", 1_700_000_000_000, seq, self.actor, patient=patient, patient_seq=seq, prev=prev)
        entry = base._replace(**{"commit": sealed.commit, "ct_hash": sealed.ct_hash} | changes)
        return Submit(request, sign(entry, self.key, self.kid), sealed.blob, b"wrapped")


def author(number: int) -> Author:
    return Author(Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big")))


@dataclass
class Logs:
    """Opens logs in `folder`; the clock is turned by hand."""

    folder: Path
    pool: ThreadPoolExecutor
    clock: ManualClock = field(default_factory=ManualClock)
    opened: list[Writer] = field(default_factory=list)

    def open(self, folder: Path | None = None, disk: Disk | None = None, **limits: Any) -> Writer:
        writer = open_log(folder or self.folder, ORIGIN, self.pool, self.clock, LedgerLimits(**limits), disk)
        self.opened.append(writer)
        return writer

    def fill(self, writer: Writer, who: Author, count: int, group: int = 50, publish: bool = True) -> list[Ack]:
        """Put the author on record and append `count` notes, published after each group."""
        acks = accepted(writer.record([who.enrol()]))
        who.kid = acks[0].index
        for start in range(0, count, group):
            acks += accepted(writer.record([who.note() for _ in range(min(group, count - start))]))
            if publish:
                writer.publish(at_once=True)
        return acks


def accepted(answers: list[Ack | Refuse]) -> list[Ack]:
    assert all(isinstance(answer, Ack) for answer in answers), [a for a in answers if isinstance(a, Refuse)][:1]
    return [answer for answer in answers if isinstance(answer, Ack)]
