"""The rude ones of the simulation: they break the protocol in every way there is.

Owns what each of them does, drawn from a seed, on connections of their own. Never reads what is said to it.
"""

from collections.abc import Callable
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.net.hello import make_hello
from server.net.messages import Bye, Ping, encoder
from server.net.token import Claims
from server.world import commands
from tools.link_memory import End
from tools.simulate_people import Scene


class Rude:
    """Somebody who breaks the protocol in every way there is, on connections of their own."""

    def __init__(self, scene: Scene, number: int, seed: int) -> None:
        self.scene, self.number = scene, number
        self.dice = Random(f"{seed}/rude-{number}")
        self.key = Ed25519PrivateKey.from_private_bytes(f"rude-{number}".encode().ljust(32, b"."))
        self.end: End | None = None
        self.seq = 0

    def turn(self) -> None:
        """One rudeness in some ticks."""
        dice = self.dice
        if self.end is None or not self.end.open:
            self.end = self.scene.connect(dice.choice(("native", "edge"))) if dice.random() < 0.1 else None
            return
        if dice.random() < 0.3:
            dice.choice(RUDENESS)(self)

    def send(self, frame: bytes) -> None:
        """One frame, if there is a connection."""
        if self.end is not None:
            self.end.send(frame)

    def hello(self) -> None:
        """A hello that is right: what follows it is not."""
        house = self.scene.house
        claims = Claims(self.dice.choice(("lobby", "hall")), "student", f"rude-{self.number}")
        self.send(encoder.encode(make_hello(self.key, token=house.tokens.mint_join(claims, house.clock.now_s))))

    def garbage(self) -> None:
        """Bytes."""
        self.send(self.dice.randbytes(self.dice.choice((1, 7, 39, 200, 2000))))

    def out_of_place(self) -> None:
        """A right message at a wrong time."""
        self.seq += self.dice.randrange(-1, 3)
        said = (commands.Say(max(0, self.seq), "ha"), Bye("left"), commands.Grab(max(0, self.seq), 1 << 12, 0))
        self.send(encoder.encode(self.dice.choice(said)))

    def bad_hello(self) -> None:
        """A hello with a secret that is none."""
        self.send(encoder.encode(make_hello(self.key, resume=self.dice.randbytes(32))))

    def flood(self) -> None:
        """Far more than anybody may say."""
        for _ in range(self.dice.choice((20, 100, 400))):
            self.seq += 1
            self.send(encoder.encode(Ping(self.seq, 1)))

    def pose(self) -> None:
        """A pose with a value that cannot be."""
        self.seq += 1
        self.send(bytes([0x10]) + max(0, self.seq).to_bytes(4, "little") + self.dice.randbytes(34))

    def vanish(self) -> None:
        """Gone without a word."""
        if self.end is not None:
            self.end.close()


RUDENESS: tuple[Callable[[Rude], None], ...] = (
    Rude.hello, Rude.hello, Rude.garbage, Rude.out_of_place, Rude.bad_hello, Rude.flood, Rude.pose, Rude.vanish,
)  # fmt: skip
