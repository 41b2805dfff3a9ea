"""The people of the simulation: they live, lose their connection, and come back.

Owns what each of them does, drawn from a seed. They speak the real protocol through `tools.client`. Where they stand
they look up in the world, because their minds are not what is tested; what they are shown is checked elsewhere.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.edge.exchange import Question
from server.net.messages import Ping
from server.net.token import Claims, base64url
from server.twin.orders import Order, to_fhir
from server.world import commands, events
from server.world.commands import ROLES, Role
from server.world.plan import RoomPlan
from tools.backoff import Backoff
from tools.client import Client, WireMessage
from tools.link import Faults
from tools.link_memory import End, FaultyLine
from tools.memory_house import House
from tools.simulate_checks import need

HELLO_PATIENCE_S = 4.0
SILENCE_S = 3.0
GONE_CODES = frozenset({"resume", "over", "bye", "left", "token", "proof", "remove"})  # the seat is lost: come in anew


class Scene(Protocol):
    """What people need of the simulation."""

    plans: tuple[RoomPlan, ...]
    invites: list[tuple[str, str]]  # code and room, of all that were made

    @property
    def house(self) -> House:
        """The house they are in."""
        ...

    def connect(self, via: str) -> End | None:
        """A fresh connection by the native wire or an edge; None if nobody listens."""
        ...

    def faults(self, who: str) -> tuple[Faults, int]:
        """What is wrong with somebody's next wire, and its seed."""
        ...

    def saw(self, person: "Person") -> None:
        """Somebody took in a frame."""
        ...

    def ask(self, kind: Question, body: bytes, answered: Callable[[int, bytes], None]) -> None:
        """A question of a join page, if there is an edge."""
        ...

    def note(self, text: str) -> None:
        """A line for the trace."""
        ...


class Spot(NamedTuple):
    """Where somebody is: room index, x and z in mm."""

    room: int
    x: int
    z: int


class Watcher(Client):
    """A client whose every frame is looked at."""

    saw: Callable[[], None]

    def _saw(self, frame: bytes) -> None:
        super()._saw(frame)
        self.saw()


