"""How long to wait before reconnecting, and when to give up. No I/O, no clock.

A Backoff gives the delays; the server may ask for a longer one.
"""

import random
from collections.abc import Callable

from contract.backoff import Backoff

FIRST_DELAY_S = 0.25
MAX_DELAY_S = 15.0


class ReconnectDelay:
    """Counts one viewer's consecutive failures. `limit_s` bounds the sum of its delays."""

    def __init__(self, limit_s: float, draw: Callable[[], float] = random.random) -> None:
        """`draw` gives numbers from 0 to 1."""
        self._backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S, draw)
        self._limit_s = limit_s
        self._waited_s = 0.0

    @property
    def failures(self) -> int:
        return self._backoff.failures

    def restore(self) -> None:
        """Call it when data arrives. The next failure then counts as the first."""
        self._backoff.reset()
        self._waited_s = 0.0

    def next_delay_s(self, wished_s: float | None = None) -> float | None:
        """Seconds to wait, at least `wished_s` (the server's request); None to give up."""
        if self._waited_s >= self._limit_s:
            return None
        delay_s = self._backoff.next_delay_s()
        if wished_s is not None:
            delay_s = max(delay_s, min(wished_s, MAX_DELAY_S))
        self._waited_s += delay_s
        return delay_s
