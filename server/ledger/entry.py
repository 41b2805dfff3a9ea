"""The log's entry: one tagged COSE_Sign1 (RFC 9052) over a fixed CBOR array, signed by the party that acts.

Owns the bytes of an entry, both ways, its leaf hash, and how clinical content is sealed and committed to. Never reads a
clock, a file or a socket, and never re-encodes what it received: signatures and hashes are over the bytes as they came.

    entry      = 18([protected: bstr, {}, payload: bstr, signature: bstr .size 64])
    protected  = {1: -8 (EdDSA), 3: CONTENT_TYPE, 4: kid}      kid: 8 bytes big endian, empty in a `key` entry
    payload    = [version, type, time_ms, tick, patient, patient_seq, prev, actor, purpose, consent_index, commit,
                  ct_hash, compartment, epoch, rules_hash, extra]

Only the shortest (RFC 8949 core deterministic) encoding is accepted; everything else is an EntryError.
"""

import hmac
import re
import struct
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
CONTENT_TYPE = "application/vnd.asclepion.entry+cbor"
ENTRY_BYTES_MAX = 2048
INT_MAX = (1 << 53) - 1  # what a browser holds exactly
NO_CONSENT = -1
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")

_FIELD_PRIME = 2**255 - 19
_ORDER_8_Y = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)  # RFC 8032's curve has three pairs of small-order y besides 0: 1, -1 and this one with its negative
_SMALL_ORDER_Y = frozenset({0, 1, _FIELD_PRIME - 1, _ORDER_8_Y, _FIELD_PRIME - _ORDER_8_Y})


class EntryError(ValueError):
    """Bytes that are no acceptable entry, or content that is not what an entry commits to. Never names content."""


class Rule(NamedTuple):
    """What entries of one type must carry: True must, False must not, None may."""

    patient: bool | None
    content: bool | None
    extra_sizes: tuple[int, ...]


TYPES: dict[str, Rule] = {
    "key": Rule(False, False, (32,)),  # extra: the raw Ed25519 public key that is put on record
    "order": Rule(True, True, (0,)),
    "access": Rule(True, None, (0, 16)),  # extra: fingerprint of the reader's key, when another key signs for them
    "alarm-ack": Rule(True, None, (0, 16)),  # extra: fingerprint of the clinician, when another key signs for them
    "session": Rule(None, None, (0, 16)),  # extra: fingerprint of the person whose session it is
    "note": Rule(None, None, (0,)),
}


class Entry(NamedTuple):
    """What an entry says. Byte strings have the one length given, or are empty where that is said."""

    type: str  # one of TYPES
    time_ms: int  # Unix time by the author's clock
    tick: int  # the world's tick by the author's knowledge
    actor: bytes  # 16: fingerprint of the signing key
    patient: bytes = b""  # 16: pseudonym, random per patient and log; or empty
    patient_seq: int = 0  # 0 for the patient's first entry, then without a gap
    prev: bytes = b""  # 32: leaf hash of the patient's entry before; empty at seq 0
    purpose: str = "TREAT"  # HL7 v3 PurposeOfUse code
    consent_index: int = NO_CONSENT  # log index of the consent decided by, or -1
    commit: bytes = b""  # 32: HMAC-SHA256(salt, content); or empty
    ct_hash: bytes = b""  # 32: SHA-256(blob); or empty
    compartment: str = "general"
    epoch: int = 0  # of the compartment's key
    rules_hash: bytes = b""  # 32: SHA-256 of the rules decided by; or empty
    extra: bytes = b""  # see TYPES
    version: int = VERSION


class SignedEntry(NamedTuple):
    """An entry as it came: what it says, and the exact bytes the signature is over."""

    entry: Entry
    kid: int | None  # log index of the key entry; None in a self-signed `key` entry
    protected: bytes
    payload: bytes
    signature: bytes


# --- writing ----------------------------------------------------------------------------------------------------------


