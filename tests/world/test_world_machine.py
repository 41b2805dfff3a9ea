"""Anything anybody may send, in any order: what must always hold, does."""

from collections import Counter

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace
from world_story import Stage, bodies, house, person, pose, poses, secret

from server.config import Limits
from server.sim.poses import AWAY, MUTED, SEATED, SPEAKING
from server.twin.orders import Order, to_fhir
from server.world import commands as c
from server.world.commands import ROLES, Command
from server.world.events import Refused, RoomEntered, SessionOver, ToRecord
from server.world.plan import free
from server.world.policy import may, must_wait
from server.world.world import World

LIMITS = Limits(
    avatars_max=6, teleport_mm_max=30_000, seat_hold_s=0.5, waiting_max=2, invites_max=3, bans_max=2,
    pending_orders_max=2,
)  # fmt: skip
NOW_S = 1_800_000_000
NUMBERS = st.integers(0, 7)
who, seqs = st.integers(1, 7), st.integers(0, 2**32 - 1)
slugs = st.sampled_from(["hall", "side", "clinic", "attic"])
handles = st.builds(lambda generation, slot: generation << 12 | slot, st.integers(1, 3), st.integers(0, 6))
hands, codes = st.integers(0, 1), st.sampled_from("abcd")
places = st.builds(lambda x, z: (x * 250, z * 250), st.integers(-20, 20), st.integers(-20, 20))
asked = st.one_of(
    st.builds(lambda s, p: c.Teleport(s, *p), seqs, places),
    st.builds(c.Sit, seqs, st.integers(0, 2)),
    st.builds(c.Stand, seqs),
    st.builds(c.Go, seqs, slugs),
    st.builds(c.Grab, seqs, handles, hands),
    st.builds(c.Release, seqs, hands),
    st.builds(c.Offer, seqs, hands, handles),
    st.builds(c.Say, seqs, st.sampled_from(["hello", " "])),
    st.builds(c.Admit, seqs, handles, st.booleans()),
    st.builds(c.Moderate, seqs, handles, st.sampled_from(["mute", "unmute", "remove", "ban"])),
    st.builds(c.Lock, seqs, st.booleans()),
    st.builds(c.MakeInvite, seqs, slugs, st.sampled_from(ROLES), st.integers(1, 3), st.just(60), codes),
    st.builds(c.RevokeInvite, seqs, codes),
    st.builds(c.AckAlarm, seqs, st.integers(0, 2), st.just("hr-low")),
    st.builds(c.EnrolSigned, seqs, st.binary(min_size=1, max_size=1), st.just(b"entry")),
)
DEEDS = {  # by room: where to stand, and what can be done there
    0: [((-3250, 0), [lambda s, h, o: c.Go(s, "hall")]), ((0, 0), [lambda s, h, o: c.Admit(s, o, True)])],
    1: [
        ((0, -4250), [lambda s, h, o: c.Go(s, "side")]),
        ((4250, 0), [lambda s, h, o: c.Go(s, "clinic")]),
        ((-3250, 3500), [lambda s, h, o: c.Sit(s, h)]),
        ((0, 2000), [lambda s, h, o: c.Grab(s, 1 << 12 | h, h), lambda s, h, o: c.Offer(s, h, o)]),
        ((0, 2000), [lambda s, h, o: c.Grab(s, 1 << 12 | h, 1 - h)]),
        ((2900, -2000), [lambda s, h, o: c.Release(s, h)]),
    ],
    2: [((0, 3250), [lambda s, h, o: c.Go(s, "hall")]), ((1000, 0), [lambda s, h, o: c.Release(s, h)])],
}


