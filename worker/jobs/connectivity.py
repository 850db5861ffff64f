"""How long Redis has answered without a break. Pure: the caller passes the time.

During an outage of Redis no worker can renew its leases, so all of them look abandoned afterwards. A worker that just
reconnected must not take over jobs whose workers are about to renew them.
"""


class Connectivity:
    """A pause of up to `max_gap_s` between two replies does not count as a break."""

    def __init__(self, max_gap_s: float) -> None:
        self._max_gap_s = max_gap_s
        self._since = 0.0
        self._heard_at: float | None = None

    def record(self, now: float) -> None:
        """Redis replied. `now` is in seconds and never decreases."""
        if self._heard_at is None or now - self._heard_at > self._max_gap_s:
            self._since = now
        self._heard_at = now

    def lasted_s(self, now: float) -> float:
        """Seconds since the last break; 0 without a connection."""
        if self._heard_at is None or now - self._heard_at > self._max_gap_s:
            return 0.0
        return now - self._since
