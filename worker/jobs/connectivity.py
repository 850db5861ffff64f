"""How long Redis has answered without a break. Pure: the caller brings the clock.

While Redis is away nobody can renew a lease, and when it is back all of them look abandoned. Whoever has just found it
again must not take over what its owners are about to renew.
"""


class Connectivity:
    """`max_gap_s` between two answers is no break yet."""

    def __init__(self, max_gap_s: float) -> None:
        self._max_gap_s = max_gap_s
        self._since = 0.0
        self._heard_at: float | None = None

    def record(self, now: float) -> None:
        """Redis answered. `now` is in seconds, and never before the last one."""
        if self._heard_at is None or now - self._heard_at > self._max_gap_s:
            self._since = now
        self._heard_at = now

    def lasted_s(self, now: float) -> float:
        """0 where there is none, or where it broke off."""
        if self._heard_at is None or now - self._heard_at > self._max_gap_s:
            return 0.0
        return now - self._since
