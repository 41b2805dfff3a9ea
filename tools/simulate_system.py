"""A whole house on a hand-turned clock, with people in it and with faults, from one seed; checked after every tick.

Owns the run: the order of things in a tick, faults carried out, what is counted and kept for a trace. The invariants
are in `tools.simulate_checks` and `tools.simulate_sight`. The same seed is the same run.
"""

import errno
import hashlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import NamedTuple

from server.config import Config, Limits
from server.edge.exchange import Question
from server.journal import read_checkpoint, read_segment, segments
from server.ledger import verify
from server.net.wire import Peer
from server.replay import load, proof_like
from server.world.events import Care, Refused
from server.world.plan import plans_of
from tools.client import ClientError
from tools.faulty_disk import Crash, Faulty
from tools.link import Faults
from tools.link_memory import End
from tools.memory_house import Here
from tools.simulate_checks import Broken, Record, bounds, browsers, need, places, things, wires
from tools.simulate_edge import Edge
from tools.simulate_faults import WIRES, DyingJournal, Planned, plan
from tools.simulate_house import rooms
from tools.simulate_people import Person
from tools.simulate_rude import Rude
from tools.simulate_shard import SimulatedHouse, make_log_key
from tools.simulate_sight import Sight, Told

HEAL_TICKS_MAX = 900  # after the last fault: everybody is back within these
SERIOUS = (
    Broken, AssertionError, ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    ClientError, verify.Bad,
)  # fmt: skip
LIMITS = Limits(
    avatars_max=64, seat_hold_s=5.0, idle_timeout_s=3.0, waiting_max=6, pending_orders_max=16, bans_max=8,
    unverified_peers_max=16, hellos_per_tick=2,
)  # fmt: skip
STALE_TICKS = 45  # in a house with a tight budget: a block is never held back for longer


def limits_of(seed: int) -> Limits:
    """Every fourth house has hardly any bytes for snapshots, and every fourth not a message for every tick."""
    match seed % 4:
        case 1:
            return replace(LIMITS, view_bytes_per_s=2_500)
        case 2:
            return replace(LIMITS, view_messages_per_s=20)
        case _:
            return LIMITS


class Failure(NamedTuple):
    """What did not hold, and when."""

    tick: int
    what: str


class Result(NamedTuple):
    """How a run went. `digest`: over every tick of the world and everything people heard."""

    seed: int
    ticks: int
    digest: str
    counts: dict[str, int]
    failure: Failure | None
    trace: list[str]


