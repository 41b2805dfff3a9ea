"""Keeps the tables of PROTOCOL.md equal to the code: `python -m tools.protocol_doc` rewrites what lies between markers.

Owns the generated parts only; a test compares them. A table stands between `<!-- table NAME -->` and `<!-- end -->`.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from server.net import link, messages, protocol
from server.sim import rows
from server.sim.poses import POSE

PAGE = Path(__file__).parents[1] / "PROTOCOL.md"
MARKED = re.compile(r"(<!-- table (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
KINDS = ("value", "position", "rotation")
SIZES = {"u1": "u8", "u2": "u16", "u4": "u32", "i2": "i16"}


def table(head: tuple[str, ...], body: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *body]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def meaning(struct: type[msgspec.Struct]) -> str:
    """A message's docstring on one line."""
    return " ".join((struct.__doc__ or "").split())


def fields(struct: type[msgspec.Struct]) -> str:
    """A message's fields after the tag."""
    parts = [f"{name}{'?' if optional else ''}: {kind}" for name, kind, optional in protocol.fields_of(struct)]
    return "<br>".join(f"`{part}`" for part in parts)


def messages_table(union: object) -> str:
    """Every message of one direction."""
    kinds = protocol.message_types(union)
    return table(
        ("tag", "message", "fields in order", "meaning"),
        ((protocol.tag_of(s), s.__name__, fields(s), meaning(s)) for s in kinds),
    )


def rows_table() -> str:
    """Arrays inside messages, without a tag."""
    body = ((s.__name__, fields(s), meaning(s)) for s in protocol.NESTED)
    return table(("array", "fields in order", "meaning"), body)


def record_table() -> str:
    """The full avatar record."""
    at, body = rows.SLOT_BITS, [(0, "slot", str(rows.SLOT_BITS), "-")]
    for field in rows.FIELDS:
        part = {(): "", (0,): " left", (1,): " right"}[field.part]
        body.append((at, f"{field.column}{part}", " ".join(map(str, field.bits)), " ".join(map(str, field.bias))))
        at += sum(field.bits)
    assert at == rows.FULL_BITS
    return table(("bit", "field", "bits", "bias"), body)


def groups_table() -> str:
    """The groups of a delta record."""
    columns = ["slot"] + [f"{f.column}{list(f.part) or ''}" for f in rows.FIELDS for _ in f.bits]
    body = []
    for bit, (kind, first, count) in enumerate(rows.GROUPS.tolist()):
        body.append((bit, ", ".join(dict.fromkeys(columns[first : first + count])), KINDS[kind]))
    return table(("mask bit", "columns", "written as"), body)


def pose_table() -> str:
    """The pose row."""
    body, at = [], 0
    for name in POSE.names or ():
        kind = POSE[name]
        base, count = (kind.subdtype[0], kind.shape[0]) if kind.subdtype else (kind, 1)
        body.append((at, SIZES[base.str[1:]] + (f" x {count}" if count > 1 else ""), name))
        at += kind.itemsize
    return table(("offset", "type", "field"), body)


def waves_table() -> str:
    """Channel numbers."""
    return table(("number", "channel"), enumerate(protocol.WAVE_CHANNELS, start=1))


TABLES: dict[str, Callable[[], str]] = {
    "client": lambda: messages_table(messages.ClientMessage),
    "server": lambda: messages_table(messages.ServerMessage),
    "rows": rows_table,
    "record": record_table,
    "groups": groups_table,
    "pose": pose_table,
    "waves": waves_table,
    "from-edge": lambda: messages_table(link.FromEdge),
    "to-edge": lambda: messages_table(link.ToEdge),
}


def rewritten(page: str) -> str:
    """The page with every table as the code has it."""
    return MARKED.sub(lambda m: m[1] + TABLES[m[2]]() + m[4], page)


def main() -> None:
    """Rewrite PROTOCOL.md."""
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
