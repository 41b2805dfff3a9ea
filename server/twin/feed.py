"""The client side of `asclepion feed`: a recording becomes timed FHIR Observations, posted to an edge.

Owns pacing and posting. A second of the recording goes in one Observation; a slow edge is waited for and never flooded,
a lost connection is made again. At the end, and when interrupted, the feed says that it is over.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from math import ceil, isfinite
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from server.clock import Clock, SystemClock
from server.twin.fhir import Second, write_end, write_observation
from server.twin.recordings import Recording, RecordingError, read

__all__ = ["FeedError", "Recording", "RecordingError", "blocks", "read", "run"]

SPEED: Final = (0.1, 3600.0)
WAVE_SPEED_MAX: Final = 10.0
POSTS_PER_S: Final = 10.0  # a trend played fast leaves seconds out
TRIES: Final = 10
WAIT_S: Final = 1.0
TIMEOUT_S: Final = 10.0
PATH: Final = "/fhir/Observation"
DEMO: Final = Path(__file__).parent / "demo" / "demo"
"""The demonstration recording, made by our own model (`python -m tools.demo_recording`)."""


class FeedError(Exception):
    """The feed cannot go on: what the edge said, or that it cannot be reached."""


class _Reply(msgspec.Struct):
    """What is read of an OperationOutcome."""

    issue: list[dict[str, object]] = []


def blocks(recording: Recording, bed: str, speed: float, lap: int = 0) -> Iterator[tuple[float, bytes]]:
    """(due_s, Observation) a second at a time; due_s counts from the start of this lap. Raises FeedError on the speed.

    `lap` counts how often the recording was played before: sample numbers go on rising.
    """
    high = WAVE_SPEED_MAX if recording.waves else SPEED[1]
    if not SPEED[0] <= speed <= high:
        raise FeedError(f"speed is {speed:g}, allowed for this recording is {SPEED[0]:g} to {high:g}")
    stride = 1 if recording.waves else max(1, ceil(speed / POSTS_PER_S))
    for second in range(0, ceil(recording.duration_s), stride):
        yield second / speed, write_observation(bed, recording.name[:60], _second(recording, second, lap))


def _second(recording: Recording, second: int, lap: int) -> Second:
    """What is sent for one second: numbers as they are then, samples of that second."""
    numerics: dict[str, float] = {}
    for name, trends in recording.trends.items():
        values = [value for trend in trends if isfinite(value := trend.at(second))]
        if values:
            numerics[name] = values[0]
    rate = recording.rate_hz
    lap_samples = ceil(recording.duration_s) * rate
    rows = {name: row[second * rate : (second + 1) * rate] for name, row in recording.waves.items()}
    return Second(numerics, rate, lap * lap_samples + second * rate, rows)


class Poster:
    """One kept-alive connection to an edge."""

    def __init__(self, url: str, token: str, sleep: Callable[[float], None]) -> None:
        self._parts = urlsplit(url)
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise FeedError(f"{url!r} is no address of an edge: give http://host:port or https://host:port")
        self._token = token
        self._sleep = sleep
        self._connection: HTTPConnection | None = None

    def post(self, body: bytes) -> None:
        """Post one Observation; tries again when the edge is away or busy. Raises FeedError when refused for good."""
        said = "no answer"
        for attempt in range(TRIES):
            if attempt:
                self._sleep(WAIT_S)
            try:
                status, said = self._once(body)
            except (OSError, HTTPException) as error:
                self.close()
                said = f"the edge cannot be reached ({type(error).__name__})"
                continue
            if status in (200, 201, 202):
                return
            if status not in (429, 503):
                raise FeedError(f"the edge refused: {status} {said}")
        raise FeedError(f"gave up after {TRIES} tries: {said}")

    def post_last(self, body: bytes) -> None:
        """Post once on a fresh connection and let it go, whatever comes of it."""
        self.close()
        with suppress(OSError, HTTPException):
            self._once(body)
        self.close()

    def _once(self, body: bytes) -> tuple[int, str]:
        if self._connection is None:
            self._connection = self._connect()
        headers = {"Content-Type": "application/fhir+json", "Authorization": f"Bearer {self._token}"}
        self._connection.request("POST", self._parts.path.rstrip("/") + PATH, body, headers)
        answer = self._connection.getresponse()
        return answer.status, _diagnostics(answer.read(65_536))

    def _connect(self) -> HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return HTTPSConnection(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        return HTTPConnection(host, port, timeout=TIMEOUT_S)

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _diagnostics(body: bytes) -> str:
    """The text of an OperationOutcome, empty if there is none."""
    try:
        issues = msgspec.json.decode(body, type=_Reply).issue
    except msgspec.MsgspecError:
        return ""
    return str(issues[0].get("diagnostics", ""))[:300] if issues else ""


def run(
    url: str,
    bed: str,
    token: str,
    path: Path,
    speed: float = 1.0,
    loop: bool = False,
    progress: Callable[[float, float], None] = lambda done_s, total_s: None,
    clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Play a recording into the bed "room/id" until its end, for ever with `loop`, or until interrupted (Ctrl-C).

    `progress(done_s, total_s)` is called after each post, in recorded seconds. Raises FeedError, RecordingError.
    """
    recording = read(path)
    poster = Poster(url, token, sleep)
    clock = clock or SystemClock()
    lap = 0
    try:
        while True:
            start_s = clock.monotonic_s()
            for due_s, body in blocks(recording, bed, speed, lap):
                wait_s = start_s + due_s - clock.monotonic_s()
                if wait_s > 0:
                    sleep(wait_s)
                poster.post(body)
                progress(min(due_s * speed + 1, recording.duration_s), recording.duration_s)
            _wait_until(clock, sleep, start_s + recording.duration_s / speed)
            lap += 1
            if not loop:
                break
    except KeyboardInterrupt:
        pass  # asked to stop: the end is said below
    finally:
        _say_end(poster, bed, recording)


def _wait_until(clock: Clock, sleep: Callable[[float], None], moment_s: float) -> None:
    wait_s = moment_s - clock.monotonic_s()
    if wait_s > 0:
        sleep(wait_s)


def _say_end(poster: Poster, bed: str, recording: Recording) -> None:
    """Best effort: the bed goes back to the model by itself after a minute of silence."""
    poster.post_last(write_end(bed, recording.name[:60]))
