"""The golden vectors of snapshots: bodies of blocks, far blocks, and whole frames, with what a decoder must find.

Owns their contents; `tools.vectors` writes the file. Everything is made from fixed numbers.
"""

import copy
from collections.abc import Iterator
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from server.sim.bits import put, to_bytes, words_for
from server.sim.far import FarRows, decode_far, far_body
from server.sim.frame import write_frame
from server.sim.grid import FAR, HERO_CELL
from server.sim.rotation import coarse, pack_rotation
from server.sim.rows import Rows
from server.sim.snapshot import View, delta_body, keyframe_body, view_of
from server.sim.snapshot_write import put_delta, put_numbers, put_row
from server.sim.state import AvatarState, ThingState, new_avatars, new_things

SLOTS, THINGS = 40, 8
Json = dict[str, object]


def number(low: int, high: int, *key: object) -> int:
    """A fixed number in low..high that looks random, from a hash of `key`."""
    return low + int.from_bytes(sha256(repr(key).encode()).digest()[:8], "big") % (high - low + 1)


def turn(*key: object) -> int:
    """A fixed packed rotation."""
    parts = np.array([number(-1000, 1000, part, *key) for part in "xyzw"], np.float64) + 0.5
    return int(pack_rotation(parts / np.linalg.norm(parts)))


def some_avatars(name: str) -> AvatarState:
    """Every column filled over its whole range."""
    avatars = new_avatars(SLOTS)
    for slot in range(SLOTS):
        avatars.head_mm[slot] = [number(low, high, name, slot, i) for i, (low, high) in enumerate(HEAD_RANGE)]
        avatars.hand_mm[slot] = [[2 * number(-512, 511, name, slot, hand, i) for i in range(3)] for hand in (0, 1)]
        avatars.head_rot[slot] = turn(name, slot)
        avatars.hand_rot[slot] = [coarse(turn(name, slot, 0)), coarse(turn(name, slot, 1))]
        avatars.yaw[slot] = number(0, 1023, name, slot, "yaw")
        for what, column in (("grips", avatars.grips), ("flags", avatars.flags), ("ack", avatars.ack)):
            column[slot] = number(0, 255, name, slot, what)
    return avatars


HEAD_RANGE = ((-32_768, 32_767), (0, 4095), (-32_768, 32_767))


def some_things(name: str, owners: dict[int, int]) -> ThingState:
    """All loose but those in `owners` (thing slot -> avatar slot)."""
    things = new_things(THINGS)
    for slot in range(THINGS):
        things.pos_mm[slot] = [number(low, high, name, "thing", slot, i) for i, (low, high) in enumerate(HEAD_RANGE)]
        things.rot[slot] = turn(name, "thing", slot)
        things.owner[slot] = owners.get(slot, -1)
        things.hand[slot] = slot % 2 if slot in owners else 0
    return things


def view_json(view: View) -> Json:
    """What a decoder must find."""
    avatars = zip(*(getattr(view, name).tolist() for name in AVATAR_NAMES), strict=True)
    things = zip(*(getattr(view, f"thing_{name}").tolist() for name in THING_NAMES), strict=True)
    return {
        "room": view.room,
        "tick": view.tick,
        "avatars": [dict(zip(("slot", *AVATAR_NAMES[1:]), row, strict=True)) for row in avatars],
        "things": [dict(zip(("slot", *THING_NAMES[1:]), row, strict=True)) for row in things],
    }


AVATAR_NAMES = ("slots", "ack", "head_mm", "head_rot", "yaw", "flags", "grips", "hand_mm", "hand_rot")
THING_NAMES = ("slots", "owner", "hand", "mm", "rot")


def moved(avatars: AvatarState, by_mm: int, turned: int) -> AvatarState:
    """Everybody a little elsewhere: heads and hands by up to `by_mm`, rotation fields by up to `turned`."""
    fresh = copy.deepcopy(avatars)
    for slot in range(SLOTS):
        step = [number(-by_mm, by_mm, "step", slot, axis) for axis in range(3)]
        fresh.head_mm[slot] = np.clip(avatars.head_mm[slot] + step, *np.transpose(HEAD_RANGE))
        fresh.hand_mm[slot] = np.clip(avatars.hand_mm[slot] - step, -1024, 1023) & ~1
        fresh.head_rot[slot] = nudged(int(avatars.head_rot[slot]), turned)
        fresh.hand_rot[slot] = [coarse(nudged(int(packed), -turned)) for packed in avatars.hand_rot[slot]]
    fresh.ack[:] += 1
    fresh.yaw[::2] = (avatars.yaw[::2] + 5) % 1024
    fresh.flags[::3] ^= 1
    return fresh


