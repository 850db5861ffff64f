"""Completions and responses of finished runs, each folded once for all requests, within a budget of the process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.http.errors import gateway_busy
from gateway.http.memory_budget import MemoryBudget

FOLDS_AT_ONCE = 2
"""A fold holds the whole log and blocks the event loop page by page: more at once only take more memory."""


@dataclass(frozen=True, slots=True)
class FoldedRun:
    """A finished run. `body` is the encoded `chat.completion` or `response`, None if the log has no chunk. `done` is
    the data of the run's `done` event, empty if the log has none."""

    body: bytes | None
    done: Mapping[str, Any]


Fold = Callable[[], Awaitable[FoldedRun]]


class _Entry:
    """A run that is being folded, or is folded. `users` counts the requests that wait for it or send it."""

    __slots__ = ("folding", "size", "users")

    def __init__(self, folding: asyncio.Task[FoldedRun]) -> None:
        self.folding = folding
        # When all requests have left, no code awaits the task. asyncio would then log that nobody retrieved its error.
        folding.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.users = 0
        self.size = 0


class CompletionCache:
    """Holds at most `budget_bytes` of encoded completions, and beyond that at most one that is in use.

    Those that no request uses are dropped first, the least recently used one before the others. `setting` names the
    setting of the budget, for the error. All count in `memory`, too, which may ask for the unused ones.
    """

    def __init__(self, budget_bytes: int, setting: str, memory: MemoryBudget) -> None:
        self._memory = memory
        memory.add_evictor(self._evict)
        self._budget_bytes = budget_bytes
        self._setting = setting
        self._held_bytes = 0
        # The least recently used entry is first.
        self._entries: dict[Hashable, _Entry] = {}
        self._slots = asyncio.Semaphore(FOLDS_AT_ONCE)

    @asynccontextmanager
    async def use(self, key: Hashable, fold: Fold) -> AsyncIterator[FoldedRun]:
        """What `fold` returns, or has returned for this key. It counts as used until the context ends.

        Raises: ApiError 503 if the budget is used up; what `fold` raises.
        """
        entry = self._entries.pop(key, None) or _Entry(asyncio.create_task(self._fold(fold)))
        self._entries[key] = entry
        entry.users += 1
        try:
            # The fold goes on for other requests if this one is cancelled.
            folded = await asyncio.shield(entry.folding)
            self._admit(entry, folded)
            yield folded
        finally:
            entry.users -= 1
            if not entry.users and not entry.size:
                entry.folding.cancel()
                self._drop(key, entry)
            self._make_room()

    async def _fold(self, fold: Fold) -> FoldedRun:
        async with self._slots:
            return await fold()

    def _admit(self, entry: _Entry, folded: FoldedRun) -> None:
        """Counts a folded run. Raises: ApiError 503 if the runs in use leave no room for it."""
        if entry.size:
            return
        size = len(folded.body or b"") or 1
        in_use = sum(other.size for other in self._entries.values() if other.users and other is not entry)
        if in_use and in_use + size > self._budget_bytes:
            message = (
                "This gateway is sending too many large completions at once. "
                f"{self._setting} sets how many bytes ({self._budget_bytes})."
            )
            raise gateway_busy(message)
        entry.size = size
        self._held_bytes += size
        self._make_room()
        self._memory.count(size)

    def _evict(self, excess_bytes: int) -> None:
        target = self._held_bytes - excess_bytes
        for key, entry in list(self._entries.items()):
            if self._held_bytes <= target:
                return
            if not entry.users:
                self._drop(key, entry)

    def _make_room(self) -> None:
        self._evict(self._held_bytes - self._budget_bytes)

    def _drop(self, key: Hashable, entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
            self._held_bytes -= entry.size
            self._memory.count(-entry.size)
