"""The proof in a hello: whoever holds the signing key holds the token, and speaks this protocol.

Owns what is signed. Never decides who may come in (token, world).
"""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.net.messages import Hello
from server.net.protocol import PROTOCOL_HASH

CONTEXT = b"asclepion/hello/1\0"


def fingerprint(key: bytes) -> bytes:
    """The 16-byte name of a raw Ed25519 public key: who a person is to us."""
    return sha256(key).digest()[:16]


def to_be_signed(token: str, resume: bytes, protocol: bytes) -> bytes:
    """What the proof is a signature over."""
    return CONTEXT + sha256(resume or token.encode()).digest() + protocol


def make_hello(key: Ed25519PrivateKey, *, token: str = "", resume: bytes = b"") -> Hello:
    """A hello with either a join token or a resume secret."""
    proof = key.sign(to_be_signed(token, resume, PROTOCOL_HASH))
    return Hello(PROTOCOL_HASH, token, resume, key.public_key().public_bytes_raw(), proof)
