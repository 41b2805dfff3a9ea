"""The writer's stories: what is admitted, what is refused with which code, and what an acknowledgement is worth."""

from typing import Any

import pytest
from ledger_story import Author, Logs, accepted, author

from server.ledger.entry import Entry, key_entry, leaf_hash, seal_content, sign
from server.ledger.note import parse_vkey
from server.ledger.proof import verify_receipt
from server.ledger.wire import Ack, Refuse, Submit
from server.ledger.writer import Writer

PATIENT = bytes(range(16))


def code(answer: Ack | Refuse) -> str:
    return answer.code if isinstance(answer, Refuse) else "recorded"


def check_ack(writer: Writer, submit: Submit, ack: Ack) -> None:
    index, head = verify_receipt(ack.proof, leaf_hash(submit.entry), parse_vkey(writer.vkey))
    assert (index, head.size, head.origin) == (ack.index, ack.size, writer.origin)


def test_every_acknowledgement_carries_a_receipt_that_verifies(logs: Logs, ana: Author, bob: Author) -> None:
    writer = logs.open()
    asked = [ana.enrol(), bob.enrol()]
    acks = accepted(writer.record(asked))
    ana.kid, bob.kid = (ack.index for ack in acks)
    for size in (1, 2, 7, 256, 30):
        group = [(ana, bob)[i % 2].note(i) for i in range(size)]
        asked += group
        acks += accepted(writer.record(group))
    assert [ack.index for ack in acks] == list(range(len(asked)))
    for submit, ack in zip(asked, acks, strict=True):
        check_ack(writer, submit, ack)
    assert writer.kid(bob.actor) == 1 and writer.kid(bytes(16)) == -1


def test_the_same_entry_again_gets_its_index_again(logs: Logs, ana: Author) -> None:
    writer = logs.open()
    logs.fill(writer, ana, 300)
    note = ana.note()
    first = accepted(writer.record([note, note]))
    logs.fill(writer, ana, 5)
    again = accepted(writer.record([ana.note(), note]))[1]
    assert first[0].index == first[1].index == again.index and again.size > first[0].size
    check_ack(writer, note, again)
    writer.close()
    reopened = logs.open()
    check_ack(reopened, note, accepted(reopened.record([note]))[0])
    assert reopened.signed_size == writer.signed_size


def test_a_patients_entries_form_one_chain(logs: Logs, ana: Author) -> None:
    writer = logs.open()
    ana.kid = accepted(writer.record([ana.enrol()]))[0].index
    assert writer.chain(PATIENT) == (0, b"")
    first = ana.order(PATIENT, 0, b"")
    second = ana.order(PATIENT, 1, leaf_hash(first.entry))
    acks = accepted(writer.record([first, second]))
    assert (acks[1].patient_seq, acks[1].prev) == writer.chain(PATIENT) == (2, leaf_hash(second.entry))
    third = ana.order(PATIENT, 2, acks[1].prev)
    wrong = [
        ana.order(PATIENT, 1, leaf_hash(first.entry), consent_index=5),  # forks the chain
        ana.order(PATIENT, 3, leaf_hash(third.entry)),  # leaves a gap
        ana.order(PATIENT, 2, leaf_hash(first.entry)),  # cites another entry
        ana.order(PATIENT, 0, b"", consent_index=5),  # begins again
    ]
    assert [code(answer) for answer in writer.record(wrong)] == ["chain-moved"] * 4
    other = bytes(16)
    answers = writer.record([third, wrong[1], ana.order(other, 0, b""), ana.order(PATIENT, 2, acks[1].prev, epoch=1)])
    assert [code(answer) for answer in answers] == ["recorded", "recorded", "recorded", "chain-moved"]
    assert accepted(answers[2:3])[0].prev == writer.chain(other)[1]
    writer.close()
    assert logs.open().chain(PATIENT) == (4, leaf_hash(wrong[1].entry))


def test_what_is_refused_and_why(logs: Logs, ana: Author, bob: Author) -> None:
    writer = logs.open()
    ana.kid, bob.kid = (ack.index for ack in accepted(writer.record([ana.enrol(), bob.enrol()])))
    good, note = ana.order(PATIENT, 0, b""), ana.note()
    lost = Author(ana.key, kid=77)
    thief = Author(bob.key, kid=ana.kid)
    imposter = Submit(0, sign(Entry("note", 1, 1, ana.actor), bob.key, bob.kid))
    self_made = Submit(0, sign(Entry("key", 1, 1, ana.actor, extra=ana.public), bob.key, None))
    other_blob = seal_content(b"{}", bytes(32), bytes(12), bytes(32)).blob
    cases = {
        "bad-entry": [Submit(0, b"x"), Submit(0, note.entry + b"\0"), Submit(0, note.entry[1:])],
        "unknown-key": [lost.note(), Author(ana.key, kid=2).note()],  # 2 is within this group: not on record yet
        "bad-signature": [
            Submit(0, note.entry[:-1] + bytes((note.entry[-1] ^ 1,))), thief.note(), imposter, self_made,
        ],
        "bad-blob": [
            Submit(0, good.entry), Submit(0, good.entry, other_blob), Submit(0, note.entry, other_blob),
            Submit(0, note.entry, b"", b"wrapped"),
        ],
    }  # fmt: skip
    for wanted, group in cases.items():
        assert [code(answer) for answer in writer.record(group)] == [wanted] * len(group)
    mixed = [submit for group in cases.values() for submit in group]
    answers = writer.record([good, *mixed, note])
    assert code(answers[0]) == code(answers[-1]) == "recorded"
    assert not any(isinstance(answer, Ack) for answer in answers[1:-1])
    assert writer.signed_size == 4 and writer.stopped is None


