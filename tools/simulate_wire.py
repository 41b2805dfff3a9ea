"""The memory wire of the simulation: it notes what is said to whom.

Owns the notes of one tick. Decides nothing.
"""

from collections.abc import Sequence

from server.net.memory import MemoryWire
from server.net.wire import Peer


class TappedWire(MemoryWire):
    """`said`: (peers, frame) of this tick, in order."""

    said: list[tuple[tuple[Peer, ...], bytes]]

    def begin_tick(self) -> None:
        """Forget the tick before."""
        self.said = []

    def post(self, peers: Sequence[Peer], frame: bytes) -> None:
        """See AnyWire."""
        self.said.append((tuple(peers), frame))
        super().post(peers, frame)

    @property
    def strangers(self) -> int:
        """Connections that have not said hello."""
        return self._natives.strangers

    @property
    def queued_bytes_max(self) -> int:
        """What waits for the native peer for whom most waits."""
        return self._natives.queued_bytes_max

    def pipes(self) -> list[tuple[int, int]]:
        """(messages held, capacity) of every pipe."""
        clients = [(len(end.received), end.capacity) for end in self._clients.values()]
        return clients + [(len(end.received), end.capacity) for end in self._links.values()]