def nudged(packed: int, by: int) -> int:
    """A packed rotation with each field changed by `by`, kept in range."""
    fields = [min(max((packed >> shift & 1023) + by, 0), 1022) << shift for shift in (2, 12, 22)]
    return packed & 3 | sum(fields)


def switched(packed: int) -> int:
    """The same rotation with another component dropped, as near as the grid allows; the next largest one."""
    fields = [(packed >> shift & 1023) - 511 for shift in (2, 12, 22)]
    dropped = packed & 3
    own = int(max(522_242 - sum(f * f for f in fields), 0) ** 0.5)
    parts = [*fields[:dropped], own, *fields[dropped:]]
    largest = max((k for k in range(4) if k != dropped), key=lambda k: abs(parts[k]))
    sign = -1 if parts[largest] < 0 else 1
    rest = [min(max(511 + sign * part, 0), 1022) for k, part in enumerate(parts) if k != largest]
    return largest | rest[0] << 2 | rest[1] << 12 | rest[2] << 22


def all_switched(avatars: AvatarState) -> AvatarState:
    """Everybody's rotations told by another largest component."""
    fresh = copy.deepcopy(avatars)
    for slot in range(SLOTS):
        fresh.head_rot[slot] = switched(int(avatars.head_rot[slot]))
        fresh.hand_rot[slot] = [coarse(switched(int(packed))) for packed in avatars.hand_rot[slot]]
    return fresh


def snapshots() -> Json:
    """Everything."""
    a, loose = some_avatars("a"), some_things("t", {})
    base = view_of(a, loose, 2, CROWD, np.arange(THINGS), 4_000_000_000)
    return {
        "bodies": bodies(a, loose, base),
        "refused": [{"name": name, "hex": body.hex()} for name, body in refused_bodies(base)],
        "far": [far_json(part, parts) for part, parts in ((0, 1), (3, 10), (9, 10))],
        "far_refused": [{"name": name, "hex": body.hex()} for name, body in refused_far()],
        **frames(base),
    }


CROWD = np.array([0, 5, 9, 30, 39])


def bodies(a: AvatarState, loose: ThingState, base: View) -> list[Json]:
    """Keyframes, deltas of every class, people and things coming and going."""
    held = some_things("t", {1: 5, 2: 9})
    none, all_things = np.arange(0), np.arange(THINGS)
    rows: list[Json] = []

    def key(name: str, view: View) -> None:
        rows.append({"name": name, "hex": keyframe_body(view).hex(), "baseline": None, "view": view_json(view)})

    def delta(name: str, view: View) -> None:
        rows.append({"name": name, "hex": delta_body(view, base).hex(), "baseline": "crowd", "view": view_json(view)})

    key("empty block", view_of(a, loose, 1, none, none, 0))
    key("one person", view_of(a, loose, 1, np.array([17]), none, 1))
    key("crowd", base)
    key("things in hands", view_of(a, held, 2, CROWD, all_things, 7))
    delta("nothing changed", base._replace(tick=base.tick + 1))
    for by_mm, turned in ((15, 7), (120, 30), (1000, 120), (60_000, 600)):
        delta(f"moved up to {by_mm} mm", view_of(moved(a, by_mm, turned), loose, 2, CROWD, all_things, base.tick + 2))
    delta("other components dropped", view_of(all_switched(a), loose, 2, CROWD, all_things, base.tick + 9))
    delta("much heard", base._replace(tick=base.tick + 200, rows=with_column(base, 1, (base.rows[:, 1] + 90) & 255)))
    delta("some leave, some come", view_of(a, loose, 2, np.array([5, 6, 30, 31]), all_things, base.tick + 3))
    delta("all leave", view_of(a, loose, 2, none, all_things, base.tick + 4))
    delta("things taken", view_of(a, held, 2, CROWD, all_things, base.tick + 5))
    delta("things carried away", view_of(a, loose, 2, CROWD, np.array([0, 3, 4, 5, 6, 7]), base.tick + 255))
    return rows


def with_column(view: View, column: int, values: npt.ArrayLike) -> Rows:
    """The view's rows with other values in one column."""
    rows = view.rows.copy()
    rows[:, column] = np.asarray(values, np.int64)
    return rows


