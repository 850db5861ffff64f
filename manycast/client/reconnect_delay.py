"""How long to wait before a connection is made again, and when to give up. Pure: no I/O, no clock.

Exponential with jitter, so that the viewers of a gateway that went away do not come back as one.
"""

import random
from collections.abc import Callable

FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 15.0


class ReconnectDelay:
    """Counts the failures in a row of one viewer. `limit_s` bounds the sum of its fruitless waiting."""

    def __init__(self, limit_s: float, draw: Callable[[], float] = random.random) -> None:
        """`draw` gives numbers from 0 to 1."""
        self.failures = 0
        self._limit_s = limit_s
        self._waited_s = 0.0
        self._draw = draw

    def restore(self) -> None:
        """Something arrived: the next failure is the first again."""
        self.failures = 0
        self._waited_s = 0.0

    def next_delay_s(self, wished_s: float | None = None) -> float | None:
        """Seconds to wait now, at least the server's wish `wished_s`; None when patience is at its end."""
        if self._waited_s >= self._limit_s:
            return None
        ceiling_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(self.failures, 16))
        delay_s = ceiling_s * (0.5 + 0.5 * self._draw())
        if wished_s is not None:
            delay_s = max(delay_s, min(wished_s, LONGEST_DELAY_S))
        self.failures += 1
        self._waited_s += delay_s
        return delay_s
