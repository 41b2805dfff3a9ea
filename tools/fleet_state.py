"""What a fleet of bots knows: who each is and how its session stands, and what the server said of each room.

Owns these tables and their translation: what minds see, what acts are on the wire. Never sends or receives.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.sim.far import FarRows
from server.sim.poses import SEATED
from server.sim.rows import BIAS, View
from server.world.commands import Admit, Go, Grab, Offer, Release, Role, Say, Sit
from server.world.events import ThingInfo
from server.world.scene import Room
from tools.backoff import Backoff
from tools.eyes import Glimpse
from tools.lines import Mail
from tools.manners import Act, Lying, Sight
from tools.minds import Crowd

Longs = npt.NDArray[np.int64]


class Member(NamedTuple):
    """Who a bot is."""

    name: str
    role: Role
    room: str


@dataclass(slots=True)
class Bot:
    """One bot's session, as far as it is not in the fleet's arrays."""

    member: Member
    key: Ed25519PrivateKey
    backoff: Backoff
    resume: bytes = b""
    client: int = 0
    avatar: int = 0  # handle
    asked_s: float = 0.0
    again_s: float = 0.0
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
    people: dict[int, set[int]] = field(default_factory=dict)  # cell -> avatar slots last seen near there
    lying: dict[int, dict[int, tuple[int, ...]]] = field(default_factory=dict)  # cell -> thing slot -> row last seen


class Observer(Protocol):
    """What is told of everything that matters to a measurement."""

    def posed(self, count: int) -> None:
        """Poses went out."""
        ...

    def got(self, mail: Mail) -> None:
        """Snapshots came in."""
        ...

    def saw(self, key: int, glimpse: Glimpse, bots: Longs, slots: Longs) -> None:
        """Some bots that are watched closely, with these avatar slots, got this frame."""
        ...

    def weighed(self, glimpse: Glimpse) -> None:
        """A frame was decoded whole, the first time any of those bots got it."""
        ...

    def acked(self, view: View, bot_at: Longs, sent_ns: Longs, lookers: Longs) -> None:
        """A block of it, the first time. `bot_at`: avatar slot -> bot; `lookers`: bots that have this very view."""
        ...

    def left(self, bot: int) -> None:
        """A bot's connection is gone, or it is in another room."""
        ...


class Nobody:
    """An Observer that does not care."""

    def posed(self, count: int) -> None:
        """See Observer."""

    def got(self, mail: Mail) -> None:
        """See Observer."""

    def saw(self, key: int, glimpse: Glimpse, bots: Longs, slots: Longs) -> None:
        """See Observer."""

    def weighed(self, glimpse: Glimpse) -> None:
        """See Observer."""

    def acked(self, view: View, bot_at: Longs, sent_ns: Longs, lookers: Longs) -> None:
        """See Observer."""

    def left(self, bot: int) -> None:
        """See Observer."""


def body_of(act: Act, seq: int) -> Say | Grab | Release | Offer | Go | Admit | Sit:
    """The command an act is on the wire."""
    match act.kind:
        case "sit":
            return Sit(seq, act.to)
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


def hear(crowd: Crowd | None, place: Place, cell: int, view: View, bot_at: Longs) -> None:
    """Believe a block about where our bots stand, what they hold and what lies there."""
    place.people[cell] = set(view.slots.tolist())
    place.lying[cell] = {row[0]: tuple(row) for row in view.things.tolist()}
    bots = bot_at[view.slots]
    ours = bots >= 0
    if crowd is None or not ours.any():
        return
    bots = bots[ours]
    crowd.heard(bots, view.head_mm[ours][:, (0, 2)] / 1000.0)
    crowd.minds.holding[bots] = False
    crowd.minds.seated[bots] = view.flags[ours] & SEATED != 0
    held = view.thing_owner >= 0
    owners = bot_at[view.thing_owner[held]]
    known = owners >= 0
    crowd.minds.holding[owners[known], view.thing_hand[held][known]] = True


def hear_far(crowd: Crowd, far: FarRows, bot_at: Longs) -> None:
    """Believe a far block about where our bots stand."""
    bots = bot_at[far.slot]
    crowd.heard(bots[bots >= 0], far.head_mm[bots >= 0][:, (0, 2)] / 1000.0)


def sight_of(place: Place) -> Sight:
    """A room as its bots' minds see it."""
    things = []
    for rows in place.lying.values():
        for slot, held, owner, _, x, _, z, _ in rows.values():
            if slot in place.things:
                at = ((x - int(BIAS[2])) / 1000.0, (z - int(BIAS[4])) / 1000.0)
                info = place.things[slot]
                things.append(Lying(info.thing, info.kind, owner if held else -1, at))
    return Sight(place.bots, place.handles, things)