def _head(major: int, value: int) -> bytes:
    """CBOR initial byte(s): `major` type 0..7 with `value` in the shortest form."""
    first = major << 5
    if value < 24:
        return bytes((first | value,))
    for more, size in ((24, 1), (25, 2), (26, 4)):
        if value < 1 << (8 * size):
            return bytes((first | more,)) + value.to_bytes(size, "big")
    return bytes((first | 27,)) + value.to_bytes(8, "big")


def _item(value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    text = value.encode()
    return _head(3, len(text)) + text


ORDER = (
    "version", "type", "time_ms", "tick", "patient", "patient_seq", "prev", "actor", "purpose", "consent_index",
    "commit", "ct_hash", "compartment", "epoch", "rules_hash", "extra",
)  # fmt: skip
assert sorted(ORDER) == sorted(Entry._fields)
FIELD_COUNT = len(ORDER)


def encode_payload(entry: Entry) -> bytes:
    """The payload array as deterministic CBOR."""
    return _head(4, FIELD_COUNT) + b"".join(_item(getattr(entry, name)) for name in ORDER)


def encode_protected(kid: int | None) -> bytes:
    """The protected header: algorithm, content type, kid."""
    raw = b"" if kid is None else struct.pack(">Q", kid)
    return b"\xa3\x01\x27\x03" + _item(CONTENT_TYPE) + b"\x04" + _item(raw)


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """RFC 9052 section 4.4: Sig_structure of a COSE_Sign1 without external data."""
    return b"\x84\x6aSignature1" + _item(protected) + b"\x40" + _item(payload)


def fingerprint(public_key: bytes) -> bytes:
    """The 16-byte name of a raw Ed25519 public key."""
    return sha256(public_key).digest()[:16]


def sign(entry: Entry, private_key: Ed25519PrivateKey, kid: int | None) -> bytes:
    """The entry's bytes, signed. `kid` is the log index of the key's entry, None only for a `key` entry itself.

    Raises EntryError when the entry breaks a rule of the format.
    """
    check_entry(entry, kid)
    protected, payload = encode_protected(kid), encode_payload(entry)
    signature = private_key.sign(to_be_signed(protected, payload))
    raw = b"\xd2\x84" + _item(protected) + b"\xa0" + _item(payload) + _item(signature)
    if len(raw) > ENTRY_BYTES_MAX:
        raise EntryError(f"entry is {len(raw)} bytes, at most {ENTRY_BYTES_MAX} are allowed")
    return raw


def key_entry(private_key: Ed25519PrivateKey, time_ms: int, tick: int) -> bytes:
    """The self-signed entry that puts the key on record."""
    public = private_key.public_key().public_bytes_raw()
    return sign(Entry("key", time_ms, tick, fingerprint(public), purpose="HSYSADMIN", extra=public), private_key, None)


# --- reading ----------------------------------------------------------------------------------------------------------


class _Reader:
    """Takes one CBOR item after the other off `data`; only the shortest form and definite lengths exist."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise EntryError(f"entry ends at byte {len(self.data)}, {count} bytes were announced at {self.at}")
        part, self.at = self.data[self.at : end], end
        return part

    def head(self) -> tuple[int, int]:
        start = self.at
        first = self.take(1)[0]
        major, value = first >> 5, first & 31
        if value > 27:
            raise EntryError(f"byte {start}: indefinite lengths and reserved forms are not allowed")
        if value >= 24:
            value = int.from_bytes(self.take(1 << (value - 24)), "big")
            if len(_head(major, value)) != self.at - start:
                raise EntryError(f"byte {start}: number not in its shortest form")
        return major, value

    def expect(self, major: int, what: str) -> int:
        start = self.at
        got, value = self.head()
        if got != major:
            raise EntryError(f"byte {start}: {what} must be CBOR major type {major}, got {got}")
        return value

    def bytes_(self, what: str) -> bytes:
        return self.take(self.expect(2, what))

    def text(self, what: str) -> str:
        start = self.at
        try:
            return self.take(self.expect(3, what)).decode()
        except UnicodeDecodeError:
            raise EntryError(f"byte {start}: {what} is not UTF-8") from None

    def number(self, what: str) -> int:
        start = self.at
        major, value = self.head()
        if major > 1 or value > INT_MAX:
            raise EntryError(f"byte {start}: {what} must be an integer within 2^53")
        return value if major == 0 else -1 - value

    def end(self, what: str) -> None:
        if self.at != len(self.data):
            raise EntryError(f"{len(self.data) - self.at} bytes after the end of the {what}")


_READ_AS = {int: _Reader.number, bytes: _Reader.bytes_, str: _Reader.text}
_READERS = tuple((name, _READ_AS[Entry.__annotations__[name]]) for name in ORDER)


def _decode_payload(payload: bytes) -> Entry:
    reader = _Reader(payload)
    count = reader.expect(4, "payload")
    if count != FIELD_COUNT:
        raise EntryError(f"payload has {count} fields, version {VERSION} has {FIELD_COUNT}")
    values = {name: read(reader, name) for name, read in _READERS}
    reader.end("payload")
    return Entry(**values)  # type: ignore[arg-type]


def _decode_kid(protected: bytes) -> int | None:
    """The kid of a protected header; the header must be exactly what `encode_protected` writes."""
    if protected == encode_protected(None):
        return None
    kid = int.from_bytes(protected[-8:], "big")
    if protected != encode_protected(kid):
        raise EntryError("protected header must be exactly algorithm EdDSA, the entry content type, and an 8-byte kid")
    return kid


def open_entry(data: bytes) -> SignedEntry:
    """Decode an entry strictly. The signature is not checked here: see `verify`. Raises EntryError."""
    if len(data) > ENTRY_BYTES_MAX:
        raise EntryError(f"entry is {len(data)} bytes, at most {ENTRY_BYTES_MAX} are allowed")
    reader = _Reader(data)
    if reader.take(2) != b"\xd2\x84":
        raise EntryError("an entry is a tagged COSE_Sign1: it begins with d2 84")
    protected = reader.bytes_("protected header")
    if reader.take(1) != b"\xa0":
        raise EntryError("the unprotected header must be empty")
    payload, signature = reader.bytes_("payload"), reader.bytes_("signature")
    reader.end("entry")
    if len(signature) != 64:
        raise EntryError(f"signature is {len(signature)} bytes, Ed25519 has 64")
    kid = _decode_kid(protected)
    entry = _decode_payload(payload)
    check_entry(entry, kid)
    return SignedEntry(entry, kid, protected, payload, signature)


def check_entry(entry: Entry, kid: int | None) -> None:
    """Check lengths, ranges and the rules of the entry's type; raises EntryError."""
    rule = TYPES.get(entry.type)
    if entry.version != VERSION or rule is None:
        raise EntryError(f"entry of version {VERSION} and a type of {', '.join(TYPES)} is allowed")
    _check_shape(entry)
    for name, must, got in (
        ("patient", rule.patient, bool(entry.patient)),
        ("content", rule.content, bool(entry.commit)),
    ):
        if must is not None and must != got:
            raise EntryError(f"{entry.type} entries {'must' if must else 'must not'} carry {name}")
    if len(entry.extra) not in rule.extra_sizes:
        raise EntryError(f"{entry.type} entries have extra of {rule.extra_sizes} bytes, got {len(entry.extra)}")
    if (kid is None) != (entry.type == "key"):
        raise EntryError("kid is empty in key entries and only there")
    if entry.type == "key":
        check_public_key(entry.extra)
        if entry.actor != fingerprint(entry.extra):
            raise EntryError("the actor of a key entry must be the fingerprint of the key it encloses")


_SIZES = {
    "patient": (0, 16), "prev": (0, 32), "actor": (16,), "commit": (0, 32), "ct_hash": (0, 32), "rules_hash": (0, 32),
}  # fmt: skip


def _check_shape(entry: Entry) -> None:
    for name, sizes in _SIZES.items():
        size = len(getattr(entry, name))
        if size not in sizes:
            raise EntryError(f"{name} is {size} bytes, allowed are {sizes}")
    for name in ("time_ms", "tick", "patient_seq", "epoch"):
        if not 0 <= getattr(entry, name) <= INT_MAX:
            raise EntryError(f"{name} must be 0 to 2^53 - 1")
    if not NO_CONSENT <= entry.consent_index <= INT_MAX:
        raise EntryError("consent_index must be -1 (none) to 2^53 - 1")
    for name in ("purpose", "compartment"):
        if not _WORD.fullmatch(getattr(entry, name)):
            raise EntryError(f"{name} must be 1 to 32 letters, digits and hyphens")
    if not entry.patient and entry.patient_seq:
        raise EntryError("patient_seq must be 0 without a patient")
    if bool(entry.prev) != bool(entry.patient_seq):
        raise EntryError("prev must be empty at patient_seq 0 and given after it")
    if bool(entry.commit) != bool(entry.ct_hash):
        raise EntryError("commit and ct_hash go together")


def check_public_key(raw: bytes) -> None:
    """Refuse what is no Ed25519 public key, or one that signs anything (small order, RFC 8032 and its encodings)."""
    y = int.from_bytes(raw, "little") & ((1 << 255) - 1)
    if len(raw) != 32 or y >= _FIELD_PRIME or y in _SMALL_ORDER_Y:
        raise EntryError("not an acceptable Ed25519 public key")


def verify(signed: SignedEntry, public_key: bytes) -> None:
    """Check the author's signature and that the actor is this key; raises EntryError."""
    if signed.entry.actor != fingerprint(public_key):
        raise EntryError("the actor is not the key that the kid names")
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signed.signature, to_be_signed(signed.protected, signed.payload))
    except (InvalidSignature, ValueError):
        raise EntryError("the signature does not verify") from None


