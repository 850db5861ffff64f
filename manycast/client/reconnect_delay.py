"""How long to wait before a connection is made again, and when to give up. Pure: no I/O, no clock.

The delays are a Backoff; the server may ask for a longer one.
"""

import random
from collections.abc import Callable

from contract.backoff import Backoff

FIRST_DELAY_S = 0.25
MAX_DELAY_S = 15.0


class ReconnectDelay:
    """Counts the failures in a row of one viewer. `limit_s` bounds the sum of its fruitless waiting."""

    def __init__(self, limit_s: float, draw: Callable[[], float] = random.random) -> None:
        """`draw` gives numbers from 0 to 1."""
        self._backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S, draw)
        self._limit_s = limit_s
        self._waited_s = 0.0

    @property
    def failures(self) -> int:
        return self._backoff.failures

    def restore(self) -> None:
        """Something arrived: the next failure is the first again."""
        self._backoff.reset()
        self._waited_s = 0.0

    def next_delay_s(self, wished_s: float | None = None) -> float | None:
        """Seconds to wait now, at least the server's wish `wished_s`; None when patience is at its end."""
        if self._waited_s >= self._limit_s:
            return None
        delay_s = self._backoff.next_delay_s()
        if wished_s is not None:
            delay_s = max(delay_s, min(wished_s, MAX_DELAY_S))
        self._waited_s += delay_s
        return delay_s
