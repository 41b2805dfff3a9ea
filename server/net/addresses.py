"""Where our processes on one machine meet: ipc addresses for a data directory.

Owns the run directory. Never opens a socket. ipc paths are limited to about 100 bytes by the kernel, so a deep data
directory gets a private folder under the temporary directory instead, named by a hash of its path.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

PATH_BYTES_MAX = 90


class Addresses(NamedTuple):
    """ZeroMQ endpoints of one installation."""

    edge: str
    views: str
    ledger: str


def run_directory(data: Path) -> Path:
    """Make (0700) and return the folder for sockets. Raises PermissionError if somebody else owns it."""
    folder = data.resolve() / "run"
    if len(os.fsencode(folder / "ledger.ipc")) > PATH_BYTES_MAX:
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"asclepion-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} must be a folder of the user who starts the server")
    folder.chmod(0o700)
    return folder


def addresses(data: Path) -> Addresses:
    """The endpoints for this data directory; makes the folder."""
    folder = run_directory(data)
    return Addresses(*(f"ipc://{folder / name}.ipc" for name in Addresses._fields))
