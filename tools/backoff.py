"""When a client that lost its connection tries again: exponential back-off with full jitter and a cap.

Owns the arithmetic and its count of failures; draws from what it is given. Never waits.
"""

from collections.abc import Callable

FIRST_S = 0.25
CAP_S = 8.0
DOUBLINGS_MAX = 16


class Backoff:
    """One client's. `draw` gives numbers from 0 to below 1.

    Full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015): a whole crowd that lost its connections at once
    comes back evenly spread, where plain doubling brings it back in waves.
    """

    def __init__(self, draw: Callable[[], float], first_s: float = FIRST_S, cap_s: float = CAP_S) -> None:
        self.failures = 0
        self._draw, self._first_s, self._cap_s = draw, first_s, cap_s

    def failed(self, at_least_s: float = 0.0) -> float:
        """One more attempt failed: seconds to wait before the next. `at_least_s`: what the server asked for."""
        bound_s = min(self._cap_s, self._first_s * 2.0 ** min(self.failures, DOUBLINGS_MAX))
        self.failures += 1
        return at_least_s + self._draw() * bound_s

    def succeeded(self) -> None:
        """It is in: the next loss begins anew."""
        self.failures = 0
