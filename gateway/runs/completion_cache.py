"""Completions of finished runs, each folded once for all requests, within a budget of the process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from contract.event import encode_json
from contract.position import Position
from contract.stream_log import StreamLog
from gateway.http.errors import gateway_busy
from gateway.runs.read_completion import read_completion

FOLDS_AT_ONCE = 2
"""A fold holds the whole log and blocks the event loop page by page: more at once only take more memory."""


@dataclass(frozen=True, slots=True)
class FoldedRun:
    """A finished run. `completion` is the encoded `chat.completion`, None if the log has no chunk. `done` is the data
    of the run's `done` event, empty if the log has none."""

    completion: bytes | None
    done: dict[str, Any]


class _Entry:
    """A run that is being folded, or is folded. `users` counts the requests that wait for it or send it."""

    __slots__ = ("folding", "size", "users")

    def __init__(self, folding: asyncio.Task[FoldedRun]) -> None:
        self.folding = folding
        self.users = 0
        self.size = 0


class CompletionCache:
    """Holds at most `budget_bytes` of encoded completions, and beyond that at most one that is in use.

    Those that no request uses are dropped first, the least recently used one before the others. `setting` names the
    setting of the budget, for the error.
    """

    def __init__(self, log: StreamLog, budget_bytes: int, setting: str) -> None:
        self._log = log
        self._budget_bytes = budget_bytes
        self._setting = setting
        self._held_bytes = 0
        # By stream and position of its last event. The least recently used entry is first.
        self._entries: dict[tuple[str, Position], _Entry] = {}
        self._slots = asyncio.Semaphore(FOLDS_AT_ONCE)

    @asynccontextmanager
    async def use(self, stream_id: str, last: Position) -> AsyncIterator[FoldedRun]:
        """The finished run whose last event is at `last`. It counts as used until the context ends.

        Raises: ApiError 503 if the budget is used up; LogLostError, BrokerUnavailableError, BrokerRefusedError.
        """
        key = (stream_id, last)
        entry = self._entries.pop(key, None) or _Entry(asyncio.create_task(self._fold(stream_id, last)))
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

    async def _fold(self, stream_id: str, last: Position) -> FoldedRun:
        async with self._slots:
            fold = await read_completion(self._log, stream_id, last)
            completion = None if fold.is_empty else encode_json(fold.result())
            return FoldedRun(completion, fold.done or {})

    def _admit(self, entry: _Entry, folded: FoldedRun) -> None:
        """Counts a folded run. Raises: ApiError 503 if the runs in use leave no room for it."""
        if entry.size:
            return
        size = len(folded.completion or b"") or 1
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

    def _make_room(self) -> None:
        for key, entry in list(self._entries.items()):
            if self._held_bytes <= self._budget_bytes:
                return
            if not entry.users:
                self._drop(key, entry)

    def _drop(self, key: tuple[str, Position], entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
            self._held_bytes -= entry.size
