"""Viewers grouped by what they see, and their budgets: one frame for each distinct look, handed to all who have it.

Owns the groups of the viewers of one process (a shard's native clients, an edge's browsers) and how many bytes and
messages each view has left. Nothing is done per viewer and tick: the budget is the view's, and who comes to it brings
theirs along. Never opens a block; what is left out of a frame is `net.compose`'s to say.
"""

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from server.config import Limits
from server.net.compose import (
    ANYWHERE,
    NOTHING_LOST,
    Budget,
    Composed,
    Look,
    Sheet,
    Thinned,
    blocks_in,
    nothing,
    quadrant_of,
    starts_with_keyframe,
    thinned,
    whole,
)

SAVED_S = 0.5  # what is not used is saved up for so long at most
TURNED_TICKS = 10  # after so many ticks it is looked anew which way the viewers of a thinned view look
RECOVERED_TICKS = 30  # a view whose frames fit for so long is as it was
KEPT_MESSAGES = 2.0  # for ticks that matter more, where not every tick may have a message
COMPOSED_MAX = 512  # thinned frames in one tick of a room; beyond that all viewers of a look share one
COUNTED = (
    "view_frames", "view_bytes", "near_updates", "far_updates", "looks_changed",
    "held_back_view_bytes", "held_back_view_messages", "held_back_room_bytes", "held_back_overload",
)  # fmt: skip

Key = TypeVar("Key", bound=Hashable)


class Shown(NamedTuple, Generic[Key]):
    """A frame and who gets it."""

    frame: bytes
    viewers: Collection[Key]


@dataclass(slots=True)
class Split(Generic[Key]):
    """Those of a view who look the same way, and what they lack."""

    quadrant: int
    viewers: dict[Key, None]
    lack: Thinned


@dataclass(slots=True)
class Group(Generic[Key]):
    """The viewers of one look. `saved`, `messages`: bytes and messages the poorest of them has left."""

    look: Look
    saved: float
    messages: float
    viewers: dict[Key, None] = field(default_factory=dict)
    splits: list[Split[Key]] = field(default_factory=list)  # while frames do not fit
    split_tick: int = -1  # when it was looked which way they look; -1: at the next chance
    thin_tick: int = 0  # when a frame did not fit the last time


@dataclass(slots=True)
class Purse:
    """What a room has left, and when it last earned."""

    saved: float
    tick: int = -1