class Anything(RuleBasedStateMachine):
    """A world, and another that gets the same and is now and then made anew from a dump."""

    def __init__(self) -> None:
        super().__init__()
        rooms = tuple(replace(room, capacity=3) if room.slug == "hall" else room for room in house(beds=True))
        self.stage = Stage(rooms, LIMITS)
        self.twin = World(rooms, LIMITS, 30, 7)
        self.leaves: list[bytes] = []

    def step(self, *given: Command, rows: dict[int, np.ndarray] | None = None) -> None:
        events = self.stage.step(*given, rows=rows)
        ordered = sorted(given, key=lambda command: (command.client, command.sequence))
        assert self.twin.step(ordered, poses(rows or {})) == events
        for refused in bodies(events, Refused):
            assert refused.code and refused.text
        for entered in bodies(events, RoomEntered):
            assert entered.room in ("hall", "side", "clinic")
        self.leaves += [wanted.leaf for wanted in bodies(events, ToRecord)]
        for over in bodies(events, SessionOver):
            assert over.client not in self.stage.world.clients()

    @rule(client=who, number=NUMBERS, role=st.sampled_from(ROLES), room=slugs)
    def join(self, client, number, role, room):
        self.step(Command(client, 0, c.Join(f"P{client}", role, room, person(number), secret(client))))

    @rule(client=who, role=st.sampled_from(ROLES), room=st.sampled_from(["hall", "side", "clinic"]))
    def join_as_oneself(self, client, role, room):
        self.step(Command(client, 0, c.Join(f"P{client}", role, room, person(100 + client), secret(client))))

    @rule(client=who, turn=st.integers(0, 2), kind=st.sampled_from(["detach", "resume", "leave"]))
    def come_and_go(self, client, turn, kind):
        fresh = secret(client, turn)
        if kind == "resume" and self.stage.world.resume_client(fresh) not in (None, client):
            return
        body = {"detach": c.Detach(), "resume": c.Resume(fresh), "leave": c.Leave("left")}[kind]
        self.step(Command(client, 0, body))

    @rule(batch=st.lists(st.tuples(who, asked), min_size=1, max_size=6))
    def ask(self, batch):
        self.step(*(Command(client, number, body) for number, (client, body) in enumerate(batch)))

    @precondition(lambda self: self.stage.world.clients())
    @rule(data=st.data(), body=asked)
    def ask_by_somebody_here(self, data, body):
        client = data.draw(st.sampled_from(self.stage.world.clients()))
        self.step(Command(client, body.seq, body))

    @precondition(lambda self: self.stage.world.clients())
    @rule(data=st.data())
    def do_what_works(self, data):
        """Go where something can be done and do it: doors, seats, things, people."""
        world = self.stage.world
        client = data.draw(st.sampled_from(world.clients()))
        others = [world.handle(world.slot_of(other)) for other in world.clients()]
        (x, z), deeds = data.draw(st.sampled_from(DEEDS[world.room_of(client)]))
        other = data.draw(st.sampled_from(others))
        hand = data.draw(hands)
        asks = [c.Stand(1), c.Teleport(1, x, z), *(deed(1, hand, other) for deed in deeds)]
        self.step(*(Command(client, 1, body) for body in asks))

    @rule(
        client=who, wish=st.tuples(st.integers(-3000, 3000), st.integers(-3000, 3000)), flags=st.integers(0, 255),
        hand=st.tuples(*[st.integers(-1500, 1500)] * 3), ticks=st.integers(1, 12),
    )  # fmt: skip
    def walk(self, client, wish, flags, hand, ticks):
        for number in range(ticks):
            row = pose(number, wish_mm_s=wish, flags=flags, left_mm=hand)
            self.step(rows={client: row})

    @rule(code=codes, room=slugs, later=st.integers(0, 100), number=NUMBERS)
    def redeem(self, code, room, later, number):
        self.step(Command(0, 0, c.Redeem(1, code, room, "Guest", person(number), NOW_S + later)))

    @rule(client=who, number=st.integers(0, 3))
    def order(self, client, number):
        body = to_fhir(Order("oxygen", 40.0), self.stage.world.patient_of(0).hex())
        leaf = bytes([number]) * 32
        self.step(Command(client, 1, c.OrderSigned(1, 0, leaf, b"entry", body, b"", b"")))

    @rule(client=who, answer=st.booleans(), data=st.data())
    def ledger_answers(self, client, answer, data):
        given: list[Command] = [Command(0, 0, c.AccessRecorded(client, 0, 5))]
        if self.leaves:
            leaf = data.draw(st.sampled_from(self.leaves))
            given.append(Command(0, 0, c.Recorded(leaf, 9, b"") if answer else c.Unrecorded(leaf, "down")))
        self.step(*given)

    @rule()
    def restart(self):
        self.twin = World.load(self.stage.world.dump(), self.stage.rooms, LIMITS, 30, 7)

    # --- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def both_worlds_are_one(self):
        assert self.twin.digest() == self.stage.world.digest()

    @invariant()
    def everybody_is_in_one_place_that_is_free_and_theirs_to_be_in(self):
        world, t = self.stage.world, self.stage.world._t
        slots = [world.slot_of(client) for client in world.clients()]
        assert len(set(slots)) == len(slots) and sorted(slots) == list(np.flatnonzero(world.avatars.alive))
        everywhere = [slot for room in range(3) for slot in world.members(room)]
        assert sorted(everywhere) == sorted(slots)
        assert len({r.person for r in t.residents.values()}) == len(slots)
        for client in world.clients():
            room, role = world.room_of(client), world.role_of(client)
            assert may(role, "enter", world.rooms[room]) and not world.banned(world.person_of(client))
            assert free(t.floor, room, 220, *self.stage.place(client))
            assert world.client_of(world.slot_of(client)) == client

    @invariant()
    def poses_move_those_who_are_here_and_not_away(self):
        t = self.stage.world._t
        clients = np.arange(max(t.residents, default=0) + 2, dtype=np.uint32)
        here = {client: who.slot for client, who in t.residents.items() if who.away_since < 0}
        assert t.moving_slots(clients).tolist() == [here.get(client, -1) for client in clients.tolist()]

    @invariant()
    def rooms_and_lists_keep_their_limits(self):
        world, t = self.stage.world, self.stage.world._t
        for index, room in enumerate(world.rooms):
            assert len(world.members(index)) <= room.capacity
            assert not t.locked[index] or len(world.members(index))
        assert len(t.invites) <= 3 and len(t.bans) <= 2 and len(t.mutes) <= 2 and len(t.pending) <= 2
        assert max(Counter(t.waiting.values()).values(), default=0) <= 2
        for client, room in t.waiting.items():
            file, place = world.rooms[room], world.rooms[world.room_of(client)]
            assert must_wait(world.role_of(client), file) and file.waiting_room == place.slug

    @invariant()
    def every_thing_has_one_owner_at_most_and_every_hand_one_thing(self):
        world = self.stage.world
        things, held = world.things, np.flatnonzero(world.things.owner >= 0)
        assert things.alive.all()
        for thing in held:
            owner = things.owner[thing]
            assert world.avatars.alive[owner] and things.room[thing] == world.avatars.room[owner]
        hands_used = [(things.owner[thing], things.hand[thing]) for thing in held]
        assert len(set(hands_used)) == len(hands_used)
        for thing, to in world._t.offers.items():
            assert things.owner[thing] >= 0 and world.avatars.alive[to] and world.avatars.room[to] == things.room[thing]

    @invariant()
    def every_seat_holds_one_and_flags_say_what_is(self):
        world, t = self.stage.world, self.stage.world._t
        taken = [(r.room, r.seat) for r in t.residents.values() if r.seat >= 0]
        assert len(set(taken)) == len(taken)
        for resident in t.residents.values():
            flags = int(world.avatars.flags[resident.slot])
            assert bool(flags & SEATED) == (resident.seat >= 0)
            assert bool(flags & AWAY) == (resident.away_since >= 0)
            assert bool(flags & MUTED) == (resident.person in t.mutes)
            assert not flags & SPEAKING or (world.may(resident.client, "speak") and not flags & (MUTED | AWAY))
            if resident.seat >= 0:
                spot = t.plans[resident.room].seats[resident.seat].spot
                assert self.stage.place(resident.client) == (spot.x_mm, spot.z_mm)

    @invariant()
    def nobody_sees_a_patient_without_right_and_entry(self):
        world, t = self.stage.world, self.stage.world._t
        for client, bed in (*t.viewing, *t.asking):
            assert world.room_of(client) == t.beds[bed].room and world.may(client, "see_twin")
        assert not set(t.viewing) & set(t.asking)

    @invariant()
    def free_slots_are_clean(self):
        t = self.stage.world._t
        dead = ~t.avatars.alive
        assert (t.avatars.room[dead] == -1).all() and not t.avatars.flags[dead].any()
        assert not t.avatars.head_mm[dead].any() and not t.intents.wish_ticks[dead].any()


Anything.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnything = Anything.TestCase
