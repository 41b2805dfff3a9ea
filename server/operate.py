"""What an operator does beside a running server: play device data into a bed, have an invite made.

Owns these two verbs. Holds the operator's power by reading the token key of the data directory; changes nothing itself.
"""

import sys
from pathlib import Path

import msgspec

from server.clock import SystemClock
from server.config import Config, ConfigError
from server.datadir import DataError, check_version, read_ready
from server.net.addresses import addresses
from server.net.keys import load_or_make_token_key
from server.net.question import NoAnswer, ask
from server.net.token import InviteOrder, TokenDesk, TokenError
from server.twin import feed as feeds


def _desk(config: Config) -> TokenDesk:
    data = Path(config.data)
    check_version(data)
    if not (data / "keys" / "token.key").exists():
        raise DataError(f"{data} has no token key: start `asclepion serve` with this --data first, or give --token")
    return TokenDesk(load_or_make_token_key(data / "keys"), config.limits)


def _edge_url(config: Config) -> str:
    facts = read_ready(Path(config.data), "edge")
    if facts is None:
        raise DataError(f"no edge runs on {config.data}: start `asclepion serve`, or give --url")
    return str(facts["url"])


def feed(config: Config, recording: str, bed: str, speed: float, loop: bool, url: str, token: str) -> int:
    """Post a recording second by second until its end or Ctrl-C. Raises ConfigError, DataError."""
    token = token or _desk(config).mint_feed(bed, SystemClock().unix_s())
    path = feeds.DEMO if recording == "demo" else Path(recording)
    try:
        feeds.run(url or _edge_url(config), bed, token, path, speed, loop, _progress)
    except (feeds.FeedError, feeds.RecordingError) as error:
        raise ConfigError(str(error)) from error
    print(f"the feed of bed {bed} is over")
    return 0


def _progress(done_s: float, total_s: float) -> None:
    if sys.stdout.isatty():
        print(f"\rplayed {done_s:.0f} of {total_s:.0f} s; Ctrl-C ends the feed ", end="", flush=True)


def invite(config: Config, room: str, role: str, uses: int, valid_s: int) -> int:
    """Print the link of a fresh invite. Raises ConfigError, DataError."""
    clock = SystemClock()
    try:
        token = _desk(config).mint_invite(InviteOrder(room, role, uses, valid_s), clock.unix_s())  # type: ignore[arg-type]
        body = msgspec.json.encode({"authorization": token})
        answer = ask(addresses(Path(config.data)).edge, "invite", body, clock)
    except TokenError as error:
        raise ConfigError(str(error)) from error
    except NoAnswer as error:
        raise DataError(str(error)) from error
    said = msgspec.json.decode(answer.body, type=dict[str, str])
    if answer.status != 200:
        raise ConfigError(said.get("text", f"refused with {answer.status}"))
    print(f"{_edge_url(config)}/r/{said['room']}#{said['code']}")
    return 0
