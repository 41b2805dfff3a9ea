"""People who move as the server sees them, as material for benches: recorded head and hands, sent as clients send.

Owns the scenes. The poses go out at 20 Hz through the dead-band and in through the server's own kernels of motion, so
rows stand still and jump as they do in a room. Seeded: the same scene is the same rows. Never measures anything.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.sim.motion import Floor, Rules, advance, apply_poses, pose_table
from server.sim.poses import POSE, POSE_KIND, SEATED, SPEAKING, PoseBatch
from server.sim.state import AvatarState, new_avatars, new_intents
from tools.minds import moved
from tools.tracks import Floats, Ints, Tracks, load_tracks, place, row_at

TICK_HZ, POSE_HZ = 30, 20
SIDE_MM = 60_000
RULES = Rules(TICK_HZ, 2200, 15, 220, 500, 900, 266, 100)
QUIET_S = 2.0  # of a window that is called quiet or not
QUIET_SHARE = 0.1  # so many of all windows are
SEATED_EYES_MM = 1200


class Walk(NamedTuple):
    """How people get about: between places of their own, with rests."""

    pace_mm_s: float
    resting: float  # share of the time


STROLL, SEAT = Walk(1100.0, 0.4), Walk(0.0, 1.0)


def quiet_tracks(tracks: Tracks) -> Tracks:
    """Only those stretches of the recordings in which the hands move least."""
    length = int(QUIET_S * 30)
    steps = np.linalg.norm(np.diff(tracks.hand_mm.astype(np.float64), axis=0), axis=2).max(axis=1)
    steps[tracks.first[1:-1] - 1] = 1e9  # from one recording into the next
    sums = np.convolve(steps, np.ones(length), "valid")
    limit = np.quantile(sums[sums < 1e8], QUIET_SHARE)
    begins, at = [], 0
    while at < len(sums):
        if sums[at] <= limit:
            begins.append(at)
            at += length
        at += 1
    rows = np.concatenate([np.arange(begin, begin + length) for begin in begins])
    first = np.arange(len(begins) + 1) * length
    return tracks._replace(first=first, **{n: getattr(tracks, n)[rows] for n in ("head_mm", "hand_mm", "rot", "yaw")})


class Paths:
    """Where everybody's feet are: straight to a place, a rest, straight to the next."""

    def __init__(self, count: int, walk: Walk, dice: np.random.Generator, reach_mm: float) -> None:
        self.at_mm = dice.uniform(-reach_mm, reach_mm, (count, 2))
        self.yaw = dice.uniform(-np.pi, np.pi, count)
        self._walk, self._dice = walk, dice
        self._goal = self.at_mm.copy()
        self._rest_s = np.zeros(count)

    def step(self, dt_s: float) -> None:
        """Let some time pass."""
        way = self._goal - self.at_mm
        gap = np.linalg.norm(way, axis=1)
        there = gap < 50
        self._rest_s = np.where(there, self._rest_s - dt_s, self._rest_s)
        if self._walk.pace_mm_s:
            fresh = there & (self._rest_s <= 0)
            self._goal[fresh] = self.at_mm[fresh] + self._dice.uniform(-6000, 6000, (fresh.sum(), 2))
            mean_s = 4.0 * self._walk.resting / (1 - self._walk.resting)
            self._rest_s[fresh] = self._dice.exponential(mean_s, fresh.sum())
        self.at_mm += way * np.minimum(1.0, self._walk.pace_mm_s * dt_s / np.maximum(gap, 1.0))[:, None]
        heading = np.where(gap > 200, np.arctan2(-way[:, 0], -way[:, 1]), self.yaw)
        turn = (heading - self.yaw + np.pi) % (2 * np.pi) - np.pi
        self.yaw += np.clip(turn, -2.5 * dt_s, 2.5 * dt_s)


