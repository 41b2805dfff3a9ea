"""A whole shard with its ledger in memory, turned by hand; clients speak the real protocol through the memory wire."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.config import Config
from server.net.memory import MemoryEdge
from server.net.token import Claims
from server.world.rooms import load_rooms
from tools.client import Client
from tools.client_lines import MemoryLine
from tools.memory_house import Here, House


class Stage(House):
    """A shard, its ledger and any number of clients. `tick` turns everything once."""

    def __init__(self, data: Path, config: Config, pool: Executor, rooms: Path | None = None) -> None:
        super().__init__(data, config, pool, load_rooms(rooms), secrets.token_bytes)
        self.clients: dict[str, Client] = {}
        self.heard: dict[str, list[Any]] = {}
        self.edges: list[MemoryEdge] = []
        self.tick(3)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.turn()
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


@pytest.fixture(scope="session")
def pool() -> Executor:
    return Here()


@pytest.fixture
def stage(tmp_path: Path, pool: Executor) -> Iterator[Stage]:
    made = Stage(tmp_path, Config(data=str(tmp_path)), pool)
    yield made
    made.close()


@pytest.fixture
def raise_stage(pool: Executor) -> Callable[..., Stage]:
    """Makes further stages, of a folder of rooms if one is named; whoever asks for one closes it."""
    return lambda data, config, rooms=None: Stage(data, config, pool, rooms)
