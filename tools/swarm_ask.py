"""What a person asks of a swarm, checked, and the service level a server is held to.

Owns the ranges and relations of the command's flags. Never runs anything.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, get_args

from tools.scenes import SceneName
from tools.swarm_rooms import RoomPlan, plan_rooms

BOTS_MAX = 4000
LEVELS_MAX = 200


class SwarmError(ValueError):
    """The run cannot be made as asked."""


class ServiceLevel(NamedTuple):
    """What a level of a ramp has to hold."""

    delivered: float  # of the snapshots, to the worst bot
    seen_p99_ms: float  # from a pose going out to another bot seeing it
    over_budget: float  # share of ticks that may take longer than a tick; 0.01 is a p99 inside the budget


class Ramp(NamedTuple):
    """Levels from `first` to `last` bots, `step` apart."""

    first: int
    last: int
    step: int

    @property
    def levels(self) -> tuple[int, ...]:
        """Bots at each level; the last one is reached whatever the step."""
        return tuple(sorted({*range(self.first, self.last, self.step), self.last}))


def read_ramp(text: str) -> Ramp:
    """FIRST:LAST:STEP. Raises SwarmError."""
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise SwarmError(f"ramp is {text!r}, allowed is FIRST:LAST:STEP, such as 100:2000:100")
    ramp = Ramp(*map(int, parts))
    if not 2 <= ramp.first <= ramp.last <= BOTS_MAX or ramp.step < 1 or len(ramp.levels) > LEVELS_MAX:
        raise SwarmError(f"ramp is {text!r}, allowed are 2 to {BOTS_MAX} bots, growing, in at most {LEVELS_MAX} levels")
    return ramp


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a person asks of a run."""

    bots: int = 100  # at the highest level
    rooms: int = 0  # 0: as many as the scene wants
    scene: SceneName = "ward"
    seconds: float = 30.0  # measured at each level
    hz: float = 20.0
    tick_hz: int = 30
    seed: int = 1
    beds: int = 0
    roam: float = 0.0
    processes: int = 1
    share: float = 0.0  # of the bots watched closely; 0 chooses
    ramp: Ramp | None = None
    spike: int = 0
    pin: bool = False
    libzmq: bool = False
    data: Path | None = None
    endpoint: str = ""
    websocket: bool = False
    web: str = ""

    def __post_init__(self) -> None:
        """Check the ranges; raises SwarmError."""
        for name, low, high in (("bots", 2, BOTS_MAX), ("rooms", 0, 250), ("seconds", 1, 86_400), ("hz", 1, 60),
                                ("tick_hz", 20, 90), ("beds", 0, 8), ("roam", 0, 1), ("processes", 1, 8),
                                ("share", 0, 1), ("spike", 0, self.bots)):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise SwarmError(f"{name} is {getattr(self, name):g}, allowed is {low} to {high}")
        if self.scene not in get_args(SceneName):
            raise SwarmError(f"scene is {self.scene!r}, allowed is {', '.join(get_args(SceneName))}")
        if (self.data is None) != (not self.endpoint and not self.web):
            raise SwarmError("--data goes with --endpoint (or --web): both name a server that runs already")
        if self.libzmq and self.websocket:
            raise SwarmError("--libzmq is for native bots, --websocket and --web are not")

    @property
    def plans(self) -> list[RoomPlan]:
        """The rooms of our own server."""
        return plan_rooms(self.scene, self.bots, self.rooms, self.beds)

    @property
    def levels(self) -> tuple[int, ...]:
        """Bots at each level: one level without a ramp."""
        return self.ramp.levels if self.ramp is not None else (self.bots,)

    @property
    def watched(self) -> float:
        """Share of the bots watched closely at any time: all of a few, some sixty of many."""
        return self.share or min(1.0, 60.0 / self.bots)
