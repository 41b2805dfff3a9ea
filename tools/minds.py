"""How a crowd of bots moves: head and two hands of everybody in a few arrays, as pose rows for the wire.

Owns walking towards places, looking at people, gait, breath and gesture arcs, and the dead-band that decides which pose
is worth sending. Seeded: the same seed and the same positions heard make the same rows. Never talks to a server and
never decides what to do (`tools.manners` does). Metres and radians inside, the wire's units in the rows.
Axes as the wire: y up, yaw 0 faces -z, counter-clockwise from above.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.sim.poses import POINTING, POSE, POSE_KIND, RAISED, SPEAKING
from server.sim.rotation import pack_rotation
from tools.floors import Floors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.void]  # of POSE

SPEED_M_S_MAX = 1.5
ACCELERATION_M_S2 = 3.0
TURN_RAD_S = 3.2
NECK_RAD_MAX = 1.15
REACH_M_MAX = 0.85
HAND_RATE_HZ = 7.0  # how fast a hand closes on where it is wanted
ARM_M = 0.62  # hand below head when hanging
KEEPALIVE_WALK_S = 0.3  # under the server's wish time-out
KEEPALIVE_S = 1.0
SIDES = np.array([-1.0, 1.0])  # left, right

DEAD_WISH_MM_S, DEAD_YAW, DEAD_MM, DEAD_ROTATION = 25, 3, 5, 5


class Minds(NamedTuple):
    """What the bots want and how they stand: row i of every array is bot i."""

    room: Ints  # (n,) index into the floors
    place: Ints  # (n,) index into the room's places
    near_m: Floats  # (n,) how near to it one goes
    at_m: Floats  # (n, 2) x, z: as heard from the server, reckoned on between
    velocity: Floats  # (n, 2) m/s wished
    yaw: Floats  # (n,) of the body
    look: Floats  # (n, 2) yaw against the body, pitch
    focus_m: Floats  # (n, 3) what one looks at
    hands: Floats  # (n, 2, 3) left, right against the head in body axes
    phase: Floats  # (n, 3) of gait, breath, gesture, radians
    mood: Floats  # (n, 4) weights 0..1 towards: gesturing, raised hand, reaching out, walking
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
    tempo_hz: Floats  # (n, 2) of breath, gesture
    stand_off_m: Floats  # (n,) how near one goes to a place
    bearing: Floats  # (n,) from which side


def make_traits(count: int, dice: np.random.Generator) -> Traits:
    """Draw the traits of `count` bots."""
    return Traits(
        eyes_m=dice.uniform(1.48, 1.76, count),
        pace_m_s=dice.uniform(0.8, 1.35, count),
        tempo_hz=np.stack([dice.uniform(0.2, 0.3, count), dice.uniform(0.5, 0.9, count)], axis=1),
        stand_off_m=dice.uniform(0.5, 1.3, count),
        bearing=dice.uniform(-np.pi, np.pi, count),
    )


def make_minds(room: Ints, at_m: Floats, dice: np.random.Generator) -> Minds:
    """Bots standing still at `at_m` (n, 2) of their rooms."""
    n = len(room)
    hands = np.zeros((n, 2, 3))
    hands[:] = np.stack([0.2 * SIDES, np.full(2, -ARM_M), np.full(2, -0.05)], axis=1)
    return Minds(
        room=room.astype(np.int64), place=np.zeros(n, np.int64), near_m=np.ones(n), at_m=at_m.astype(np.float64).copy(),
        velocity=np.zeros((n, 2)), yaw=dice.uniform(-np.pi, np.pi, n), look=np.zeros((n, 2)),
        focus_m=np.zeros((n, 3)), hands=hands, phase=dice.uniform(0.0, 2 * np.pi, (n, 3)), mood=np.zeros((n, 4)),
        walking=np.zeros(n, np.bool_), seated=np.zeros(n, np.bool_), talking=np.zeros(n, np.bool_),
        raised=np.zeros(n, np.bool_), pointing=np.zeros(n, np.bool_), holding=np.zeros((n, 2), np.bool_),
        reaching=np.zeros(n, np.bool_),
    )  # fmt: skip


def turned(angle: Floats) -> Floats:
    """The same angle in -pi..pi."""
    out: Floats = (angle + np.pi) % (2 * np.pi) - np.pi
    return out


def axis_rotation(axis: int, angle: Floats) -> Floats:
    """(n, 4) quaternions x, y, z, w that turn by `angle` (n,) about x, y or z (0, 1, 2)."""
    out = np.zeros((*angle.shape, 4))
    out[..., axis], out[..., 3] = np.sin(angle / 2), np.cos(angle / 2)
    return out


def after(first: Floats, second: Floats) -> Floats:
    """Quaternion product first * second: turn by `second` in the frame that `first` made."""
    x1, y1, z1, w1 = np.moveaxis(first, -1, 0)
    x2, y2, z2, w2 = np.moveaxis(second, -1, 0)
    return np.stack([
        w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
        w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
        w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
    ], axis=-1)  # fmt: skip


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
        self.traits = make_traits(len(room), self.dice)
        self.minds = make_minds(room, at_m, self.dice)
        self.now_s = 0.0
        self._sent = np.zeros(len(room), POSE)
        self._sent_s = np.full(len(room), -1e9)

    def __len__(self) -> int:
        return len(self.minds.room)

    def heard(self, bots: Ints, at_m: Floats) -> None:
        """The server says these bots are at these places (k, 2) x, z."""
        self.minds.at_m[bots] = at_m

    def entered(self, bot: int, room: int, at_m: tuple[float, float]) -> None:
        """The bot is in another room now."""
        m = self.minds
        m.room[bot], m.at_m[bot], m.velocity[bot] = room, at_m, 0.0
        m.place[bot], m.walking[bot], m.seated[bot] = 0, False, False

    def go_to(self, bot: int, place: int, near_m: float | None = None) -> None:
        """Send a bot to a place of its room; without `near_m` as near as it likes to stand."""
        m = self.minds
        m.place[bot], m.walking[bot], m.talking[bot] = place, True, False
        m.near_m[bot] = self.traits.stand_off_m[bot] if near_m is None else near_m

    def resend(self, bot: int) -> None:
        """Send the bot's next pose whatever it is (a new connection knows none)."""
        self._sent_s[bot] = -1e9

    def goal_m(self) -> Floats:
        """(n, 2) where each bot wants to stand: beside its place, from its own side."""
        m, t = self.minds, self.traits
        side = np.stack([np.cos(t.bearing), np.sin(t.bearing)], axis=1)
        out: Floats = self.floors.places_m(m.room, m.place) + side * np.maximum(m.near_m - 0.5, 0.0)[:, None]
        return out

    def gap_m(self) -> Floats:
        """(n,) from each bot to its place."""
        m = self.minds
        out: Floats = np.linalg.norm(self.floors.places_m(m.room, m.place) - m.at_m, axis=1)
        return out

    def step(self, dt_s: float) -> None:
        """Let `dt_s` pass: steer, turn, look, breathe, gesture."""
        self.now_s += dt_s
        self._walk(dt_s)
        self._look(dt_s)
        self._mood(dt_s)
        self._hands(dt_s)

    def _walk(self, dt_s: float) -> None:
        m, t = self.minds, self.traits
        goal = self.goal_m()
        straight = goal - m.at_m
        gap = np.linalg.norm(straight, axis=1)
        way = self.floors.way(m.room, m.place, m.at_m)
        near = gap < 1.0
        way[near] = straight[near] / np.maximum(gap[near], 1e-6)[:, None]
        m.walking[:] &= (self.gap_m() > m.near_m) & (gap > 0.12) & ~m.seated
        speed = np.where(m.walking, t.pace_m_s * np.clip(gap / 0.8, 0.25, 1.0), 0.0)
        change = way * speed[:, None] - m.velocity
        size = np.linalg.norm(change, axis=1)
        m.velocity[:] += change * np.minimum(1.0, ACCELERATION_M_S2 * dt_s / np.maximum(size, 1e-9))[:, None]
        m.velocity[~m.walking & (np.linalg.norm(m.velocity, axis=1) < 0.05)] = 0.0
        m.at_m[:] += m.velocity * dt_s

    def _look(self, dt_s: float) -> None:
        m = self.minds
        heading = np.arctan2(-m.velocity[:, 0], -m.velocity[:, 1])
        to = m.focus_m[:, [0, 2]] - m.at_m
        bearing = np.arctan2(-to[:, 0], -to[:, 1])
        flat = np.linalg.norm(to, axis=1)
        moving = np.linalg.norm(m.velocity, axis=1) > 0.15
        stare = flat > 0.2
        wanted = np.where(moving, heading, np.where(stare & ~m.seated, bearing, m.yaw))
        turn = turned(wanted - m.yaw)
        m.yaw[:] = turned(m.yaw + np.clip(turn * 4.0 * dt_s, -TURN_RAD_S * dt_s, TURN_RAD_S * dt_s))
        rise = m.focus_m[:, 1] - self.eyes_m()
        aim = np.stack([turned(bearing - m.yaw), np.arctan2(rise, np.maximum(flat, 0.3))], axis=1)
        aim[~stare | moving] = (0.0, -0.05)
        aim = np.clip(aim, (-NECK_RAD_MAX, -0.7), (NECK_RAD_MAX, 0.6))
        m.look[:] += (aim - m.look) * min(1.0, 5.0 * dt_s)

    def _mood(self, dt_s: float) -> None:
        m, t = self.minds, self.traits
        speed = np.linalg.norm(m.velocity, axis=1)
        wanted = np.stack([m.talking, m.raised, m.reaching | m.pointing, np.clip(speed / 1.1, 0.0, 1.0)], axis=1)
        m.mood[:] += (wanted - m.mood) * min(1.0, 4.0 * dt_s)
        m.phase[:, 0] += 2 * np.pi * dt_s * speed / 1.35  # a stride of 1.35 m
        m.phase[:, 1:] += 2 * np.pi * dt_s * t.tempo_hz
        m.phase[:] %= 2 * np.pi

    def _hands(self, dt_s: float) -> None:
        m = self.minds
        wanted = _hand_wishes(m)
        m.hands[:] += (wanted - m.hands) * (1.0 - np.exp(-HAND_RATE_HZ * dt_s))
        reach = np.linalg.norm(m.hands, axis=2, keepdims=True)
        m.hands[:] *= np.minimum(1.0, REACH_M_MAX / np.maximum(reach, 1e-9))

    def eyes_m(self) -> Floats:
        """(n,) height of the head with gait and breath in it."""
        m = self.minds
        bob = 0.022 * m.mood[:, 3] * np.cos(2 * m.phase[:, 0]) + 0.004 * np.sin(m.phase[:, 1])
        return self.traits.eyes_m - 0.42 * m.seated + bob

    def rows(self) -> Rows:
        """(n,) POSE rows of everybody as they stand; seq is 0."""
        m = self.minds
        out = np.zeros(len(self), POSE)
        out["kind"] = POSE_KIND
        out["wish_mm_s"] = np.rint(m.velocity * 1000.0)
        out["yaw"] = np.rint(m.yaw / (2 * np.pi) * 1024).astype(np.int64) & 1023
        out["head_y_mm"] = np.rint(self.eyes_m() * 1000.0)
        out["head_rot"] = pack_rotation(_head_rotation(m))
        hands_mm = np.rint(to_world(m.hands, m.yaw) * 1000.0)
        rotations = pack_rotation(_hand_rotation(m))
        for side, name in enumerate(("left", "right")):
            out[f"{name}_mm"] = hands_mm[:, side]
            out[f"{name}_rot"] = rotations[:, side]
        grips = np.where(m.holding, 15, np.rint(3 + 2 * np.sin(m.phase[:, 2:]))).astype(np.uint8)
        out["grips"] = grips[:, 0] | grips[:, 1] << 4
        out["flags"] = m.talking * SPEAKING | m.raised * RAISED | m.pointing * POINTING
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


