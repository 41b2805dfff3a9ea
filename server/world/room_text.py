"""Where something is in a room file, and what is allowed there: for messages that an operator can act on.

Owns finding the line of a path such as ("box", 2, "kind") in TOML text, and saying in words what the type at that path
allows. Never decides whether a file is good.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from msgspec import inspect

from server.world.scene import Room

Path = tuple[str | int, ...]

_TABLE = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.-]+)\s*=")
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[(\d+)\]|\[\.\.\.\]")
_ROOM = inspect.type_info(Room)


def places(text: str) -> dict[Path, int]:
    """The line of every table and key of a TOML text. Tables of an array are numbered: ("box", 0), ("box", 1), ..."""
    found: dict[Path, int] = {(): 1}
    counts: dict[Path, int] = defaultdict(int)
    table: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if head := _TABLE.match(line):
            table = _resolve(head.group(2).split("."), counts, head.group(1) == "[[")
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *key.group(1).split(".")), number)
    return found


def _resolve(names: list[str], counts: dict[Path, int], appends: bool) -> Path:
    """The path a table's header names; an array's name means its newest table."""
    path: Path = ()
    for name in names[:-1]:
        path = (*path, name)
        if counts[path]:
            path = (*path, counts[path] - 1)
    path = (*path, names[-1])
    if appends:
        counts[path] += 1
        path = (*path, counts[path] - 1)
    return path


def line_of(text: str, path: Path) -> int:
    """The line of `path`, or of the nearest thing around it that has one."""
    found = places(text)
    while path not in found:
        path = path[:-1]
    return found[path]


def parse_path(text: str) -> Path:
    """The path in a msgspec message, e.g. `$.box[2].kind`."""
    return tuple(name or int(number) for name, number in _STEP.findall(text) if name or number)


def allowed_at(path: Path) -> str:
    """What may stand at a path, in words; empty where there is nothing to say."""
    kind: inspect.Type = _ROOM
    for step in path:
        inner = _inside(kind, step)
        if inner is None:
            return _words(kind)
        kind = inner
    return _words(kind)


def _inside(kind: inspect.Type, step: str | int) -> inspect.Type | None:
    match kind:
        case inspect.StructType():
            return next((field.type for field in kind.fields if field.name == step), None)
        case inspect.ListType():
            return kind.item_type
        case inspect.TupleType() if isinstance(step, int) and step < len(kind.item_types):
            return kind.item_types[step]
        case inspect.UnionType():
            return next((each for each in kind.types if not isinstance(each, inspect.NoneType)), None)
    return None


def _words(kind: inspect.Type) -> str:
    match kind:
        case inspect.LiteralType():
            return _either(kind.values)
        case inspect.StructType():
            keys = ", ".join(field.name for field in kind.fields if field.name != "slug")
            return f"the keys {keys} (needed: {', '.join(field.name for field in kind.fields if field.required)})"
        case inspect.IntType():
            return f"a whole number{_range(kind.ge, kind.le)}"
        case inspect.FloatType():
            return f"a number{_range(kind.ge if kind.ge is not None else kind.gt, kind.le)}"
        case inspect.StrType():
            return _text_words(kind)
        case inspect.ListType():
            return f"a list, each: {_words(kind.item_type)}"
        case inspect.TupleType():
            return f"[{', '.join(_words(each) for each in kind.item_types)}]"
        case inspect.UnionType():
            return _words(kind.types[0])
    return ""


def _either(values: Iterable[object]) -> str:
    return " or ".join(f'"{value}"' for value in values)


def _range(low: float | None, high: float | None) -> str:
    return f" from {low:g} to {high:g}" if low is not None and high is not None else ""


def _text_words(kind: inspect.StrType) -> str:
    size = f" of {kind.min_length} to {kind.max_length} characters" if kind.max_length is not None else ""
    return f"text{size}" + (" (a-z, 0-9 and -)" if kind.pattern else "")
