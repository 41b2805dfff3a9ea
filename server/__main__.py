"""The command `asclepion`: argv, environment and file become a Config, the Config becomes running parts.

Owns the verbs and the exit status. The only reader of argv and environment. Imports a part only in the verb that runs
it, so that each process loads what it needs.
"""

import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Optional

from cyclopts import App, CycloptsError, Group, Parameter

from server import __version__, settings
from server.config import Config, ConfigError
from server.datadir import DataError, open_data

USAGE_STATUS = 2
SETTINGS = Group("Settings", sort_key=2)
LIMITS = Group("Limits", sort_key=3)

app = App(name="asclepion", version=__version__, help="An authoritative metaverse server for healthcare.")
config_app = App(name="config", help="Settings: print a sample, check a file, show what holds.")
ledger_app = App(name="ledger", help="The ledger process by itself, or the check of a public log.")
app.command(config_app)
app.command(ledger_app)

ConfigFile = Annotated[Path | None, Parameter(help="TOML file with settings", env_var="ASCLEPION_CONFIG")]
Supervised = Annotated[bool, Parameter(show=False, negative=())]
Number = Annotated[int, Parameter(help="which of several edges of one data directory this is, from 1")]


def _flag(one: settings.Setting) -> inspect.Parameter:
    kind: Any = tuple[str, ...] if one.kind is tuple else one.kind
    limit = one.name.startswith("limits.")
    negative = ("--no-" + one.flag[2:],) if one.kind is bool else ()
    about = Parameter(name=one.flag, help=one.text, negative=negative, group=LIMITS if limit else SETTINGS)
    name, shape = one.name.replace(".", "_"), Annotated[Optional[kind], about]  # noqa: UP045
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=shape)


FLAGS = {one.name.replace(".", "_"): one.name for one in settings.SETTINGS.values()}


def _load(config: Path | None, flags: dict[str, Any]) -> tuple[Config, dict[str, str]]:
    given = {FLAGS[name]: value for name, value in flags.items() if value is not None}
    file = settings.read_file(config) if config else {}
    found = settings.from_environment(os.environ)
    return settings.combine(("flag", given), ("environment", found), (f"file {config}", file))


def _with_flags(verb: Callable[..., int]) -> Callable[..., int]:
    """Give a verb that takes **flags every setting as a flag of its own."""
    own = inspect.signature(verb)
    named = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    shown = [*named, *map(_flag, settings.SETTINGS.values())]
    verb.__signature__ = own.replace(parameters=shown)  # type: ignore[attr-defined]
    verb.__annotations__ = {one.name: one.annotation for one in shown} | {"return": int}
    return verb


def _end_with_supervisor(supervised: bool) -> None:
    """A supervised process stops when the supervisor is gone, however that came about."""

    def watch() -> None:
        while os.read(0, 64):
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    if supervised:
        threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()


@app.command
@_with_flags
def serve(*, config: ConfigFile = None, **flags: Any) -> int:
    """Start everything: ledger, shard and edge, watched and restarted. Ctrl-C stops."""
    from server import supervise

    return supervise.serve(_load(config, flags)[0])


@app.command
@_with_flags
def shard(*, config: ConfigFile = None, supervised: Supervised = False, **flags: Any) -> int:
    """Run the shard alone: the world and its tick."""
    _end_with_supervisor(supervised)
    from server import shard_process

    return shard_process.run(_load(config, flags)[0])


@app.command
@_with_flags
def edge(*, config: ConfigFile = None, supervised: Supervised = False, number: Number = 1, **flags: Any) -> int:
    """Run an edge alone: HTTP and WebSocket for browsers."""
    _end_with_supervisor(supervised)
    from server.edge import process

    return process.run(_load(config, flags)[0], number)


@ledger_app.default
@_with_flags
def ledger(*, config: ConfigFile = None, supervised: Supervised = False, **flags: Any) -> int:
    """Run the ledger alone: the append-only signed log."""
    _end_with_supervisor(supervised)
    from server import ledger_process

    return ledger_process.run(_load(config, flags)[0])


@ledger_app.command
def verify(directory: Path, /, *, vkey: str = "", since: str = "") -> int:
    """Check a public log directory offline and name the first bad byte.

    VKEY pins the log's key; SINCE is an older checkpoint or receipt that the log must have grown from.
    """
    from server.ledger import verify as checks

    return checks.main(directory, vkey, since)


@config_app.command
def sample() -> int:
    """Print a settings file with every setting, its default and what it means."""
    print(settings.to_toml(Config()), end="")
    return 0


@config_app.command
@_with_flags
def check(file: Path | None = None, /, *, config: ConfigFile = None, **flags: Any) -> int:
    """Check settings without starting anything; FILE is what --config would be given."""
    _load(file or config, flags)
    print("ok")
    return 0


@config_app.command
@_with_flags
def show(*, config: ConfigFile = None, **flags: Any) -> int:
    """Print the settings that hold and where each comes from."""
    print(settings.to_toml(*_load(config, flags)), end="")
    return 0


@app.command
def replay(journal: Path, /) -> int:
    """Run a journal again and compare the digest of every tick."""
    from server import replay as replays

    return replays.main(journal)


@app.command
@_with_flags
def feed(
    recording: str = "demo",
    /,
    *,
    bed: str = "ward/bed-1",
    speed: float = 1.0,
    loop: bool = False,
    url: str = "",
    token: str = "",
    config: ConfigFile = None,
    **flags: Any,
) -> int:
    """Play device data into BED ("room/id"): a WFDB record or CSV trend by path, or the demonstration recording."""
    from server import operate

    return operate.feed(_load(config, flags)[0], recording, bed, speed, loop, url, token)


@app.command
@_with_flags
def invite(
    *, room: str = "lobby", role: str = "observer", uses: int = 1, valid_s: int = 86_400,
    config: ConfigFile = None, **flags: Any,
) -> int:  # fmt: skip
    """Have the running shard make an invite, and print its link."""
    from server import operate

    return operate.invite(_load(config, flags)[0], room, role, uses, valid_s)


@app.command
def prime() -> int:
    """Compile the numba kernels into their cache, so that the first start is quick."""
    from server.prime import prime_all

    prime_all(lambda line: print(line, flush=True))
    return 0


@app.command
@_with_flags
def tls(*hosts: str, config: ConfigFile = None, **flags: Any) -> int:
    """Make a certificate for the names and addresses HOSTS, so that headsets on the local network get HTTPS."""
    from datetime import UTC, datetime

    from server.edge import tls as certificates

    data = Path(_load(config, flags)[0].data)
    open_data(data, "tls").release()
    try:
        lines = certificates.make(data, list(hosts), datetime.now(UTC))
    except certificates.TlsError as error:
        raise DataError(str(error)) from error
    print("\n".join(lines))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status. What an operator can mend is one line on standard error."""
    try:
        status = app(
            sys.argv[1:] if argv is None else argv, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except (CycloptsError, ConfigError, DataError) as error:
        print("asclepion: " + " ".join(str(error).split()), file=sys.stderr)
        return USAGE_STATUS
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
