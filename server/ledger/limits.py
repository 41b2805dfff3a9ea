"""What one entry, one author and one log may cost."""

from dataclasses import dataclass

from server.ledger.entry import ENTRY_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLimits:
    """Sizes of messages are declared in `wire`; these are the rates and totals."""

    group_max: int = 256  # entries of one transaction
    queue_max: int = 2048  # messages waiting at the socket; more wait at the sender
    actor_per_s: float = 200.0  # entries of one author, sustained
    actor_burst: int = 1000
    actors_tracked_max: int = 4096
    entries_max: int = 50_000_000  # of one log; then a new one must be started
    publish_every_s: float = 1.0

    def __post_init__(self) -> None:
        """Check relations: what is admitted must fit into the formats."""
        assert ENTRY_BYTES_MAX < 1 << 16, "a bundle gives an entry's length 16 bits"
        if not 1 <= self.group_max <= 4096 or self.actor_burst < 1 or self.actor_per_s <= 0:
            raise ValueError("group_max must be 1 to 4096, actor_burst and actor_per_s above 0")
