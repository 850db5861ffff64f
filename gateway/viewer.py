"""A viewer: a cursor on a tape, and what it is owed beside it. Not how the bytes reach it: see sse_response.

Bounded: however slow it is, it costs one integer and the newest note of each kind.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from gateway.dialect import encode_lost, encode_retry
from gateway.feed import Feed

ReadPage = Callable[[Feed, int], Awaitable[tuple[bytes, int]]]
"""(feed, index) -> events from there on, encoded, and the index after them: for what memory no longer holds."""


class Viewer:
    """Watches one feed from an index on. `take` until it returns None, `wait` where it returns nothing."""

    def __init__(self, feed: Feed, index: int, prologue: bytes, read_page: ReadPage) -> None:
        self.feed = feed
        self._index = index
        self._notes: dict[bytes, bytes] = {b"": prologue}
        self._read_page = read_page
        self._news = asyncio.Event()
        self._retry_window_ms: int | None = None
        self._told_lost = False

    def on_news(self) -> None:
        self._news.set()

    def on_note(self, kind: bytes, encoded: bytes) -> None:
        self._notes[kind] = encoded
        self._news.set()

    def dismiss(self, retry_window_ms: int) -> None:
        """The gateway drains: the response ends after what it is sending now. The viewer is to come back, to another
        gateway, after a delay of its own, so that a thousand do not come at once."""
        self._retry_window_ms = retry_window_ms
        self._news.set()

    async def wait(self) -> None:
        """Until there may be something to take."""
        await self._news.wait()

    async def take(self) -> bytes | None:
        """What is to be sent now; nothing while there is nothing; None when the response is to end.

        Raises: BrokerUnavailableError, BrokerRefusedError where old events must be read from the log and cannot.
        """
        self._news.clear()
        if self._retry_window_ms is not None:
            window, self._retry_window_ms = self._retry_window_ms, -1
            # A wish, not a secret: any spread will do.
            return None if window < 0 else encode_retry(random.randint(window // 10, window))  # noqa: S311
        notes = b"".join(self._notes.values())
        self._notes.clear()
        if self._index < self.feed.tape.begin:
            events, self._index = await self._read_page(self.feed, self._index)
        else:
            events, self._index = self.feed.tape.take(self._index)
        if notes or events:
            return notes + events if notes else events
        if self.feed.lost and not self._told_lost:
            self._told_lost = True
            return encode_lost()
        return None if self.feed.over else b""
