"""A whole house with faults from a seed: 50 of them hold, the same one is the same run, and every check can fail."""

import pytest

from server.ledger import verify
from server.looks import Looks
from server.net.messages import encoder
from server.sim.faults import SnapshotError
from server.sim.grid import HERO_CELL
from server.views import Views
from server.world.commands import Command, Recorded
from server.world.events import BedVitals, Said, WaveFrame
from tools.simulate import command_of, main, seeds_of, simulate
from tools.simulate_checks import Broken
from tools.simulate_faults import plan
from tools.simulate_shard import SimulatedHouse, WatchedShard
from tools.simulate_system import Simulation
from tools.simulate_wire import TappedWire

TICKS, PEOPLE = 75, 9


@pytest.mark.parametrize("seed", range(1, 51))
def test_whatever_goes_wrong_every_invariant_holds(seed):
    result = simulate(seed, TICKS, PEOPLE)
    assert result.failure is None, f"{result.failure}; again: {command_of(seed, TICKS, PEOPLE)}"


def test_the_same_seed_is_the_same_run_and_another_is_another():
    first, again, other = (simulate(seed, TICKS, PEOPLE) for seed in (7, 7, 8))
    assert (first.digest, first.counts, first.trace) == (again.digest, again.counts, again.trace)
    assert other.digest != first.digest


def test_every_kind_of_fault_is_drawn_and_met():
    planned = {one.fault for seed in range(1, 51) for one in plan(seed, TICKS)}
    assert len(planned) == 10


# --- every check can fail --------------------------------------------------------------------------------------------


@pytest.fixture
def spoilt(tmp_path):
    """What is noticed when `spoil(simulation)` is done to a run without faults of its own, at tick 60."""

    def run(spoil, kind=Simulation, seed=3, before_checks=False):
        simulation = kind(seed, tmp_path, 120)
        simulation.plan.clear()
        if before_checks:
            check, simulation._check = simulation._check, lambda: (simulation.tick > 60 and spoil(simulation), check())
        try:
            with pytest.raises((Broken, verify.Bad, SnapshotError)) as caught:
                for tick in range(90):
                    if tick == 60 and not before_checks:
                        spoil(simulation)
                    simulation.step()
                simulation.heal()
                simulation.finish()
        finally:
            simulation.close()
        return getattr(caught.value, "name", type(caught.value).__name__)

    return run


def tables(simulation):
    """The state itself, to be corrupted."""
    return simulation.house.world._t


def residents(simulation):
    return list(tables(simulation).residents.values())


def test_a_body_in_another_room_than_its_person_is_noticed(spoilt):
    def spoil(simulation):
        who = residents(simulation)[0]
        simulation.house.world.avatars.room[who.slot] = (who.room + 1) % 4

    assert spoilt(spoil, before_checks=True) == "place"


def test_one_person_twice_is_noticed(spoilt):
    def spoil(simulation):
        one, other = residents(simulation)[:2]
        one.person = other.person

    assert spoilt(spoil, before_checks=True) == "place"


def test_a_thing_held_in_a_room_where_its_holder_is_not_is_noticed(spoilt):
    def spoil(simulation):
        world = simulation.house.world
        who = residents(simulation)[0]
        elsewhere = [t for t in range(len(world.things.owner)) if world.things.room[t] != who.room]
        world.things.owner[elsewhere[0]] = who.slot

    assert spoilt(spoil, before_checks=True) == "thing"


def test_two_things_in_one_hand_are_noticed(spoilt):
    def spoil(simulation):
        world = simulation.house.world
        for who in residents(simulation):
            here = world.things_in(who.room)[:2]
            if len(here) == 2:
                world.things.owner[here], world.things.hand[here] = who.slot, 0
                world.things.cell[here] = world.avatars.cell[who.slot]
                return

    assert spoilt(spoil, before_checks=True) == "thing"


def pending_order(simulation):
    """An order that waits for its entry: the ledger does not answer, a clinician orders."""
    simulation.house.ledger.reachable = True
    doctor = next(p for p in simulation.people if p.role == "clinician")
    for _ in range(900):
        if simulation.house.world.pending() and any(row.bed >= 0 for row in tables(simulation).pending.values()):
            return next(leaf for leaf, row in tables(simulation).pending.items() if row.bed >= 0)
        if doctor.inside and (here := doctor.spot()) is not None:
            doctor.order(here)
        simulation.step()
    raise AssertionError("no order was ever under way")


def test_an_order_in_effect_without_an_entry_is_noticed(spoilt):
    def spoil(simulation):
        leaf = pending_order(simulation)
        simulation.house.shard.intake.also([Command(0, 0, Recorded(leaf, 10_000, b""))])

    assert spoilt(spoil) == "record"


def test_an_order_in_effect_under_another_entry_is_noticed(spoilt):
    def spoil(simulation):
        leaf = pending_order(simulation)
        simulation.house.shard.intake.also([Command(0, 0, Recorded(leaf, 0, b""))])

    assert spoilt(spoil) == "record"


class LeakyShard(WatchedShard):
    """Tells everybody what is meant for one room."""

    def _route(self, event):
        if isinstance(event.body, Said):
            self.guests.say_all(self.guests, event.body)
        else:
            super()._route(event)


