"""From flags, environment and a TOML file to one Config. Owns names, kinds and precedence; knows no user of them.

Precedence: flags, then ASCLEPION_ variables, then the file, then the defaults of `server.config`. A name nobody knows
is refused with the nearest that is known. Never reads the process environment; opens no file but in `read_file`.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from server.config import Config, ConfigError, Limits

PREFIX = "ASCLEPION_"
OTHERS = frozenset({"ASCLEPION_CONFIG", "ASCLEPION_SKIP_WEB"})  # ours, but no field of Config
FILE_BYTES_MAX = 65_536
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")

Value = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of Config or Limits, by its dotted name."""

    name: str  # as in the file: tick_hz, limits.avatars_max
    kind: type  # str, int, float, bool or tuple
    default: Value
    text: str

    @property
    def variable(self) -> str:
        """Name in the environment: ASCLEPION_LIMITS_AVATARS_MAX."""
        return PREFIX + self.name.replace(".", "_").upper()

    @property
    def flag(self) -> str:
        """Name on the command line: --limits.avatars-max."""
        return "--" + self.name.replace("_", "-")


def _settings_of(owner: type[Config] | type[Limits], prefix: str) -> Iterable[Setting]:
    hints = get_type_hints(owner, include_extras=True)
    blank = owner()
    for one in fields(owner):
        if one.name == "limits":
            continue
        kind, text = get_args(hints[one.name])[:2]
        yield Setting(prefix + one.name, get_origin(kind) or kind, getattr(blank, one.name), text)


SETTINGS: dict[str, Setting] = {
    one.name: one for one in (*_settings_of(Config, ""), *_settings_of(Limits, "limits."))
}  # fmt: skip


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; the nearest is {close[0]}" if close else "; `asclepion config sample` prints all"


def _wrong(name: str, got: object, allowed: str) -> ConfigError:
    return ConfigError(f"{name} is {got!r}, allowed is {allowed}")


def from_text(setting: Setting, name: str, raw: str) -> Value:
    """A value written as text (environment), read as the setting's kind; raises ConfigError naming `name`."""
    if setting.kind is bool:
        if raw.lower() not in TRUE + FALSE:
            raise _wrong(name, raw, "true or false")
        return raw.lower() in TRUE
    if setting.kind is tuple:
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    if setting.kind is str:
        return raw
    try:
        return int(raw) if setting.kind is int else float(raw)
    except ValueError:
        raise _wrong(name, raw, "a whole number" if setting.kind is int else "a number") from None


def from_toml(setting: Setting, raw: object) -> Value:
    """A value as TOML gave it, checked against the setting's kind; raises ConfigError."""
    if setting.kind is tuple:
        if isinstance(raw, list) and all(isinstance(part, str) for part in raw):
            return tuple(raw)
        raise _wrong(setting.name, raw, "a list of texts")
    if setting.kind is float and type(raw) is int:
        return float(raw)
    if type(raw) is not setting.kind or not isinstance(raw, (str, int, float, bool)):
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text in quotes"}
        raise _wrong(setting.name, raw, words[setting.kind])
    return raw


def read_file(path: Path) -> dict[str, Value]:
    """The settings a TOML file names; raises ConfigError for anything unknown or unreadable."""
    try:
        data = path.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            raise ConfigError(f"{path} has {len(data)} bytes, allowed is {FILE_BYTES_MAX}")
        tree = tomllib.loads(data.decode())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from None
    limits = tree.pop("limits", {})
    if not isinstance(limits, dict):
        raise ConfigError(f"{path}: limits is {limits!r}, allowed is a table [limits]")
    flat = tree | {f"limits.{name}": value for name, value in limits.items()}
    for name in flat:
        if name not in SETTINGS:
            raise ConfigError(f"{path}: {name} is no setting{_nearest(name, SETTINGS)}")
    return {name: from_toml(SETTINGS[name], value) for name, value in flat.items()}


def from_environment(environ: Mapping[str, str]) -> dict[str, Value]:
    """The settings the environment names; raises ConfigError for an ASCLEPION_ variable nobody knows."""
    by_variable = {one.variable: one for one in SETTINGS.values()}
    found: dict[str, Value] = {}
    for variable, raw in environ.items():
        if not variable.startswith(PREFIX) or variable in OTHERS:
            continue
        if variable not in by_variable:
            raise ConfigError(f"the variable {variable} is no setting{_nearest(variable, by_variable)}")
        setting = by_variable[variable]
        found[setting.name] = from_text(setting, variable, raw)
    return found


def to_environment(config: Config) -> dict[str, str]:
    """The whole Config as environment variables, for a child process; `from_environment` reads it back equal."""
    return {one.variable: _as_text(value_of(config, one.name)) for one in SETTINGS.values()}


def _as_text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def value_of(config: Config, name: str) -> Value:
    """The value a Config has under a dotted name."""
    owner: object = config.limits if name.startswith("limits.") else config
    value: Value = getattr(owner, name.removeprefix("limits."))
    return value


def combine(*sources: tuple[str, Mapping[str, Value]]) -> tuple[Config, dict[str, str]]:
    """One Config of (source, values) pairs, strongest first, and where each value came from; raises ConfigError."""
    values: dict[str, Any] = {}
    origins = dict.fromkeys(SETTINGS, "default")
    for origin, found in reversed(sources):
        values |= found
        origins |= dict.fromkeys(found, origin)
    limits = {name.removeprefix("limits."): value for name, value in values.items() if name.startswith("limits.")}
    own = {name: value for name, value in values.items() if not name.startswith("limits.")}
    return Config(**own, limits=Limits(**limits)), origins


def _toml_value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(part) for part in value) + "]"
    if isinstance(value, str):
        escaped = "".join(c if c >= " " and c not in '"\\\x7f' else f"\\u{ord(c):04x}" for c in value)
        return f'"{escaped}"'
    return repr(value)


def to_toml(config: Config, origins: Mapping[str, str] | None = None) -> str:
    """The Config as a commented TOML file, or with where each value came from in place of the comments."""
    lines = ["# Settings of Asclepion: any of them may be left out.", "# Each is also a flag and a variable.", ""]
    lines = [] if origins is not None else lines
    for one in SETTINGS.values():
        if one.name == "limits.avatars_max":
            lines += ["", "[limits]"]
        note = origins[one.name] if origins is not None else f"{one.text} ({one.flag}, {one.variable})"
        lines.append(f"{one.name.removeprefix('limits.')} = {_toml_value(value_of(config, one.name))}  # {note}")
    return "\n".join(lines) + "\n"
