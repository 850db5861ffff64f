"""How many chunks came in each second of a run. Pure: the caller brings the clock."""

MAX_PACE_S = 600
"""Later seconds are not counted: a page draws minutes, not hours."""


class Pace:
    """`seconds[n]` is how many chunks came in the n-th second from the first chunk on."""

    def __init__(self) -> None:
        self.seconds: list[int] = []
        self._began_at: float | None = None

    def record(self, now: float) -> None:
        """A chunk came. `now` is in seconds, and never before the last one."""
        if self._began_at is None:
            self._began_at = now
        second = int(now - self._began_at)
        if second < MAX_PACE_S:
            self.seconds += [0] * (second + 1 - len(self.seconds))
            self.seconds[second] += 1
