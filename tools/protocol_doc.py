"""Keeps the tables of PROTOCOL.md equal to the code: `python -m tools.protocol_doc` rewrites what lies between markers.

Owns the generated parts only; a test compares them. A table stands between `<!-- table NAME -->` and `<!-- end -->`.
"""

import re
from collections.abc import Callable, Iterable
from itertools import zip_longest
from pathlib import Path

import msgspec

from server.net import link, messages, protocol
from server.sim import code, code_lengths, rows
from server.sim.poses import POSE

PAGE = Path(__file__).parents[1] / "PROTOCOL.md"
MARKED = re.compile(r"(<!-- table (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
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
    body = [("slot", "a number", "-", "-")]
    for field in rows.FIELDS:
        part = {(): "", (0,): " left", (1,): " right"}[field.part]
        bits = " ".join(map(str, field.bits))
        bias = " ".join(map(str, field.bias)) or "-"
        body.append(
            (
                f"{field.column}{part}",
                "1, then 8 if that is 1" if field.column == "grips" else bits,
                bias,
                str(field.step),
            )
        )
    return table(("field", "bits", "bias", "step"), body)


def codes_table() -> str:
    """The contexts of the codes."""
    begins = (
        ("ack, nothing else changed", code.ACK, 1), ("ack, age 1 to 14, 15 and more", code.ACK + 1, 15),
        ("yaw", code.YAW, 1), *_triples("head_mm", code.HEAD, ""), *_triples("head_rot", code.HEAD_ROT, "of yaw"),
        *_triples("hand_mm", code.HAND, "of head_rot (left) or of the left hand_mm (right)"),
        *_triples("hand_rot", code.HAND_ROT, "of the same hand's hand_mm"),
    )  # fmt: skip
    assert sum(count for _, _, count in begins) == code.ROWS
    body = ((what, f"{first} to {first + count - 1}" if count > 1 else first) for what, first, count in begins)
    return table(("symbol", "rows"), body)


def _triples(name: str, first: int, after: str) -> tuple[tuple[str, int, int], ...]:
    """The rows of a group of three components, the first by the largest class of what is `after`."""
    by_group, contexts = (f", by the largest class {after}, 0 if not changed", code.CONTEXTS) if after else ("", 1)
    return (
        (f"{name}: class of the first component{by_group}", first, contexts),
        (f"{name}: of the second, by the class of the first", first + contexts, code.CONTEXTS),
        (f"{name}: of the third, by the larger class of both", first + contexts + code.CONTEXTS, code.CONTEXTS),
    )


def lengths_table() -> str:
    """The lengths of all codes."""
    masks = [code_lengths.MASK_LENGTHS[at : at + 64] for at in range(0, len(code_lengths.MASK_LENGTHS), 64)]
    lines = [f"{row:3d} {lengths}" for row, lengths in enumerate(code_lengths.ROWS_LENGTHS)]
    height = -(-len(lines) // 4)
    columns = [lines[at : at + height] for at in range(0, len(lines), height)]
    text = ["   ".join(cell.ljust(28) for cell in line).rstrip() for line in zip_longest(*columns, fillvalue="")]
    return "```text\n" + "\n".join([*text, "masks", *masks]) + "\n```\n"


def masks_table() -> str:
    """The bits of a delta record's mask."""
    return table(("mask bit", "columns"), enumerate(rows.MASK_BITS))


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
    "masks": masks_table,
    "codes": codes_table,
    "lengths": lengths_table,
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
