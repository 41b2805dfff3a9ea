"""Frames in, commands out: sessions, hellos, and what edges ask, up to the point where it is history.

Owns what waits to be heard, and the numbering of clients and questions. Whatever a peer can do wrong ends that peer's
session here, with a reason and a counter, and nothing else. Never changes the world.
"""

from collections import defaultdict

import msgspec

from server.config import Config
from server.guests import Guest, Guests
from server.net.messages import Bye, Hello, Ping, Pong, Welcome, encoder
from server.net.session import Pose, ProtocolError, read_hello
from server.net.sessions import Sessions
from server.net.uplink import is_pose, joined, poses_of
from server.net.wire import AnyWire, Asked, EdgeDown, EdgeUp, Gone, Inbound, Peer
from server.reception import Newcomer, Reception, Reply, new_code, new_secret, reply, secret_hash
from server.recorder import SHARD, Recorder, RecordRefused
from server.sim.poses import PoseBatch
from server.world.commands import Asked as Asks
from server.world.commands import (
    Command,
    Detach,
    Enrol,
    EnrolSigned,
    Join,
    Leave,
    MakeInvite,
    OrderSigned,
    PlaceOrder,
    Redeem,
    Resume,
)
from server.world.events import Enrolled, Redeemed, Refused
from server.world.world import World


