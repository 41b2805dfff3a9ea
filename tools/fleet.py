"""Many bots through the real protocol: hello, welcome, rooms, poses, commands, coming back after a break.

Owns each bot's session and what it was told of its room. What the bots do is `tools.manners`; what is measured is an
`Observer`. Never reads the server's state by another way than its frames.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.net.hello import make_hello
from server.net.messages import Bye, Several, Welcome, encoder, server_decoder
from server.sim.frame import read_frame
from server.sim.snapshot import NoBaseline, decode_body
from server.world.commands import Role
from server.world.events import Offered, Refused, RoomEntered, ThingInfo, ThingTaken, Waiting, WaitingList, YouWait
from server.world.scene import Room
from tools.fleet_state import BACKOFF_S, Bot, Member, Observer, Place, body_of, hear, sight_of
from tools.floors import Floors, make_floor
from tools.lines import Lines
from tools.manners import Act, Habits, Manners
from tools.minds import Crowd, Ints, Rows

OPENING_MAX = 16  # handshakes under way at once
HELLO_PATIENCE_S = 6.0
SILENCE_S = 4.0  # nothing at all for so long: the server is gone
BACKOFF_MAX_S = 5.0
FRAMES_KEPT = 64  # ticks whose frames of a room are remembered
SLICES = 5  # poses of one interval go out in so many groups, as people's would
GONE_CODES = frozenset({"resume", "over", "bye", "left"})  # the seat is lost: come in anew

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
        clock_ns: Callable[[], int],
    ) -> None:
        self.bots = [Bot(member, Ed25519PrivateKey.generate()) for member in members]
        self.lines, self.observer = lines, observer
        self.counters: Counter[str] = Counter()
        self.floors = Floors([])
        self.places: dict[int, Place] = {}
        self.tick_hz = 0  # of the server, as Welcome says
        self.crowd: Crowd | None = None
        self.manners: Manners | None = None
        self.on_refused: Callable[[int, Refused], None] = lambda bot, refused: None
        self.on_waiting: Callable[[int, list[Waiting]], None] = lambda bot, waiting: None  # a bot that may admit
        self._mint, self._seed, self._dt_s, self._clock_ns = mint, seed, 1.0 / hz, clock_ns
        self._dice = np.random.Generator(np.random.PCG64([seed, 2]))
        self._next_s = 0.0
        self._slices: deque[tuple[float, Ints]] = deque()
        self._rows: Rows | None = None

    @property
    def inside(self) -> int:
        """How many bots are in a room."""
        return sum(bot.state == "in" for bot in self.bots)

    # --- coming in ----------------------------------------------------------------------------------------------------

    def knock(self, now_s: float) -> None:
        """Start handshakes of those who are out, a few at a time; give up on those that take too long."""
        opening = 0
        for number, bot in enumerate(self.bots):
            if bot.state == "opening" and now_s - bot.asked_s > HELLO_PATIENCE_S:
                self._out(number, now_s, "hello_unanswered")
            if bot.state == "in" and now_s - bot.heard_s > SILENCE_S:
                self._out(number, now_s, "silence")
            opening += bot.state == "opening"
        for number, bot in enumerate(self.bots):
            if opening >= OPENING_MAX:
                return
            if bot.state == "out" and now_s >= bot.again_s:
                self._open(number, now_s)
                opening += 1

    def _open(self, number: int, now_s: float) -> None:
        bot = self.bots[number]
        token = "" if bot.resume else self._mint(*bot.member)
        self.lines.open(number)
        self.lines.send(number, encoder.encode(make_hello(bot.key, token=token, resume=bot.resume)))
        bot.state, bot.asked_s, bot.seq, bot.keyframe = "opening", now_s, 0, -1

    def _out(self, number: int, now_s: float, why: str) -> None:
        bot = self.bots[number]
        self.counters[f"out_{why}"] += 1
        if bot.state == "in":
            self._leave_place(number)
            self.observer.left(number)
        bot.state = "out"
        bot.again_s = now_s + bot.pause_s * float(self._dice.uniform(0.5, 1.0))
        bot.pause_s = min(bot.pause_s * 2, BACKOFF_MAX_S)

    def _leave_place(self, number: int) -> None:
        bot = self.bots[number]
        place = self.places.get(bot.room)
        if place is not None and place.handles.pop(number, None) is not None:
            place.bots.pop(bot.avatar & 0xFFF, None)
        bot.room = -1

    # --- what comes in ------------------------------------------------------------------------------------------------

    def receive(self, timeout_s: float, now_s: float) -> None:
        """Take in what came, waiting at most `timeout_s` for the first message."""
        for bot, frames, at_ns in self.lines.poll(timeout_s):
            if not frames:
                self._out(bot, now_s, "closed")
                continue
            self.bots[bot].heard_s = at_ns / 1e9
            for frame in frames:
                self._frame(bot, frame, at_ns)

    def _frame(self, number: int, frame: bytes, at_ns: int) -> None:
        kind = frame[0]
        if kind == 1:
            self._snapshot(number, frame, at_ns)
        elif kind < 0x80:
            self.counters["wave_blocks"] += 1
            self.counters["wave_bytes"] += len(frame)
        else:
            self._message(number, server_decoder.decode(frame), at_ns / 1e9)

    def _message(self, number: int, message: object, now_s: float) -> None:
        bot = self.bots[number]
        self.counters[type(message).__name__] += 1
        match message:
            case Several(messages=frames):
                for frame in frames:
                    self._message(number, server_decoder.decode(frame), now_s)
            case Welcome():
                bot.resume, bot.pause_s = message.resume, BACKOFF_S
                self.tick_hz = message.tick_hz
                self.counters["resumed" if message.resumed else "joined"] += 1
            case RoomEntered():
                self._entered(number, message)
            case ThingTaken():
                self._taken(self.places[bot.room], message.thing)
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
        bot = self.bots[number]
        if bot.state == "out":
            return  # an answer to what was on its way before
        if bot.state == "opening" or code in GONE_CODES:
            bot.resume = b""
        self._out(number, now_s, f"bye_{code}")

    def _entered(self, number: int, entered: RoomEntered) -> None:
        bot = self.bots[number]
        self._leave_place(number)
        place = self.places.get(entered.room_index)
        if place is None:
            room = msgspec.structs.replace(scene_decoder.decode(entered.scene), slug=entered.room)
            place = self.places[entered.room_index] = Place(entered.room, room, self.floors.add(make_floor(room)))
        bot.state, bot.room, bot.avatar, bot.keyframe = "in", entered.room_index, entered.avatar, -1
        bot.rights = frozenset(entered.rights)
        place.things.update({thing.thing & 0xFFF: thing for thing in entered.things})
        place.bots[entered.avatar & 0xFFF] = number
        place.handles[number] = entered.avatar
        self.observer.entered(number, entered.room_index)
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

    def _snapshot(self, number: int, data: bytes, at_ns: int) -> None:
        """Count it for the bot; decode it if no bot has got the same bytes yet. Halls are counted only."""
        bot, frame = self.bots[number], read_frame(data)
        room, tick = frame.room, frame.tick
        body = frame.blocks[0][1] if frame.blocks else b""
        if not body or len(frame.blocks) > 1:
            self.counters["hall_frames"] += 1
        elif body[0] == 0:
            bot.keyframe = tick if room == bot.room else -1
        elif bot.keyframe < 0 or room != bot.room:
            self.counters["before_keyframe"] += 1  # just came in: in sync with the next keyframe
        elif bot.keyframe != tick - body[0]:
            self.counters["keyframe_missed"] += 1  # of no use to this bot: as good as lost
            return
        self.observer.got(number, room, tick, len(data), at_ns)
        place = self.places.get(room)
        if place is None:
            self.counters["unknown_room"] += 1
        elif body and len(frame.blocks) == 1:
            known = place.frames.get(tick)
            if known is None:
                self._decode(place, room, tick, data, body)
            elif known != data:
                self.counters["frames_differ"] += 1

    def _decode(self, place: Place, room: int, tick: int, data: bytes, body: bytes) -> None:
        try:
            view = decode_body(body, room, tick, 0, place.keyframes)
        except NoBaseline:
            self.counters["before_keyframe"] += 1
            return
        place.frames[tick] = data
        if body[0] == 0:
            place.keyframes[room, 0, tick] = view
            for old in [key for key in place.keyframes if key[2] < tick - 255]:
                del place.keyframes[old]
        for old_tick in [t for t in place.frames if t < tick - FRAMES_KEPT]:
            del place.frames[old_tick]
        place.view = view
        self.observer.saw(view, place.bots, len(data))
        if self.crowd is not None:
            hear(self.crowd, place, view)

    # --- what goes out ------------------------------------------------------------------------------------------------

    def awaken(self, habits: Habits | None = None) -> Manners:
        """Give the bots minds, once the first of them are in their rooms."""
        floor = [self.places[bot.room].floor if bot.state == "in" else 0 for bot in self.bots]
        self.crowd = Crowd(self.floors, np.array(floor), np.zeros((len(self.bots), 2)), self._seed)
        self.manners = Manners(self.crowd, self._seed, habits)
        for number in range(len(self.bots)):
            self._grant(number)
        for place in self.places.values():
            if place.view is not None:
                hear(self.crowd, place, place.view)
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
        sights = {place.floor: sight_of(place) for place in self.places.values()}
        for act in self.manners.step(sights):
            self.ask(act)
        self.crowd.step(self._dt_s)
        self._rows = self.crowd.rows()
        due = self.crowd.due(self._rows)
        for part in range(SLICES):
            self._slices.append((now_s + part * self._dt_s / SLICES, due[due % SLICES == part]))

    def _send_poses(self, due: Ints) -> None:
        assert self._rows is not None
        rows, clock_ns = self._rows, self._clock_ns
        for number in due.tolist():
            bot = self.bots[number]
            if bot.state != "in":
                continue
            bot.seq += 1
            rows["seq"][number] = bot.seq
            now_ns = clock_ns()
            if self.lines.send(number, rows[number].tobytes()):
                self.observer.sent(number, bot.seq, now_ns)
            else:
                self.counters["poses_blocked"] += 1

    def _offered(self, number: int, offered: Offered) -> None:
        if self.manners is not None:
            for act in self.manners.offered(number, offered.thing):
                self.ask(act)

    def ask(self, act: Act) -> int:
        """Send an act as a command of its bot; the command's number, 0 if the bot is out."""
        bot = self.bots[act.bot]
        if bot.state != "in":
            return 0
        bot.seq += 1
        self.counters[f"asked_{act.kind}"] += 1
        self.lines.send(act.bot, encoder.encode(body_of(act, bot.seq)))
        return bot.seq

    def goodbye(self) -> None:
        """Leave politely."""
        for number, bot in enumerate(self.bots):
            if bot.state == "in":
                self.lines.send(number, encoder.encode(Bye("left")))
                bot.state = "out"
