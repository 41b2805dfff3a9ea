"""The demonstration's ward round: `python -m tools.wardround --data DIR --bots 6`.

Owns a process of a few bots with names and roles that walk a running hospital together: they stop at the beds, talk,
pass a clipboard on, and come back by themselves when the shard restarts. Joins as any native client does, with tokens
minted by the data directory's key. SIGTERM and Ctrl-C end it cleanly.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from cyclopts import App, CycloptsError

from server.config import Config
from server.world.commands import Role
from server.world.events import Refused, Waiting
from tools.access import AccessError, Pass
from tools.fleet import Fleet
from tools.fleet_state import Member, Nobody
from tools.lines import NativeLines
from tools.manners import Act, Habits
from tools.rounds import Errand, Pace, Round, Standing

POSE_HZ = 15.0
POLL_S_MAX = 0.05
KEYS_RETRY_S = 1.0
PLAN_S = 0.5
BOTS_MAX = 50
START_ROOM = "lobby"
PEOPLE: tuple[tuple[str, Role], ...] = (
    ("Dr Amara Osei", "clinician"), ("Dr Jonas Lind", "clinician"), ("Rosa Delgado", "carer"), ("Mina Park", "student"),
    ("Tom Becker", "student"), ("Aisha Rahman", "student"), ("Dr Ines Moreau", "clinician"), ("Kwame Boateng", "carer"),
)  # fmt: skip
HABITS = Habits(
    wander=False, talk=0.3, say=0.3, raise_hand=0.04, handle_things=0.2, things_max=1, kinds=("clipboard", "")
)

app = App(name="tools.wardround", help=__doc__)


class RoundError(ValueError):
    """The ward round cannot be started as asked."""


def party(count: int) -> list[Member]:
    """The group: names are marked, so that nobody takes a bot for a person."""
    out = []
    for number in range(count):
        name, role = PEOPLE[number % len(PEOPLE)]
        again = number // len(PEOPLE)
        out.append(Member(f"{name} {again + 1} (bot)" if again else f"{name} (bot)", role, START_ROOM))
    return out


class WardRound:
    """The group and its plan, over native connections."""

    def __init__(self, count: int, endpoint: str, door: Pass, seed: int, pace: Pace | None = None) -> None:
        self.lines = NativeLines(endpoint, door.server_key, count)
        self.fleet = Fleet(party(count), self.lines, door.mint, Nobody(), seed, POSE_HZ)
        self.fleet.on_refused, self.fleet.on_waiting = self._refused, self._waiting
        self.round = Round(seed, pace)
        self._asked: dict[int, tuple[int, str]] = {}  # by bot: number of its last Go, and to which room
        self._plan_s = 0.0

    def turn(self, now_s: float) -> None:
        """Come in where needed, plan, move, and take in what came."""
        fleet = self.fleet
        fleet.knock(now_s)
        again_s = now_s + POLL_S_MAX
        if fleet.crowd is not None:
            if now_s >= self._plan_s:
                self._plan_s = now_s + PLAN_S
                self._plan(now_s)
            again_s = fleet.act(now_s)
        elif fleet.inside:
            fleet.awaken(HABITS)
        fleet.receive(min(POLL_S_MAX, max(0.0, again_s - time.monotonic())), now_s)

    def _plan(self, now_s: float) -> None:
        fleet, crowd = self.fleet, self.fleet.crowd
        assert crowd is not None
        m, gaps = crowd.minds, crowd.gap_m()
        group = {
            number: Standing(
                fleet.places[room].slug, int(m.place[number]), bool(m.walking[number]), float(gaps[number])
            )
            for number, room in enumerate(fleet.room.tolist())
            if fleet.is_in(number)
        }  # fmt: skip
        floors = {place.slug: fleet.floors.floors[place.floor] for place in fleet.places.values()}
        for want in list(self.round.step(now_s, floors, group)):
            match want:
                case Errand(bot=bot, place=place, near_m=near_m):
                    if m.place[bot] != place:
                        crowd.go_to(bot, place, near_m)
                case Act():
                    self._asked[want.bot] = (fleet.ask(want), want.text)

    def _refused(self, bot: int, refused: Refused) -> None:
        seq, room = self._asked.get(bot, (-1, ""))
        if seq == refused.seq:
            self.round.refused(bot, room)

    def _waiting(self, bot: int, waiting: list[Waiting]) -> None:
        """Let in who belongs to the round; people are for people to admit."""
        ours = {other.avatar for number, other in enumerate(self.fleet.bots) if self.fleet.is_in(number)}
        for person in waiting:
            if person.avatar in ours:
                self.fleet.ask(Act(bot, "admit", to=person.avatar))

    def stop(self) -> None:
        """Say goodbye and close."""
        self.fleet.goodbye()
        self.fleet.receive(0.05, time.monotonic())
        self.lines.close()


def _stop_with_parent() -> None:
    """A supervised process ends when its standard input does."""

    def watch() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock a daemon thread must not hold at the end
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()


def _keys(data: Path, going: Callable[[], bool], wait: Callable[[float], bool]) -> Pass | None:
    """The server's keys, waited for while the server makes them; None if told to stop before."""
    told = False
    while going():
        try:
            return Pass(data)
        except AccessError as error:
            if not told:
                print(f"wardround: waiting: {error}", file=sys.stderr, flush=True)
                told = True
            wait(KEYS_RETRY_S)
    return None


@app.default
def wardround(*, data: Path, bots: int = 6, endpoint: str = "", seed: int = 1, supervised: bool = False) -> int:
    """Walk a running hospital as a small ward round until told to stop.

    Args:
        data: data directory of the server, whose keys let the bots in
        bots: how many walk
        endpoint: ZeroMQ endpoint of the server; default is the server's own default, or ASCLEPION_NATIVE
        seed: of everything they draw by lot
        supervised: end when standard input ends
    """
    if not 1 <= bots <= BOTS_MAX:
        raise RoundError(f"bots is {bots}, allowed is 1 to {BOTS_MAX}")
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if supervised:
        _stop_with_parent()
    door = _keys(data, lambda: not stopping.is_set(), stopping.wait)
    if door is None:
        return 0
    walk = WardRound(bots, endpoint or os.environ.get("ASCLEPION_NATIVE", "") or Config().native, door, seed)
    try:
        while not stopping.is_set():
            walk.turn(time.monotonic())
    finally:
        walk.stop()
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command; what a person can mend is one line on standard error and status 2."""
    try:
        words = sys.argv[1:] if argv is None else argv
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, RoundError, AccessError, OSError) as error:
        print("wardround: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
