"""The tick: drain -> journal -> step -> publish -> commit. Frames in, the world moves on, snapshots and events out.

Owns the sessions of connected clients and the order of things in a tick. Never changes the world except by commands,
never waits, never reads a clock: `server.shard_process` turns it.
"""

from collections import defaultdict, deque
from collections.abc import Callable

import msgspec
import numpy as np

from server.config import Config
from server.guests import Guest, Guests
from server.journal import Checkpoint, Header, Journal
from server.net.messages import Bye, Hello, Notice, Ping, Pong, Welcome, encoder
from server.net.session import Pose, ProtocolError, Session, read_hello
from server.net.wire import AnyWire, Asked, EdgeDown, EdgeUp, Gone, Inbound, Peer
from server.pacer import Pacer
from server.reception import Newcomer, Reception, Reply, new_code, new_secret, secret_hash
from server.recorder import SHARD, Recorder, RecordRefused
from server.sim.poses import NO_POSES, POSE, PoseBatch
from server.views import Views
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
from server.world.events import (
    BedAccess,
    BedChain,
    Enrolled,
    Event,
    Redeemed,
    Refused,
    RoomEntered,
    SessionOver,
    ToAccess,
    ToRecord,
)
from server.world.world import World

RECEIVE_MAX = 50_000  # frames in one tick, of all peers together


