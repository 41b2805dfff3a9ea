"""A ward round: a group that goes from bed to bed and from room to room together, and waits for the slow.

Owns where the group goes next: through every room its leader may enter, least recently visited first, and in a room
past each bed. Works on any house: rooms and doors are learnt by walking. Never sends.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tools.floors import Floor
from tools.manners import Act

AT_DOOR_M, DOOR_M = 0.3, 0.9  # how near one walks to a door, how near it opens
GO_PAUSE_S = 2.0  # between two attempts at a door
GATHERED = 0.7  # share of those in the room who must have come
BEDS_MAX, SPOTS_MAX = 4, 2
FIRST = "ward"  # where a round goes first, if a door leads there


class Pace(NamedTuple):
    """How long the group waits for the slow at most, and how long it stays at a stop (at least, at most), seconds."""

    gather_s: float = 14.0
    stand_s: tuple[float, float] = (9.0, 16.0)


class Standing(NamedTuple):
    """Where one of the group is: room slug, the place it was sent to, whether it walks, metres from that place."""

    room: str
    place: int
    walking: bool
    gap_m: float


class Errand(NamedTuple):
    """Where one should go within its room: the index of a place, and how near to it."""

    bot: int
    place: int
    near_m: float | None = None


def stops_in(floor: Floor, dice: np.random.Generator) -> list[int]:
    """Indices of the places a group stops at: the beds; in a room without, a spot or two."""
    beds = [i for i, place in enumerate(floor.places) if place.kind == "bed"]
    if beds:
        return beds[:BEDS_MAX]
    spots = [i for i, place in enumerate(floor.places) if place.kind in ("box", "open", "thing")]
    order = dice.permutation(len(spots))[:SPOTS_MAX]
    return [spots[i] for i in order]


def first_step(doors: Mapping[str, Sequence[str]], here: str, there: str) -> str:
    """The room to go through next on the shortest known way; "" if none is known or one is there."""
    came: dict[str, str] = {here: ""}
    todo = deque([here])
    while todo:
        room = todo.popleft()
        for beyond in doors.get(room, ()):
            if beyond not in came:
                came[beyond] = beyond if room == here else came[room]
                todo.append(beyond)
    return came.get(there, "")


class Round:
    """The group's plan. The leader is bot 0; the others go where it goes, if they may."""

    def __init__(self, seed: int, pace: Pace | None = None) -> None:
        self.room = ""  # where the group meets
        self.doors: dict[str, tuple[str, ...]] = {}
        self._pace = pace or Pace()
        self._dice = np.random.Generator(np.random.PCG64([seed, 3]))
        self._stops: list[int] = []
        self._visited: dict[str, int] = {}
        self._shut: set[tuple[str, str]] = set()  # doors the leader was refused at
        self._since_s = 0.0
        self._until_s = -1.0  # end of standing at a stop, -1 while gathering
        self._knocked_s: dict[int, float] = {}

    def refused(self, bot: int, room: str) -> None:
        """The door to `room` stays shut for the bot. If it leads, the group looks for another way."""
        if bot == 0:
            self._shut.add((self.room, room))

    def step(self, now_s: float, floors: Mapping[str, Floor], group: Mapping[int, Standing]) -> Iterator[Errand | Act]:
        """Errands within rooms and acts at doors for those who are in (`group`: bot -> where it is)."""
        for slug, floor in floors.items():
            self.doors[slug] = tuple(place.name for place in floor.places if place.kind == "door")
        leader = group.get(min(group, default=0))
        if leader is None:
            return
        if leader.room != self.room:
            self._arrive(leader.room, floors[leader.room], now_s)
        if self._stops:
            self._stand(now_s, group)
        goal = self.room if self._stops else self._next_room()
        for bot, where in sorted(group.items()):
            yield from self._send(bot, where, goal, floors[where.room], now_s)

    def _arrive(self, room: str, floor: Floor, now_s: float) -> None:
        again = room in self._visited
        self.room = room
        self._visited.pop(room, None)
        self._visited[room] = 0  # the newest is the last key
        self._stops = stops_in(floor, self._dice)
        if again and floor.places[self._stops[0]].kind != "bed":
            del self._stops[1:]  # passing through
        self._since_s, self._until_s = now_s, -1.0

    def _stand(self, now_s: float, group: Mapping[int, Standing]) -> None:
        """At a stop: gather, stay a while, then take the next one."""
        if self._until_s < 0:
            here = [w for w in group.values() if w.room == self.room]
            came = sum(not w.walking for w in here) / len(here) if here else 0.0
            if (came >= GATHERED and now_s - self._since_s > 1.0) or now_s - self._since_s > self._pace.gather_s:
                self._until_s = now_s + float(self._dice.uniform(*self._pace.stand_s))
        elif now_s >= self._until_s:
            self._stops.pop(0)
            self._since_s, self._until_s = now_s, -1.0

    def _next_room(self) -> str:
        """The neighbour that was visited longest ago, never visited ones first."""
        open_doors = [room for room in self.doors[self.room] if (self.room, room) not in self._shut]
        order = list(self._visited)
        return min(open_doors, key=lambda r: (order.index(r) if r in order else -1, r != FIRST, r), default=self.room)

    def _send(self, bot: int, where: Standing, goal: str, floor: Floor, now_s: float) -> Iterator[Errand | Act]:
        if where.room == goal:
            if self._stops:
                yield Errand(bot, self._stops[0])
            return
        through = first_step(self.doors, where.room, goal)
        if not through and goal in self.doors.get(where.room, ()):
            through = goal
        for place, there in enumerate(floor.places):
            if there.kind == "door" and there.name == through:
                yield Errand(bot, place, AT_DOOR_M)
                rested = now_s - self._knocked_s.get(bot, -1e9) > GO_PAUSE_S
                if where.place == place and where.gap_m < DOOR_M and rested:
                    self._knocked_s[bot] = now_s
                    yield Act(bot, "go", text=through)
                return