class People:
    """A crowd with its clients and its place on the server."""

    def __init__(self, count: int, walk: Walk, tracks: Tracks, seed: int, reach_mm: float = SIDE_MM / 3) -> None:
        """They begin within `reach_mm` of the middle, along x and z."""
        dice = np.random.Generator(np.random.PCG64(seed))
        self.avatars, self._intents = new_avatars(count), new_intents(count)
        self._tracks, self._paths = tracks, Paths(count, walk, dice, reach_mm)
        self._track, self._begin_s = dice.integers(0, tracks.recordings, count), dice.uniform(0, 60, count)
        self._phase, self._sent = dice.uniform(0, 1, count), np.zeros(count, POSE)
        self._sent_s, self._seq, self._now_s = np.full(count, -1e9), np.zeros(count, np.int64), 0.0
        half = SIDE_MM // 2
        self._floor = Floor(np.array([[-half, -half, half, half]], np.int32), np.array([3000], np.int32),
                            np.zeros((0, 4), np.int32), np.zeros(2, np.int32))  # fmt: skip
        self.avatars.alive[:], self.avatars.room[:], self.avatars.cell[:] = True, 0, 0
        self.avatars.head_mm[:, [0, 2]] = np.rint(self._paths.at_mm)
        self._intents.flags_allowed[:] = 255
        self.avatars.flags[:] = SEATED if walk.pace_mm_s == 0 else 0
        self._seated = walk.pace_mm_s == 0
        if self._seated:
            self.avatars.head_mm[:, 1] = self._intents.head_y_mm[:] = SEATED_EYES_MM

    def step(self) -> None:
        """One tick: clients that are due send, the server moves everybody."""
        dt_s = 1 / TICK_HZ
        self._now_s += dt_s
        self._paths.step(dt_s)
        self._phase += POSE_HZ / TICK_HZ
        bots = np.flatnonzero(self._phase >= 1)
        self._phase[bots] -= 1
        self._hear(bots)
        advance(self.avatars, self._intents, self._floor, RULES)

    def _hear(self, bots: Ints) -> None:
        rows = self._rows(bots, self._now_s - self._phase[bots] / POSE_HZ)
        due = moved(self._sent[bots], rows) | (self._now_s - self._sent_s[bots] > (1.0 if self._seated else 0.3))
        bots, rows = bots[due], rows[due]
        self._seq[bots] += 1
        rows["seq"] = self._seq[bots]
        self._sent[bots], self._sent_s[bots] = rows, self._now_s
        apply_poses(self.avatars, self._intents, pose_table(bots, PoseBatch(bots.astype(np.uint32), rows)), RULES)

    def _rows(self, bots: Ints, at_s: Floats) -> npt.NDArray[np.void]:
        at = row_at(self._tracks, self._track[bots], self._begin_s[bots] + at_s)
        placed = place(self._tracks, at, self._paths.yaw[bots])
        out = np.zeros(len(bots), POSE)
        out["kind"], out["yaw"], out["head_y_mm"] = POSE_KIND, placed.yaw, placed.head_mm[:, 1]
        out["head_rot"], out["flags"] = placed.head_rot, np.where((self._begin_s[bots] + at_s) % 12 < 3, SPEAKING, 0)
        for side, name in enumerate(("left", "right")):
            out[f"{name}_mm"], out[f"{name}_rot"] = placed.hand_mm[:, side], placed.hand_rot[:, side]
        wanted = self._paths.at_mm[bots] + placed.head_mm[:, [0, 2]]
        wish = (wanted - self.avatars.head_mm[bots][:, [0, 2]]) * POSE_HZ * 0.5
        out["wish_mm_s"] = np.rint(np.clip(wish, -2200, 2200)) if not self._seated else 0
        return out


def walkers(count: int, seed: int = 1, reach_mm: float = SIDE_MM / 3) -> Iterator[AvatarState]:
    """People who stroll through a hall, their hands busy all the time; the columns after each tick, always the same."""
    return _ticks(People(count, STROLL, load_tracks(), seed, reach_mm))


def sitters(count: int, seed: int = 1) -> Iterator[AvatarState]:
    """People who sit and talk: the quietest quarter of the recordings."""
    return _ticks(People(count, SEAT, quiet_tracks(load_tracks()), seed))


def _ticks(people: People) -> Iterator[AvatarState]:
    for _ in range(TICK_HZ):
        people.step()
    while True:
        people.step()
        yield people.avatars