class Shard:
    """One authoritative world and everybody connected to it. Built from parts that are made elsewhere."""

    def __init__(
        self,
        config: Config,
        world: World,
        wire: AnyWire,
        reception: Reception,
        recorder: Recorder,
        journal: Journal,
        pacer: Pacer,
        next_client: int,
    ) -> None:
        self.config, self.limits = config, config.limits
        self.world, self.wire = world, wire
        self.reception, self.recorder, self.journal, self.pacer = reception, recorder, journal, pacer
        self.views = Views(config.keyframe_every)
        self.counters: dict[str, int] = defaultdict(int)
        self.guests = Guests(wire)
        self._hellos: deque[Inbound] = deque()
        self._next_client = next_client
        self._asks: dict[int, tuple[bytes, int]] = {}
        self._next_ask = 1
        self._now_s = self._unix_s = 0.0
        self._ledger_was_up = True
        self._told_vkey = ""
        self._restart()

    def _restart(self) -> None:
        """After a crash: nobody is connected, and what awaited the ledger is asked again."""
        self._first: list[Command] = [Command(c, 0, Detach()) for c in self.world.attached()]
        for wanted in self.world.pending():
            self.recorder.submit(wanted)

    def also(self, commands: list[Command]) -> None:
        """Commands of the shard itself for the next tick."""
        self._first += commands

    def farewell(self) -> None:
        """Tell everybody that the shard stops; their seats are kept for a restart."""
        self.guests.say_all(self.guests, Bye("stopping", "the server stops: your seat is kept, come back in a moment"))
        self.wire.flush()

    # --- the tick ---------------------------------------------------------------------------------------------------

    def tick(self, now_s: float, unix_s: float, clock: Callable[[], float]) -> None:
        """Advance one tick. `clock` is read between phases for the figures only."""
        self._now_s, self._unix_s = now_s, unix_s
        self.pacer.begin(now_s)
        marks = [clock()]
        commands, poses = self._drain()
        marks.append(clock())
        self.journal.append(self.world.tick, self.world.digest(), commands, poses)
        marks.append(clock())
        events = self.world.step(commands, poses)
        marks.append(clock())
        self._publish(events)
        marks.append(clock())
        self._commit(events)
        marks.append(clock())
        self.pacer.end(tuple(b - a for a, b in zip(marks, marks[1:], strict=False)))

    # --- drain: frames -> commands ----------------------------------------------------------------------------------

    def _drain(self) -> tuple[list[Command], PoseBatch]:
        self._commands, self._first = self._first, []
        self._poses: dict[int, np.void] = {}
        self._commands += self.recorder.answers()
        self._hellos_left = self.limits.hellos_per_tick
        while self._hellos and self._hellos_left:
            self._inbound(self._hellos.popleft())
        for item in self.wire.receive(RECEIVE_MAX):
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
        self._silent()
        self._commands.sort(key=lambda c: (c.client, c.sequence))
        return self._commands, self._batch()

    def _batch(self) -> PoseBatch:
        if not self._poses:
            return NO_POSES
        clients = np.array(sorted(self._poses), np.uint32)
        return PoseBatch(clients, np.array([self._poses[int(c)] for c in clients], POSE))

    def _inbound(self, item: Inbound) -> None:
        guest = self.guests.at(item.peer)
        if guest is not None:
            self._frame(guest, item.frame)
        elif self._hellos_left:
            self._hellos_left -= 1
            self._hello(item)
        elif len(self._hellos) < self.limits.unverified_peers_max:
            self._hellos.append(item)
        else:
            self.counters["hellos_dropped"] += 1
            self.wire.close(item.peer, "busy")

    def _frame(self, guest: Guest, frame: bytes) -> None:
        guest.heard_s = self._now_s
        try:
            got = guest.session.receive(frame, self._now_s)
        except ProtocolError as error:
            self._end(guest, error.code, str(error))
            self._commands.append(Command(guest.client, 0, Leave(error.code)))
            return
        match got:
            case Pose(row=row):
                self._poses[guest.client] = row
            case Ping(stamp=stamp):
                self.guests.say(guest, Pong(stamp, self.world.tick))
            case Bye():
                self._end(guest, "bye", "goodbye")
                self._commands.append(Command(guest.client, 0, Leave("left")))
            case Hello():
                raise AssertionError("the session's table lets no second hello through")
            case _:
                self._asked_for(guest, got)

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
                    body = msgspec.structs.replace(asked, code=new_code())
                case _:
                    body = asked
        except RecordRefused as refusal:
            self.counters[f"refused_{refusal.code}"] += 1
            self.guests.say(guest, Refused(asked.seq, refusal.code, str(refusal)))
            self._tell_chains(guest)
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
            self.wire.close(item.peer, error.code)
            return
        self._welcome(item.peer, newcomer)

    def _welcome(self, peer: Peer, newcomer: Newcomer) -> None:
        self.wire.verified(peer)
        secret = new_secret()
        resumed = newcomer.resumes is not None
        client = newcomer.resumes if newcomer.resumes is not None else self._next_client
        before = self.guests.client(client)
        if before is not None:
            self._end(before, "resumed", "this seat was resumed on another connection")
        self.recorder.know_key(newcomer.person)
        name = self.world.name_of(client) if newcomer.claims is None else newcomer.claims.name
        welcome = Welcome(client, secret, self.world.tick, self.config.tick_hz, int(self.limits.seat_hold_s),
                          self.limits.input_hz, name, self.recorder.vkey, -1, resumed)  # fmt: skip
        guest = Guest(peer, Session(self.limits, self._now_s), client, newcomer, welcome, self._now_s)
        self.guests.add(guest)
        resume_hash = secret_hash(secret)
        if newcomer.claims is None:
            self._commands.append(Command(client, 0, Resume(resume_hash)))
            return
        self._next_client += 1
        claims = newcomer.claims
        join = Join(claims.name, claims.role, claims.room, newcomer.person, resume_hash, claims.invite)
        self._commands.append(Command(client, 0, join))

    def _lost(self, peer: Peer) -> None:
        guest = self.guests.at(peer)
        if guest is not None:
            self.guests.forget(guest)
            self._commands.append(Command(guest.client, 0, Detach()))
            self.counters["connections_lost"] += 1

    def _edge_lost(self, edge: bytes) -> None:
        for guest in self.guests:
            if guest.peer.kind == "edge" and guest.peer.route == edge:
                self._lost(guest.peer)

    def _silent(self) -> None:
        limit = self._now_s - self.limits.idle_timeout_s
        for guest in [g for g in self.guests if g.heard_s < limit]:
            self._end(guest, "idle", f"nothing was heard for {self.limits.idle_timeout_s:g} s")
            self._commands.append(Command(guest.client, 0, Detach()))

    def _end(self, guest: Guest, code: str, text: str) -> None:
        self.counters[f"ended_{code}"] += 1
        self.guests.end(guest, code, text)

    def _asked(self, item: Asked) -> None:
        answer: Reply
        match item.kind:
            case "who":
                answer = self.reception.who(item.body, self.world, self._unix_s)
            case "feed":
                answer = self._feed(item.body)
            case _:
                return self._redeem(item)
        self.wire.answer(item.edge, item.request, answer.status, answer.body)

    def _feed(self, body: bytes) -> Reply:
        block = self.reception.feed(body, self.world, self._unix_s)
        if isinstance(block, Reply):
            return block
        self._commands.append(Command(SHARD, 0, block))
        return Reply(202, b"{}")

    def _redeem(self, item: Asked) -> None:
        number, self._next_ask = self._next_ask, self._next_ask + 1
        command = self.reception.ask_redeem(number, item.body, self._unix_s)
        if isinstance(command, Redeem):
            self._asks[number] = (item.edge, item.request)
            self._commands.append(Command(SHARD, 0, command))
        else:
            self.wire.answer(item.edge, item.request, command.status, command.body)

    # --- publish: events and snapshots -> the wire ------------------------------------------------------------------

    def _publish(self, events: list[Event]) -> None:
        for event in events:
            self._route(event)
        self._tell_ledger()
        if self.pacer.thin:
            self.pacer.thinned += 1
        else:
            self._send_views()
        self.wire.flush()

    def _send_views(self) -> None:
        for room, peers in self.guests.occupied():
            if peers:
                natives = [peer for peer in peers if peer.kind == "native"]
                self.wire.view(room, room, self.world.tick, self.views.encode(self.world, room), natives)
            else:
                self.views.forget(room)

    def _route(self, event: Event) -> None:
        kind, index = event.audience
        match kind:
            case "client":
                guest = self.guests.client(index)
                if guest is not None:
                    self._to_one(guest, event.body)
            case "room":
                self.guests.say_all(self.guests.room(index), event.body)
            case "bed":
                self.guests.say_all((g for c in self.world.viewers(index) if (g := self.guests.client(c))), event.body)
            case _:
                self._to_shard(event.body)

    def _to_one(self, guest: Guest, body: object) -> None:
        match body:
            case RoomEntered():
                self._entered(guest, body)
            case BedAccess():
                if body.orders:
                    guest.beds.add(body.bed)
                    self.recorder.know(body.patient)
        self.guests.say(guest, body)
        match body:
            case BedAccess():
                self._tell_chains(guest)
            case Refused() if guest.welcome is not None:
                self._end(guest, body.code, body.text)  # the world did not let them in

    def _entered(self, guest: Guest, entered: RoomEntered) -> None:
        self.guests.enter_room(guest, entered.room_index)
        if guest.welcome is not None:
            kid = self.recorder.kids.get(guest.newcomer.person, -1)
            welcome = msgspec.structs.replace(guest.welcome, log_kid=kid, log_vkey=self.recorder.vkey)
            guest.welcome = None
            self.guests.say(guest, welcome)
            if not self.recorder.up:
                self.guests.say(guest, self._ledger_notice())

    def _tell_ledger(self) -> None:
        if self.recorder.up != self._ledger_was_up:
            self._ledger_was_up = self.recorder.up
            self.guests.say_all(self.guests, self._ledger_notice())
        if self.recorder.vkey != self._told_vkey:
            self._told_vkey = self.recorder.vkey
            self.guests.say_all(self.guests, Notice("log", "key", self._told_vkey))
        for patient in self.recorder.moved():
            bed = self.world.bed_of(patient)
            for guest in self.guests:
                if bed is not None and bed in guest.beds:
                    self._tell_chain(guest, bed)

    def _ledger_notice(self) -> Notice:
        if self.recorder.up:
            return Notice("ledger", "up", "orders are recorded again")
        return Notice("ledger", "down", f"orders cannot be recorded now: {self.recorder.why_down}")

    def _tell_chains(self, guest: Guest) -> None:
        for bed in sorted(guest.beds):
            self._tell_chain(guest, bed)

    def _tell_chain(self, guest: Guest, bed: int) -> None:
        head = self.recorder.heads.get(self.world.patient_of(bed))
        if head is not None:
            self.guests.say(guest, BedChain(bed, head.patient_seq, head.prev))

    # --- commit: clinical events -> the ledger ----------------------------------------------------------------------

    def _to_shard(self, body: object) -> None:
        match body:
            case Redeemed():
                edge, request = self._asks.pop(body.request)
                answer = self.reception.redeemed(body, self._unix_s)
                self.wire.answer(edge, request, answer.status, answer.body)
            case SessionOver():
                guest = self.guests.client(body.client)
                if guest is not None:
                    self._end(guest, "over", body.reason)

    def _commit(self, events: list[Event]) -> None:
        for event in events:
            match event.body:
                case ToRecord():
                    self.recorder.submit(event.body)
                case ToAccess():
                    self.recorder.access(event.body, self.world.person_of(event.body.client))
        self.recorder.settle()
        self.recorder.work(self.world.tick, self._unix_s)

    # --- checkpoints and figures ------------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """The world between two ticks."""
        return Checkpoint(self.world.tick, self._next_client, self.world.digest(), self.world.dump())

    def header(self) -> Header:
        """The head of a journal segment that begins now."""
        return header_of(self.world, self.config)

    def figures(self) -> dict[str, float]:
        """Counters and gauges for /metrics; no patient data."""
        figures = self.pacer.figures()
        figures["clients"] = float(len(self.guests))
        figures["tick"] = float(self.world.tick)
        figures["ledger_up"] = float(self.recorder.up)
        figures["ledger_size"] = float(self.recorder.size)
        figures["journal_bytes_total"] = float(self.journal.bytes_written)
        for source in (self.counters, self.wire.counters, self.views.counters, self.recorder.counters):
            figures.update({f"{name.replace('-', '_')}_total": float(value) for name, value in source.items()})
        return figures


def header_of(world: World, config: Config) -> Header:
    """What a replay of `world` needs beside its commands."""
    limits = msgspec.to_builtins(config.limits)
    return Header(world.tick, config.tick_hz, config.seed, world.rooms, limits)