def test_one_author_cannot_crowd_out_the_others(logs: Logs, ana: Author, bob: Author) -> None:
    writer = logs.open(actor_burst=10, actor_per_s=2.0, actors_tracked_max=2)
    ana.kid, bob.kid = (ack.index for ack in accepted(writer.record([ana.enrol(), bob.enrol()])))
    answers = writer.record([*(ana.note() for _ in range(12)), bob.note()])
    assert [code(answer) for answer in answers] == ["recorded"] * 9 + ["too-fast"] * 3 + ["recorded"]
    logs.clock.advance(1.0)
    assert [code(a) for a in writer.record([ana.note() for _ in range(3)])] == ["recorded", "recorded", "too-fast"]
    forged = Submit(0, sign(Entry("note", 5, 5, bob.actor), ana.key, bob.kid))
    assert {code(a) for a in writer.record([forged] * 50)} == {"bad-signature"}
    assert code(writer.record([bob.note()])[0]) == "recorded", "what others forge in one's name costs one nothing"


def test_many_authors_are_not_remembered_for_ever(logs: Logs) -> None:
    writer = logs.open(actors_tracked_max=3, actor_burst=2, actor_per_s=1.0)
    for number in range(1, 12):
        accepted(writer.record([author(number).enrol()]))
    assert len(writer._rates._buckets) <= 3


def test_a_full_log_says_so_and_keeps_what_it_has(logs: Logs, ana: Author) -> None:
    writer = logs.open(entries_max=5)
    ana.kid = accepted(writer.record([ana.enrol()]))[0].index
    notes = [ana.note() for _ in range(6)]
    assert [code(answer) for answer in writer.record(notes)] == ["recorded"] * 4 + ["log-full"] * 2
    assert [code(answer) for answer in writer.record(notes)] == ["recorded"] * 4 + ["log-full"] * 2


def test_sealed_content_lies_beside_the_log_and_never_on_it(logs: Logs, ana: Author) -> None:
    writer = logs.open()
    ana.kid = accepted(writer.record([ana.enrol()]))[0].index
    order = ana.order(PATIENT, 0, b"")
    number = accepted(writer.record([order]))[0].index
    writer.publish(at_once=True)
    assert writer._store.content(number) == (order.blob, b"wrapped")
    assert writer._store.content(0) is None
    for file in writer.public.rglob("*"):
        if file.is_file():
            assert order.blob[:20] not in file.read_bytes() and b"wrapped" not in file.read_bytes()


def test_public_files_appear_at_most_once_a_second(logs: Logs, ana: Author) -> None:
    writer = logs.open()
    writer.publish()
    assert writer.published_size == 0, "an empty log shows its checkpoint at once"
    logs.fill(writer, ana, 3, publish=False)
    writer.publish()
    assert writer.published_size == 0
    logs.clock.advance(1.0)
    writer.publish()
    assert writer.published_size == 4
    before = (writer.public / "checkpoint").stat().st_mtime_ns
    logs.clock.advance(5.0)
    writer.publish()
    assert (writer.public / "checkpoint").stat().st_mtime_ns == before, "nothing new, nothing written"


def test_partial_tiles_go_once_the_tile_is_full(logs: Logs, ana: Author) -> None:
    writer = logs.open()
    logs.fill(writer, ana, 200, group=20)
    assert len(list((writer.public / "tile/0/000.p").iterdir())) == 10
    logs.fill(writer, ana, 100, group=20)
    assert not (writer.public / "tile/0/000.p").exists() and not (writer.public / "tile/entries/000.p").exists()
    assert (writer.public / "tile/0/000").stat().st_size == 8192


def test_key_entries_are_looked_up_by_their_newest_index(logs: Logs, ana: Author) -> None:
    writer = logs.open()
    accepted(writer.record([ana.enrol(), ana.note()][:1]))
    later = Submit(0, key_entry(ana.key, 1_800_000_000_000, 9))
    ana.kid = accepted(writer.record([later]))[0].index
    assert writer.kid(ana.actor) == ana.kid == 1
    accepted(writer.record([ana.note(), Author(ana.key, kid=0, count=50).note()]))
    writer.close()
    assert logs.open().kid(ana.actor) == 1


def test_limits_that_contradict_each_other_are_refused(logs: Logs) -> None:
    wrong: dict[str, Any]
    for wrong in ({"group_max": 0}, {"actor_burst": 0}, {"actor_per_s": 0.0}):
        with pytest.raises(ValueError, match="group_max"):
            logs.open(**wrong)
