"""What a bot does among people: where it goes, whom it looks at, when it speaks, and how a thing changes hands.

Owns the choices: goals and gestures in `Minds`, and acts for the wire. Seeded like `tools.minds`. Never sends and never
believes itself: what lies where and who stands where is what the server said (`Sight`). What a whole room does together
is `tools.scenes`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numba import njit

from tools.minds import Crowd, Floats, Ints

ActKind = Literal["say", "grab", "release", "offer", "go", "admit", "sit"]
NEAR_M = 1.6  # standing together
GRAB_M = 0.9
AT_DOOR_M = 0.3
COMPANY_MAX = 16
LINES = (
    "Good morning.", "How did the night go?", "Shall we look at the monitor together?", "I come back later.",
    "Could you take this, please?", "Thank you.", "The pressure looks steadier now.", "Let us wait for the others.",
    "Who has the clipboard?", "I agree.", "Nothing new here.", "One moment, please.",
)  # fmt: skip


class Act(NamedTuple):
    """Something a bot asks of the server. `thing` is a thing handle, `to` an avatar handle or a seat, `text` a line or
    a room.
    """

    bot: int
    kind: ActKind
    thing: int = 0
    hand: int = 1
    to: int = 0
    text: str = ""


class Lying(NamedTuple):
    """A thing as last seen: its handle and kind, who has it (avatar slot or -1) and where it lies (x, z)."""

    handle: int
    kind: str
    owner: int
    at_m: tuple[float, float]


class Sight(NamedTuple):
    """What the server said of one room: our bots in it by avatar slot with their handles, and its things."""

    bots: Mapping[int, int]  # avatar slot -> bot
    handles: Mapping[int, int]  # bot -> avatar handle
    things: Sequence[Lying]


class Habits(NamedTuple):
    """Odds and times that make the difference between a lecture and a party."""

    stay_s: tuple[float, float] = (2.0, 9.0)
    talk: float = 0.35  # that somebody standing in a group takes the word when nobody has it
    talk_s: tuple[float, float] = (1.5, 5.0)
    raise_hand: float = 0.06
    point: float = 0.05
    say: float = 0.15  # a line of chat when taking the word
    handle_things: float = 0.35
    things_max: int = 1000  # held at once by all of ours in a room
    kinds: tuple[str, ...] = ()  # of things worth taking; empty is all
    roam: float = 0.0  # share of walks that lead through a door
    wander: bool = True  # set off for somewhere else when tired of standing
    think_s: float = 0.5


@njit(cache=True)
def company_of(at_m: Floats, others: Ints, bot: int, found: Ints) -> int:
    """Fill `found` with those of `others` within NEAR_M of the bot, nearest first; how many."""
    gaps = np.empty(len(found))
    count = 0
    for other in others:
        dx, dz = at_m[other, 0] - at_m[bot, 0], at_m[other, 1] - at_m[bot, 1]
        gap = dx * dx + dz * dz
        if other == bot or gap >= NEAR_M * NEAR_M or (count == len(found) and gap >= gaps[count - 1]):
            continue
        at = count if count < len(found) else count - 1
        while at > 0 and gaps[at - 1] > gap:
            gaps[at], found[at] = gaps[at - 1], found[at - 1]
            at -= 1
        gaps[at], found[at] = gap, other
        count = min(count + 1, len(found))
    return count


class Manners:
    """Bots that wander, gather, talk in turns and pass things on."""

    def __init__(self, crowd: Crowd, seed: int, habits: Habits | None = None) -> None:
        self.crowd = crowd
        self.habits = habits or Habits()
        self.dice = np.random.Generator(np.random.PCG64([seed, 1]))
        n = len(crowd)
        self.may_grab = np.ones(n, np.bool_)  # as the server says, by bot
        self.may_speak = np.ones(n, np.bool_)
        self.led = np.zeros(n, np.bool_)  # does what its room does together (tools.scenes), not what it likes
        self._leave_s = self.dice.uniform(0.0, 3.0, n)  # when one tires of standing here
        self._stay_s = np.zeros(n)  # before when one does not leave by oneself
        self._hush_s = np.zeros(n)  # when one stops talking
        self._down_s = np.zeros(n)  # when a raised, pointing or outstretched hand comes down
        self._think_s = self.dice.uniform(0.0, self.habits.think_s, n)
        self._line_s = np.full(n, -1e9)
        self._leaving = np.zeros(n, np.bool_)  # is on its way through a door
        self._others: dict[int, Ints] = {}  # bots of a room, for the time of a step
        self._found = np.zeros(COMPANY_MAX, np.int64)

    def step(self, sights: Mapping[int, Sight]) -> list[Act]:
        """Choose for everybody whose turn to think has come; `sights` by room index of the floors."""
        m, now = self.crowd.minds, self.crowd.now_s
        m.talking[:] &= now < self._hush_s
        lowered = now >= self._down_s
        for column in (m.raised, m.pointing, m.reaching):
            column[lowered] = False
        self._others.clear()
        acts: list[Act] = []
        for bot in np.nonzero((self._think_s <= now) & ~self.led)[0].tolist():
            self._think_s[bot] = now + self.habits.think_s * self.dice.uniform(0.8, 1.2)
            sight = sights.get(int(m.room[bot]))
            if sight is not None:
                acts += self._think(bot, sight)
        return acts

    def speak(self, bot: int, for_s: float) -> None:
        """Let a bot have the word for so long."""
        self.crowd.minds.talking[bot], self._hush_s[bot] = True, self.crowd.now_s + for_s

    def stay(self, bot: int, until_s: float) -> None:
        """Let a bot not set off by itself before then."""
        self._stay_s[bot] = until_s

    def raise_hand(self, bot: int, for_s: float) -> None:
        """Let a bot hold up a hand for so long."""
        self.crowd.minds.raised[bot], self._down_s[bot] = True, self.crowd.now_s + for_s

    def offered(self, bot: int, thing: int) -> list[Act]:
        """Somebody holds a thing out to the bot: reach for it and take it."""
        m = self.crowd.minds
        free = np.nonzero(~m.holding[bot])[0]
        if not len(free) or not self.may_grab[bot]:
            return []
        self._reach(bot)
        return [Act(bot, "grab", thing=thing, hand=int(free[-1]))]

    def _reach(self, bot: int) -> None:
        self.crowd.minds.reaching[bot] = True
        self._down_s[bot] = self.crowd.now_s + 1.2

    def _think(self, bot: int, sight: Sight) -> list[Act]:
        m, now = self.crowd.minds, self.crowd.now_s
        if not m.walking[bot] and self._leaving[bot]:
            self._leaving[bot] = False
            return [Act(bot, "go", text=self.crowd.floors.place(int(m.room[bot]), int(m.place[bot])).name)]
        if m.walking[bot]:
            self._leave_s[bot] = now + self.dice.uniform(*self.habits.stay_s)
            return []
        if self.habits.wander and now >= max(self._leave_s[bot], self._stay_s[bot]):
            self._set_off(bot)
            return []
        company = self._company(bot, sight)
        self._attend(bot, company)
        acts = self._take_word(bot, company)
        if self.may_grab[bot] and self.dice.random() < self.habits.handle_things:
            acts += self._things(bot, company, sight)
        return acts

    def _set_off(self, bot: int) -> None:
        places = self.crowd.floors.floors[int(self.crowd.minds.room[bot])].places
        doors = [i for i, place in enumerate(places) if place.kind == "door"]
        if doors and self.dice.random() < self.habits.roam:
            self.crowd.go_to(bot, doors[int(self.dice.integers(len(doors)))], AT_DOOR_M)
            self._leaving[bot] = True
        else:
            self.crowd.go_to(bot, int(self.dice.integers(len(places))))
        self._leave_s[bot] = self.crowd.now_s + 30.0

    def entered(self, bot: int) -> None:
        """The bot is in another room: what it was about to do is over."""
        self._leaving[bot] = self.led[bot] = False

    def _company(self, bot: int, sight: Sight) -> Ints:
        """Our bots of the room within NEAR_M, nearest first, without the bot."""
        m = self.crowd.minds
        others = self._others.get(int(m.room[bot]))
        if others is None:
            others = self._others[int(m.room[bot])] = np.fromiter(sight.handles, np.int64, len(sight.handles))
        return self._found[: company_of(m.at_m, others, bot, self._found)].copy()

    def _attend(self, bot: int, company: Ints) -> None:
        """Look at who speaks, else at the nearest, else at what the place is about."""
        m = self.crowd.minds
        speaking = company[m.talking[company]]
        if len(company) and (len(speaking) or self.dice.random() < 0.5):
            whom = int(speaking[0]) if len(speaking) else int(company[0])
            m.focus_m[bot] = (m.at_m[whom, 0], self.crowd.traits.eyes_m[whom], m.at_m[whom, 1])
        else:
            x, z = self.crowd.floors.place(int(m.room[bot]), int(m.place[bot])).focus_m
            m.focus_m[bot] = (x, 1.1, z)

    def _take_word(self, bot: int, company: Ints) -> list[Act]:
        m, h, now = self.crowd.minds, self.habits, self.crowd.now_s
        draw = self.dice.random(4)
        if not len(company) or m.talking[bot] or not self.may_speak[bot]:
            return []
        if m.talking[company].any():
            if draw[0] < h.raise_hand:
                self.raise_hand(bot, 2.5)
            return []
        if draw[0] >= h.talk:
            return []
        self.speak(bot, self.dice.uniform(*h.talk_s))
        if draw[1] < h.point:
            m.pointing[bot], self._down_s[bot] = True, now + 1.5
        if draw[2] < h.say and now - self._line_s[bot] > 4.0:
            self._line_s[bot] = now
            return [Act(bot, "say", text=LINES[int(draw[3] * len(LINES))])]
        return []

    def _things(self, bot: int, company: Ints, sight: Sight) -> list[Act]:
        """Pass on what one holds, or put it down, or take what lies near."""
        m = self.crowd.minds
        held = np.nonzero(m.holding[bot])[0]
        if len(held):
            hand = int(held[0])
            takers = company[self.may_grab[company]]
            if len(takers) and self.dice.random() < 0.7:
                self._reach(bot)
                return [Act(bot, "offer", hand=hand, to=sight.handles[int(takers[0])])]
            self._reach(bot)
            return [Act(bot, "release", hand=hand)] if self.dice.random() < 0.3 else []
        if sum(thing.owner in sight.bots for thing in sight.things) >= self.habits.things_max:
            return []
        for thing in sight.things:
            wanted = not self.habits.kinds or thing.kind in self.habits.kinds
            if wanted and thing.owner < 0 and np.hypot(*(m.at_m[bot] - thing.at_m)) < GRAB_M:
                self._reach(bot)
                return [Act(bot, "grab", thing=thing.handle, hand=1)]
        return []