class Intake:
    """The way in of one shard."""

    def __init__(
        self,
        config: Config,
        world: World,
        wire: AnyWire,
        guests: Guests,
        reception: Reception,
        recorder: Recorder,
        next_client: int,
    ) -> None:
        self.config, self.limits = config, config.limits
        self.world, self.wire, self.guests = world, wire, guests
        self.reception, self.recorder = reception, recorder
        self.next_client = next_client
        self.counters: dict[str, int] = defaultdict(int)
        self._hellos: dict[Peer, Inbound] = {}  # first frames that wait for their turn, in the order they came
        self._hellos_left = 0
        self._over: set[Peer] = set()  # whose connection was ended in this tick: the wire knows from the next on
        self._asks: dict[int, tuple[bytes, int]] = {}
        self._next_ask = 1
        self._now_s = self._unix_s = 0.0
        self._first: list[Command] = []
        self._commands: list[Command] = []
        self._sessions = Sessions(config.limits)
        self._loose: list[tuple[int, bytes]] = []  # poses that came in the receive in which their sender was let in

    @property
    def hellos_waiting(self) -> int:
        """Hellos that were heard and not looked at yet."""
        return len(self._hellos)

    def also(self, commands: list[Command]) -> None:
        """Commands of the shard itself for the next tick."""
        self._first += commands

    # --- drain: frames -> commands ----------------------------------------------------------------------------------

    def drain(self, now_s: float, unix_s: float) -> tuple[list[Command], PoseBatch]:
        """All that came since the last tick, as commands in (client, sequence) order and the newest pose of each."""
        self._now_s, self._unix_s = now_s, unix_s
        self._commands, self._first = self._first, []
        self._commands += self.recorder.answers()
        self._hellos_left = self.limits.hellos_per_tick
        self._over.clear()
        while self._hellos and self._hellos_left:
            self._inbound(self._hellos.pop(next(iter(self._hellos))))
        self._sessions.begin()
        for item in self.wire.receive(self.limits.messages_per_tick_max):
            match item:
                case Inbound():
                    self._inbound(item)
                case Gone(peer=peer):
                    self._lost(peer)
                case EdgeUp():
                    self.counters["edges_up"] += 1
                case EdgeDown(edge=edge):
                    self._edge_lost(edge)
                case Asked():
                    self._asked(item)
        poses = self._take_poses()
        self._silent()
        self._commands.sort(key=lambda c: (c.client, c.sequence))
        return self._commands, poses

    def _take_poses(self) -> PoseBatch:
        """The newest pose of each client; who sent one that breaks a rule is let go."""
        heard = self.wire.poses()
        if self._loose:
            heard = joined([poses_of(self._loose), heard])
            self._loose = []
        poses, broken = self._sessions.take(heard, self._now_s)
        for client, error in broken:
            guest = self.guests.client(client)
            assert guest is not None, "who has a live session is a guest"
            self._refuse(guest, error)
        return poses

    def _inbound(self, item: Inbound) -> None:
        guest = self.guests.at(item.peer)
        if guest is not None:
            self._frame(guest, item.frame)
        elif item.peer in self._over:
            self.counters["late_frames"] += 1
        elif item.peer in self._hellos:
            self.counters["early_frames"] += 1
        elif self._hellos_left:
            self._hellos_left -= 1
            self._hello(item)
        elif len(self._hellos) < self.limits.unverified_peers_max:
            self._hellos[item.peer] = item
        else:
            self._busy(item.peer)

    def _busy(self, peer: Peer) -> None:
        """More people are at the door than may wait there."""
        self.counters["hellos_dropped"] += 1
        self.wire.post([peer], encoder.encode(Bye("busy", "many people are coming in: come back in a second or two")))
        self._shut(peer, "busy")

    def _shut(self, peer: Peer, code: str) -> None:
        self.wire.close(peer, code)
        self._over.add(peer)

    def _frame(self, guest: Guest, frame: bytes) -> None:
        if is_pose(frame):
            self._loose.append((guest.session.row, frame))
            return
        try:
            got = guest.session.receive(frame, self._now_s)
        except ProtocolError as error:
            self._refuse(guest, error)
            return
        match got:
            case Pose():
                raise AssertionError("poses are taken together")
            case Ping(stamp=stamp):
                self.guests.say(guest, Pong(stamp, self.world.tick))
            case Bye():
                self.end(guest, "bye", "goodbye")
                self._commands.append(Command(guest.client, 0, Leave("left")))
            case Hello():
                raise AssertionError("the session's table lets no second hello through")
            case _:
                self._asked_for(guest, got)

    def _refuse(self, guest: Guest, error: ProtocolError) -> None:
        self.end(guest, error.code, str(error))
        self._commands.append(Command(guest.client, 0, Leave(error.code)))

    def _asked_for(self, guest: Guest, asked: Asks | PlaceOrder | Enrol) -> None:
        body: Asks | OrderSigned | EnrolSigned
        person, public = guest.newcomer.person, guest.newcomer.public
        try:
            match asked:
                case PlaceOrder():
                    self._need_bed(asked.bed)
                    body = self.recorder.check_order(person, public, self.world.patient_of(asked.bed), asked)
                case Enrol() if self.recorder.kids.get(person, -1) >= 0:
                    return self.guests.say(guest, Enrolled(asked.seq, self.recorder.kids[person], b""))
                case Enrol():
                    body = self.recorder.check_enrol(person, public, asked)
                case MakeInvite():
                    body = msgspec.structs.replace(asked, code=new_code(self.reception.draw))
                case _:
                    body = asked
        except RecordRefused as refusal:
            self.counters[f"refused_{refusal.code}"] += 1
            self.guests.say(guest, Refused(asked.seq, refusal.code, str(refusal)))
            return
        self._commands.append(Command(guest.client, asked.seq, body))

    def _need_bed(self, bed: int) -> None:
        if bed >= self.world.bed_count:
            raise RecordRefused("no-such-bed", f"bed {bed} was named, this house has {self.world.bed_count}")

    # --- who comes and goes -----------------------------------------------------------------------------------------

    def _hello(self, item: Inbound) -> None:
        try:
            hello: Hello = read_hello(item.frame)
            newcomer = self.reception.check(hello, item.user_id, self.world, self._unix_s)
        except ProtocolError as error:
            self.counters[f"hello_{error.code}"] += 1
            self.wire.post([item.peer], encoder.encode(Bye(error.code, str(error)[:300])))
            self._shut(item.peer, error.code)
            return
        self._welcome(item.peer, newcomer)

    def _welcome(self, peer: Peer, newcomer: Newcomer) -> None:
        resumed = newcomer.resumes is not None
        secret = newcomer.resume or new_secret(
            self.reception.draw
        )  # kept on resume: a welcome that is lost costs nobody their seat
        client = newcomer.resumes if newcomer.resumes is not None else self.next_client
        before = self.guests.client(client)
        if before is not None:
            self.end(before, "resumed", "this seat was resumed on another connection")
        self.recorder.know_key(newcomer.person)
        name = self.world.name_of(client) if newcomer.claims is None else newcomer.claims.name
        welcome = Welcome(client, secret, self.world.tick, self.config.tick_hz, int(self.limits.seat_hold_s),
                          self.limits.input_hz, name, self.recorder.vkey, -1, resumed)  # fmt: skip
        guest = Guest(peer, self._sessions.open(client, self._now_s), client, newcomer, welcome)
        self.wire.verified(peer, guest.session.row)
        self.guests.add(guest)
        resume_hash = secret_hash(secret)
        if newcomer.claims is None:
            self._commands.append(Command(client, 0, Resume(resume_hash)))
            return
        self.next_client += 1
        claims = newcomer.claims
        join = Join(claims.name, claims.role, claims.room, newcomer.person, resume_hash, claims.invite)
        self._commands.append(Command(client, 0, join))

    def _lost(self, peer: Peer) -> None:
        self._hellos.pop(peer, None)
        guest = self.guests.at(peer)
        if guest is not None:
            self.guests.forget(guest)
            self._sessions.end(guest.session)
            self._commands.append(Command(guest.client, 0, Detach()))
            self.counters["connections_lost"] += 1

    def _edge_lost(self, edge: bytes) -> None:
        for guest in self.guests:
            if guest.peer.kind == "edge" and guest.peer.route == edge:
                self._lost(guest.peer)

    def _silent(self) -> None:
        for client in self._sessions.silent(self._now_s - self.limits.idle_timeout_s):
            guest = self.guests.client(client)
            assert guest is not None, "who has a live session is a guest"
            self.end(guest, "idle", f"nothing was heard for {self.limits.idle_timeout_s:g} s")
            self._commands.append(Command(guest.client, 0, Detach()))

    def end(self, guest: Guest, code: str, text: str) -> None:
        """End a session with a reason, counted. The world is told by the caller."""
        self.counters[f"ended_{code}"] += 1
        self._sessions.end(guest.session)
        self._over.add(guest.peer)
        self.guests.end(guest, code, text)

    def _asked(self, item: Asked) -> None:
        answer: Reply
        match item.kind:
            case "who":
                answer = self.reception.who(item.body, self.world, self._unix_s)
            case "feed":
                answer = self._feed(item.body)
            case "invite":
                answer = self._invite(item.body)
            case _:
                return self._redeem(item)
        self.wire.answer(item.edge, item.request, answer.status, answer.body)

    def _feed(self, body: bytes) -> Reply:
        block = self.reception.feed(body, self.world, self._unix_s)
        if isinstance(block, Reply):
            return block
        self._commands.append(Command(SHARD, 0, block))
        return Reply(202, b"{}")

    def _invite(self, body: bytes) -> Reply:
        made = self.reception.invite(body, self.world, self._unix_s)
        if isinstance(made, Reply):
            return made
        self._commands.append(Command(SHARD, 0, made))
        return reply(200, code=made.code, room=made.room, role=made.role)

    def _redeem(self, item: Asked) -> None:
        number, self._next_ask = self._next_ask, self._next_ask + 1
        command = self.reception.ask_redeem(number, item.body, self._unix_s)
        if isinstance(command, Redeem):
            self._asks[number] = (item.edge, item.request)
            self._commands.append(Command(SHARD, 0, command))
        else:
            self.wire.answer(item.edge, item.request, command.status, command.body)

    def redeemed(self, event: Redeemed) -> None:
        """The world said whether an invite was good: answer who asked."""
        edge, request = self._asks.pop(event.request)
        answer = self.reception.redeemed(event, self._unix_s)
        self.wire.answer(edge, request, answer.status, answer.body)