def refused_bodies(base: View) -> Iterator[tuple[str, bytes]]:
    """Bodies every decoder must refuse; deltas are of tick 4000000001 against "crowd"."""
    whole = keyframe_body(base)
    later = base._replace(tick=base.tick + 1)
    delta = delta_body(later._replace(rows=with_column(base, 1, (base.rows[:, 1] + 1) & 255)), base)
    bad_rotation = with_column(base, 5, base.rows[:, 5] | 1023 << 2)
    yield "empty", b""
    yield "one byte", b"\0"
    yield "keyframe cut short", whole[:-1]
    yield "keyframe with one byte more", whole + b"\0"
    yield "rotation field 1023", keyframe_body(base._replace(rows=bad_rotation))
    yield "slot beyond the last", keyframe_body(base._replace(rows=with_column(base, 0, [0, 5, 9, 30, 4097])))
    yield "delta cut short", delta[:-1]
    yield "delta with one byte more", delta + b"\0"
    yield "a number of five groups", b"\0" + b"\xff" * 40
    yield "more people than can be", packed((0, 8), (1, 1), (15, 4), (15, 4), (15, 4), (7, 4), (0, 4)) + bytes(200)
    yield "a newcomer who is in the baseline", doubled(base)
    yield "an unknown kind of thing", packed((0, 8), (1, 1), (0, 4), (1, 4), (5, 10), (3, 2)) + bytes(40)
    yield "a thing taken that was not there", packed((0, 8), (1, 1), (0, 4), (1, 4), (5, 10), (2, 2))


def packed(*fields: tuple[int, int]) -> bytes:
    """Bytes of (value, bits), the first lowest."""
    words, at = words_for(sum(bits for _, bits in fields)), 0
    for value, bits in fields:
        at = put(words, at, value, bits)
    return to_bytes(words, at)


def doubled(base: View) -> bytes:
    """A delta of age 1 in which nobody moves, and then the first of them comes again."""
    words = words_for(5000)
    at = put_numbers(words, put(words, 0, 1, 8), 1, 0)
    at = put_delta(base.rows, base.rows, 1, words, at)
    return to_bytes(words, put_row(base.rows, 0, -1, words, at))


# --- far blocks and frames --------------------------------------------------------------------------------------------


def far_rows(rows: FarRows) -> list[Json]:
    """What a decoder must find."""
    columns = zip(rows.slot.tolist(), rows.head_mm.tolist(), rows.yaw.tolist(), rows.flags.tolist(), strict=True)
    return [{"slot": slot, "head_mm": head, "yaw": yaw, "flags": flags} for slot, head, yaw, flags in columns]


def far_json(part: int, parts: int) -> Json:
    """A far block with its rows."""
    body = far_body(some_avatars("far"), np.arange(SLOTS), part, parts)
    return {"hex": body.hex(), "part": part, "parts": parts, "rows": far_rows(decode_far(body))}


def refused_far() -> Iterator[tuple[str, bytes]]:
    """Far blocks every decoder must refuse."""
    body = far_body(some_avatars("far"), np.arange(7), 0, 1)
    yield "empty", b""
    yield "part beyond the last", b"\5\5\0\0"
    yield "no parts", b"\0\0\0\0"
    yield "cut short", body[:-1]
    yield "one byte more", body + b"\0"
    yield "padding that is not zero", body[:-1] + bytes([body[-1] | 0x80])
    yield "slots of another part", b"\1\2" + body[2:]


def frames(base: View) -> Json:
    """Frames of several blocks, with their parts, and such as must be refused."""
    whole, later = keyframe_body(base), delta_body(base._replace(tick=base.tick + 1), base)
    far = far_body(some_avatars("far"), np.arange(SLOTS), 3, 10)
    made = [
        ("nothing in view", 0, ()),
        ("one cell", 0, ((0, whole),)),
        ("a hall", 17, ((16, whole), (17, b""), (HERO_CELL, keyframe_body(base)), (FAR, far))),
        ("a hall, later", 17, ((16, later), (17, b""), (HERO_CELL, b""), (FAR, b""))),
    ]
    rows: list[Json] = []
    for name, home, blocks in made:
        tick = base.tick + ("later" in name)
        parts = [{"cell": cell, "body": body.hex()} for cell, body in blocks]
        frame = write_frame(2, tick, home, blocks).hex()
        rows.append({"name": name, "hex": frame, "room": 2, "tick": tick, "home": home, "blocks": parts})
    good = write_frame(2, 5, 0, ((3, b"ab"), (4, b"c")))
    bad = {
        "empty": b"",
        "header cut short": good[:8],
        "another kind": b"\2" + good[1:],
        "block header cut short": good[:11],
        "block cut short": good[:-1],
        "one byte more": good + b"\0",
        "cells that do not ascend": write_frame(2, 5, 0, ((4, b"ab"), (3, b"c"))),
    }
    return {"frames": rows, "frames_refused": [{"name": name, "hex": frame.hex()} for name, frame in bad.items()]}
