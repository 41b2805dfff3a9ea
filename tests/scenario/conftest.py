"""A whole shard with its ledger in memory, turned by hand; clients speak the real protocol through the memory wire."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zmq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.clock import ManualClock
from server.config import Config
from server.journal import Checkpoint, Journal, write_checkpoint
from server.ledger.limits import LedgerLimits
from server.ledger.link import LedgerLink
from server.ledger.start import open_log
from server.ledger.wire import Chain, ChainIs, KeyIs, Status, StatusIs, Submit, asked_decoder, encoder
from server.net.memory import MemoryEdge, MemoryWire
from server.net.token import Claims, TokenDesk
from server.pacer import Pacer
from server.reception import Reception
from server.recorder import Recorder, load_or_make_keys
from server.replay import recover
from server.shard import Shard, header_of
from server.world.rooms import load_rooms
from server.world.world import World
from tools.client import Client
from tools.client_lines import MemoryLine


class LedgerInReach:
    """The real writer behind the real link's interface, without a socket; `reachable` turns the line off and on."""

    def __init__(self, folder: Path, clock: ManualClock, pool: ThreadPoolExecutor) -> None:
        self.clock = clock
        self.writer = open_log(folder, "test.example/ward", pool, clock, LedgerLimits())
        self.reachable = True
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.bind("inproc://ledger")
        self.boot = b"boot-one"

    def link(self) -> LedgerLink:
        return LedgerLink("inproc://ledger", self.clock, context=self.context)

    def turn(self) -> None:
        """Answer what was asked since last time, as the process does."""
        while self.socket.poll(0):
            peer, frame = self.socket.recv_multipart()
            if not self.reachable:
                continue
            asked = asked_decoder.decode(frame)
            if isinstance(asked, Submit):
                answer: Any = self.writer.record([asked])[0]
            elif isinstance(asked, Status):
                size, vkey = self.writer.signed_size, self.writer.vkey
                answer = StatusIs(asked.request, self.writer.origin, vkey, size, True, "", self.boot)
            elif isinstance(asked, Chain):
                answer = ChainIs(asked.request, asked.patient, *self.writer.chain(asked.patient))
            else:
                answer = KeyIs(asked.request, asked.actor, self.writer.kid(asked.actor))
            self.socket.send_multipart([peer, encoder.encode(answer)])

    def close(self) -> None:
        self.writer.publish(at_once=True)
        self.writer.close()
        self.context.destroy(linger=0)


class Stage:
    """A shard, its ledger and any number of clients. `tick` turns everything once."""

    def __init__(self, data: Path, config: Config, pool: ThreadPoolExecutor) -> None:
        self.data, self.config, self.pool = data, config, pool
        self.clock = ManualClock()
        self.ledger = LedgerInReach(data / "ledger", self.clock, pool)
        self.tokens = TokenDesk(Ed25519PrivateKey.from_private_bytes(bytes(32)), config.limits)
        self.clients: dict[str, Client] = {}
        self.heard: dict[str, list[Any]] = {}
        self.edges: list[MemoryEdge] = []
        self.shard = self._build()
        self.tick(3)

    def _build(self) -> Shard:
        folder = self.data / "world"
        folder.mkdir(parents=True, exist_ok=True)
        recovered = recover(folder)
        if recovered is None:
            world = World(load_rooms(None), self.config.limits, self.config.tick_hz, self.config.seed)
            next_client = 1
        else:
            world, next_client = recovered.world, recovered.next_client
        self.wire = MemoryWire(self.config.limits, self.config.tick_hz)
        signing, master = load_or_make_keys(b"\x07" * 32)
        link = self.ledger.link()
        recorder = Recorder(link, signing, master)
        write_checkpoint(folder, Checkpoint(world.tick, next_client, world.digest(), world.dump()))
        journal = Journal(folder, header_of(world, self.config))
        reception = Reception(self.tokens, self.config.limits, "memory", "none")
        pacer = Pacer(self.config.tick_hz, self.clock.now_s)
        return Shard(self.config, world, self.wire, reception, recorder, journal, pacer, next_client)

    @property
    def world(self) -> World:
        return self.shard.world

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(1 / self.config.tick_hz)
            self.ledger.turn()
            self.shard.tick(self.clock.now_s, self.clock.now_s, self.clock.monotonic_s)
            self.ledger.turn()
            for name, client in self.clients.items():
                self.heard[name] += client.poll()

    def connect(self, name: str, role: str = "clinician", room: str = "lobby", ticks: int = 2) -> Client:
        client = Client(Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b".")), self.clock)
        token = self.tokens.mint_join(Claims(room, role, name), self.clock.now_s)  # type: ignore[arg-type]
        self.clients[name], self.heard[name] = client, []
        client.say_hello(MemoryLine(self.wire.client()), token=token)
        self.tick(ticks)
        return client

    def resume(self, name: str, ticks: int = 2) -> Client:
        client = self.clients[name]
        client.resume(MemoryLine(self.wire.client()))
        self.tick(ticks)
        return client

    def crash_and_restart(self) -> None:
        """The shard's memory is gone; what it wrote is there."""
        self.shard.journal.close()
        self.shard = self._build()

    def said(self, name: str, kind: type) -> list[Any]:
        return [message for message in self.heard[name] if isinstance(message, kind)]

    def until(self, condition: Callable[[], bool], ticks: int = 90) -> None:
        for _ in range(ticks):
            if condition():
                return
            self.tick()
        raise AssertionError(f"did not happen within {ticks} ticks")

    def position(self, name: str) -> tuple[int, int]:
        assert self.clients[name].welcome is not None
        slot = self.world.slot_of(self.clients[name].welcome.client)
        return int(self.world.avatars.head_mm[slot, 0]), int(self.world.avatars.head_mm[slot, 2])

    def close(self) -> None:
        self.shard.journal.close()
        self.ledger.close()


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def stage(tmp_path: Path, pool: ThreadPoolExecutor) -> Iterator[Stage]:
    made = Stage(tmp_path, Config(data=str(tmp_path)), pool)
    yield made
    made.close()


@pytest.fixture
def raise_stage(pool: ThreadPoolExecutor) -> Callable[[Path, Config], Stage]:
    """Makes further stages; whoever asks for one closes it."""
    return lambda data, config: Stage(data, config, pool)
