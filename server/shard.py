"""The tick: drain -> journal -> step -> publish -> commit. Frames in, the world moves on, snapshots and events out.

Owns the sessions of connected clients and the order of things in a tick. Never changes the world except by commands,
never waits, never reads a clock: `server.shard_process` turns it.
"""

from collections.abc import Callable
from itertools import pairwise

import msgspec

from server.config import Config
from server.guests import Guest, Guests
from server.intake import Intake
from server.journal import Checkpoint, Header, Journal
from server.net.messages import Bye, Notice
from server.net.wire import AnyWire
from server.pacer import Pacer
from server.publish import Publisher
from server.reception import Reception
from server.recorder import Recorder
from server.world.commands import (
    Command,
    Detach,
)
from server.world.events import (
    BedAccess,
    BedChain,
    Enrolled,
    Event,
    PersonCame,
    PersonLeft,
    Redeemed,
    Refused,
    RoomEntered,
    SessionOver,
    ToAccess,
    ToRecord,
)
from server.world.world import World


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
        self.publisher = Publisher(config, world, wire)
        self.guests = Guests(wire, self.publisher)
        self.intake = Intake(config, world, wire, self.guests, reception, recorder, next_client)
        self._ledger_was_up = True
        self._told_vkey = ""
        self._restart()

    def _restart(self) -> None:
        """After a crash: nobody is connected, and what awaited the ledger is asked again."""
        self.intake.also([Command(client, 0, Detach()) for client in self.world.attached()])
        for wanted in self.world.pending():
            self.recorder.submit(wanted)

    def farewell(self) -> None:
        """Tell everybody that the shard stops; their seats are kept for a restart."""
        self.guests.say_all(self.guests, Bye("stopping", "the server stops: your seat is kept, come back in a moment"))
        self.wire.flush()

    # --- the tick ---------------------------------------------------------------------------------------------------

    def tick(self, now_s: float, unix_s: float, clock: Callable[[], float]) -> None:
        """Advance one tick. `clock` is read between phases for the figures only."""
        self.pacer.begin(now_s)
        marks = [clock()]
        commands, poses = self.intake.drain(now_s, unix_s)
        marks.append(clock())
        self.journal.append(self.world.tick, self.journal.proof(self.world), commands, poses)
        marks.append(clock())
        events = self.world.step(commands, poses)
        marks.append(clock())
        self._publish(events)
        marks.append(clock())
        self._commit(events, unix_s)
        marks.append(clock())
        self.pacer.end(tuple(b - a for a, b in pairwise(marks)))

    # --- publish: events and snapshots -> the wire ------------------------------------------------------------------

    def _publish(self, events: list[Event]) -> None:
        for event in events:
            self._route(event)
        self.guests.tell_news()
        self._tell_ledger()
        if self.pacer.thin:
            self.pacer.thinned += 1
            self.publisher.skip()
        else:
            self.publisher.publish()
        self.wire.flush()

    def _route(self, event: Event) -> None:
        kind, index = event.audience
        match kind:
            case "client":
                guest = self.guests.client(index)
                if guest is not None:
                    self._to_one(guest, event.body)
            case "room" if isinstance(event.body, PersonCame | PersonLeft):
                self.guests.note(index, event.body)
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
                self.intake.end(guest, body.code, body.text)  # the world did not let them in

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
        if found := self.recorder.found():
            self._tell_keys(found)
        for patient in self.recorder.moved():
            bed = self.world.bed_of(patient)
            for guest in self.guests:
                if bed is not None and bed in guest.beds:
                    self._tell_chain(guest, bed)

    def _tell_keys(self, found: set[bytes]) -> None:
        """Whoever came in before the ledger had said which entry their key is, learns it now."""
        for guest in self.guests:
            kid = self.recorder.kids.get(guest.newcomer.person, -1)
            if guest.newcomer.person in found and kid >= 0:
                self.guests.say(guest, Enrolled(0, kid, b""))

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
                self.intake.redeemed(body)
            case SessionOver():
                guest = self.guests.client(body.client)
                if guest is not None:
                    self.intake.end(guest, "over", body.reason)

    def _commit(self, events: list[Event], unix_s: float) -> None:
        for event in events:
            match event.body:
                case ToRecord():
                    self.recorder.submit(event.body)
                case ToAccess():
                    guest = self.guests.client(event.body.client)
                    if guest is not None:  # who is gone by the end of the tick needs no access
                        self.recorder.access(event.body, guest.newcomer.person)
        self.recorder.settle()
        self.recorder.work(self.world.tick, unix_s)

    # --- checkpoints and figures ------------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """The world between two ticks."""
        return Checkpoint(self.world.tick, self.intake.next_client, self.world.digest(), self.world.dump())

    def header(self) -> Header:
        """The head of a journal segment that begins now."""
        return header_of(self.world, self.config)

    def figures(self) -> dict[str, float]:
        """Counters and gauges for /metrics; no patient data."""
        figures = self.pacer.figures()
        figures["clients"] = float(len(self.guests))
        figures["views"] = float(self.publisher.views)
        figures["tick"] = float(self.world.tick)
        figures["ledger_up"] = float(self.recorder.up)
        figures["ledger_size"] = float(self.recorder.size)
        figures["journal_bytes_total"] = float(self.journal.bytes_written)
        for source in (self.intake.counters, self.wire.counters, self.publisher.figures(), self.recorder.counters):
            figures.update({f"{name.replace('-', '_')}_total": float(value) for name, value in source.items()})
        return figures


def header_of(world: World, config: Config) -> Header:
    """What a replay of `world` needs beside its commands."""
    limits = msgspec.to_builtins(config.limits)
    return Header(world.tick, config.tick_hz, config.seed, world.rooms, limits)
