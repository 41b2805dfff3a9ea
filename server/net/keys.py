"""The secrets of the wire in files: the CURVE pair of native clients, the token key, and other 32-byte secrets.

Owns their making (0600, whole or not at all) and reading (refused when others may read them). Never prints one.
"""

import os
from pathlib import Path
from typing import NamedTuple

import zmq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET_BYTES = 32
Z85_CHARS = 40


class CurvePair(NamedTuple):
    """A CURVE key pair, both halves z85 text."""

    public: str
    secret: str


def load_or_make_secret(folder: Path, name: str) -> bytes:
    """The 32 bytes of DATA/keys/`name`.key, made if there are none. Raises PermissionError, ValueError, OSError."""
    return _load_or_make(folder / f"{name}.key", os.urandom(SECRET_BYTES))


def load_or_make_token_key(folder: Path) -> Ed25519PrivateKey:
    """The key that join and feed tokens are signed with. Errors as `load_or_make_secret`."""
    return Ed25519PrivateKey.from_private_bytes(load_or_make_secret(folder, "token"))


def load_or_make_curve(folder: Path) -> CurvePair:
    """The server's CURVE pair. Errors as `load_or_make_secret`; ValueError for text that is no z85 key."""
    path = folder / "curve.key"
    secret = _load_or_make(path, zmq.curve_keypair()[1])
    try:
        return CurvePair(zmq.curve_public(secret).decode(), secret.decode())
    except (zmq.ZMQError, UnicodeDecodeError) as bad:
        raise ValueError(f"{path} is no CURVE key: {Z85_CHARS} characters of z85 are expected") from bad


def _load_or_make(path: Path, fresh: bytes) -> bytes:
    """What the file holds; or `fresh`, written under another name first so that it is never half there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _write_once(path, fresh)
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{path} may be read by others; set its mode to 0600")
    found = path.read_bytes()
    if len(found) != len(fresh):
        raise ValueError(f"{path} has {len(found)} bytes, it must have {len(fresh)}")
    return found


def _write_once(path: Path, data: bytes) -> None:
    """Make the file unless somebody else just did."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        temporary.unlink()
