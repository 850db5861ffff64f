"""Counts the chunks in each second of a run. Pure: the caller passes the time."""

MAX_PACE_S = 600
"""Later seconds are not counted, because the page draws a chart of minutes."""


class Pace:
    """`seconds[n]` is the number of chunks in the n-th second after the first chunk."""

    def __init__(self) -> None:
        self.seconds: list[int] = []
        self._began_at: float | None = None

    def record(self, now: float) -> None:
        """Counts a chunk. `now` is in seconds and never decreases."""
        if self._began_at is None:
            self._began_at = now
        second = int(now - self._began_at)
        if second < MAX_PACE_S:
            if second >= len(self.seconds):
                self.seconds += [0] * (second + 1 - len(self.seconds))
            self.seconds[second] += 1
