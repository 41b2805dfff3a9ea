"""What lets a local tool into a server of this machine: join tokens minted with the server's key, and its CURVE key.

Owns reading DATA/keys. Only the user who runs the server can. Never makes a key.
"""

import time
from pathlib import Path

from server.config import Limits
from server.net.keys import load_or_make_curve, load_or_make_token_key
from server.net.token import Claims, TokenDesk
from server.world.commands import Role


class AccessError(ValueError):
    """The data directory does not hold the keys of a server that has been started."""


class Pass:
    """The keys of one data directory."""

    def __init__(self, data: Path) -> None:
        """Read them; raises AccessError."""
        keys = data / "keys"
        if not ((keys / "token.key").exists() and (keys / "curve.key").exists()):
            raise AccessError(f"{keys} holds no keys: is {data} the data directory of a server that was started?")
        try:
            self._desk = TokenDesk(load_or_make_token_key(keys), Limits())
            self.server_key = load_or_make_curve(keys).public.encode()
        except (OSError, ValueError) as error:
            raise AccessError(str(error)) from None

    def mint(self, name: str, role: Role, room: str) -> str:
        """A fresh join token."""
        return self._desk.mint_join(Claims(room, role, name), time.time())