class Person:
    """One polite client."""

    def __init__(self, scene: Scene, number: int, seed: int) -> None:
        self.scene, self.number = scene, number
        self.role: Role = ("clinician", "clinician", "student", "patient", "operator", "carer")[number % 6]
        self.name = f"{self.role}-{number}"
        self.via = "edge" if number % 3 == 2 else "native"
        self.dice = Random(f"{seed}/{self.name}")
        self.client = self._fresh_client()
        self.line: FaultyLine | None = None
        self.backoff = Backoff(self.dice.random, cap_s=2.0)
        self.again_s = 0.0
        self.asked_s = self.heard_s = 0.0
        self.banned = False
        self.resumable = False
        self.calm = False  # does nothing any more but stand and look
        self.wish = (0, 0)
        self.invite = self.token = ""

    def _fresh_client(self) -> Watcher:
        key = Ed25519PrivateKey.from_private_bytes(self.name.encode().ljust(32, b"."))
        client = Watcher(key, self.scene.house.clock, self.dice.randbytes)
        client.saw = lambda: self.scene.saw(self)
        return client

    # --- coming in and falling out ------------------------------------------------------------------------------------

    @property
    def inside(self) -> bool:
        """Whether this person is in a room and connected, as far as they know."""
        return self.line is not None and self.client.room is not None and self.client.bye is None

    def turn(self) -> None:
        """What the person does in this tick, before the shard steps."""
        now_s = self.scene.house.clock.monotonic_s()
        if self.line is not None:
            self.line.turn()
            self._look_after(now_s)
        if self.line is None and now_s >= self.again_s and not self.banned:
            self._knock(now_s)
        if self.inside:
            self._live()

    def _look_after(self, now_s: float) -> None:
        """Notice that the connection is no use any more."""
        assert self.line is not None
        bye = self.client.bye
        if bye is not None:
            self.resumable &= bye.code not in GONE_CODES
            self.banned |= bye.code in ("banned", "ban")
            self.out(now_s, f"bye {bye.code}")
        elif not self.line.open:
            self.out(now_s, "connection lost")
        elif self.client.room is None and now_s - self.asked_s > HELLO_PATIENCE_S:
            self.resumable = False
            self.out(now_s, "no answer to hello")
        elif now_s - self.heard_s > SILENCE_S and self.line.reading:
            self.out(now_s, "silence")

    def out(self, now_s: float, why: str) -> None:
        """The connection is over; another attempt follows after a while."""
        if self.line is not None:
            self.line.close()
        self.line = None
        self.again_s = now_s + self.backoff.failed()
        self.scene.note(f"{self.name} out: {why}")

    def calm_down(self) -> None:
        """No more faults and no more deeds: be there and look, and open what is locked."""
        self.calm, self.wish = True, (0, 0)
        if self.line is not None:
            self.line.heal()

    def forget(self) -> None:
        """The program crashes: what it knew is gone, its key is not."""
        self.out(self.scene.house.clock.monotonic_s(), "crash")
        self.client, self.resumable = self._fresh_client(), False

    def _redeem(self, now_s: float) -> None:
        """Use an invite of the house at the edge; its token is good for the next knock."""
        code, room = self.dice.choice(self.scene.invites)
        key = base64url(self.client.public)
        body = msgspec.json.encode({"room": room, "invite": code, "name": self.name, "key": key})
        self.scene.ask("redeem", body, self._redeemed)
        self.again_s = now_s + 0.5

    def _redeemed(self, status: int, body: bytes) -> None:
        need(status in (200, 403, 503), "invite", f"an invite was answered with {status}")
        self.token = msgspec.json.decode(body)["token"] if status == 200 else ""
        self.scene.note(f"{self.name} used an invite: {status}")

    def _knock(self, now_s: float) -> None:
        may_redeem = self.via == "edge" and not self.resumable and not self.token and bool(self.scene.invites)
        if may_redeem and self.dice.random() < 0.4:
            self._redeem(now_s)
            return
        end = self.scene.connect(self.via)
        if end is None:
            self.again_s = now_s + self.backoff.failed()
            return
        house = self.scene.house
        faults, seed = self.scene.faults(self.name)
        self.line = FaultyLine(end, Faults() if self.calm else faults, seed, house.clock)
        self.client.room = None
        self.client.seen.forget()
        self.asked_s = self.heard_s = now_s
        if self.resumable:
            self.client.resume(self.line)
            return
        room = self.dice.choice(("lobby", "hall", "ward", "ward", "clinic"))
        if self.role == "operator" and room == "ward":
            room = "lobby"
        token = self.token or house.tokens.mint_join(Claims(room, self.role, self.name), house.clock.now_s)
        self.token = ""
        self.client.say_hello(self.line, token=token)

    def listen(self) -> list[WireMessage]:
        """Take in what came. Raises what `Client.poll` raises."""
        if self.line is None:
            return []
        before = self.client.seen.frame
        heard = self.client.poll()
        if heard or self.client.seen.frame is not before:
            self.heard_s = self.scene.house.clock.monotonic_s()
        for message in heard:
            if isinstance(message, events.RoomEntered):
                self.resumable = True
                self.backoff.succeeded()
            elif isinstance(message, events.InviteMade):
                self.invite = message.code
                self.scene.invites.append((message.code, message.room))
        return heard

    # --- living -------------------------------------------------------------------------------------------------------

    def spot(self) -> Spot | None:
        """Where the world has this person; None if it has not."""
        assert self.client.welcome is not None
        world, client = self.scene.house.world, self.client.welcome.client
        if client not in world.clients():
            return None
        head = world.avatars.head_mm[world.slot_of(client)]
        return Spot(world.room_of(client), int(head[0]), int(head[2]))

    def _live(self) -> None:
        dice = self.dice
        if self.calm:
            if self.scene.house.world.tick % 15 == self.number % 15:
                self.client.send_pose()
                if self.role in ("clinician", "operator"):
                    self.client.ask(commands.Lock, False)
            return
        if dice.random() < 0.04:
            self.wish = (dice.randrange(-1800, 1800), dice.randrange(-1800, 1800)) if dice.random() < 0.7 else (0, 0)
        if self.scene.house.world.tick % 2 == self.number % 2:
            hand = (dice.randrange(-400, 400), dice.randrange(-700, -200), dice.randrange(-400, 0))
            flags = dice.choice((0, 0, 0, 1, 1, 2, 3, 8))
            self.client.send_pose(self.wish, dice.randrange(1024), hands_mm=(hand, (200, -500, -300)), flags=flags)
        if dice.random() < 0.12 and (here := self.spot()) is not None:
            act = dice.choices(list(ACTS), list(WEIGHTS.values()))[0]
            ACTS[act](self, here)

    def jump(self, here: Spot, x: float, z: float) -> bool:
        """One leap towards a place; whether one is near it already."""
        far = ((x - here.x) ** 2 + (z - here.z) ** 2) ** 0.5
        if far < 1200:
            return True
        step = min(1.0, 5500 / far)
        self.client.teleport(int(here.x + (x - here.x) * step), int(here.z + (z - here.z) * step))
        return False

    def walk_through(self, here: Spot) -> None:
        """Towards a door and through it."""
        door = self.dice.choice(self.scene.plans[here.room].doors)
        self.jump(here, door.arrive.x_mm, door.arrive.z_mm)
        self.client.go(self.scene.house.rooms[door.to].slug)

    def wander(self, here: Spot) -> None:
        """Jump anywhere; halls are wide."""
        self.jump(here, here.x + self.dice.randrange(-5000, 5000), here.z + self.dice.randrange(-5000, 5000))

    def handle(self, here: Spot) -> int:
        """Somebody of this room, or anybody, or nobody."""
        dice = self.dice
        people = self.scene.house.world.people_in(here.room)
        if not people or dice.random() < 0.1:
            return dice.randrange(1 << 20)
        return dice.choice(people).avatar

    def take(self, here: Spot) -> None:
        """Towards a thing, and take it."""
        world = self.scene.house.world
        things = world.things_in(here.room)
        if not len(things):
            return
        thing = int(self.dice.choice(things.tolist()))
        at = world.things.pos_mm[thing]
        self.jump(here, int(at[0]) + 500, int(at[2]))
        self.client.grab(1 << 12 | thing, self.dice.randrange(2))

    def order(self, here: Spot) -> None:
        """Enrol, then order at a bed that is open to orders; clinicians who are elsewhere go there."""
        client = self.client
        if self.role == "clinician" and not client.access:
            self.walk_through(here)
            return
        if client.kid < 0:
            client.enrol()
            return
        beds = [bed for bed, access in client.access.items() if access.orders and bed in client.chains]
        if not beds or len(client.orders) > 3:
            return
        bed = self.dice.choice(beds)
        order = self.dice.choice(
            (Order("oxygen", float(self.dice.randrange(21, 100))), Order("norepinephrine", 0.1),
             Order("fluid", 250.0, over_s=600.0))
        )  # fmt: skip
        client.place_order(bed, to_fhir(order, client.access[bed].patient.hex()))

    def moderate(self, here: Spot) -> None:
        """Keep the peace, or break it."""
        act = self.dice.choices(("mute", "unmute", "remove", "ban"), (6, 6, 2, 0.3))[0]
        self.client.ask(commands.Moderate, self.handle(here), act, "")

    def lock(self, here: Spot) -> None:
        """Lock now and then, unlock often."""
        self.client.ask(commands.Lock, self.dice.random() < 0.25)

    def admit(self, here: Spot) -> None:
        """Let in or turn away whoever waits."""
        world = self.scene.house.world
        who = self.dice.choice(world.clients())
        self.client.ask(commands.Admit, world.handle(world.slot_of(who)), self.dice.random() < 0.8)

    def leave(self, here: Spot) -> None:
        """Go home politely; come again later."""
        if self.dice.random() < 0.2:
            self.client.ask(Ping, 0)
            self.client.leave()
            self.resumable = False
            self.out(self.scene.house.clock.monotonic_s(), "went home")

    def invite_somebody(self, here: Spot) -> None:
        """Make an invite, or withdraw the last one."""
        if self.invite and self.dice.random() < 0.5:
            self.client.ask(commands.RevokeInvite, self.invite)
            return
        rooms, dice = self.scene.house.rooms, self.dice
        self.client.ask(commands.MakeInvite, dice.choice(rooms).slug, dice.choice(ROLES), 2, 60)