class Audience(Generic[Key]):
    """All viewers of one process. Keys are whatever the process sends to."""

    def __init__(self, limits: Limits, tick_hz: int, facing: Callable[[Key], int] | None = None) -> None:
        """`facing`: the yaw of a viewer in 1/1024 turn, below 0 if it is not known."""
        self.counters: dict[str, int] = dict.fromkeys(COUNTED, 0)
        self.limits, self.tick_hz = limits, tick_hz
        self._facing = facing
        self._groups: dict[int, dict[Look, Group[Key]]] = {}  # by room
        self._of: dict[Key, Group[Key]] = {}
        self._purses: dict[int, Purse] = {}
        self._composed = 0
        self._newest: dict[int, int] = {}  # room -> blocks that its newest sheet showed, all viewers together

    @property
    def views(self) -> int:
        """Distinct looks now."""
        return sum(map(len, self._groups.values()))

    @property
    def _most(self) -> float:
        return self.limits.view_bytes_per_s * SAVED_S

    @property
    def _messages_most(self) -> float:
        return max(4.0, self.limits.view_messages_per_s * SAVED_S)

    # --- who sees what ------------------------------------------------------------------------------------------------

    def look_of(self, viewer: Key) -> Look | None:
        """What a viewer sees, if anything."""
        group = self._of.get(viewer)
        return None if group is None else group.look

    def see(self, viewer: Key, look: Look) -> None:
        """From the next sheet on the viewer sees this and nothing else."""
        before = self._of.get(viewer)
        if before is not None and before.look == look:
            return
        self.forget(viewer)
        looks = self._groups.setdefault(look.room, {})
        group = looks.get(look)
        if group is None:
            group = looks[look] = Group(look, self._most, self._messages_most)
        if before is not None:  # nobody grows richer by walking
            group.saved, group.messages = min(group.saved, before.saved), min(group.messages, before.messages)
        group.viewers[viewer] = None
        group.split_tick = -1
        self._of[viewer] = group
        self.counters["looks_changed"] += 1

    def forget(self, viewer: Key) -> None:
        """The viewer sees nothing any more."""
        group = self._of.pop(viewer, None)
        if group is None:
            return
        del group.viewers[viewer]
        for split in group.splits:
            split.viewers.pop(viewer, None)
        looks = self._groups[group.look.room]
        if not group.viewers:
            del looks[group.look]
        if not looks:
            del self._groups[group.look.room]
            self._purses.pop(group.look.room, None)
            self._newest.pop(group.look.room, None)

    # --- a tick -------------------------------------------------------------------------------------------------------

    def show(self, sheet: Sheet) -> list[Shown[Key]]:
        """The frames of this tick of a room, each with those who get it. To be called once for a room and tick."""
        looks = self._groups.get(sheet.room)
        if looks is None:
            return []
        groups = list(looks.values())
        frames = [whole(sheet, group.look) for group in groups]
        ticks = self._ticks_since(sheet)
        wanted = sum([len(one.frame) * len(group.viewers) for one, group in zip(frames, groups, strict=True)])
        share = self._share(sheet.room, ticks, wanted)
        saved, most = ticks * self.limits.view_bytes_per_s / self.tick_hz, self._most
        few = self.limits.view_messages_per_s < self.tick_hz
        out: list[Shown[Key]] = []
        self._composed = 0
        self._newest[sheet.room] = sum(
            len(group.viewers) * blocks_in(one.frame) for one, group in zip(frames, groups, strict=True)
        )
        for group, composed in zip(groups, frames, strict=True):
            group.saved = min(most, group.saved + saved)
            size = len(composed.frame)
            if share < 1.0 or few or group.splits or size > group.saved:
                out += self._thin(sheet, group, composed, share, ticks)
            else:
                group.saved -= size
                out.append(self._out(sheet.room, composed, group.viewers))
        return out

    def skip(self) -> None:
        """A tick shows nothing to anybody: counted as the blocks of the one before."""
        self.counters["held_back_overload"] += sum(self._newest.values())

    def _ticks_since(self, sheet: Sheet) -> int:
        """Ticks that earn the room's views something: those since its last sheet."""
        purse = self._purses.get(sheet.room)
        if purse is None:
            purse = self._purses[sheet.room] = Purse(self.limits.room_bytes_per_s * SAVED_S)
        ticks = 1 if purse.tick < 0 else min((sheet.tick - purse.tick) & 0xFFFFFFFF, self.tick_hz)
        purse.tick = sheet.tick
        return ticks

    def _share(self, room: int, ticks: int, wanted: int) -> float:
        """How much of what is wanted the room's budget lets through; 1.0 is all of it."""
        purse, per_s = self._purses[room], self.limits.room_bytes_per_s
        purse.saved = min(per_s * SAVED_S, purse.saved + ticks * per_s / self.tick_hz)
        return 1.0 if wanted <= purse.saved else max(0.0, purse.saved / wanted)

    def _out(self, room: int, composed: Composed, viewers: Collection[Key]) -> Shown[Key]:
        count, size, counters = len(viewers), len(composed.frame), self.counters
        counters["view_frames"] += 1
        counters["view_bytes"] += size * count
        counters["near_updates"] += composed.near * count
        counters["far_updates"] += composed.far * count
        purse = self._purses[room]
        purse.saved = max(purse.saved - size * count, -self.limits.room_bytes_per_s * SAVED_S)
        return Shown(composed.frame, viewers)

    # --- when not everything fits -------------------------------------------------------------------------------------

    def _thin(self, sheet: Sheet, group: Group[Key], full: Composed, share: float, ticks: int) -> list[Shown[Key]]:
        """The frames of a view whose whole one does not fit, or that still lacks something because one did not."""
        size = len(full.frame)
        allowed = group.saved if share >= 1.0 else min(group.saved, size * share)
        reason = "view_bytes" if allowed == group.saved else "room_bytes"
        speaks = self._speaks(sheet, group, ticks)
        fits = size <= allowed
        if not (fits and speaks):
            group.thin_tick = sheet.tick
        lacking = any(split.lack.lost for split in group.splits)
        if fits and speaks and not lacking:
            if sheet.tick - group.thin_tick > RECOVERED_TICKS:
                group.splits.clear()
            group.saved -= size
            return [self._out(sheet.room, full, group.viewers)]
        self._split(sheet.tick, group)
        budget = Budget(int(allowed), int(self._most))
        out, spent = [], 0
        for split in group.splits:
            if speaks:
                composed = thinned(sheet, group.look, budget, split.lack, split.quadrant)
                out.append(self._out(sheet.room, composed, split.viewers))
            else:
                composed, reason = nothing(sheet, group.look, split.lack), "view_messages"
            split.lack = composed.after
            spent = max(spent, len(composed.frame))
            self.counters[f"held_back_{reason}"] += composed.held * len(split.viewers)
        group.saved = max(group.saved - spent, -self._most)
        return out

    def _speaks(self, sheet: Sheet, group: Group[Key], ticks: int) -> bool:
        """Whether this tick may have a message.

        Where not every tick may, some messages are kept for ticks with the keyframe of one's own cell, or of a cell
        whose last one was missed: a regular pattern would miss those of the same cells for ever.
        """
        per_tick = self.limits.view_messages_per_s / self.tick_hz
        if per_tick >= 1.0:
            return True
        group.messages = min(self._messages_most, group.messages + ticks * per_tick)
        wanted = {group.look.home}.union(*(split.lack.lost for split in group.splits))
        first = any(starts_with_keyframe(sheet, cell) for cell in wanted)
        speaks = group.messages >= (1.0 if first else 1.0 + KEPT_MESSAGES)
        group.messages -= speaks
        return speaks

    def _split(self, tick: int, group: Group[Key]) -> None:
        """Group those of a view by the way they look, now and then; all as one if there are too many views."""
        self._composed += max(1, len(group.splits))
        if group.splits and group.split_tick >= 0 and (tick - group.split_tick) & 0xFFFFFFFF < TURNED_TICKS:
            return
        lacks = {split.quadrant: split.lack for split in group.splits}
        first = group.splits[0].lack if group.splits else NOTHING_LOST
        ways: dict[int, dict[Key, None]] = {}
        for viewer in group.viewers:
            ways.setdefault(self._way(viewer), {})[viewer] = None
        group.splits = [Split(way, ways[way], lacks.get(way, first)) for way in sorted(ways)]
        group.split_tick = tick

    def _way(self, viewer: Key) -> int:
        if self._facing is None or self._composed > COMPOSED_MAX:
            return ANYWHERE
        yaw = self._facing(viewer)
        return ANYWHERE if yaw < 0 else quadrant_of(yaw)
