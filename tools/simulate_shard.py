"""The house of the simulation: the real shard and ledger with a tapped wire, a journal that dies, and keys from a seed.

Owns nothing but these few changes to `tools.memory_house`.
"""

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.journal import Header, Journal
from server.shard import Shard
from server.world.events import Event
from tools.memory_house import House
from tools.simulate_faults import DyingJournal
from tools.simulate_wire import TappedWire


class WatchedShard(Shard):
    """The shard, keeping the events of its last tick."""

    happened: list[Event]

    def _commit(self, events: list[Event], unix_s: float) -> None:
        self.happened = events
        super()._commit(events, unix_s)


class SimulatedHouse(House):
    """A house whose wire is tapped and whose machines die when told to."""

    shard: WatchedShard
    wire: TappedWire
    shard_class: type[WatchedShard] = WatchedShard

    def new_wire(self) -> TappedWire:
        """See House."""
        wire = TappedWire(self.config.limits, self.config.tick_hz)
        wire.begin_tick()
        return wire

    def new_journal(self, header: Header) -> Journal:
        """See House."""
        return DyingJournal(self.folder, header)

    def new_shard(self, *parts: object) -> Shard:
        """See House."""
        world, *others = parts
        return self.shard_class(self.config, world, self.wire, *others)  # type: ignore[arg-type]


def make_log_key(folder: Path, seed: int) -> None:
    """The log's key comes from the seed too, so that receipts are the same in every run."""
    folder.mkdir(parents=True, mode=0o700)
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"log %d" % seed).digest())
    path = folder / "log.key"
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