def _hand_wishes(m: Minds) -> Floats:
    """(n, 2, 3) where each hand would like to be against the head, in body axes."""
    gesture, raised, reach, walk = (m.mood[:, k, None] for k in range(4))
    gait = m.phase[:, :1] + np.array([0.0, np.pi])
    beat = m.phase[:, 2:] + np.array([0.0, 0.9])
    hang = np.stack([
        np.broadcast_to(0.20 * SIDES, gait.shape),
        -ARM_M + 0.03 * walk * np.cos(gait) ** 2,
        -0.06 + 0.17 * walk * np.sin(gait),
    ], axis=2)  # fmt: skip
    talk = np.stack([
        0.19 * SIDES + 0.07 * np.sin(beat),
        -0.37 + 0.08 * np.sin(2 * beat + 0.6),
        -0.33 - 0.06 * np.cos(beat),
    ], axis=2)  # fmt: skip
    carry = np.broadcast_to(np.stack([0.16 * SIDES, np.full(2, -0.36), np.full(2, -0.34)], axis=1), hang.shape)
    out: Floats = hang + (talk - hang) * gesture[..., None]
    out = np.where(m.holding[..., None], carry, out)
    right = np.array([0.0, 1.0])[None, :, None]
    reaching = np.where(m.holding.any(axis=1, keepdims=True), m.holding, np.array([[False, True]]))[..., None]
    ahead = np.stack([0.10 * SIDES, np.full(2, -0.22), np.full(2, -0.62)], axis=1)
    out = out + (ahead - out) * reach[..., None] * reaching
    up = np.stack([0.22 * SIDES, np.full(2, 0.24), np.full(2, -0.08)], axis=1)
    out = out + (up - out) * raised[..., None] * right
    return out


def _head_rotation(m: Minds) -> Floats:
    nod = 0.03 * m.mood[:, 0] * np.sin(2 * m.phase[:, 2])
    sway = 0.02 * m.mood[:, 3] * np.sin(m.phase[:, 0])
    level = after(axis_rotation(1, m.yaw + m.look[:, 0]), axis_rotation(0, m.look[:, 1] + nod))
    return after(level, axis_rotation(2, sway))


def _hand_rotation(m: Minds) -> Floats:
    """(n, 2, 4): a hanging hand points down, one held up or forward points along the forearm."""
    lift = np.clip((m.hands[..., 1] + ARM_M) / ARM_M, 0.0, 1.4)
    yaw = np.broadcast_to(m.yaw[:, None], lift.shape)
    roll = SIDES * 0.35 * np.sin(m.phase[:, 2:] + np.array([0.0, 0.9])) * m.mood[:, :1]
    return after(after(axis_rotation(1, yaw), axis_rotation(0, -1.35 + 1.35 * lift)), axis_rotation(2, roll))
