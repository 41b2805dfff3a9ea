"""Entries: the golden bytes, other people's COSE and CBOR, and everything that must not decode."""

from typing import Any

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pycose.keys import OKPKey
from pycose.messages import Sign1Message

from server.ledger import verify as checker
from server.ledger.entry import (
    INT_MAX,
    ORDER,
    TYPES,
    Entry,
    EntryError,
    check_public_key,
    fingerprint,
    leaf_hash,
    open_content,
    open_entry,
    seal_content,
    sign,
    verify,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
NOTE = sign(Entry("note", 1_700_000_000_000, 5, fingerprint(PUBLIC), patient=bytes(range(16))), KEY, 3)


def as_entry(fields: dict[str, Any]) -> Entry:
    kinds = Entry.__annotations__
    return Entry(**{name: bytes.fromhex(value) if kinds[name] is bytes else value for name, value in fields.items()})


def test_golden_entries_come_out_byte_for_byte_and_read_back(vectors: dict[str, Any]) -> None:
    for case in vectors["entries"]:
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["seed"]))
        entry = as_entry(case["fields"])
        raw = sign(entry, key, case["kid"])
        assert raw.hex() == case["entry"], case["name"]
        assert leaf_hash(raw).hex() == case["leaf"]
        signed = open_entry(raw)
        assert (signed.entry, signed.kid) == (entry, case["kid"])
        verify(signed, bytes.fromhex(vectors["public_keys"][case["seed"]]))


def test_golden_refusals_are_refused_by_both_readers(vectors: dict[str, Any]) -> None:
    for case in vectors["refused"]:
        raw = bytes.fromhex(case["entry"])
        with pytest.raises(EntryError):
            open_entry(raw)
    assert len({case["entry"] for case in vectors["refused"]}) == len(vectors["refused"]) > 20
    for case in vectors["bad_signatures"]:
        with pytest.raises(EntryError):
            verify(open_entry(bytes.fromhex(case["entry"])), bytes.fromhex(case["public_key"]))


def test_a_foreign_cose_library_verifies_our_entries(vectors: dict[str, Any]) -> None:
    for case in vectors["entries"]:
        parts = list(cbor2.loads(bytes.fromhex(case["entry"])).value)
        message = Sign1Message.from_cose_obj([parts[0], dict(parts[1]), *parts[2:]], True)
        public = bytes.fromhex(vectors["public_keys"][case["seed"]])
        message.key = OKPKey(crv="ED25519", x=public, optional_params={"KEY_OPS": ["VERIFY"]})
        assert message.verify_signature()
        message._signature = bytes(64)
        assert not message.verify_signature()


def test_a_foreign_cbor_library_reads_the_same_and_writes_the_same_bytes(vectors: dict[str, Any]) -> None:
    for case in vectors["entries"]:
        raw = bytes.fromhex(case["entry"])
        outer = cbor2.loads(raw)
        assert outer.tag == 18
        payload = cbor2.loads(outer.value[2])
        assert dict(zip(ORDER, payload, strict=True)) == as_entry(case["fields"])._asdict()
        assert cbor2.dumps(payload, canonical=True) == outer.value[2]
        header = cbor2.loads(outer.value[0])
        assert cbor2.dumps(header, canonical=True) == outer.value[0]
        assert list(header) == [1, 3, 4]


def test_the_checker_reads_what_the_writer_writes(vectors: dict[str, Any]) -> None:
    for case in vectors["entries"]:
        kid, fields, signed, signature = checker.parse_entry(bytes.fromhex(case["entry"]))
        opened = open_entry(bytes.fromhex(case["entry"]))
        assert (kid, signature) == (opened.kid, opened.signature)
        assert dict(zip(ORDER, fields, strict=True)) == opened.entry._asdict()
        assert signed.hex() == case["to_be_signed"]


PATIENTS = st.binary(min_size=16, max_size=16)
NUMBERS = st.integers(0, INT_MAX)
HASHES = st.binary(min_size=32, max_size=32)
WORDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}", fullmatch=True)


@st.composite
def entries(draw: st.DrawFn) -> tuple[Entry, int | None]:
    kind = draw(st.sampled_from(sorted(TYPES)))
    if kind == "key":
        return Entry("key", draw(NUMBERS), draw(NUMBERS), fingerprint(PUBLIC), purpose=draw(WORDS), extra=PUBLIC), None
    rule = TYPES[kind]
    patient = rule.patient if rule.patient is not None else draw(st.booleans())
    content = rule.content if rule.content is not None else draw(st.booleans())
    seq = draw(NUMBERS) if patient else 0
    size = draw(st.sampled_from(rule.extra_sizes))
    return Entry(
        kind, draw(NUMBERS), draw(NUMBERS), fingerprint(PUBLIC), patient=draw(PATIENTS) if patient else b"",
        patient_seq=seq, prev=draw(HASHES) if seq else b"", purpose=draw(WORDS),
        consent_index=draw(st.integers(-1, INT_MAX)), commit=draw(HASHES) if content else b"",
        ct_hash=draw(HASHES) if content else b"", compartment=draw(WORDS), epoch=draw(NUMBERS),
        rules_hash=draw(HASHES | st.just(b"")), extra=draw(st.binary(min_size=size, max_size=size)),
    ), draw(st.integers(0, (1 << 64) - 1))  # fmt: skip


