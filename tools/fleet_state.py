"""What a fleet of bots knows: who each is and how its session stands, and what the server said of each room.

Owns these tables and their translation: what minds see, what acts are on the wire. Never sends or receives.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.sim.rows import BIAS
from server.sim.snapshot import View
from server.world.commands import Admit, Go, Grab, Offer, Release, Role, Say
from server.world.events import ThingInfo
from server.world.scene import Room
from tools.manners import Act, Lying, Sight
from tools.minds import Crowd

BACKOFF_S = 0.5


class Member(NamedTuple):
    """Who a bot is."""

    name: str
    role: Role
    room: str


@dataclass(slots=True)
class Bot:
    """One bot's session."""

    member: Member
    key: Ed25519PrivateKey
    state: str = "out"  # out, opening, in
    seq: int = 0
    resume: bytes = b""
    avatar: int = 0
    room: int = -1  # the server's room index
    asked_s: float = 0.0
    heard_s: float = 0.0
    again_s: float = 0.0
    pause_s: float = BACKOFF_S
    keyframe: int = -1  # tick of the newest keyframe this bot has got
    rights: frozenset[str] = frozenset()


@dataclass(slots=True)
class Place:
    """What the bots know of one room of the server."""

    slug: str
    room: Room
    floor: int
    things: dict[int, ThingInfo] = field(default_factory=dict)  # by thing slot
    bots: dict[int, int] = field(default_factory=dict)  # avatar slot -> bot
    handles: dict[int, int] = field(default_factory=dict)  # bot -> avatar handle
    frames: dict[int, bytes] = field(default_factory=dict)  # tick -> the frame as first got
    keyframes: dict[tuple[int, int, int], View] = field(default_factory=dict)
    view: View | None = None


class Observer(Protocol):
    """What is told of everything that matters to a measurement."""

    def sent(self, bot: int, seq: int, now_ns: int) -> None:
        """A pose went out."""
        ...

    def got(self, bot: int, room: int, tick: int, size: int, at_ns: int) -> None:
        """A snapshot came in."""
        ...

    def saw(self, view: View, bots: dict[int, int], frame_bytes: int) -> None:
        """A frame was decoded, the first time any bot got it; `bots`: avatar slot -> bot of the room."""
        ...

    def entered(self, bot: int, room: int) -> None:
        """A bot is in a room."""
        ...

    def left(self, bot: int) -> None:
        """A bot's connection is gone."""
        ...


class Nobody:
    """An Observer that does not care."""

    def sent(self, bot: int, seq: int, now_ns: int) -> None:
        """See Observer."""

    def got(self, bot: int, room: int, tick: int, size: int, at_ns: int) -> None:
        """See Observer."""

    def saw(self, view: View, bots: dict[int, int], frame_bytes: int) -> None:
        """See Observer."""

    def entered(self, bot: int, room: int) -> None:
        """See Observer."""

    def left(self, bot: int) -> None:
        """See Observer."""


def body_of(act: Act, seq: int) -> Say | Grab | Release | Offer | Go | Admit:
    """The command an act is on the wire."""
    match act.kind:
        case "say":
            return Say(seq, act.text)
        case "grab":
            return Grab(seq, act.thing, 1 if act.hand else 0)
        case "release":
            return Release(seq, 1 if act.hand else 0)
        case "offer":
            return Offer(seq, 1 if act.hand else 0, act.to)
        case "go":
            return Go(seq, act.text)
        case "admit":
            return Admit(seq, act.to, True)


def hear(crowd: Crowd, place: Place, view: View) -> None:
    """Believe the server about where our bots stand and what they hold."""
    slots = view.slots.tolist()
    ours = [(row, place.bots[slot]) for row, slot in enumerate(slots) if slot in place.bots]
    if not ours:
        return
    rows, bots = np.array(ours).T
    crowd.heard(bots, view.head_mm[rows][:, (0, 2)] / 1000.0)
    crowd.minds.holding[bots] = False
    for owner, hand in zip(view.thing_owner.tolist(), view.thing_hand.tolist(), strict=True):
        if owner in place.bots:
            crowd.minds.holding[place.bots[owner], hand] = True


def sight_of(place: Place) -> Sight:
    """A room as its bots' minds see it."""
    things = []
    if place.view is not None:
        for slot, held, owner, _, x, _, z, _ in place.view.things.tolist():
            if slot in place.things:
                at = ((x - int(BIAS[2])) / 1000.0, (z - int(BIAS[4])) / 1000.0)
                info = place.things[slot]
                things.append(Lying(info.thing, info.kind, owner if held else -1, at))
    return Sight(place.bots, place.handles, things)
