"""Each tick's commands on disk, so that the same world can be made again; and the checkpoints they start from.

Owns the folder DATA/world: `journal-<first tick>.asc` segments and `checkpoint-<tick>.world` files. Appending never
waits for the disk (a thread flushes once a second); a record torn by a crash ends the
reading of its segment.
Never interprets a command and never steps a world: `server.replay` does.

Segment: b"ASCJ2\\n", then records of u32 length, u32 CRC-32, body. The first body is a MessagePack map (`Header`),
every other one an array [tick, proof, [[client, sequence, command], ..], pose clients, pose rows]. The proof is of
the world before the tick: its digest (16 bytes) in the first record of a segment and every DIGEST_EVERY ticks, else its
pulse (4 bytes over the avatars), which costs a tenth of that.
Checkpoint: b"ASCW2\\n", u32 length, u32 CRC-32, MessagePack map (`Checkpoint`).
"""

import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import numpy as np

from server.sim.poses import POSE, PoseBatch
from server.world.commands import Body, Command
from server.world.scene import Room
from server.world.world import World

SEGMENT_MAGIC = b"ASCJ2\n"
CHECKPOINT_MAGIC = b"ASCW2\n"
FRAME = struct.Struct("<II")
DIGEST_EVERY = 30  # ticks
PULSE_BYTES = 4
RECORD_BYTES_MAX = 64 * 1024 * 1024


class JournalError(ValueError):
    """A file of the journal cannot be used; says which and why."""


class Header(msgspec.Struct, frozen=True):
    """What a replay needs beside the commands: the house as it was when the segment began."""

    first_tick: int
    tick_hz: int
    seed: int
    rooms: tuple[Room, ...]
    limits: dict[str, float]


class Checkpoint(msgspec.Struct, frozen=True):
    """A whole world between two ticks. `tick` is the next one to be stepped."""

    tick: int
    next_client: int
    digest: bytes
    world: bytes


class Record(NamedTuple):
    """One tick as it was: what came in, and the digest or pulse of the world before it."""

    tick: int
    proof: bytes
    commands: list[Command]
    poses: PoseBatch


class _Row(msgspec.Struct, array_like=True, frozen=True):
    tick: int
    proof: bytes
    commands: list[tuple[int, int, Body]]
    clients: bytes
    rows: bytes


_encoder = msgspec.msgpack.Encoder()
_row_decoder = msgspec.msgpack.Decoder(_Row)
_header_decoder = msgspec.msgpack.Decoder(Header)
_checkpoint_decoder = msgspec.msgpack.Decoder(Checkpoint)


def _frame(body: bytes) -> bytes:
    return FRAME.pack(len(body), zlib.crc32(body)) + body


