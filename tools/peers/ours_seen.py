"""What sampled clients of ours saw, decoded after a run and compared with what was sent and what is true.

Owns both comparisons. Hands, turns and the height of the head are compared with the pose whose number the row
acknowledges; where people stand, and who is there at all, with the world replayed from the journal. A row or person
that differs is one wrong row.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.journal import read_checkpoint, read_segment, segments
from server.net.messages import Several, server_decoder
from server.replay import load as load_world
from server.replay import play
from server.sim.far import STEP_MM, FarRows, decode_far
from server.sim.frame import Frame, read_frame
from server.sim.grid import FAR, HERO_CELL
from server.sim.rows import BIAS, COLUMNS
from server.sim.snapshot import NoBaseline, View, decode_body, view_of
from server.world.events import Person, PersonCame, RoomEntered
from server.world.world import World
from tools.peers.entrants import Load
from tools.peers.motion import HZ, step_of, wire_poses
from tools.peers.plan import Found, read_messages
from tools.peers.verdict import LATE_MS, Sighting, first_sights, newer_age_ns, sent_ns

Longs = npt.NDArray[np.int64]
KEYFRAMES_KEPT_TICKS = 64
SLOTS = 4096
SLOT_MASK = 0xFFF
COMPARED_MAX = 400  # frames held against the replayed world
KIND = 1
STRIDE_MAX, LONG_STRIDE = 4, 1 << 30  # poses: in a fifth of a second no hand moves further than it may in a tick
MOVED = ("left_mm", "right_mm", "head_y_mm")

# Columns of a row (sim.rows.View) under the names of a pose, and how many each has.
ACK = 1
POSED = (("head_y_mm", 3, 1), ("head_rot", 5, 1), ("yaw", 6, 1), ("grips", 8, 1), ("left_mm", 9, 3),
         ("left_rot", 12, 1), ("right_mm", 13, 3), ("right_rot", 16, 1))  # fmt: skip


class Look(NamedTuple):
    """One decoded frame of one viewer."""

    viewer: int
    ns: int
    frame: Frame
    near: dict[int, View]  # by cell; a cell that is in view but could not be read (yet) is missing
    far: FarRows | None
    clients: Longs  # (SLOTS,) number of the client in each slot, -1 unknown


class Eyes:
    """What one client knows: people by slot, keyframes by block, the newest view of each block."""

    def __init__(self, viewer: int) -> None:
        self.viewer = viewer
        self.clients: Longs = np.full(SLOTS, -1, np.int64)
        self._keyframes: dict[tuple[int, int, int], View] = {}
        self._newest: dict[tuple[int, int], View] = {}

    def take(self, ns: int, data: bytes) -> Look | None:
        """One frame as it came; a Look if it was a snapshot."""
        if data[0] >= 0x80:
            self._hear(server_decoder.decode(data))
            return None
        return self._see(ns, data) if data[0] == KIND else None

    def _hear(self, message: object) -> None:
        match message:
            case Several():
                for inner in message.messages:
                    self._hear(server_decoder.decode(inner))
            case RoomEntered():
                for person in message.people:
                    self._meet(person)
            case PersonCame():
                self._meet(message.who)

    def _meet(self, person: Person) -> None:
        self.clients = self.clients.copy()
        self.clients[person.avatar & SLOT_MASK] = int(person.name.split()[1])

    def _see(self, ns: int, data: bytes) -> Look:
        frame = read_frame(data)
        near: dict[int, View] = {}
        far = None
        for cell, body in frame.blocks:
            if cell == FAR:
                far = decode_far(body) if body else None
                continue
            view = self._block(frame, cell, body)
            if view is not None:
                near[cell] = view
        for key in [key for key in self._keyframes if key[2] < frame.tick - KEYFRAMES_KEPT_TICKS]:
            del self._keyframes[key]
        return Look(self.viewer, ns, frame, near, far, self.clients)

    def _block(self, frame: Frame, cell: int, body: bytes) -> View | None:
        place = frame.room, cell
        if not body:
            return self._newest.get(place)
        try:
            view = decode_body(body, frame.room, frame.tick, cell, self._keyframes)
        except NoBaseline:
            return None
        if body[0] == 0:
            self._keyframes[*place, frame.tick] = view
        self._newest[place] = view
        return view


class Rows(NamedTuple):
    """Near rows of all looks, in order of time."""

    viewer: Longs
    ns: Longs
    id: Longs  # number of the client seen
    seq: Longs
    wire: Longs  # (n, COLUMNS)


def looks_of(found: Found) -> list[Look]:
    """Every frame of every sampled client, in order of time."""
    eyes: dict[int, Eyes] = {}
    out = []
    for viewer, ns, data in read_messages(found.seen):
        look = eyes.setdefault(viewer, Eyes(viewer)).take(ns, data)
        if look is not None:
            out.append(look)
    return out


def rows_of(looks: list[Look], found: Found) -> Rows:
    """The near rows that came in the measured time. Whom nobody introduced has number -1."""
    parts, viewers, times, ids = [], [], [], []
    for look in looks:
        if not found.counted.start_ns <= look.ns < found.counted.end_ns:
            continue
        for view in look.near.values():
            parts.append(view.rows)
            viewers.append(np.full(len(view.rows), look.viewer))
            times.append(np.full(len(view.rows), look.ns))
            ids.append(look.clients[view.rows[:, 0]])
    if not parts:
        none = np.zeros(0, np.int64)
        return Rows(none, none, none, none, np.zeros((0, COLUMNS), np.int64))
    wire, ns, number = np.concatenate(parts), np.concatenate(times), np.concatenate(ids)
    return Rows(np.concatenate(viewers), ns, number, seq_of(found, number, ns, wire[:, ACK]), wire)


def seq_of(found: Found, client: Longs, ns: Longs, ack: Longs) -> Longs:
    """Whole numbers of the poses whose low bytes are `ack`, seen at `ns`; 0 where nothing had been sent."""
    out = np.zeros(len(client), np.int64)
    for number in np.unique(client[client >= 0]):
        here = np.flatnonzero(client == number)
        us = found.sent_us[number].astype(np.int64)
        times = us[1 : 1 + np.count_nonzero(us)] * 1000 + found.counted.born_ns
        newest = np.searchsorted(times, ns[here], side="right")
        out[here] = np.maximum(0, newest - ((newest - ack[here]) & 0xFF))
    return out


def strides(rows: Rows) -> Longs:
    """(n,) by how much the number of the pose is above the one before it that the viewer saw of the same person.

    Large where there is none before: the server lets hands move only so fast, so after a pause a hand may still be on
    its way. Rows are in order of time.
    """
    out = np.full(len(rows.seq), LONG_STRIDE, np.int64)
    order = np.lexsort((np.arange(len(rows.seq)), rows.id, rows.viewer))
    last, before, stride = (-1, -1), 0, LONG_STRIDE
    for row in order.tolist():
        key, seq = (int(rows.viewer[row]), int(rows.id[row])), int(rows.seq[row])
        if key != last:
            stride = LONG_STRIDE
        elif seq != before:
            stride = seq - before
        last, before, out[row] = key, seq, stride
    return out


def wrong_poses(rows: Rows) -> int:
    """Rows whose turns, height or hands are not those of the pose they acknowledge, and rows of strangers.

    Hands are compared where no pose was missed just before; there the replayed world has to do (`compare`).
    """
    poses = wire_poses()[step_of(rows.id, rows.seq)]
    wrong, steady = rows.id < 0, strides(rows) <= STRIDE_MAX
    for name, column, width in POSED:
        sent = poses[name].reshape(len(poses), width).astype(np.int64)
        seen = rows.wire[:, column : column + width] - BIAS[column : column + width]
        wrong |= np.any(seen != sent, axis=1) & (steady if name in MOVED else True)
    return int(wrong[(rows.seq > 0) | (rows.id < 0)].sum())


def worlds(folder: Path) -> Iterator[World]:
    """The world at every tick of the journal. Raises JournalError."""
    paths = segments(folder)
    header, _ = read_segment(paths[0])
    world = load_world(header, read_checkpoint(folder / f"checkpoint-{header.first_tick:012d}.world"))
    for path in paths:
        for _ in play(world, read_segment(path)[1]):
            yield world
    yield world


def untrue(look: Look, world: World) -> int:
    """Rows of a look that are not so in the world of its tick, and people who should be in it and are not."""
    room, state, heroes = look.frame.room, world.avatars, set(world.heroes(look.frame.room).tolist())
    members = world.members(room)
    wrong = 0
    for cell, view in look.near.items():
        if view.tick != look.frame.tick:
            continue
        inside = [s for s in members.tolist() if (HERO_CELL if s in heroes else int(state.cell[s])) == cell]
        truth = view_of(state, world.things, room, np.array(inside, np.int64), world.things_in(room)[:0], world.tick)
        if view.rows.shape != truth.rows.shape:
            wrong += max(1, abs(len(view.rows) - len(truth.rows)))
        else:
            wrong += int(np.any(view.rows != truth.rows, axis=1).sum())
    return wrong + (untrue_far(look.far, world, room) if look.far is not None else 0)


def untrue_far(far: FarRows, world: World, room: int) -> int:
    """The same of the far tier."""
    members = world.members(room)
    members = members[members % far.parts == far.part]
    if far.slot.tolist() != members.tolist():
        return max(1, abs(len(far.slot) - len(members)))
    off = np.abs(far.head_mm - world.avatars.head_mm[members]).max(axis=1, initial=0)
    return int((off > STEP_MM).sum())


def compare(looks: list[Look], folder: Path) -> tuple[int, int]:
    """Some frames against the journal: how many were compared, how many rows were wrong."""
    every = max(1, len(looks) // COMPARED_MAX)
    by_tick: dict[int, list[Look]] = {}
    for look in looks[::every]:
        by_tick.setdefault(look.frame.tick, []).append(look)
    compared = wrong = 0
    for world in worlds(folder):
        for look in by_tick.pop(world.tick, ()):
            compared += 1
            wrong += untrue(look, world)
        if not by_tick:
            break
    return compared, wrong


def judge(found: Found, folder: Path, load: Load) -> tuple[Sighting, float]:
    """What the sampled clients saw; the mean number of near rows in a view."""
    looks, counted = looks_of(found), found.counted
    measured = [look for look in looks if counted.start_ns <= look.ns < counted.end_ns]
    rows = rows_of(measured, found)
    compared, untrue_rows = compare(measured, folder)
    fresh = newer_age_ns(rows.ns, rows.id, rows.seq, found.sent_us, counted.born_ns) <= LATE_MS * 1e6
    first = first_sights(rows.viewer, rows.id, rows.seq)
    sent = sent_ns(found.sent_us, counted.born_ns, rows.id[first], rows.seq[first])
    latency = (rows.ns[first] - sent)[sent >= counted.start_ns] / 1e6
    frames_due = load.viewers * HZ * counted.seconds
    in_time = min(1.0, len(measured) / frames_due) * (float(fresh.mean()) if len(fresh) else 0.0)
    wrong = wrong_poses(rows) + untrue_rows + (0 if compared else 1)
    return Sighting(len(rows.ns), wrong, in_time, latency), len(rows.ns) / max(1, len(measured))
