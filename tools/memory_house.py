"""A house in one process, turned by hand: the real shard and the real ledger, joined without sockets.

Owns how the parts are put together and how they start again from what is on disk. What decides is the server's code.
For stories (`tests/scenario`) and the simulation; nothing here measures or waits.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import zmq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.clock import ManualClock
from server.config import Config
from server.journal import Checkpoint, Header, Journal, write_checkpoint
from server.ledger.disk import Disk
from server.ledger.limits import LedgerLimits
from server.ledger.link import LedgerLink
from server.ledger.start import open_log
from server.ledger.wire import Answer, Chain, ChainIs, KeyIs, Status, StatusIs, Submit, asked_decoder, encoder
from server.ledger.writer import Writer
from server.net.memory import MemoryWire
from server.net.token import TokenDesk
from server.pacer import Pacer
from server.reception import Draw, Reception
from server.recorder import Recorder, load_or_make_keys
from server.replay import recover
from server.shard import Shard, header_of
from server.world.scene import Room
from server.world.world import World
from tools.faulty_disk import Crash

ORIGIN = "test.example/ward"
P = ParamSpec("P")
T = TypeVar("T")


class Here(Executor):
    """An executor that does the work at once, in the thread that asks."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See Executor."""
        done: Future[T] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class LedgerInReach:
    """The real writer behind the real link's interface, without a socket of the machine.

    `reachable` turns the line off and on. A write that stops the machine (`tools.faulty_disk`) makes it `dead` until
    `restart`.
    """

    def __init__(self, folder: Path, clock: ManualClock, pool: Executor, disk: Disk | None = None) -> None:
        self.folder, self.clock, self._pool, self._disk = folder, clock, pool, disk
        self.writer = self._open()
        self.reachable, self.dead = True, False
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.bind("inproc://ledger")
        self.boots = 1

    def _open(self) -> Writer:
        return open_log(self.folder, ORIGIN, self._pool, self.clock, LedgerLimits(), self._disk)

    def link(self) -> LedgerLink:
        """A shard's end of the line."""
        return LedgerLink("inproc://ledger", self.clock, context=self.context)

    def turn(self) -> None:
        """Answer what was asked since last time, as the process does."""
        while self.socket.poll(0):
            peer, frame = self.socket.recv_multipart()
            if not self.reachable or self.dead:
                continue
            try:
                answer = self._answer(asked_decoder.decode(frame))
            except Crash:
                self.dead = True
            else:
                self.socket.send_multipart([peer, encoder.encode(answer)])

    def _answer(self, asked: Any) -> Answer:
        writer = self.writer
        if isinstance(asked, Submit):
            return writer.record([asked])[0]
        if isinstance(asked, Status):
            reason = "" if writer.stopped is None else writer.stopped.text
            boot = b"boot %d" % self.boots
            return StatusIs(asked.request, writer.origin, writer.vkey, writer.signed_size, not reason, reason, boot)
        if isinstance(asked, Chain):
            return ChainIs(asked.request, asked.patient, *writer.chain(asked.patient))
        return KeyIs(asked.request, asked.actor, writer.kid(asked.actor))

    def restart(self) -> None:
        """A new process on what the old one left on disk."""
        self.close_writer()
        self.writer = self._open()
        self.dead = False
        self.boots += 1

    def close_writer(self) -> None:
        """Let go of the database; what is signed is published first, unless the machine has stopped."""
        with suppress(Crash):
            self.writer.close()

    def close(self) -> None:
        """Publish and end."""
        self.close_writer()
        self.context.destroy(linger=0)


class House:
    """A shard and its ledger on one clock. `turn` is one tick of both."""

    def __init__(
        self,
        data: Path,
        config: Config,
        pool: Executor,
        rooms: Sequence[Room],
        draw: Draw,
        ledger_disk: Disk | None = None,
        start_s: float = 1_000_000_000.0,
    ) -> None:
        self.data, self.config = data, config
        self.rooms, self.draw = tuple(rooms), draw
        self.clock = ManualClock(start_s)
        self.ledger = LedgerInReach(data / "ledger", self.clock, pool, ledger_disk)
        self.tokens = TokenDesk(Ed25519PrivateKey.from_private_bytes(bytes(32)), config.limits)
        self.shard = self._build()

    @property
    def folder(self) -> Path:
        """Where the journal and the checkpoints are."""
        return self.data / "world"

    @property
    def world(self) -> World:
        """The shard's."""
        return self.shard.world

    def _build(self) -> Shard:
        self.folder.mkdir(parents=True, exist_ok=True)
        recovered = recover(self.folder)
        if recovered is None:
            world, next_client = self.new_world(), 1
        else:
            world, next_client = recovered.world, recovered.next_client
        self.wire = self.new_wire()
        signing, master = load_or_make_keys(b"\x07" * 32)
        recorder = Recorder(self.ledger.link(), signing, master)
        write_checkpoint(self.folder, Checkpoint(world.tick, next_client, world.digest(), world.dump()))
        journal = self.new_journal(header_of(world, self.config))
        reception = Reception(self.tokens, self.config.limits, "memory", "none", self.draw)
        pacer = Pacer(self.config.tick_hz, self.clock.now_s)
        return self.new_shard(world, reception, recorder, journal, pacer, next_client)

    def new_world(self) -> World:
        """A world that has not been stepped."""
        return World(self.rooms, self.config.limits, self.config.tick_hz, self.config.seed)

    def new_wire(self) -> MemoryWire:
        """The wire of a shard that starts."""
        return MemoryWire(self.config.limits, self.config.tick_hz)

    def new_journal(self, header: Header) -> Journal:
        """The journal of a shard that starts."""
        return Journal(self.folder, header)

    def new_shard(
        self, world: World, reception: Reception, recorder: Recorder, journal: Journal, pacer: Pacer, next_client: int
    ) -> Shard:
        """A shard of these parts."""
        return Shard(self.config, world, self.wire, reception, recorder, journal, pacer, next_client)

    def turn(self) -> None:
        """One tick: the ledger answers, the shard steps, the ledger answers."""
        self.clock.advance(1 / self.config.tick_hz)
        self.ledger.turn()
        self.shard.tick(self.clock.now_s, self.clock.now_s, self.clock.monotonic_s)
        self.ledger.turn()

    def crash_and_restart(self) -> None:
        """The shard's memory is gone; what it wrote is there."""
        self.shard.journal.close()
        self.shard.recorder.link.close()
        self.shard = self._build()

    def close(self) -> None:
        """End everything."""
        self.shard.journal.close()
        self.ledger.close()
