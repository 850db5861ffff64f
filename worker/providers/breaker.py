"""A circuit breaker: decides whether a provider that keeps failing is asked. No I/O; the caller passes the clock."""

from collections.abc import Callable

from contract.backoff import Backoff

MAX_PAUSE_S = 300.0


class Breaker:
    """Opens after `limit` failures in a row (0: never), for `pause_s` seconds that double up to five minutes.

    There are two rows: of calls that failed before their first sign of life, which any sign of life ends, and of
    answers that broke in the middle, which only a whole answer ends.

    After each pause one call tries the provider: if it fails, the next pause begins. A try that takes long does not
    keep others from trying: `pause_s` later, the next call tries too. A sign of life ends the pause.

    Each `enter` that returns None must be followed by `begin`, `succeed`, `fail` or `leave`. After `begin` may come
    `succeed` or `break_off`.
    """

    def __init__(self, limit: int, pause_s: float, clock: Callable[[], float]) -> None:
        self._failures = 0
        self._broken = 0
        self._limit = limit
        self._pause_s = pause_s
        self._backoff = Backoff(pause_s, max(pause_s, MAX_PAUSE_S))
        self._clock = clock
        self._open_until: float | None = None
        self._is_trying = False

    @property
    def failures(self) -> int:
        """In a row."""
        return max(self._failures, self._broken)

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

    def begin(self) -> None:
        """The provider shows a sign of life."""
        self._failures = 0
        self._open_until = None
        self._is_trying = False

    def succeed(self) -> None:
        """The provider has answered to the end, or has refused a request that it should refuse."""
        self.begin()
        self._broken = 0
        self._backoff.reset()

    def fail(self) -> bool:
        """The provider has failed before it showed a sign of life. Returns whether a pause begins."""
        self._failures += 1
        return self._open_after(self._failures)

    def break_off(self) -> bool:
        """The provider has failed in the middle of an answer. Returns whether a pause begins."""
        self._broken += 1
        return self._open_after(self._broken)

    def _open_after(self, failures: int) -> bool:
        is_due = self._is_trying if self._open_until is not None else 0 < self._limit <= failures
        if is_due:
            self._open_until = self._clock() + self._backoff.next_delay_s()
            self._is_trying = False
        return is_due

    def leave(self) -> None:
        """The call ended without telling anything about the provider."""
        if self._is_trying:
            self._is_trying = False
            self._open_until = self._clock()