def _bodies(data: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each whole record's body with the offset behind it; ends silently at a torn tail."""
    while len(head := data.read(FRAME.size)) == FRAME.size:
        length, crc = FRAME.unpack(head)
        body = data.read(length) if length <= RECORD_BYTES_MAX else b""
        if len(body) != length or zlib.crc32(body) != crc:
            return
        yield data.tell(), body


def read_segment(path: Path) -> tuple[Header, Iterator[Record]]:
    """The header and the records of a segment, up to a torn tail. Raises JournalError if it is not one."""
    source = path.open("rb")
    if source.read(len(SEGMENT_MAGIC)) != SEGMENT_MAGIC:
        raise JournalError(f"{path.name}: not a journal segment of this version (expected {SEGMENT_MAGIC!r})")
    first = next(_bodies(source), None)
    if first is None:
        raise JournalError(f"{path.name}: the segment's header is missing or damaged")
    header = _header_decoder.decode(first[1])
    return header, (_record(body) for _, body in _bodies(source))


def _record(body: bytes) -> Record:
    row = _row_decoder.decode(body)
    poses = PoseBatch(np.frombuffer(row.clients, np.uint32), np.frombuffer(row.rows, POSE))
    return Record(row.tick, row.proof, [Command(*c) for c in row.commands], poses)


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint file; raises JournalError if it is damaged or of another version."""
    data = path.read_bytes()
    start = len(CHECKPOINT_MAGIC) + FRAME.size
    if data[: len(CHECKPOINT_MAGIC)] != CHECKPOINT_MAGIC or len(data) < start:
        raise JournalError(f"{path.name}: not a checkpoint of this version (expected {CHECKPOINT_MAGIC!r})")
    length, crc = FRAME.unpack_from(data, len(CHECKPOINT_MAGIC))
    body = data[start:]
    if len(body) != length or zlib.crc32(body) != crc:
        raise JournalError(f"{path.name}: damaged (length {len(body)} of {length}, or checksum)")
    return _checkpoint_decoder.decode(body)


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write durably and whole, or not at all: temporary file, fsync, rename, fsync of the folder."""
    path = folder / f"checkpoint-{checkpoint.tick:012d}.world"
    temporary = path.with_suffix(".tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(CHECKPOINT_MAGIC + _frame(_encoder.encode(checkpoint)))
        out.flush()
        os.fsync(out.fileno())
    temporary.rename(path)
    _sync_folder(folder)
    return path


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def segments(folder: Path) -> list[Path]:
    """Journal segments, oldest first."""
    return sorted(folder.glob("journal-*.asc"))


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoints, oldest first."""
    return sorted(folder.glob("checkpoint-*.world"))


def tick_of(path: Path) -> int:
    """The tick in a segment's or checkpoint's file name."""
    return int(path.stem.rsplit("-", 1)[1])


class Journal:
    """The open segment of a running shard. `append` is called once a tick, before the step."""

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder = folder
        self.bytes_written = 0
        self._wake = threading.Event()
        self._closing = False
        self._failure: OSError | None = None
        self._later: list[tuple[Checkpoint, int]] = []
        self._retired: list[IO[bytes]] = []
        self._file = self._open(header)
        self._flusher = threading.Thread(target=self._flush_loop, name="journal-flush", daemon=True)
        self._flusher.start()

    def _open(self, header: Header) -> IO[bytes]:
        self._fresh = True
        path = self.folder / f"journal-{header.first_tick:012d}.asc"
        out = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        out.write(SEGMENT_MAGIC + _frame(_encoder.encode(header)))
        out.flush()
        return out

    def proof(self, world: World) -> bytes:
        """What the next record says of the world before its tick."""
        return world.digest() if self._fresh or world.tick % DIGEST_EVERY == 0 else world.pulse()

    def append(self, tick: int, proof: bytes, commands: Sequence[Command], poses: PoseBatch) -> None:
        """From here on these commands are history. Raises OSError if an earlier flush or this write failed."""
        if self._failure is not None:
            raise self._failure
        row = _Row(
            tick,
            proof,
            [(c.client, c.sequence, c.body) for c in commands],
            poses.client.tobytes(),
            poses.rows.tobytes(),
        )
        frame = _frame(_encoder.encode(row))
        self._file.write(frame)
        self._file.flush()
        self.bytes_written += len(frame)
        self._fresh = False

    def checkpoint(self, checkpoint: Checkpoint, keep: int) -> None:
        """Have a checkpoint written in the background, and older files pruned (see `prune`)."""
        self._later = [(checkpoint, keep)]
        self._wake.set()

    def rotate(self, header: Header) -> None:
        """Go on in a new segment."""
        old, self._file = self._file, self._open(header)
        self._retired.append(old)

    def close(self) -> None:
        """Flush everything to the disk and end the thread; a second call does nothing."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        self._flusher.join()
        self._flush_once()
        self._file.close()

    def _flush_loop(self) -> None:
        while not self._closing:
            self._wake.wait(1.0)
            self._wake.clear()
            try:
                self._flush_once()
            except OSError as error:  # the next append raises it: the shard stops rather than go on unrecorded
                self._failure = error
                return

    def _flush_once(self) -> None:
        retired, self._retired = self._retired, []
        for file in (*retired, self._file):
            os.fsync(file.fileno())
        for file in retired:
            file.close()
        later, self._later = self._later, []
        for checkpoint, keep in later:
            write_checkpoint(self.folder, checkpoint)
            prune(self.folder, keep)


def prune(folder: Path, keep: int) -> None:
    """Delete all but the newest `keep` segments, the checkpoints they start from, and the two newest checkpoints.

    A segment that the older of those two checkpoints still needs is never deleted.
    """
    all_segments, all_checkpoints = segments(folder), checkpoints(folder)
    newest = all_checkpoints[-2:]
    starts = {tick_of(path) for path in all_segments[-keep:]}
    for path in all_checkpoints[:-2]:
        if tick_of(path) not in starts:
            path.unlink()
    needed = tick_of(newest[0]) if newest else 0
    for path, following in pairwise(all_segments[: 1 - keep]):
        if tick_of(following) <= needed:
            path.unlink()
