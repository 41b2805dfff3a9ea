"""A whole house with faults from a seed: 50 of them hold, the same one is the same run, and every check can fail."""

import pytest

from server.ledger import verify
from server.net.messages import encoder
from server.net.natives import Natives
from server.world.commands import Command, Recorded
from server.world.events import BedVitals, Said, WaveFrame
from tools.simulate import command_of, main, seeds_of, simulate
from tools.simulate_checks import Broken
from tools.simulate_faults import plan
from tools.simulate_system import SimulatedHouse, Simulation, WatchedShard

TICKS = 110


@pytest.mark.parametrize("seed", range(1, 51))
def test_whatever_goes_wrong_every_invariant_holds(seed):
    result = simulate(seed, TICKS)
    assert result.failure is None, f"{result.failure}; again: {command_of(seed, TICKS, 12)}"


def test_the_same_seed_is_the_same_run_and_another_is_another():
    first, again, other = simulate(7, 120), simulate(7, 120), simulate(8, 120)
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
            with pytest.raises((Broken, verify.Bad)) as caught:
                for tick in range(90):
                    if tick == 60 and not before_checks:
                        spoil(simulation)
                    simulation.step()
                simulation.heal()
                simulation.finish()
        finally:
            simulation.house.close()
        return getattr(caught.value, "name", "ledger")

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


def test_a_frame_that_was_never_posted_to_a_connection_is_noticed(spoilt):
    def spoil(simulation):
        other = encoder.encode(Said(1, "somebody", "else's"))

        class Misrouted(Natives):
            def queue(self, peer, frame):
                super().queue(peer, other if frame[0] >= 0x80 else frame)

        simulation.house.wire._natives.__class__ = Misrouted

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

    assert spoilt(spoil) == "ledger"


def test_somebody_who_does_not_come_back_is_noticed(spoilt):
    def spoil(simulation):
        simulation.people[0].out(simulation.house.clock.monotonic_s(), "for ever")
        simulation.people[0].again_s = float("inf")

    assert spoilt(spoil) == "back"


def test_the_command_line_runs_seeds_and_counts(capsys):
    assert main(["--seed", "3", "--ticks", "20", "--people", "3"]) == 0
    assert "1 runs" in capsys.readouterr().out
    assert seeds_of("4") == [4] and seeds_of("4-6") == [4, 5, 6]
