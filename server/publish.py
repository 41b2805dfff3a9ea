"""Who is shown what in a tick: rooms are encoded once, frames composed once for each distinct look, then handed over.

Owns the way from the world to the wire: who looks where, the blocks of each room, the budgets of the views of native
clients. Browsers' frames are composed by their edge, from the room's sealed sheet. Never changes the world.
"""

from collections import Counter

from server.config import Config
from server.looks import Looks
from server.net.audience import Audience
from server.net.compose import Look, write_sheet
from server.net.wire import AnyWire, Peer
from server.views import Views
from server.world.world import World


class Publisher:
    """The snapshots of one shard."""

    def __init__(self, config: Config, world: World, wire: AnyWire) -> None:
        self._world, self._wire = world, wire
        self._views = Views(config.keyframe_every, config.limits.far_parts)
        self._looks = Looks()
        self._natives: Audience[Peer] = Audience(config.limits, config.tick_hz, self._facing)
        self._peers: dict[int, Peer] = {}  # by client
        self._clients: dict[Peer, int] = {}
        self._browsers: Counter[int] = Counter()  # by room
        self._rooms: Counter[int] = Counter()  # viewers, by room

    def figures(self) -> dict[str, int]:
        """Counters, by name."""
        return self._views.counters | self._natives.counters

    @property
    def views(self) -> int:
        """Distinct looks of native clients now."""
        return self._natives.views

    def enter(self, peer: Peer, client: int, room: int) -> None:
        """A client is in a room: from the next snapshot on they see it, and no other."""
        self._peers[client], self._clients[peer] = peer, client
        self._rooms[room] += 1
        if peer.kind == "edge":
            self._browsers[room] += 1
            self._wire.join_room(peer, room)
        if self._world.is_here(client):  # who came and was sent away within the tick is about to leave again
            self._see(peer, self._looks.enter(self._world, client))

    def leave(self, peer: Peer, client: int, room: int) -> None:
        """A client sees no room any more: the next snapshot is not theirs."""
        del self._peers[client], self._clients[peer]
        self._looks.forget(client)
        self._rooms[room] -= 1
        if peer.kind == "edge":
            self._browsers[room] -= 1
            self._wire.leave_room(peer)
        else:
            self._natives.forget(peer)
        if not self._rooms[room]:
            del self._rooms[room], self._browsers[room]

    def publish(self) -> None:
        """Show everybody the tick that was just stepped."""
        for client, look in self._looks.changed(self._world):
            self._see(self._peers[client], look)
        for sheet in self._views.encode(self._world, sorted(self._rooms)):
            for frame, peers in self._natives.show(sheet):
                self._wire.show(frame, peers)
            if self._browsers[sheet.room]:
                self._wire.publish(sheet.room, sheet.tick, write_sheet(sheet))

    def skip(self) -> None:
        """The tick is left out for everybody: the shard is behind."""
        self._natives.skip()

    def _see(self, peer: Peer, look: Look) -> None:
        if peer.kind == "edge":
            self._wire.look(peer, look)
        else:
            self._natives.see(peer, look)

    def _facing(self, peer: Peer) -> int:
        """Which way a viewer looks, 1/1024 turn."""
        return int(self._world.avatars.yaw[self._world.slot_of(self._clients[peer])])
