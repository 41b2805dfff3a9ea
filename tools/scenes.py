"""What the bots of a whole room do together, by the kind of the room: a ward round, a lecture, a consultation, a hall.

Owns who leads and who follows, and the order of things: which bed the round is at, who has the word in a lecture, who
sits where. What one bot does on its own is `tools.manners`. Seeded; never sends.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from server.world.scene import Room
from tools.manners import Act, Habits, Manners, Sight
from tools.minds import Ints

SceneName = Literal["ward", "hall", "lecture", "consult", "mixed"]
DIRECT_S = 0.5
FOLLOWERS = 0.6  # share of a ward's people who go round together
AT_BED_S = (9.0, 16.0)
QUESTION_S, ANSWER_S, LECTURE_S = 4.0, 5.0, (6.0, 14.0)
HANDS_UP = 0.02  # share of an audience that raises a hand at a question round
PODIUM_M = 0.6
SIT_M = 0.6
HABITS: dict[str, Habits] = {
    "ward": Habits(),
    "hall": Habits(stay_s=(5.0, 25.0), think_s=0.8, handle_things=0.2),
    "lecture": Habits(wander=False, talk=0.0, raise_hand=0.0, say=0.0, handle_things=0.0, think_s=1.5),
    "consult": Habits(stay_s=(20.0, 60.0), talk=0.5, talk_s=(3.0, 9.0), say=0.1, handle_things=0.15),
    "mixed": Habits(stay_s=(3.0, 15.0), think_s=0.7),
}


class Seat(NamedTuple):
    """A seat of a room, and its number there."""

    number: int
    at_m: tuple[float, float]


class Stage:
    """One room's doings. `bots` of a call: those who are in it, ascending."""

    def __init__(self, room: Room, floor: int, manners: Manners, seed: int) -> None:
        self.room, self.floor, self.manners = room, floor, manners
        self.dice = np.random.Generator(np.random.PCG64([seed, 5, floor]))
        places = manners.crowd.floors.floors[floor].places
        self._beds = [i for i, place in enumerate(places) if place.kind == "bed"]
        self._podium = next((i for i, place in enumerate(places) if place.name == "podium"), -1)
        self._seats = [Seat(number, seat.at) for number, seat in enumerate(room.seat)]
        self._seat_of: dict[int, Seat] = {}
        self._asked_s: dict[int, float] = {}
        self._stop = -1
        self._next_s = 0.0
        self._presenter = -1
        self._questions = True  # what the lecture was at

    def step(self, bots: Ints, now_s: float) -> list[Act]:
        """Lead those of the bots who are to be led."""
        if self.room.kind == "lecture" and self._podium >= 0:
            return self._lecture(bots, now_s)
        if self._beds:
            self._round(bots, now_s)
        return []

    def _round(self, bots: Ints, now_s: float) -> None:
        """The group goes from bed to bed; at each, manners let them talk in turns."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + float(self.dice.uniform(*AT_BED_S))
        self._stop = (self._stop + 1) % len(self._beds)
        for bot in bots[: int(np.ceil(FOLLOWERS * len(bots)))].tolist():
            self.manners.crowd.go_to(bot, self._beds[self._stop])
            self.manners.stay(bot, self._next_s)

    def _lecture(self, bots: Ints, now_s: float) -> list[Act]:
        """One speaks at the podium, the others sit or stand, now and then some ask and one gets the word."""
        self._presenter = self._presenter_of(bots)
        acts = [act for bot in bots.tolist() if bot != self._presenter and (act := self._listen(bot, now_s))]
        if self._presenter < 0 or now_s < self._next_s:
            return acts
        audience = bots[bots != self._presenter]
        hands = audience[self.dice.random(len(audience)) < HANDS_UP]
        self._questions = not self._questions and len(hands) > 0
        if not self._questions:
            self._next_s = now_s + float(self.dice.uniform(*LECTURE_S))
            self.manners.speak(self._presenter, self._next_s - now_s - 1.0)
            return acts
        for bot in hands.tolist():
            self.manners.raise_hand(bot, QUESTION_S + ANSWER_S)
        self.manners.speak(int(hands[int(self.dice.integers(len(hands)))]), QUESTION_S)
        self._next_s = now_s + QUESTION_S + 1.0
        return acts

    def _presenter_of(self, bots: Ints) -> int:
        """Who speaks: the first with the right to, led to the podium."""
        if self._presenter in bots or not len(bots):
            return self._presenter if len(bots) else -1
        able = bots[self.manners.may_speak[bots]]
        if not len(able):
            return -1
        chosen = int(able[0])
        self.manners.led[chosen] = True
        self.manners.crowd.go_to(chosen, self._podium, PODIUM_M)
        self.manners.crowd.minds.focus_m[chosen] = (0.0, 1.2, 0.0)
        return chosen

    def _listen(self, bot: int, now_s: float) -> Act | None:
        """Go to a seat and sit down; who finds none stands at the back. Everybody looks at the podium."""
        crowd, m = self.manners.crowd, self.manners.crowd.minds
        if not self.manners.led[bot]:
            self.manners.led[bot] = True
            x, z = crowd.floors.place(self.floor, self._podium).at_m
            m.focus_m[bot] = (x, 1.6, z)
            if self._seats:
                self._seat_of[bot] = self._seats.pop(0)
                crowd.go_straight(bot, self._seat_of[bot].at_m)
            else:
                crowd.go_straight(bot, self._standing(len(self._asked_s)))
            self._asked_s[bot] = now_s
        seat = self._seat_of.get(bot)
        if seat is None or m.seated[bot] or now_s - self._asked_s[bot] < 2.0:
            return None
        if np.hypot(m.at_m[bot, 0] - seat.at_m[0], m.at_m[bot, 1] - seat.at_m[1]) > SIT_M:
            crowd.go_straight(bot, seat.at_m)
            return None
        self._asked_s[bot], m.seated[bot] = now_s, True
        return Act(bot, "sit", to=seat.number)

    def _standing(self, number: int) -> tuple[float, float]:
        """A place in the back half, row by row, 0.8 m apart."""
        width, _, depth = self.room.size_m
        columns = max(1, int((width - 2.0) / 0.8))
        row, column = divmod(number, columns)
        return -width / 2 + 1.0 + 0.8 * column, min(depth / 2 - 0.8, 0.8 * row)


class Director:
    """The stages of all rooms of a fleet."""

    def __init__(self, manners: Manners, seed: int) -> None:
        self._manners, self._seed = manners, seed
        self._stages: dict[int, Stage] = {}
        self._next_s = 0.0

    def step(self, rooms: Mapping[int, Room], sights: Mapping[int, Sight]) -> list[Act]:
        """Twice a second: what the rooms do together. Both by index of the floors."""
        now_s = self._manners.crowd.now_s
        if now_s < self._next_s:
            return []
        self._next_s = now_s + DIRECT_S
        acts: list[Act] = []
        for floor, sight in sorted(sights.items()):
            if floor not in self._stages:
                self._stages[floor] = Stage(rooms[floor], floor, self._manners, self._seed)
            acts += self._stages[floor].step(np.sort(np.fromiter(sight.handles, np.int64)), now_s)
        return acts