class CarelessShard(WatchedShard):
    """Opens every monitor to everybody."""

    def _route(self, event):
        if isinstance(event.body, BedVitals | WaveFrame):
            self.guests.say_all(self.guests, event.body)
        else:
            super()._route(event)


@pytest.mark.parametrize("shard", [LeakyShard, CarelessShard])
def test_words_and_waves_to_those_who_may_not_know_them_are_noticed(spoilt, shard):
    class House(SimulatedHouse):
        shard_class = shard

    class Leaky(Simulation):
        house_class = House

    def spoil(simulation):
        for _ in range(30):
            for person in simulation.people:
                if person.inside:
                    person.client.say("to my room only")
            simulation.step()

    assert spoilt(spoil, Leaky) == "right"


class Forgetful(Looks):
    """Leaves a cell out of everybody's view in a hall."""

    def _look(self, world, client):
        look = super()._look(world, client)
        return look._replace(cells=tuple(cell for cell in look.cells if cell != look.home or len(look.cells) == 1))


class Greedy(Looks):
    """Shows everybody in a hall all of it."""

    def _look(self, world, client):
        look = super()._look(world, client)
        every = (*range(world.cells(look.room).cells), *look.cells[-2:])
        return look if len(look.cells) == 1 else look._replace(cells=every)


class Late(Looks):
    """Never notices that somebody walks into another cell."""

    def changed(self, world):
        return []


@pytest.mark.parametrize(("looks", "name"), [(Forgetful, "view"), (Greedy, "right"), (Late, "view")])
def test_a_view_that_is_not_what_one_is_to_see_is_noticed(spoilt, looks, name):
    class House(SimulatedHouse):
        def new_shard(self, *parts):
            shard = super().new_shard(*parts)
            shard.publisher._looks = looks()
            return shard

    class Wrong(Simulation):
        house_class = House

    assert spoilt(lambda simulation: None, Wrong) == name


class Lossy(Views):
    """Leaves out a block now and then."""

    def encode(self, world, rooms):
        sheets = super().encode(world, rooms)
        for sheet in sheets:
            if world.tick % 7 == 0 and sheet.chunks:
                del sheet.chunks[min(sheet.chunks)]
        return sheets


class Blurred(Views):
    """Shows blocks of a tick under the number of the next cell."""

    def encode(self, world, rooms):
        sheets = super().encode(world, rooms)
        for sheet in sheets:
            cells = [cell for cell in sheet.chunks if cell < HERO_CELL]
            if len(cells) > 1:
                first, second = (sheet.chunks[cell].data for cell in cells[:2])
                swapped = first[:4], second[:4]
                sheet.chunks[cells[0]] = sheet.chunks[cells[0]]._replace(data=swapped[0][:2] + second[2:])
                sheet.chunks[cells[1]] = sheet.chunks[cells[1]]._replace(data=swapped[1][:2] + first[2:])
        return sheets


@pytest.mark.parametrize("views", [Lossy, Blurred])
def test_a_block_that_is_missing_or_of_another_place_is_noticed(spoilt, views):
    class House(SimulatedHouse):
        def new_shard(self, *parts):
            shard = super().new_shard(*parts)
            shard.publisher._views = views(self.config.keyframe_every, self.config.limits.far_parts)
            return shard

    class Wrong(Simulation):
        house_class = House

    assert spoilt(lambda simulation: None, Wrong) in ("view", "SnapshotError")


class Misrouted(TappedWire):
    """Sends to everybody what was said to nobody."""

    def send_native(self, route, snapshot, frames):
        other = encoder.encode(Said(1, "somebody", "else's"))
        return super().send_native(route, snapshot, [other if frame[0] >= 0x80 else frame for frame in frames])


def test_a_frame_that_was_never_posted_to_a_connection_is_noticed(spoilt):
    def spoil(simulation):
        simulation.house.wire.__class__ = Misrouted

    assert spoilt(spoil) == "delivery"


def test_a_change_that_no_command_made_is_noticed(spoilt):
    def spoil(simulation):
        tables(simulation).next_spawn[0] += 1

    assert spoilt(spoil) == "replay"


def test_a_queue_without_a_bound_is_noticed(spoilt):
    def spoil(simulation):
        line = next(p.line for p in simulation.people if p.inside and p.via == "native")
        line.end.received.extend([b"x"] for _ in range(line.end.capacity + 1))

    assert spoilt(spoil, before_checks=True) == "bound"


def test_a_log_that_was_changed_is_noticed(spoilt):
    def spoil(simulation):
        simulation.house.ledger.writer.publish(at_once=True)
        tile = next((simulation.house.data / "ledger/public/tile/entries").rglob("*.p/*"))
        changed = bytearray(tile.read_bytes())
        changed[40] ^= 1
        tile.write_bytes(changed)

    assert spoilt(spoil) == "Bad"


def test_somebody_who_does_not_come_back_is_noticed(spoilt):
    def spoil(simulation):
        simulation.people[0].out(simulation.house.clock.monotonic_s(), "for ever")
        simulation.people[0].again_s = float("inf")
        simulation.heal_ticks_max = 120

    assert spoilt(spoil) == "back"


def test_the_command_line_runs_seeds_and_counts(capsys):
    assert main(["--seed", "3", "--ticks", "20", "--people", "3"]) == 0
    assert "1 runs" in capsys.readouterr().out
    assert seeds_of("4") == [4] and seeds_of("4-6") == [4, 5, 6]
