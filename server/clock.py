"""The only reader of time. Everything else is handed `now_s` or a Clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds for rates and time-outs, Unix seconds for what people and tokens read."""

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        ...

    def unix_s(self) -> float:
        """Seconds since 1970, UTC."""
        ...

    def sleep_until(self, monotonic_s: float) -> None:
        """Let the process rest until then."""
        ...


class SystemClock:
    """The machine's own."""

    def monotonic_s(self) -> float:
        """See Clock."""
        return time.monotonic()

    def unix_s(self) -> float:
        """See Clock."""
        return time.time()

    def sleep_until(self, monotonic_s: float) -> None:
        """See Clock."""
        rest_s = monotonic_s - time.monotonic()
        if rest_s > 0:
            time.sleep(rest_s)


class ManualClock:
    """Turned by hand, for tests and replay."""

    def __init__(self, start_s: float = 1_000_000_000.0) -> None:
        self.now_s = start_s

    def monotonic_s(self) -> float:
        """See Clock."""
        return self.now_s

    def unix_s(self) -> float:
        """See Clock."""
        return self.now_s

    def sleep_until(self, monotonic_s: float) -> None:
        """See Clock; time jumps there."""
        self.now_s = max(self.now_s, monotonic_s)

    def advance(self, dt_s: float) -> None:
        """Let `dt_s` seconds pass."""
        self.now_s += dt_s
