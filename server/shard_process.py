"""The shard as a process: makes its parts, recovers the world, turns the tick, stops cleanly.

Owns the start and the end; the tick itself is `server.shard`. Tells the supervisor when the first tick is done, with
the demonstration's invites (kept in DATA/world/demo.json over restarts), and writes DATA/run/stats.json once a second.
"""

import os
import signal
from pathlib import Path
from types import FrameType

import msgspec

from server.clock import Clock, SystemClock
from server.config import Config, ConfigError
from server.datadir import DataError, forget_ready, open_data, tell_ready
from server.journal import Checkpoint, Header, Journal, JournalError, write_checkpoint
from server.ledger.link import LedgerLink
from server.net.addresses import addresses
from server.net.keys import load_or_make_curve, load_or_make_secret, load_or_make_token_key
from server.net.token import TokenDesk
from server.net.transport import Wire
from server.pacer import Pacer
from server.reception import Reception, new_code
from server.recorder import SHARD, Recorder, load_or_make_keys
from server.replay import Recovered, recover
from server.shard import Shard, header_of
from server.world.commands import ROLES, Command, Role, SetInvite
from server.world.rooms import RoomFileError, load_rooms
from server.world.world import World

SEGMENT_S = 600.0
STATS_EVERY_S = 1.0
DEMO_USES = 100_000
DEMO_INVITE_S = 7 * 86_400


