"""A circuit breaker: decides whether a provider that keeps failing is asked. No I/O; the caller passes the clock."""

from collections.abc import Callable

from contract.backoff import Backoff

MAX_PAUSE_S = 300.0


class Breaker:
    """Opens after `limit` failures in a row (0: never), for `pause_s` seconds that double up to five minutes.

    After each pause one call tries the provider: if it fails, the next pause begins. A try that takes long does not
    keep others from trying: `pause_s` later, the next call tries too.

    Each `enter` that returns None must be followed by `succeed`, `fail` or `leave`.
    """

    def __init__(self, limit: int, pause_s: float, clock: Callable[[], float]) -> None:
        self.failures = 0
        self._limit = limit
        self._pause_s = pause_s
        self._backoff = Backoff(pause_s, max(pause_s, MAX_PAUSE_S))
        self._clock = clock
        self._open_until: float | None = None
        self._is_trying = False

    @property
    def is_open(self) -> bool:
        return self._open_until is not None

    def enter(self) -> float | None:
        """None if the provider may be asked, otherwise the seconds until the next try."""
        if self._open_until is None:
            return None
        now = self._clock()
        if now < self._open_until:
            return self._open_until - now
        self._is_trying = True
        self._open_until = now + self._pause_s
        return None

    def succeed(self) -> None:
        """The provider has answered, or has refused a request that it should refuse."""
        self.failures = 0
        self._open_until = None
        self._is_trying = False
        self._backoff.reset()

    def fail(self) -> bool:
        """The provider has failed. Returns whether a pause begins."""
        self.failures += 1
        is_due = self._is_trying if self._open_until is not None else 0 < self._limit <= self.failures
        if is_due:
            self._open_until = self._clock() + self._backoff.next_delay_s()
            self._is_trying = False
        return is_due

    def leave(self) -> None:
        """The call ended without telling anything about the provider."""
        if self._is_trying:
            self._is_trying = False
            self._open_until = self._clock()
