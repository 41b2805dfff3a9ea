"""The protocol as data: every message's tag, fields and types, every binary frame's table, and the hash of it all.

Owns the canonical text. Docs, golden vectors and tests are checked against it; clients hold the 8-byte hash as a
constant. Never encodes or decodes anything.
"""

import hashlib
import types
import typing
from collections.abc import Iterator

import msgspec

from server.net import messages
from server.sim import rows
from server.sim.code_lengths import MASK_LENGTHS, ROWS_LENGTHS
from server.sim.far import BIAS, FAR_WIDTH, STEP_MM, STEP_TURN
from server.sim.poses import POSE
from server.world import events

VERSION = 1
SUBPROTOCOL = f"asclepion.{VERSION}"
WAVE_CHANNELS = ("ecg_ii", "ecg_v", "abp", "ppg", "co2", "resp", "cvp", "pap")  # numbered from 1
WAVE_HEADER = "kind u8=3, bed u8, source u8, channels u8, first u32, rate_hz u16, samples u8"
SNAPSHOT_HEADER = "kind u8=1, room u8, tick u32, home u16, blocks u8; block cell u16, size u16"
NESTED = (events.Person, events.Waiting, events.ThingInfo, events.Alarm)


def message_types(union: object) -> tuple[type[msgspec.Struct], ...]:
    """The structs of a message union, by tag."""
    return tuple(sorted(typing.get_args(union), key=tag_of))


def tag_of(struct: type[msgspec.Struct]) -> int:
    """A message's tag."""
    tag = struct.__struct_config__.tag
    assert isinstance(tag, int), f"{struct.__name__} has no number"
    return tag


def type_text(kind: object) -> str:
    """A field's type in the words of PROTOCOL.md: "int 0..255", "str <=40", "[Person]", "number or nil"."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind.__name__
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return type_text(args[0]) + "".join(_limits(meta) for meta in args[1:])
    if origin is typing.Literal:
        return " | ".join(f'"{a}"' if isinstance(a, str) else str(a) for a in args)
    if origin is list:
        return f"[{type_text(args[0])}]"
    if origin in (tuple, dict):
        inner = ", ".join(type_text(a) for a in args)
        return f"({inner})" if origin is tuple else f"map of {inner}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join("nil" if a is type(None) else type_text(a) for a in args)
    names = {int: "int", float: "number", str: "str", bytes: "bin", bool: "bool"}
    assert isinstance(kind, type) and kind in names, f"{kind} has no word in PROTOCOL.md"
    return names[kind]


def _limits(meta: msgspec.Meta) -> str:
    low, high = (meta.ge, meta.le) if meta.ge is not None else (meta.min_length, meta.max_length)
    if low is None and high is None:
        return ""
    text = f" {low}" if low == high else f" {'' if low is None else low}..{'' if high is None else high}"
    return text + (f" /{meta.pattern}/" if meta.pattern else "")


def fields_of(struct: type[msgspec.Struct]) -> list[tuple[str, str, bool]]:
    """Name, type and whether it may be left off at the end, in wire order."""
    hints = typing.get_type_hints(struct, include_extras=True)
    return [(f.name, type_text(hints[f.name]), not f.required) for f in msgspec.structs.fields(struct)]


def _struct_lines(struct: type[msgspec.Struct], head: str) -> Iterator[str]:
    yield head
    for name, kind, optional in fields_of(struct):
        yield f"  {name}: {kind}{' (may be left off)' if optional else ''}"


def canonical() -> str:
    """The whole protocol as text; any change to the wire changes it."""
    lines = [f"asclepion {VERSION}"]
    for way, union in (("client", messages.ClientMessage), ("server", messages.ServerMessage)):
        for struct in message_types(union):
            lines.extend(_struct_lines(struct, f"{way} {tag_of(struct)} {struct.__name__}"))
    for struct in NESTED:
        lines.extend(_struct_lines(struct, f"row {struct.__name__}"))
    lines.append(f"snapshot {SNAPSHOT_HEADER}")
    lines.append(f"body age u8, people, things; numbers in groups of {rows.COUNT_BITS}")
    for f in rows.FIELDS:
        lines.append(f"record {f.column}{list(f.part)} bits {list(f.bits)} bias {list(f.bias)} step {f.step}")
    lines.append(f"delta {', '.join(rows.MASK_BITS)}; codes {', '.join(ROWS_LENGTHS)}; masks {MASK_LENGTHS}")
    lines.append(f"thing slot {rows.THING_SLOT_BITS} kind {rows.THING_KIND_BITS}; owner {rows.SLOT_BITS} hand 1")
    lines.append(f"far {FAR_WIDTH.tolist()} steps {STEP_MM} mm, {STEP_TURN}/1024 turn, bias {BIAS}")
    lines.append(f"pose {POSE.descr}")
    lines.append(f"wave {WAVE_HEADER}; {', '.join(WAVE_CHANNELS)}")
    return "\n".join(lines) + "\n"


PROTOCOL_HASH = hashlib.sha256(canonical().encode()).digest()[:8]
