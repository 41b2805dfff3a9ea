"""The whole state as bytes and back, and its digest.

Owns the checkpoint's format (MessagePack, versioned). What is derived from rooms and limits is not written: a world is
loaded with the same rooms it was dumped with, or not at all.
"""

import hashlib
import zlib
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from server.config import Limits
from server.world.scene import Room
from server.world.tables import Invite, Pending, Resident, Tables

VERSION = 2


class DumpError(ValueError):
    """A dump cannot be loaded: of another version, of other rooms, or damaged."""


class Small(msgspec.Struct, array_like=True):
    """The tables that are small or change often: written into every digest."""

    tick: int
    slots_used: int
    unix_at_zero: int
    residents: list[Resident]
    offers: list[tuple[int, int]]
    bonds: list[tuple[int, int, int]]
    waiting: list[tuple[int, int]]
    locked: list[bool]
    next_spawn: list[int]
    viewing: list[tuple[int, int, int]]
    asking: list[tuple[int, int, int]]
    leaves: list[bytes]


class Large(msgspec.Struct, array_like=True):
    """The tables that may be large and change seldom."""

    invites: dict[str, Invite]
    bans: list[tuple[bytes, str]]
    mutes: list[tuple[bytes, str]]
    pending: list[tuple[bytes, Pending]]
    seen: list[bytes]


class Dump(msgspec.Struct):
    """A checkpoint of the world."""

    version: int
    house: bytes
    small: Small
    large: Large
    columns: list[bytes]
    bedside: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Dump)
_room_decoder = msgspec.msgpack.Decoder(list[Room])


def house_hash(rooms: Sequence[Room], limits: Limits, tick_hz: int, seed: int) -> bytes:
    """What a dump belongs to: rooms, the sizes that shape the columns, tick rate and seed.

    Rooms are taken as they read back, so that 3 and 3.0 are the same.
    """
    plain = _room_decoder.decode(_encoder.encode(list(rooms)))
    return hashlib.blake2b(_encoder.encode([plain, int(limits.avatars_max), tick_hz, seed]), digest_size=16).digest()


def _columns(t: Tables) -> Iterator[npt.NDArray[np.generic]]:
    """Every column, the used rows only, in a fixed order."""
    used = t.slots_used
    for column in (*t.avatars, *t.intents, t.generation, t.hero_until):
        yield column[:used]
    yield from t.things


def _remembered(t: Tables) -> Iterator[npt.NDArray[np.generic]]:
    """The columns of the last second: they follow from the states before, so no digest needs them."""
    used = t.slots_used
    yield t.ring.tick
    for column in (t.ring.room, t.ring.head_mm, t.ring.hand_mm):
        yield column[:, :used]
    yield t.ring.thing_mm


def _small(t: Tables) -> Small:
    return Small(
        t.tick, t.slots_used, t.unix_at_zero, list(t.residents.values()), list(t.offers.items()), _flat(t.bonds),
        list(t.waiting.items()), t.locked, t.next_spawn, _flat(t.viewing), _flat(t.asking), list(t.pending),
    )  # fmt: skip


def _flat(table: dict[tuple[int, int], int]) -> list[tuple[int, int, int]]:
    return [(*key, value) for key, value in table.items()]


def _large(t: Tables) -> Large:
    return Large(t.invites, list(t.bans.items()), list(t.mutes.items()), list(t.pending.items()), list(t.seen))


def digest(t: Tables) -> bytes:
    """16 bytes over everything that matters."""
    total = hashlib.blake2b(digest_size=16)
    for column in _columns(t):
        total.update(np.ascontiguousarray(column).data)
    total.update(_encoder.encode(_small(t)))
    total.update(_encoder.encode(_large(t)))
    total.update(t.bedside.digest())
    return total.digest()


def pulse(t: Tables) -> bytes:
    """4 bytes over the tick and the avatars: cheap enough for every tick, between two digests."""
    total = zlib.crc32(t.tick.to_bytes(8, "little"))
    for column in t.avatars:
        total = zlib.crc32(np.ascontiguousarray(column[: t.slots_used]).data, total)
    return total.to_bytes(4, "little")


def dump(t: Tables) -> bytes:
    """Everything needed to go on from here."""
    house = house_hash(t.rooms, t.limits, t.tick_hz, t.seed)
    columns = [column.tobytes() for column in (*_columns(t), *_remembered(t))]
    return _encoder.encode(Dump(VERSION, house, _small(t), _large(t), columns, t.bedside.dump()))


def load(data: bytes, rooms: Sequence[Room], limits: Limits, tick_hz: int, seed: int) -> Tables:
    """Tables as they were dumped. Raises DumpError."""
    try:
        read = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise DumpError(f"the world's checkpoint cannot be read: {error}") from error
    if read.version != VERSION:
        raise DumpError(f"the world's checkpoint has version {read.version}, this program reads {VERSION}")
    if read.house != house_hash(rooms, limits, tick_hz, seed):
        raise DumpError("the world's checkpoint was made with other rooms, limits, tick rate or seed")
    t = Tables(rooms, limits, tick_hz, seed)
    _load_small(t, read.small)
    _load_large(t, read.large)
    _load_columns(t, read.columns)
    t.bedside.load(read.bedside)
    return t


def _load_small(t: Tables, small: Small) -> None:
    t.tick, t.slots_used, t.unix_at_zero = small.tick, small.slots_used, small.unix_at_zero
    t.residents = {row.client: row for row in small.residents}
    t.client_at = {row.slot: row.client for row in small.residents}
    t.resumes = {row.resume_hash: row.client for row in small.residents}
    t.seated = {(row.room, row.seat): row.client for row in small.residents if row.seat >= 0}
    t.offers, t.waiting = dict(small.offers), dict(small.waiting)
    t.bonds = {(one, other): value for one, other, value in small.bonds}
    t.locked, t.next_spawn = small.locked, small.next_spawn
    t.viewing = {(client, bed): value for client, bed, value in small.viewing}
    t.asking = {(client, bed): value for client, bed, value in small.asking}


def _load_large(t: Tables, large: Large) -> None:
    t.invites, t.bans, t.mutes = large.invites, dict(large.bans), dict(large.mutes)
    t.pending, t.seen = dict(large.pending), dict.fromkeys(large.seen)


def _load_columns(t: Tables, columns: list[bytes]) -> None:
    targets = [*_columns(t), *_remembered(t)]
    sizes = [len(column) for column in columns]
    if sizes != [target.nbytes for target in targets]:
        raise DumpError("the world's checkpoint has columns of other sizes than its tables say")
    for target, column in zip(targets, columns, strict=True):
        target[...] = np.frombuffer(column, target.dtype).reshape(target.shape)


def succeed(t: Tables, old: Tables) -> None:
    """Take over what outlives a change of rooms: time, bans, mutes, invites to rooms that still are, open entries."""
    t.tick, t.unix_at_zero = old.tick, old.unix_at_zero
    t.bans, t.mutes, t.seen = dict(old.bans), dict(old.mutes), dict(old.seen)
    t.invites = {code: invite for code, invite in old.invites.items() if invite.room in t.room_index}
    bed_of = {bed.patient: index for index, bed in enumerate(t.beds)}
    for leaf, row in old.pending.items():
        bed = row.bed if row.bed < 0 else bed_of.get(old.beds[row.bed].patient)
        if bed is not None:
            t.pending[leaf] = msgspec.structs.replace(row, bed=bed)
