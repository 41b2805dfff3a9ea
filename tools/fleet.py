"""Many bots through the real protocol: hello, welcome, rooms, poses, commands, coming back after a break.

Owns each bot's session and what it was told of its room. What the bots do is `tools.manners`; how their frames are read
is `tools.eyes`; what is measured is an `Observer`. Nothing is done in Python for each message of a bot that stands
firmly in its room. Never reads the server's state by another way than its frames.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.net.hello import make_hello
from server.net.messages import Bye, ServerMessage, Welcome, encoder, server_decoder
from server.net.protocol import message_types, tag_of
from server.sim.far import FarRows
from server.sim.rows import View
from server.world.commands import Role
from server.world.events import Offered, Refused, RoomEntered, ThingInfo, ThingTaken, Waiting, WaitingList, YouWait
from server.world.scene import Room
from tools.backoff import Backoff
from tools.eyes import Eyes
from tools.fleet_state import (
    Bot,
    Longs,
    Member,
    Observer,
    Place,
    body_of,
    hear,
    hear_far,
    sight_of,
)
from tools.floors import Floors, make_floor
from tools.lines import Letter, Lines, Mail
from tools.manners import Act, Habits, Manners, Sight
from tools.minds import Crowd, Rows
from tools.scenes import Director

OUT, OPENING, IN = 0, 1, 2  # states of a bot
OPENING_MAX = 48  # handshakes under way at once
HELLO_PATIENCE_S = 8.0
SILENCE_S = 8.0  # nothing at all for so long: the server is gone
FIRST_S, CAP_S = 0.5, 5.0  # of coming back
SLICES = 5  # poses of one interval go out in so many groups, as people's would
SIGHT_S = 0.2  # how often what lies where is gathered anew
WATCHED_S = 1.5  # the same bots are watched closely for so long
SLOTS = 4096
GONE_CODES = frozenset({"resume", "token", "over", "bye", "left", "seat-gone"})  # the seat is lost: come in anew
EVERY, FIRST = 1, 2
NAMES = {tag_of(kind): kind.__name__ for kind in message_types(ServerMessage)}
WANTED = {
    tag: FIRST if name == "ThingTaken" else EVERY
    for tag, name in NAMES.items()
    if name in ("Bye", "Welcome", "RoomEntered", "ThingTaken", "Offered", "Refused", "WaitingList", "YouWait")
}
COUNTED = {256: "wave_blocks", 257: "pings", 258: "frame_too_long", 259: "box_unopened", 260: "read_failed"}

scene_decoder = msgspec.msgpack.Decoder(Room)


class Fleet:
    """All bots of one process. Times are the caller's monotonic seconds."""

    def __init__(
        self,
        members: Sequence[Member],
        lines: Lines,
        mint: Callable[[str, Role, str], str],
        observer: Observer,
        seed: int,
        hz: float,
        share: float = 1.0,
    ) -> None:
        """`share`: of the bots, how many are watched closely at any time."""
        n = len(members)
        self._dice = np.random.Generator(np.random.PCG64([seed, 2]))
        draw = self._dice.random
        self.bots = [Bot(member, Ed25519PrivateKey.generate(), Backoff(draw, FIRST_S, CAP_S)) for member in members]
        self.state, self.seq = np.zeros(n, np.int8), np.zeros(n, np.int64)
        self.room, self.home, self.slot = np.full(n, -1), np.full(n, -1), np.full(n, -1)
        self.heard_s, self.sent_ns = np.zeros(n), np.zeros((n, 256), np.int64)
        self.bot_at = np.full(SLOTS, -1)  # by avatar slot
        self.watched = np.zeros(n, np.bool_)
        self.lines, self.observer, self.share = lines, observer, share
        self.counters: Counter[str] = Counter()
        self.eyes = Eyes(self.counters)
        self.floors = Floors([])
        self.places: dict[int, Place] = {}
        self.allowed = n  # so many of the first bots come in
        self.tick_hz = 0  # of the server, as Welcome says
        self.crowd: Crowd | None = None
        self.manners: Manners | None = None
        self._director: Director | None = None
        self._sights: dict[int, Sight] = {}
        self.on_refused: Callable[[int, Refused], None] = lambda bot, refused: None
        self.on_waiting: Callable[[int, list[Waiting]], None] = lambda bot, waiting: None  # a bot that may admit
        self._mint, self._seed, self._dt_s = mint, seed, 1.0 / hz
        self._next_s = self._watch_s = self._sight_s = 0.0
        self._slices: deque[tuple[float, Longs]] = deque()
        self._rows: Rows | None = None
        lines.want(WANTED)

    @property
    def inside(self) -> int:
        """How many bots are in a room."""
        return int((self.state == IN).sum())

    def is_in(self, bot: int) -> bool:
        """Whether a bot is in a room."""
        return bool(self.state[bot] == IN)

    # --- coming in ----------------------------------------------------------------------------------------------------

    def knock(self, now_s: float) -> None:
        """Start handshakes of those who are out, a few at a time; give up on those that take too long."""
        for number in np.flatnonzero(self.state == OPENING).tolist():
            if now_s - self.bots[number].asked_s > HELLO_PATIENCE_S:
                self._out(number, now_s, "hello_unanswered")
        for number in np.flatnonzero((self.state == IN) & (self.heard_s < now_s - SILENCE_S)).tolist():
            self._out(number, now_s, "silence")
        opening = int((self.state == OPENING).sum())
        for number in np.flatnonzero(self.state[: self.allowed] == OUT).tolist():
            if opening >= OPENING_MAX:
                return
            if now_s >= self.bots[number].again_s:
                self._open(number, now_s)
                opening += 1

    def _open(self, number: int, now_s: float) -> None:
        bot = self.bots[number]
        token = "" if bot.resume else self._mint(*bot.member)
        self.lines.open(number)
        self.lines.send(number, encoder.encode(make_hello(bot.key, token=token, resume=bot.resume)))
        self.state[number], self.seq[number], bot.asked_s = OPENING, 0, now_s

    def drop(self, bots: Longs, now_s: float) -> None:
        """Cut the connections of these bots; they come back by themselves at once."""
        for number in bots.tolist():
            if self.is_in(number):
                self.lines.drop(number)
                self._out(number, now_s, "dropped")
                self.bots[number].again_s = now_s

    def _out(self, number: int, now_s: float, why: str) -> None:
        bot = self.bots[number]
        self.counters[f"out_{why}"] += 1
        self._leave_place(number)
        self.state[number] = OUT
        bot.again_s = now_s + bot.backoff.failed()

    def _leave_place(self, number: int) -> None:
        place = self.places.get(int(self.room[number]))
        if place is not None and place.handles.pop(number, None) is not None:
            place.bots.pop(int(self.slot[number]), None)
        if self.slot[number] >= 0:
            self.bot_at[self.slot[number]] = -1
        self.room[number] = self.home[number] = self.slot[number] = -1
        self.sent_ns[number] = 0
        self.observer.left(number)

    # --- what comes in ------------------------------------------------------------------------------------------------

    def receive(self, timeout_s: float, now_s: float) -> None:
        """Take in what came, waiting at most `timeout_s` for the first message."""
        mail = self.lines.take(timeout_s)
        for letter in mail.letters:
            self._message(letter)
        if len(mail.bot):
            self._snapshots(mail, now_s)
        for number in mail.gone:
            if self.state[number] != OUT:
                self._out(number, now_s, "closed")

    def _message(self, letter: Letter) -> None:
        number, now_s = letter.bot, letter.at_ns / 1e9
        message = server_decoder.decode(letter.frame)
        bot = self.bots[number]
        self.heard_s[number] = now_s
        match message:
            case Welcome():
                bot.resume, bot.client = message.resume, message.client
                bot.backoff.succeeded()
                self.tick_hz = message.tick_hz
                self.counters["resumed" if message.resumed else "joined"] += 1
            case RoomEntered():
                self._entered(number, message)
            case ThingTaken() if self.room[number] in self.places:
                self._taken(self.places[int(self.room[number])], message.thing)
            case Offered():
                self._offered(number, message)
            case Refused():
                self.counters[f"refused_{message.code}"] += 1
                self.on_refused(number, message)
            case WaitingList():
                self.on_waiting(number, message.waiting)
            case YouWait() if message.room:
                self.counters["waiting"] += 1
            case Bye():
                self._bye(number, message.code, now_s)
            case _:
                return

    def _bye(self, number: int, code: str, now_s: float) -> None:
        if self.state[number] == OUT:
            return  # an answer to what was on its way before
        if code in GONE_CODES:
            self.bots[number].resume = b""
        self._out(number, now_s, f"bye_{code}")

    def _entered(self, number: int, entered: RoomEntered) -> None:
        bot = self.bots[number]
        self._leave_place(number)
        place = self.places.get(entered.room_index)
        if place is None:
            room = msgspec.structs.replace(scene_decoder.decode(entered.scene), slug=entered.room)
            place = self.places[entered.room_index] = Place(entered.room, room, self.floors.add(make_floor(room)))
        slot = entered.avatar & 0xFFF
        self.state[number], self.room[number], self.slot[number] = IN, entered.room_index, slot
        self.bot_at[slot] = number
        bot.avatar, bot.rights = entered.avatar, frozenset(entered.rights)
        place.things.update({thing.thing & 0xFFF: thing for thing in entered.things})
        place.bots[slot], place.handles[number] = number, entered.avatar
        if self.crowd is not None:
            self.crowd.entered(number, place.floor, (0.0, 0.0))
            self.crowd.resend(number)
            self._grant(number)

    def _grant(self, number: int) -> None:
        if self.manners is not None:
            self.manners.entered(number)
            self.manners.may_grab[number] = "grab" in self.bots[number].rights
            self.manners.may_speak[number] = "speak" in self.bots[number].rights

    def _taken(self, place: Place, thing: int) -> None:
        """A thing brought in from elsewhere has a handle we have not heard of; what it is is not said."""
        known = place.things.get(thing & 0xFFF)
        if known is None or known.thing != thing:
            place.things[thing & 0xFFF] = ThingInfo(thing, "", "")

    def _snapshots(self, mail: Mail, now_s: float) -> None:
        self.heard_s[mail.bot] = now_s
        self.observer.got(mail)
        here = mail.room == self.room[mail.bot]
        self.home[mail.bot[here]] = mail.home[here]
        for row, frame in mail.fresh:
            tick = int(mail.tick[row])
            self.eyes.keep(int(mail.key[row]), tick, frame)
            for cell, seen in self.eyes.stale(frame):
                self._hear(int(mail.room[row]), cell, seen)
        close = np.flatnonzero(self.watched[mail.bot] & here)
        for key in np.unique(mail.key[close]).tolist():
            self._watch(key, mail.bot[close][mail.key[close] == key])

    def _hear(self, room: int, cell: int, seen: View | FarRows) -> None:
        place = self.places.get(room)
        if place is None:
            return
        if isinstance(seen, View):
            hear(self.crowd, place, cell, seen, self.bot_at)
        elif self.crowd is not None:
            hear_far(self.crowd, seen, self.bot_at)

    def _watch(self, key: int, bots: Longs) -> None:
        """A frame of bots that are watched closely is decoded whole."""
        before = self.eyes.known(key)
        glimpse = self.eyes.glimpse(key)
        if glimpse is None:
            return
        if before is None:
            self.observer.weighed(glimpse)
            lookers = np.flatnonzero((self.room == glimpse.room) & (self.home == glimpse.home))
            for cell, view in glimpse.near.items():
                self._hear(glimpse.room, cell, view)
                self.observer.acked(view, self.bot_at, self.sent_ns, lookers)
        self.observer.saw(key, glimpse, bots, self.slot[bots])

    def _choose_watched(self, now_s: float) -> None:
        """Whom to watch next: some by lot, and those who share their view, up to the share."""
        if now_s < self._watch_s:
            return
        self._watch_s = now_s + WATCHED_S
        inside = np.flatnonzero(self.state == IN)
        quota = int(np.ceil(self.share * len(inside)))
        self.watched[:] = False
        for number in self._dice.permutation(inside).tolist():
            if quota <= 0:
                return
            if not self.watched[number]:
                alike = inside[(self.room[inside] == self.room[number]) & (self.home[inside] == self.home[number])]
                self.watched[alike[:quota]] = self.watched[number] = True
                quota -= len(alike)

    # --- what goes out ------------------------------------------------------------------------------------------------

    def awaken(self, habits: Habits | None = None, directed: bool = False) -> Manners:
        """Give the bots minds, once the first of them are in their rooms. `directed`: rooms do things together."""
        floor = [self.places[room].floor if room >= 0 else 0 for room in self.room.tolist()]
        self.crowd = Crowd(self.floors, np.array(floor), np.zeros((len(self.bots), 2)), self._seed)
        self.manners = Manners(self.crowd, self._seed, habits)
        self._director = Director(self.manners, self._seed) if directed else None
        for number in range(len(self.bots)):
            self._grant(number)
        return self.manners

    def act(self, now_s: float) -> float:
        """Let the bots live up to `now_s`; returns when to call again."""
        if now_s >= self._next_s:
            self._next_s = max(self._next_s + self._dt_s, now_s - self._dt_s)
            self._live(now_s)
        while self._slices and self._slices[0][0] <= now_s:
            self._send_poses(self._slices.popleft()[1])
        return min(self._next_s, self._slices[0][0]) if self._slices else self._next_s

    def _live(self, now_s: float) -> None:
        assert self.crowd is not None and self.manners is not None
        while self._slices:
            self._send_poses(self._slices.popleft()[1])
        self._choose_watched(now_s)
        self._think(now_s)
        self.crowd.step(self._dt_s)
        self._rows = self.crowd.rows()
        due = self.crowd.due(self._rows)
        due = due[self.state[due] == IN]
        for part in range(SLICES):
            self._slices.append((now_s + part * self._dt_s / SLICES, due[due % SLICES == part]))

    def _think(self, now_s: float) -> None:
        assert self.manners is not None
        if now_s >= self._sight_s:
            self._sight_s = now_s + SIGHT_S
            self._sights = {place.floor: sight_of(place) for place in self.places.values()}
        acts = self.manners.step(self._sights)
        if self._director is not None:
            rooms = {place.floor: place.room for place in self.places.values()}
            acts += self._director.step(rooms, self._sights)
        for act in acts:
            self.ask(act)

    def _send_poses(self, due: Longs) -> None:
        assert self._rows is not None
        due = due[self.state[due] == IN]
        raw = self._rows.view(np.uint8).reshape(len(self._rows), -1)
        went = self.lines.poses(due, raw, self.seq, self.sent_ns)
        self.observer.posed(went)
        self.counters["poses_blocked"] += len(due) - went

    def _offered(self, number: int, offered: Offered) -> None:
        if self.manners is not None:
            for act in self.manners.offered(number, offered.thing):
                self.ask(act)

    def ask(self, act: Act) -> int:
        """Send an act as a command of its bot; the command's number, 0 if the bot is out."""
        if not self.is_in(act.bot):
            return 0
        self.seq[act.bot] += 1
        self.counters[f"asked_{act.kind}"] += 1
        self.lines.send(act.bot, encoder.encode(body_of(act, int(self.seq[act.bot]))))
        return int(self.seq[act.bot])

    def tally(self) -> dict[str, int]:
        """All counters, those of the lines by name too."""
        heard = {NAMES.get(tag, COUNTED.get(tag, f"tag_{tag}")): n for tag, n in self.lines.counted().items()}
        return dict(sorted((self.counters + Counter(heard)).items()))

    def goodbye(self) -> None:
        """Leave politely."""
        for number in np.flatnonzero(self.state == IN).tolist():
            self.lines.send(number, encoder.encode(Bye("left")))
        self.state[:] = OUT
