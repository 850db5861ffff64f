"""One budget for everything that a process caches to avoid reading Redis again. No I/O."""

from collections.abc import Callable

Evict = Callable[[int], None]
"""Frees about this many bytes, or as many as it can, and reports them to `MemoryBudget.count`."""
FREE_PART = 8
"""An eviction makes this part of the budget free, so that the next growth does not need one."""
PATIENCE_PART = 16
"""If an eviction does not suffice, the next one is tried after growth by this part of the budget."""


class MemoryBudget:
    """Counts bytes. When there are more than `limit_bytes`, it calls its evictors in the order in which they were
    added, least needed first. What they cannot give up, because it is being sent, stays."""

    def __init__(self, limit_bytes: int) -> None:
        self.held_bytes = 0
        self._limit_bytes = limit_bytes
        self._evict_above = limit_bytes
        self._evictors: list[Evict] = []

    def add_evictor(self, evict: Evict) -> None:
        self._evictors.append(evict)

    def count(self, change_bytes: int) -> None:
        self.held_bytes += change_bytes
        if change_bytes > 0:
            if self.held_bytes > self._evict_above:
                self._make_room()
        elif self.held_bytes <= self._limit_bytes:
            self._evict_above = self._limit_bytes

    def _make_room(self) -> None:
        target = self._limit_bytes - self._limit_bytes // FREE_PART
        for evict in self._evictors:
            if self.held_bytes <= target:
                break
            evict(self.held_bytes - target)
        # If that was not enough, wait for some growth: otherwise each new byte would call every evictor again, in vain.
        beyond = self.held_bytes + self._limit_bytes // PATIENCE_PART
        self._evict_above = self._limit_bytes if self.held_bytes <= self._limit_bytes else beyond