class ShardProcess:
    """One shard with real sockets and a real clock."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self.config, self.clock = config, clock
        self.data = Path(config.data)
        self.folder = self.data / "world"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.stopping = False
        self.links: list[DemoLink] = []
        self.shard = self._build()
        self._next_checkpoint_s = clock.monotonic_s() + config.checkpoint_every_s
        self._next_segment_s = clock.monotonic_s() + SEGMENT_S
        self._next_stats_s = clock.monotonic_s()

    def _build(self) -> Shard:
        config, keys = self.config, self.data / "keys"
        world, next_client = self._world()
        meeting = addresses(self.data)
        curve = load_or_make_curve(keys)
        wire = Wire(config.native, meeting.edge, meeting.views, curve, config.limits, config.tick_hz, self.clock)
        tokens = TokenDesk(load_or_make_token_key(keys), config.limits)
        reception = Reception(tokens, config.limits, wire.endpoint, curve.public)
        signing, master = load_or_make_keys(load_or_make_secret(keys, "shard"))
        recorder = Recorder(LedgerLink(meeting.ledger, self.clock), signing, master)
        journal = self._journal(world, next_client)
        pacer = Pacer(config.tick_hz, self.clock.monotonic_s())
        return Shard(config, world, wire, reception, recorder, journal, pacer, next_client)

    def _world(self) -> tuple[World, int]:
        """The world as it was left, or a new one; after a change of rooms a new one with the old invites and bans."""
        config = self.config
        rooms = load_rooms(Path(config.rooms) if config.rooms else None, config.limits)
        recovered = recover(self.folder)
        if recovered is None:
            return World(rooms, config.limits, config.tick_hz, config.seed), 1
        fresh = World(rooms, config.limits, config.tick_hz, config.seed)
        if _same_house(recovered, header_of(fresh, config)):
            return recovered.world, recovered.next_client
        fresh.succeed(recovered.world)
        return fresh, recovered.next_client

    def _journal(self, world: World, next_client: int) -> Journal:
        write_checkpoint(self.folder, Checkpoint(world.tick, next_client, world.digest(), world.dump()))
        return Journal(self.folder, header_of(world, self.config))

    def run(self) -> None:
        """Turn the tick until told to stop."""
        shard, told = self.shard, False
        shard.intake.also(self._demonstration())
        while not self.stopping:
            self.clock.sleep_until(shard.pacer.due_s)
            now_s = self.clock.monotonic_s()
            shard.tick(now_s, self.clock.unix_s(), self.clock.monotonic_s)
            self._housekeeping(now_s)
            if not told:
                tell_ready(self.data, "shard", self._facts())
                told = True
        self._stop()

    def _housekeeping(self, now_s: float) -> None:
        """What happens once in a while, between two ticks."""
        if now_s >= self._next_checkpoint_s:
            self._next_checkpoint_s = now_s + self.config.checkpoint_every_s
            point = self.shard.checkpoint()
            if now_s >= self._next_segment_s:
                self._next_segment_s = now_s + SEGMENT_S
                self.shard.journal.rotate(self.shard.header())
            self.shard.journal.checkpoint(point, self.config.journal_segments)
        if now_s >= self._next_stats_s:
            self._next_stats_s = now_s + STATS_EVERY_S
            self._publish_stats()

    def _publish_stats(self) -> None:
        figures = self.shard.figures()
        self.shard.wire.stats(figures)
        _replace(self.data / "run" / "stats.json", msgspec.json.encode(figures))

    def _demonstration(self) -> list[Command]:
        """An invite for each role, kept over restarts, as commands for the first tick."""
        path = self.folder / "demo.json"
        if not self.config.demo:
            path.unlink(missing_ok=True)
            return []
        known = msgspec.json.decode(path.read_bytes(), type=list[DemoLink]) if path.exists() else []
        self.links = known or [DemoLink(role, self._first_room(), new_code()) for role in ROLES]
        _replace(path, msgspec.json.encode(self.links))
        expires_s = int(self.clock.unix_s()) + DEMO_INVITE_S
        return [Command(SHARD, 0, SetInvite(x.code, x.room, x.role, DEMO_USES, expires_s)) for x in self.links]

    def _first_room(self) -> str:
        slugs = [room.slug for room in self.shard.world.rooms]
        return "lobby" if "lobby" in slugs else slugs[0]

    def _first_bed(self) -> str:
        """A bed of a ward if there is one."""
        world = self.shard.world
        wards = {room.slug for room in world.rooms if room.kind == "ward"}
        names = [world.bed_name(bed) for bed in range(world.bed_count)]
        return next((name for name in names if name.split("/")[0] in wards), names[0])

    def _facts(self) -> dict[str, object]:
        """What `asclepion serve` prints: links to open, and a token for device data of the first bed."""
        facts: dict[str, object] = {"invites": [msgspec.to_builtins(link) for link in self.links]}
        if self.config.demo and self.shard.world.bed_count:
            bed = self._first_bed()
            token = self.shard.reception.feed_token(bed, self.clock.unix_s())
            facts["feeds"] = [{"bed": bed, "token": token}]
        return facts

    def _stop(self) -> None:
        """Say goodbye, write the last checkpoint, flush the journal."""
        self.shard.farewell()
        self.shard.journal.close()
        write_checkpoint(self.folder, self.shard.checkpoint())
        forget_ready(self.data, "shard")
        self.shard.wire.shut()


class DemoLink(msgspec.Struct, frozen=True):
    """Where a demonstration role comes in, and with which invite."""

    role: Role
    room: str
    code: str


def _replace(path: Path, data: bytes) -> None:
    """Write a small file of the run directory whole or not at all, for our user only."""
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(data)
    fresh.replace(path)


def _same_house(recovered: Recovered, fresh: Header) -> bool:
    """Whether the recovered world runs under today's rooms, limits, rate and seed."""
    old = recovered.header
    return (old.rooms, old.limits, old.tick_hz, old.seed) == (fresh.rooms, fresh.limits, fresh.tick_hz, fresh.seed)


def run(config: Config) -> int:
    """Run a shard until SIGTERM or SIGINT; 0 after a clean stop.

    Raises ConfigError (room files, a port in use) and DataError (data directory, journal, disk): one line each.
    """
    lock = open_data(Path(config.data), "shard")
    try:
        process = ShardProcess(config, SystemClock())
        _stop_on_signals(process)
        process.run()
    except RoomFileError as error:
        raise ConfigError(str(error)) from error
    except (JournalError, OSError) as error:
        raise DataError(f"{config.data}: {error}") from error
    finally:
        lock.release()
    return 0


def _stop_on_signals(process: ShardProcess) -> None:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        process.stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
