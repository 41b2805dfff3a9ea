"""Signed notes and verifier keys (C2SP signed-note) with Ed25519, signature type 0x01.

Owns the text around a signed text. Never says what the text means. Reads strictly: one way to write every note.
"""

import base64
import binascii
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NOTE_BYTES_MAX = 65_536
SIGNATURES_MAX = 64
_ED25519 = 1
_DASH = "\N{EM DASH} "


class NoteError(ValueError):
    """A note or verifier key that is malformed, or not signed as required."""


class VerifierKey(NamedTuple):
    """A named Ed25519 key: `name`, its 32-byte public key, and the 4-byte id that follows from both."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name, newline, type, public key)."""
        return sha256(self.name.encode() + b"\n" + bytes((_ED25519,)) + self.public_key).digest()[:4]

    def text(self) -> str:
        """name+hex key id+base64(type || public key)."""
        key = base64.b64encode(bytes((_ED25519,)) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"


class SignatureLine(NamedTuple):
    """One signature of a note, of any type."""

    name: str
    key_id: bytes
    signature: bytes


def decode_base64(text: str, what: str) -> bytes:
    """Standard base64 with padding and zero spare bits only; raises NoteError."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"{what} is not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise NoteError(f"{what} is not base64 in its one right form")
    return raw


def check_name(name: str) -> None:
    """Refuse a key name that is empty or has spaces, control characters or a plus."""
    if not name or "+" in name or not name.isprintable() or any(c.isspace() for c in name):
        raise NoteError("a key name must be printable, without spaces and plus signs")


def parse_vkey(text: str) -> VerifierKey:
    """Read a verifier key; raises NoteError unless it is Ed25519 and its id fits."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise NoteError("a verifier key has the form name+id+key")
    check_name(parts[0])
    raw = decode_base64(parts[2], "the verifier key")
    if len(raw) != 33 or raw[0] != _ED25519:
        raise NoteError("only Ed25519 verifier keys (type 1, 32 bytes) are allowed here")
    key = VerifierKey(parts[0], raw[1:])
    if key.key_id.hex() != parts[1]:
        raise NoteError(f"verifier key id is {parts[1][:16]}, name and key have {key.key_id.hex()}")
    return key


def sign_note(text: str, name: str, private_key: Ed25519PrivateKey) -> bytes:
    """`text` (ending in a newline) with one signature line."""
    assert text.endswith("\n")
    key = VerifierKey(name, private_key.public_key().public_bytes_raw())
    signature = base64.b64encode(key.key_id + private_key.sign(text.encode())).decode()
    return f"{text}\n{_DASH}{name} {signature}\n".encode()


def split_note(note: bytes) -> tuple[str, list[SignatureLine]]:
    """The signed text (with its last newline) and the signature lines, nothing verified; raises NoteError."""
    if len(note) > NOTE_BYTES_MAX:
        raise NoteError(f"note is {len(note)} bytes, at most {NOTE_BYTES_MAX} are allowed")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise NoteError("note is not UTF-8") from None
    if any(c < " " and c != "\n" for c in whole):
        raise NoteError("note has control characters")
    cut = whole.rfind("\n\n")
    if cut < 0 or not whole.endswith("\n"):
        raise NoteError("note needs a text, an empty line, and signature lines that end in a newline")
    lines = whole[cut + 2 :].split("\n")[:-1]
    if not 1 <= len(lines) <= SIGNATURES_MAX:
        raise NoteError(f"note has {len(lines)} signatures, allowed are 1 to {SIGNATURES_MAX}")
    return whole[: cut + 1], [_signature_line(line) for line in lines]


def _signature_line(line: str) -> SignatureLine:
    parts = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(parts) != 2:
        raise NoteError("a signature line has the form: dash, name, base64")
    check_name(parts[0])
    raw = decode_base64(parts[1], "a signature")
    if len(raw) < 5:
        raise NoteError("a signature is too short")
    return SignatureLine(parts[0], raw[:4], raw[4:])


def open_note(note: bytes, key: VerifierKey) -> str:
    """The text of a note that carries a good signature of `key`; raises NoteError.

    Signatures of other keys are ignored; one of `key` that does not verify refuses the note.
    """
    text, lines = split_note(note)
    own = [line for line in lines if (line.name, line.key_id) == (key.name, key.key_id)]
    if not own:
        raise NoteError(f"note is not signed by {key.name}")
    try:
        public = Ed25519PublicKey.from_public_bytes(key.public_key)
        for line in own:
            public.verify(line.signature, text.encode())
    except (InvalidSignature, ValueError):
        raise NoteError(f"the signature of {key.name} does not verify") from None
    return text