Act = Callable[[Person, Spot], object]
ACTS: dict[str, Act] = {
    "door": Person.walk_through,
    "wander": Person.wander,
    "take": Person.take,
    "order": Person.order,
    "moderate": Person.moderate,
    "lock": Person.lock,
    "admit": Person.admit,
    "leave": Person.leave,
    "invite": Person.invite_somebody,
    "say": lambda p, here: p.client.say(f"word {p.dice.randrange(1000)}"),
    "release": lambda p, here: p.client.release(p.dice.randrange(2)),
    "offer": lambda p, here: p.client.offer(p.dice.randrange(2), p.handle(here)),
    "sit": lambda p, here: p.client.sit(p.dice.randrange(3)),
    "stand": lambda p, here: p.client.stand(),
    "acknowledge": lambda p, here: p.client.acknowledge(p.dice.randrange(3), "spo2-low"),
    "ping": lambda p, here: p.client.ping(1),
}
WEIGHTS: dict[str, float] = {
    "door": 10, "wander": 6, "take": 9, "order": 14, "moderate": 1, "lock": 0.7, "admit": 2, "leave": 1, "invite": 1,
    "say": 4, "release": 3, "offer": 5, "sit": 2, "stand": 3, "acknowledge": 2, "ping": 1,
}  # fmt: skip