class Simulation:
    """One run. `step` is one tick with all its checks; `run` is all of it."""

    house_class: type[SimulatedHouse] = SimulatedHouse
    heal_ticks_max = HEAL_TICKS_MAX

    def __init__(self, seed: int, data: Path, ticks: int = 600, people: int = 12) -> None:
        self.seed, self.ticks, self.tick = seed, ticks, 0
        self.counts: Counter[str] = Counter()
        self.trace: deque[str] = deque(maxlen=20_000)
        self.plans = plans_of(rooms())
        self._dice = Random(f"{seed}/system")
        self._wires = Random(f"{seed}/wires")
        self.disk = Faulty()
        make_log_key(data / "ledger", seed)
        config = Config(data=str(data), limits=limits_of(seed), seed=1 + seed % 1000)
        self.house = self.house_class(data, config, Here(), rooms(), Random(f"{seed}/secrets").randbytes, self.disk)
        self.people = [Person(self, number, seed) for number in range(people)]
        self.rude: list[Rude] = []
        self.invites: list[tuple[str, str]] = []
        self.plan = deque(plan(seed, ticks))
        self.sight, self.record = Sight(int(config.limits.far_parts)), Record()
        self.edge: Edge | None = self._new_edge()
        self.digests: dict[int, bytes] = {}
        self._later: list[tuple[int, str, int]] = []
        self._ends: dict[Peer, End] = {}  # that are open
        self._numbers: dict[End, int] = {}  # of the clients on all connections there ever were
        self._total = hashlib.blake2b(digest_size=16)

    # --- what people need ---------------------------------------------------------------------------------------------

    def connect(self, via: str) -> End | None:
        """See `simulate_people.Scene`."""
        if via == "edge":
            return None if self.edge is None else self.edge.connect()
        end = self.house.wire.client()
        self._ends[Peer("native", end.route)] = end
        return end

    def saw(self, person: Person) -> None:
        """See `simulate_people.Scene`. Whose frame it is, the shard says: a snapshot comes before its welcome."""
        assert person.line is not None, "who takes in a frame has a line"
        number = self._numbers.get(person.line.end)
        need(number is not None, "right", f"{person.name} was shown something and is no guest")
        assert number is not None
        self.sight.truth.saw(person.name, person.client, number)
        self.counts["views"] += 1
        self.counts["blocks held back"] += sum(not body for _, body in person.client.seen.frame.blocks)

    def ask(self, kind: Question, body: bytes, answered: Callable[[int, bytes], None]) -> None:
        """See `simulate_people.Scene`."""
        if self.edge is not None:
            self.edge.ask(kind, body, answered)

    def _new_edge(self) -> Edge:
        return Edge(self.house.wire, self.house.config.limits, self.house.clock)

    def faults(self, who: str) -> tuple[Faults, int]:
        """See `simulate_people.Scene`."""
        return self._wires.choice(WIRES), self._wires.randrange(1 << 32)

    def note(self, text: str) -> None:
        """See `simulate_people.Scene`."""
        self.trace.append(f"{self.tick:6} {text}")

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> Result:
        """All ticks with faults, then without until everybody is back, then the record and the journal as a whole."""
        failure = None
        try:
            while self.tick < self.ticks:
                self.step()
            self.heal()
            self.finish()
        except SERIOUS as error:
            failure = Failure(self.tick, f"{type(error).__name__}: {error}")
            self.note(failure.what)
        finally:
            self.close()
        return Result(self.seed, self.tick, self._total.hexdigest(), dict(self.counts), failure, list(self.trace))

    def close(self) -> None:
        """End everything."""
        if self.edge is not None:
            self.edge.die()
        self.house.close()

    def step(self) -> None:
        """One tick of everything, and every check."""
        self.tick += 1
        while self.plan and self.plan[0].tick <= self.tick:
            self._go_wrong(self.plan.popleft())
        for late in [late for late in self._later if late[0] <= self.tick]:
            self._later.remove(late)
            self._again(late[1], late[2])
        for person in self.people:
            person.turn()
        for rude in self.rude:
            rude.turn()
        if self._turn_house():
            for person in self.people:
                self._listen(person)
            self._check()

    def _turn_house(self) -> bool:
        """The house's tick and what is said and shown in it; False if the shard died in it."""
        house = self.house
        self._ends = {peer: end for peer, end in self._ends.items() if end.open}
        self.sight.before(house.world)
        self._turn_edge()
        house.wire.begin_tick()
        before = {peer: len(end.received) for peer, end in self._ends.items()}
        try:
            house.turn()
        except Crash:
            self._shard_died()
            return False
        self._turn_edge()
        guests = {guest.peer: guest.client for guest in house.shard.guests}
        self.sight.after(house.world, guests)
        self.sight.said(house.wire.said, house.world, house.ledger.writer)
        self.record.effects(house.shard.happened, house.world, house.ledger.writer)
        self._numbers.update({self._ends[peer]: client for peer, client in guests.items() if peer in self._ends})
        for peer in self._ends:
            self._came_out(peer, before.get(peer, 0))
        return True

    def _turn_edge(self) -> None:
        if self.edge is not None:
            self.edge.turn()
            self._ends.update(self.edge.peers())

    def _came_out(self, peer: Peer, held: int) -> None:
        end = self._ends[peer]
        for message in list(end.received)[held:]:
            told = self.sight.told.setdefault(peer, Told())
            snapshot = told.came_out(message)
            self.counts["frames"] += len(message)
            if snapshot is not None:
                self.sight.shown(peer, snapshot, self.house.world)

    def _listen(self, person: Person) -> None:
        for message in person.listen():
            self._total.update(repr(message).encode())
            self.counts[type(message).__name__] += 1
            if isinstance(message, Refused):
                self.counts[f"refused {message.code}"] += 1

    def _check(self) -> None:
        house = self.house
        world = house.world
        places(world, house.shard)
        things(world)
        bounds(house.shard, house.wire, house.wire.pipes())
        browsers([] if self.edge is None else [end.waiting for end in self.edge.ends], house.shard.limits)
        wires([(p.name, line.down.bytes) for p in self.people if (line := p.line) is not None])
        self.digests[world.tick] = world.digest()
        self._total.update(self.digests[world.tick])

    # --- what goes wrong ----------------------------------------------------------------------------------------------

    def _go_wrong(self, planned: Planned) -> None:
        self.counts[f"fault {planned.fault}"] += 1
        self.note(f"fault {planned.fault} {planned.draw}")
        dice, ledger = Random(planned.draw), self.house.ledger
        person = dice.choice(self.people)
        for_ticks = dice.randrange(15, 120)
        match planned.fault:
            case "client-crash" if person.line is not None:
                person.out(self.house.clock.monotonic_s(), "its machine died")
            case "client-forgets":
                person.forget()
            case "reader-stops" if person.line is not None:
                person.line.reading = False
                self._later.append((self.tick + for_ticks, "reads", person.number))
            case "ledger-away":
                ledger.reachable = False
                self._later.append((self.tick + for_ticks, "ledger-reachable", 0))
            case "ledger-dies" | "ledger-full":
                error = OSError(errno.ENOSPC, "No space left on device") if planned.fault == "ledger-full" else None
                self.disk.arm(dice.randrange(12), dice.choice(("before", "after", "torn")), error)
                self._later.append((self.tick + for_ticks, "ledger-restarts", 0))
            case "shard-dies":
                assert isinstance(self.house.shard.journal, DyingJournal), "the house was told to use these"
                self.house.shard.journal.dies = dice.choice(("before", "torn", "after"))
            case "edge-dies" if self.edge is not None:
                self.edge.die()
                self.edge = None
                self._later.append((self.tick + for_ticks, "edge-starts", 0))
            case "rude" if len(self.rude) < 3:
                self.rude.append(Rude(self, len(self.rude), self.seed))
            case "burst":
                for one in self.people[::2]:
                    one.out(self.house.clock.monotonic_s(), "the network died")
            case _:
                return

    def _again(self, what: str, number: int) -> None:
        self.note(f"again {what}")
        match what:
            case "reads":
                line = self.people[number].line
                if line is not None:
                    line.reading = True
            case "ledger-reachable":
                self.house.ledger.reachable = True
            case "edge-starts":
                self.edge = self._new_edge()
            case _:
                self._restart_ledger()

    def _restart_ledger(self) -> None:
        ledger = self.house.ledger
        if ledger.dead or ledger.writer.stopped is not None:
            ledger.dead = True
            self.disk.arm(-1)
            ledger.restart()

    def _shard_died(self) -> None:
        """The machine died within a tick; what is on disk makes the world of before, or of after, that tick."""
        house, old = self.house, self.house.shard
        journal = old.journal
        assert isinstance(journal, DyingJournal), "the house was told to use these"
        self.counts[f"shard died {journal.dies}"] += 1
        if journal.dies == "after":
            assert journal.last is not None, "it died after a record"
            self.record.effects(old.world.step(*journal.last), old.world, house.ledger.writer)
        self.digests[old.world.tick] = old.world.digest()
        house.wire.shut()
        house.crash_and_restart()
        tick = house.world.tick
        need(tick in self.digests, "replay", f"the shard came back at tick {tick}, which it never had")
        need(house.world.digest() == self.digests[tick], "replay", f"the world of tick {tick} came back as another")
        need(tick >= old.world.tick, "replay", f"the shard was at tick {old.world.tick} and came back at {tick}")
        self.record.lost_after(tick + 1)
        self._ends.clear()
        if self.edge is not None:
            self.edge.link.connect(house.wire)
        self.sight.start_anew()
        self.rude.clear()

    # --- the end ------------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """No more faults: everybody comes back, and sees everything."""
        self.plan.clear()
        self._later.clear()
        self.rude.clear()
        self.house.ledger.reachable = True
        self._restart_ledger()
        self.disk.arm(-1)
        self.edge = self.edge or self._new_edge()
        for person in self.people:
            person.calm_down()
        for _ in range(self.heal_ticks_max):
            self.step()
            if all(self._is_back(person) for person in self.people):
                return
        missing = [p.name for p in self.people if not self._is_back(p)]
        raise Broken(
            "back", f"{', '.join(missing)}: not back and in sync {self.heal_ticks_max} ticks after the last fault"
        )

    def _is_back(self, person: Person) -> bool:
        """Inside, shown the newest tick, and of one mind with the world about who is in the room."""
        if person.banned:
            return True
        world, client = self.house.world, person.client
        if not person.inside or client.view is None or client.welcome is None:
            return False
        number = client.welcome.client
        stale = 0 if self.house.config.limits == LIMITS else STALE_TICKS
        if number not in world.attached() or client.view.tick < world.tick - 1 - stale:
            return False
        here = {one.avatar for one in world.people_in(world.room_of(number))}
        return set(client.people) == here and self.sight.truth.whole(client, number, stale)

    def finish(self) -> None:
        """The journal makes the same world tick by tick, and the log verifies offline."""
        house = self.house
        house.shard.journal.close()
        self._replay()
        writer = house.ledger.writer
        writer.publish(at_once=True)
        head = verify.verify(writer.public)
        need(head.size == writer.signed_size, "ledger", f"{head.size} entries verify, {writer.signed_size} were signed")
        self.counts["entries"] = head.size

    def _replay(self) -> None:
        """Every segment from its checkpoint: equal digests, and each order takes effect in one tick of them all."""
        effects: Counter[int] = Counter()
        world = self.house.world
        for segment in segments(self.house.folder):
            header, records = read_segment(segment)
            point = read_checkpoint(segment.with_name(f"checkpoint-{header.first_tick:012d}.world"))
            world = load(header, point)
            for record in records:
                need(
                    world.tick == record.tick,
                    "replay",
                    f"{segment.name} goes on with tick {record.tick} after {world.tick}",
                )
                same = not record.proof or proof_like(world, record.proof) == record.proof
                need(same, "replay", f"{segment.name}: tick {record.tick} comes out as another world")
                happened = world.step(record.commands, record.poses)
                effects.update(event.body.index for event in happened if isinstance(event.body, Care))
        need(
            world.digest() == self.house.world.digest(), "replay", "the journal ends in another world than the shard's"
        )
        twice = [index for index, times in effects.items() if times > 1]
        need(not twice, "record", f"orders {twice} take effect more than once in the journal")
        need(set(effects) == set(self.record.applied), "record", "the journal holds other effects than were seen")
        self.counts["orders in effect"] = len(effects)
