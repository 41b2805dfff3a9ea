"""One encoded snapshot per view and tick. Owns the baselines of the keyframes; never decides who gets a frame.

A view is a room. Keyframes of the rooms are spread over the ticks so that no tick carries them all.
"""

from server.sim.snapshot import Baseline, delta_of, keyframe_of, view_of
from server.world.world import World


class Views:
    """The encoder of a shard's views, each with its newest keyframe."""

    def __init__(self, keyframe_every: int) -> None:
        self.counters = {"keyframes": 0, "deltas": 0, "snapshot_bytes": 0, "snapshot_avatars": 0}
        self._every = keyframe_every
        self._baselines: dict[int, Baseline] = {}

    def encode(self, world: World, room: int) -> bytes:
        """The room's frame for the world's tick: a keyframe every `keyframe_every` ticks, else a delta against it."""
        tick = world.tick & 0xFFFFFFFF
        view = view_of(world.avatars, world.things, room, world.members(room), world.things_in(room), tick)
        baseline = self._baselines.get(room)
        if baseline is None or (tick + room) % self._every == 0 or not 0 < tick - baseline.tick < 2 * self._every:
            self._baselines[room] = view
            self.counters["keyframes"] += 1
            frame = keyframe_of(view)
        else:
            self.counters["deltas"] += 1
            frame = delta_of(view, baseline)
        self.counters["snapshot_bytes"] += len(frame)
        self.counters["snapshot_avatars"] += len(view.rows)
        return frame

    def forget(self, room: int) -> None:
        """Nobody watches the room: its next frame is a keyframe."""
        self._baselines.pop(room, None)
