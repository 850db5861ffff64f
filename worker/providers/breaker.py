"""A circuit breaker: decides whether a provider that keeps failing is asked. No I/O; the caller passes the clock."""

from collections.abc import Callable

from contract.backoff import Backoff

MAX_PAUSE_S = 300.0


class Breaker:
    """Opens after `limit` failures in a row (0: never), for `pause_s` seconds that double up to five minutes.

    After a pause one call tries the provider (half-open): if it fails, the next pause begins. Each `enter` that returns
    None must be followed by `succeed`, `fail` or `leave`.
    """

    def __init__(self, limit: int, pause_s: float, clock: Callable[[], float]) -> None:
        self.failures = 0
        self._limit = limit
        self._backoff = Backoff(pause_s, max(pause_s, MAX_PAUSE_S))
        self._clock = clock
        self._open_until: float | None = None
        self._is_trying = False

    def enter(self) -> float | None:
        """None if the provider may be asked. Otherwise the seconds until the next try, 0 if one is under way."""
        if self._open_until is None:
            return None
        left_s = self._open_until - self._clock()
        if left_s > 0:
            return left_s
        if self._is_trying:
            return 0.0
        self._is_trying = True
        return None

    def succeed(self) -> None:
        """The provider has answered, or has refused a request that it should refuse."""
        self.failures = 0
        self._open_until = None
        self._is_trying = False
        self._backoff.reset()

    def fail(self) -> bool:
        """The provider has failed. Returns whether this opens the breaker."""
        self.failures += 1
        is_due = self._is_trying if self._open_until is not None else 0 < self._limit <= self.failures
        if is_due:
            self._open_until = self._clock() + self._backoff.next_delay_s()
            self._is_trying = False
        return is_due

    def leave(self) -> None:
        """The call ended without telling anything about the provider."""
        self._is_trying = False
