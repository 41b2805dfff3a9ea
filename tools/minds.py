"""How a crowd of bots moves: head and two hands of everybody in a few arrays, as pose rows for the wire.

Owns walking towards places, looking at people, and the dead-band that decides which pose is worth sending. Head and
hands play recordings of people (`tools.tracks`), each bot one of its own from where it likes and as fast as it is
lively; an arm that is raised, holds something or reaches out leaves its recording. Seeded: the same seed and the same
positions heard make the same rows. Never talks to a server and never decides what to do (`tools.manners` does). Metres
and radians inside, the wire's units in the rows. Axes as the wire: y up, yaw 0 faces -z, counter-clockwise from above.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.sim.poses import POINTING, POSE, POSE_KIND, RAISED, SPEAKING
from tools.floors import Floors
from tools.tracks import TRACK_HZ, load_tracks, place, row_at

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.void]  # of POSE

SPEED_M_S_MAX = 1.5
ACCELERATION_M_S2 = 3.0
TURN_RAD_S = 3.2
REACH_M_MAX = 0.85
HEAD_M_MIN = 0.62  # of somebody who squats
SEATED_M = 0.42  # lower than standing
HAND_RATE_HZ = 7.0  # how fast a hand closes on where it is wanted
KEEPALIVE_WALK_S = 0.3  # under the server's wish time-out
KEEPALIVE_S = 1.0
SIDES = np.array([-1.0, 1.0])  # left, right
TURN = 1024 / (2 * np.pi)

DEAD_WISH_MM_S, DEAD_YAW, DEAD_MM, DEAD_ROTATION = 25, 3, 5, 5


class Minds(NamedTuple):
    """What the bots want and how they stand: row i of every array is bot i."""

    room: Ints  # (n,) index into the floors
    place: Ints  # (n,) index into the room's places
    near_m: Floats  # (n,) how near to it one goes
    spot_m: Floats  # (n, 2) where one goes straight to instead; NaN is nowhere
    at_m: Floats  # (n, 2) x, z: as heard from the server, reckoned on between
    velocity: Floats  # (n, 2) m/s wished
    yaw: Floats  # (n,) of the body
    focus_m: Floats  # (n, 3) what one looks at
    hands: Floats  # (n, 2, 3) where willed hands are, against the head in body axes
    will: Floats  # (n, 2) 0..1: how much a hand is where it is willed, not where the recording has it
    track_s: Floats  # (n,) how far the recording has been played
    mood: Floats  # (n, 2) weights 0..1 of: being lively, walking
    walking: Bools  # (n,) wants to be somewhere else
    seated: Bools  # (n,)
    talking: Bools  # (n,)
    raised: Bools  # (n,)
    pointing: Bools  # (n,)
    holding: Bools  # (n, 2)
    reaching: Bools  # (n,) holds something out, or reaches for something


class Traits(NamedTuple):
    """What stays the same of a bot."""

    eyes_m: Floats  # (n,) height of the eyes when standing
    pace_m_s: Floats  # (n,)
    stand_off_m: Floats  # (n,) how near one goes to a place
    bearing: Floats  # (n,) from which side
    track: Ints  # (n,) which recording
    tempo: Floats  # (n,) how fast it is played when lively; a part of that when at ease


def make_traits(count: int, dice: np.random.Generator) -> Traits:
    """Draw the traits of `count` bots."""
    return Traits(
        eyes_m=dice.uniform(1.48, 1.76, count),
        pace_m_s=dice.uniform(0.8, 1.35, count),
        stand_off_m=dice.uniform(0.5, 1.3, count),
        bearing=dice.uniform(-np.pi, np.pi, count),
        track=dice.integers(load_tracks().recordings, size=count),
        tempo=dice.uniform(0.8, 1.15, count),
    )


def make_minds(room: Ints, at_m: Floats, dice: np.random.Generator) -> Minds:
    """Bots standing still at `at_m` (n, 2) of their rooms."""
    n = len(room)
    return Minds(
        room=room.astype(np.int64), place=np.zeros(n, np.int64), near_m=np.ones(n), spot_m=np.full((n, 2), np.nan),
        at_m=at_m.astype(np.float64).copy(), velocity=np.zeros((n, 2)), yaw=dice.uniform(-np.pi, np.pi, n),
        focus_m=np.zeros((n, 3)), hands=np.tile(CARRY, (n, 1, 1)), will=np.zeros((n, 2)),
        track_s=dice.uniform(0.0, 60.0, n), mood=np.zeros((n, 2)), walking=np.zeros(n, np.bool_),
        seated=np.zeros(n, np.bool_), talking=np.zeros(n, np.bool_), raised=np.zeros(n, np.bool_),
        pointing=np.zeros(n, np.bool_), holding=np.zeros((n, 2), np.bool_), reaching=np.zeros(n, np.bool_),
    )  # fmt: skip


CARRY = np.stack([0.16 * SIDES, np.full(2, -0.36), np.full(2, -0.34)], axis=1)  # (2, 3) of hands that hold something
AHEAD = np.stack([0.10 * SIDES, np.full(2, -0.22), np.full(2, -0.62)], axis=1)
RAISED_HAND = np.array([0.22, 0.24, -0.08])
SHUFFLE_M_S_MAX = 0.5
EASE = 0.22  # share of the tempo of who stands at ease


def turned(angle: Floats) -> Floats:
    """The same angle in -pi..pi."""
    out: Floats = (angle + np.pi) % (2 * np.pi) - np.pi
    return out


def to_world(local: Floats, yaw: Floats) -> Floats:
    """Body axes (x right, y up, z back) to world axes, (n, k, 3) by yaw (n,)."""
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, y, z = local[..., 0], local[..., 1], local[..., 2]
    return np.stack([x * cos + z * sin, y, -x * sin + z * cos], axis=-1)


class Crowd:
    """Everybody's minds and traits, and what was sent of them last."""

    def __init__(self, floors: Floors, room: Ints, at_m: Floats, seed: int) -> None:
        self.dice = np.random.Generator(np.random.PCG64(seed))
        self.floors = floors
        self.tracks = load_tracks()
        self.traits = make_traits(len(room), self.dice)
        self.minds = make_minds(room, at_m, self.dice)
        self.now_s = 0.0
        self._middle_mm = self._middles()[self.traits.track]
        self._sent = np.zeros(len(room), POSE)
        self._sent_s = np.full(len(room), -1e9)

    def __len__(self) -> int:
        return len(self.minds.room)

    def _middles(self) -> Floats:
        """(k,) median height of the head of each recording, mm."""
        first, y = self.tracks.first, self.tracks.head_mm[:, 1]
        return np.array([np.median(y[a:b]) for a, b in pairwise(first)])

    def heard(self, bots: Ints, at_m: Floats) -> None:
        """The server says these bots are at these places (k, 2) x, z."""
        self.minds.at_m[bots] = at_m

    def entered(self, bot: int, room: int, at_m: tuple[float, float]) -> None:
        """The bot is in another room now."""
        m = self.minds
        m.room[bot], m.at_m[bot], m.velocity[bot] = room, at_m, 0.0
        m.place[bot], m.walking[bot], m.seated[bot], m.spot_m[bot] = 0, False, False, np.nan

    def go_to(self, bot: int, place: int, near_m: float | None = None) -> None:
        """Send a bot to a place of its room; without `near_m` as near as it likes to stand."""
        m = self.minds
        m.place[bot], m.walking[bot], m.talking[bot], m.spot_m[bot] = place, True, False, np.nan
        m.near_m[bot] = self.traits.stand_off_m[bot] if near_m is None else near_m

    def go_straight(self, bot: int, at_m: tuple[float, float]) -> None:
        """Send a bot straight to a spot, through whatever is between."""
        m = self.minds
        m.spot_m[bot], m.walking[bot], m.near_m[bot] = at_m, True, 0.0

    def resend(self, bot: int) -> None:
        """Send the bot's next pose whatever it is (a new connection knows none)."""
        self._sent_s[bot] = -1e9

    def goal_m(self) -> Floats:
        """(n, 2) where each bot wants to stand: beside its place, from its own side, or on its spot."""
        m, t = self.minds, self.traits
        side = np.stack([np.cos(t.bearing), np.sin(t.bearing)], axis=1)
        beside = self.floors.places_m(m.room, m.place) + side * np.maximum(m.near_m - 0.5, 0.0)[:, None]
        out: Floats = np.where(np.isnan(m.spot_m), beside, m.spot_m)
        return out

    def gap_m(self) -> Floats:
        """(n,) from each bot to its place."""
        m = self.minds
        out: Floats = np.linalg.norm(self.floors.places_m(m.room, m.place) - m.at_m, axis=1)
        return out

    def step(self, dt_s: float) -> None:
        """Let `dt_s` pass: steer, turn, play the recordings, move willed hands."""
        self.now_s += dt_s
        self._walk(dt_s)
        self._turn(dt_s)
        self._play(dt_s)
        self._hands(dt_s)

    def _walk(self, dt_s: float) -> None:
        m, t = self.minds, self.traits
        goal = self.goal_m()
        straight = goal - m.at_m
        gap = np.linalg.norm(straight, axis=1)
        way = self.floors.way(m.room, m.place, m.at_m)
        spot = ~np.isnan(m.spot_m[:, 0])
        near = (gap < 1.0) | spot
        way[near] = straight[near] / np.maximum(gap[near], 1e-6)[:, None]
        m.walking[:] &= (spot | (self.gap_m() > m.near_m)) & (gap > 0.12) & ~m.seated
        speed = np.where(m.walking, t.pace_m_s * np.clip(gap / 0.8, 0.25, 1.0), 0.0)
        change = way * speed[:, None] - m.velocity
        size = np.linalg.norm(change, axis=1)
        m.velocity[:] += change * np.minimum(1.0, ACCELERATION_M_S2 * dt_s / np.maximum(size, 1e-9))[:, None]
        m.velocity[~m.walking & (np.linalg.norm(m.velocity, axis=1) < 0.05)] = 0.0
        m.at_m[:] += m.velocity * dt_s

    def _turn(self, dt_s: float) -> None:
        m = self.minds
        heading = np.arctan2(-m.velocity[:, 0], -m.velocity[:, 1])
        to = m.focus_m[:, [0, 2]] - m.at_m
        bearing = np.arctan2(-to[:, 0], -to[:, 1])
        moving = np.linalg.norm(m.velocity, axis=1) > 0.15
        stare = np.linalg.norm(to, axis=1) > 0.2
        wanted = np.where(moving, heading, np.where(stare & ~m.seated, bearing, m.yaw))
        turn = turned(wanted - m.yaw)
        m.yaw[:] = turned(m.yaw + np.clip(turn * 4.0 * dt_s, -TURN_RAD_S * dt_s, TURN_RAD_S * dt_s))

    def _play(self, dt_s: float) -> None:
        m, t = self.minds, self.traits
        speed = np.linalg.norm(m.velocity, axis=1)
        lively = m.talking | m.pointing | m.reaching
        wanted = np.stack([lively, np.clip(speed / 0.6, 0.0, 1.0)], axis=1)
        m.mood[:] += (wanted - m.mood) * min(1.0, 4.0 * dt_s)
        m.track_s[:] += dt_s * t.tempo * (EASE + (1.0 - EASE) * m.mood.max(axis=1))

    def _hands(self, dt_s: float) -> None:
        m = self.minds
        right = np.array([False, True])
        ahead = (m.reaching | m.pointing)[:, None] & np.where(m.holding.any(axis=1, keepdims=True), m.holding, right)
        up = m.raised[:, None] & right
        m.will[:] += ((m.holding | ahead | up) - m.will) * min(1.0, 4.0 * dt_s)
        wanted = np.where(ahead[..., None], AHEAD, CARRY)
        wanted = np.where(up[..., None], RAISED_HAND, wanted)
        m.hands[:] += (wanted - m.hands) * (1.0 - np.exp(-HAND_RATE_HZ * dt_s))

    def rows(self) -> Rows:
        """(n,) POSE rows of everybody as they stand; seq is 0. Who walks faces ahead, others as they were recorded."""
        m, walk = self.minds, self.minds.mood[:, 1]
        at = row_at(self.tracks, self.traits.track, m.track_s)
        recorded_yaw = turned(self.tracks.yaw[at.astype(np.int64)] / TURN)
        turn = m.yaw - walk * recorded_yaw
        body = place(self.tracks, at, turn)
        hands = body.hand_mm / 1000.0
        willed = m.will.max(axis=1) > 0.01
        hands[willed] += (to_world(m.hands[willed], m.yaw[willed]) - hands[willed]) * m.will[willed][..., None]
        hands *= np.minimum(1.0, REACH_M_MAX / np.maximum(np.linalg.norm(hands, axis=2, keepdims=True), 1e-9))
        out = np.zeros(len(self), POSE)
        out["kind"] = POSE_KIND
        out["wish_mm_s"] = np.rint(self._wish(at, turn) * 1000.0)
        out["yaw"] = np.rint((turn + recorded_yaw) * TURN).astype(np.int64) & 1023
        out["head_y_mm"] = np.rint(self._eyes_m(body.head_mm[:, 1]) * 1000.0)
        out["head_rot"] = body.head_rot
        for side, name in enumerate(("left", "right")):
            out[f"{name}_mm"] = np.rint(hands[:, side] * 1000.0)
            out[f"{name}_rot"] = body.hand_rot[:, side]
        grips = np.where(m.holding, 15, 3).astype(np.uint8)
        out["grips"] = grips[:, 0] | grips[:, 1] << 4
        out["flags"] = m.talking * SPEAKING | m.raised * RAISED | m.pointing * POINTING
        return out

    def _eyes_m(self, recorded_mm: Ints) -> Floats:
        """(n,) height of the head: the bot's own, moved as in the recording; less so on a seat."""
        m = self.minds
        moved_m = (recorded_mm - self._middle_mm) / 1000.0
        out: Floats = self.traits.eyes_m + np.where(m.seated, 0.1 * moved_m - SEATED_M, moved_m)
        return np.maximum(out, HEAD_M_MIN)

    def _wish(self, at: Floats, turn: Floats) -> Floats:
        """(n, 2) m/s: the way one walks, and of who stands the steps of the recording."""
        m, heads = self.minds, self.tracks.head_mm
        ahead = row_at(self.tracks, self.traits.track, m.track_s + 1.0 / TRACK_HZ)
        step_m = (heads[ahead.astype(np.int64)] - heads[at.astype(np.int64)].astype(np.float64)) / 1000.0
        pace = self.traits.tempo * (EASE + (1.0 - EASE) * m.mood[:, 0]) * (1.0 - m.mood[:, 1]) * ~m.seated
        shuffle = to_world(step_m[:, None], turn)[:, 0, (0, 2)] * TRACK_HZ * pace[:, None]
        size = np.linalg.norm(shuffle, axis=1, keepdims=True)
        out: Floats = m.velocity + shuffle * np.minimum(1.0, SHUFFLE_M_S_MAX / np.maximum(size, 1e-9))
        return out

    def due(self, rows: Rows) -> Ints:
        """Bots whose rows differ enough from what was sent last, or are due anyway; they count as sent from here on."""
        silence = self.now_s - self._sent_s
        walking = (rows["wish_mm_s"] != 0).any(axis=1)
        late = silence >= np.where(walking, KEEPALIVE_WALK_S, KEEPALIVE_S)
        bots = np.nonzero(late | moved(self._sent, rows))[0]
        self._sent[bots], self._sent_s[bots] = rows[bots], self.now_s
        return bots


def moved(old: Rows, new: Rows) -> Bools:
    """(n,) beyond the dead-band: any hand or head by DEAD_MM, yaw, a rotation, a wish; grips and flags at once."""
    out: Bools = (old["grips"] != new["grips"]) | (old["flags"] != new["flags"])
    for name, limit in (("wish_mm_s", DEAD_WISH_MM_S), ("left_mm", DEAD_MM), ("right_mm", DEAD_MM)):
        out |= (np.abs(old[name].astype(np.int64) - new[name]) > limit).any(axis=1)
    out |= np.abs(old["head_y_mm"].astype(np.int64) - new["head_y_mm"]) > DEAD_MM
    out |= np.abs((old["yaw"].astype(np.int64) - new["yaw"] + 512) % 1024 - 512) > DEAD_YAW
    for name in ("head_rot", "left_rot", "right_rot"):
        a, b = old[name].astype(np.int64), new[name].astype(np.int64)
        apart = np.max([np.abs((a >> shift & 1023) - (b >> shift & 1023)) for shift in (2, 12, 22)], axis=0)
        out |= ((a & 3) != (b & 3)) | (apart > DEAD_ROTATION)
    return out
