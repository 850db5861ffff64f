"""How long to wait before the next try of something that failed. Pure: no I/O, no clock."""

import random
from collections.abc import Callable

_MAX_DOUBLINGS = 32


class Backoff:
    """Delays in seconds that double from `first_s` up to `max_s`.

    Each delay is shortened at random by up to half, so that clients that failed together do not retry together.
    """

    def __init__(self, first_s: float, max_s: float, draw: Callable[[], float] = random.random) -> None:
        """`draw` returns numbers from 0 to 1."""
        self.failures = 0
        self._first_s = first_s
        self._max_s = max_s
        self._draw = draw

    def reset(self) -> None:
        """Call it after a success. The next delay is then `first_s` again."""
        self.failures = 0

    def next_delay_s(self) -> float:
        """Counts one more failure and returns how long to wait after it."""
        delay_s = min(self._max_s, self._first_s * 2.0 ** min(self.failures, _MAX_DOUBLINGS))
        self.failures += 1
        return delay_s * (0.5 + 0.5 * self._draw())
