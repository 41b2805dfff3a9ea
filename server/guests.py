"""Connected clients: which session, which client number, which room, which beds; and how words get to them.

Owns the tables that route. Never decides what is said; never changes the world.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from server.net.messages import Bye, Several, Welcome, encoder
from server.net.session import Session
from server.net.wire import AnyWire, Peer
from server.publish import Publisher
from server.reception import Newcomer
from server.world.events import WaveFrame


@dataclass(slots=True, eq=False)
class Guest:
    """A connected client: its session, and what the shard must know to route to it."""

    peer: Peer
    session: Session
    client: int
    newcomer: Newcomer
    welcome: Welcome | None  # held back until the world says where they are
    room: int = -1
    beds: set[int] = field(default_factory=set)  # beds where this guest may order


def frame_of(body: object) -> bytes:
    """A body as one frame."""
    return body.frame if isinstance(body, WaveFrame) else encoder.encode(body)


class Guests:
    """All connected clients of a shard."""

    def __init__(self, wire: AnyWire, publisher: Publisher) -> None:
        self._wire, self._publisher = wire, publisher
        self._by_peer: dict[Peer, Guest] = {}
        self._by_client: dict[int, Guest] = {}
        self._news: dict[int, list[bytes]] = {}
        self._rooms: dict[int, dict[Peer, Guest]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._by_peer)

    def __iter__(self) -> Iterator[Guest]:
        return iter(list(self._by_peer.values()))

    def at(self, peer: Peer) -> Guest | None:
        """The guest on this connection."""
        return self._by_peer.get(peer)

    def client(self, client: int) -> Guest | None:
        """The guest with this client number, if connected."""
        return self._by_client.get(client)

    def room(self, room: int) -> Iterable[Guest]:
        """The guests in a room, in the order they came."""
        return self._rooms[room].values()

    def add(self, guest: Guest) -> None:
        """A verified client is connected."""
        assert guest.client not in self._by_client, "one connection per client: the earlier one is ended first"
        self._by_peer[guest.peer] = self._by_client[guest.client] = guest

    def forget(self, guest: Guest) -> None:
        """The connection is no more."""
        self.leave_room(guest)
        del self._by_peer[guest.peer]
        del self._by_client[guest.client]

    def enter_room(self, guest: Guest, room: int) -> None:
        """From the next snapshot on the guest sees this room, and no other."""
        self.leave_room(guest)
        guest.room = room
        self._rooms[room][guest.peer] = guest
        self._publisher.enter(guest.peer, guest.client, room)

    def leave_room(self, guest: Guest) -> None:
        """The guest sees no room; the next snapshot is not theirs."""
        if guest.room >= 0:
            self._rooms[guest.room].pop(guest.peer, None)
            self._publisher.leave(guest.peer, guest.client, guest.room)
            guest.room = -1
            guest.beds.clear()

    def say(self, guest: Guest, body: object) -> None:
        """Send one body to one guest."""
        self._wire.post([guest.peer], frame_of(body))

    def note(self, room: int, body: object) -> None:
        """Something of a room that may wait until the end of the tick, to be told together with the like of it."""
        self._news.setdefault(room, []).append(frame_of(body))

    def tell_news(self) -> None:
        """Tell every room what was noted for it, in one frame."""
        news, self._news = self._news, {}
        for room, frames in news.items():
            frame = frames[0] if len(frames) == 1 else encoder.encode(Several(frames))
            self._wire.post([guest.peer for guest in self.room(room)], frame)

    def say_all(self, guests: Iterable[Guest], body: object) -> None:
        """Send one body, encoded once, to many."""
        self._wire.post([guest.peer for guest in guests], frame_of(body))

    def end(self, guest: Guest, code: str, text: str) -> None:
        """Say goodbye with a reason and forget the connection. The world is told by the caller."""
        self.say(guest, Bye(code, text[:300]))
        self.forget(guest)
        self._wire.close(guest.peer, code)