def leaf_hash(data: bytes) -> bytes:
    """RFC 6962 leaf hash of an entry's bytes."""
    return sha256(b"\x00" + data).digest()


# --- content ----------------------------------------------------------------------------------------------------------


class Sealed(NamedTuple):
    """Content off the log (`blob` = nonce || AES-256-GCM ciphertext and tag) and what the entry says of it."""

    blob: bytes
    commit: bytes
    ct_hash: bytes


def commitment(content: bytes, salt: bytes) -> bytes:
    """Hiding and binding: HMAC-SHA256 under a secret 32-byte salt."""
    assert len(salt) == 32
    return hmac.digest(salt, content, "sha256")


def seal_content(plaintext: bytes, key: bytes, nonce: bytes, salt: bytes) -> Sealed:
    """Encrypt content under a fresh 32-byte key with a 12-byte nonce, and commit to it under a fresh 32-byte salt."""
    assert len(key) == 32 and len(nonce) == 12, "caller checks lengths"
    blob = nonce + AESGCM(key).encrypt(nonce, plaintext, None)
    return Sealed(blob, commitment(plaintext, salt), sha256(blob).digest())


def open_content(entry: Entry, blob: bytes, key: bytes, salt: bytes) -> bytes:
    """The content an entry commits to; raises EntryError when blob, key or salt are not the entry's."""
    if sha256(blob).digest() != entry.ct_hash or len(blob) < 28:
        raise EntryError("the blob is not the one the entry names")
    try:
        plaintext = AESGCM(key).decrypt(blob[:12], blob[12:], None)
    except InvalidTag:
        raise EntryError("the key does not open the blob") from None
    if not hmac.compare_digest(commitment(plaintext, salt), entry.commit):
        raise EntryError("the content is not what the entry commits to")
    return plaintext