@given(entries())
def test_every_entry_reads_back_as_it_was_written(made: tuple[Entry, int | None]) -> None:
    entry, kid = made
    raw = sign(entry, KEY, kid)
    signed = open_entry(raw)
    assert (signed.entry, signed.kid) == (entry, kid)
    verify(signed, PUBLIC)
    assert checker.parse_entry(raw)[0] == kid


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_but_an_entry_error(data: bytes) -> None:
    with pytest.raises(EntryError):
        open_entry(data)


@given(st.integers(0, len(NOTE) - 1), st.integers(1, 255), st.booleans())
def test_a_changed_byte_is_refused_or_fails_the_signature(at: int, change: int, cut: bool) -> None:
    data = NOTE[:at] + (b"" if cut else bytes((NOTE[at] ^ change,))) + NOTE[at + 1 :]
    with pytest.raises(EntryError):
        verify(open_entry(data), PUBLIC)
    with pytest.raises((ValueError, IndexError, InvalidSignature)):
        _, _, signed, signature = checker.parse_entry(data)
        KEY.public_key().verify(signature, signed)


@given(st.data())
def test_whatever_is_accepted_is_the_one_encoding(data: st.DataObject) -> None:
    """Mutants of the payload under a good signature: accepted ones encode again to the same bytes."""
    start = NOTE.index(b"\x90\x01")
    at = data.draw(st.integers(start, len(NOTE) - 66))
    mutant = NOTE[:at] + data.draw(st.binary(min_size=1, max_size=3)) + NOTE[at + 1 :]
    try:
        signed = open_entry(mutant)
    except EntryError:
        return
    again = sign(signed.entry, KEY, signed.kid)
    assert again[:-64] == mutant[:-64]


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "consent"}, {"version": 2}, {"patient": b""}, {"patient": bytes(15)}, {"actor": bytes(15)},
        {"prev": bytes(32)}, {"patient_seq": 1}, {"purpose": ""}, {"purpose": "x" * 33}, {"purpose": "a b"},
        {"compartment": "ä"}, {"commit": b""}, {"ct_hash": b""}, {"commit": b"", "ct_hash": b""}, {"epoch": -1},
        {"extra": bytes(16)},
        {"time_ms": INT_MAX + 1}, {"consent_index": -2}, {"rules_hash": bytes(31)}, {"type": "key"},
    ],
)  # fmt: skip
def test_an_entry_that_breaks_a_rule_is_not_signed(changes: dict[str, Any]) -> None:
    sealed = seal_content(b"{}", bytes(32), bytes(12), bytes(32))
    good = Entry("order", 1, 1, fingerprint(PUBLIC), patient=bytes(16), commit=sealed.commit, ct_hash=sealed.ct_hash)
    sign(good, KEY, 0)
    with pytest.raises(EntryError):
        sign(good._replace(**changes), KEY, 0)


def test_keys_that_sign_anything_are_refused() -> None:
    field = 2**255 - 19
    order_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    torsion = int.from_bytes(order_8, "little")
    for y in (0, 1, field - 1, torsion, field - torsion, field, field + 1):
        for sign_bit in (0, 1 << 255):
            with pytest.raises(EntryError):
                check_public_key((y | sign_bit).to_bytes(32, "little"))
    with pytest.raises(EntryError):
        check_public_key(PUBLIC[:31])
    check_public_key(PUBLIC)


def test_content_opens_only_with_the_right_blob_key_and_salt(vectors: dict[str, Any]) -> None:
    given_ = {name: bytes.fromhex(value) for name, value in vectors["content"].items()}
    sealed = seal_content(given_["plaintext"], given_["key"], given_["nonce"], given_["salt"])
    assert sealed == (given_["blob"], given_["commit"], given_["ct_hash"])
    entry = Entry("order", 0, 0, bytes(16), patient=bytes(16), commit=sealed.commit, ct_hash=sealed.ct_hash)
    assert open_content(entry, sealed.blob, given_["key"], given_["salt"]) == given_["plaintext"]
    other = seal_content(b"{}", given_["key"], given_["nonce"], given_["salt"])
    for wrong, blob, key, salt in (
        (entry, sealed.blob[:-1], given_["key"], given_["salt"]),
        (entry, sealed.blob, bytes(32), given_["salt"]),
        (entry, sealed.blob, given_["key"], bytes(32)),
        (entry, other.blob, given_["key"], given_["salt"]),
        (entry._replace(ct_hash=other.ct_hash), other.blob, given_["key"], given_["salt"]),
    ):
        with pytest.raises(EntryError):
            open_content(wrong, blob, key, salt)
