"""History pages: events from Redis for viewers that need older ones than the replay buffer holds.

Viewers share the pages. Each page lies between two checkpoints of its feed, so that all viewers who read through a long
stream ask for the same pages.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise

from contract.event import MalformedEventError
from contract.stream_log import StreamLog
from gateway.fanout.feed import Feed
from gateway.fanout.replay_buffer import Slice

PAGES_KEPT = 16
_Key = tuple[Feed, int, int]


class HistoryPages:
    """Keeps the most recently used pages. Viewers that ask for a page while it is being read share that read."""

    def __init__(self, log: StreamLog, count: Callable[[int], None]) -> None:
        """`count` is called with the number of bytes by which the pages have grown or shrunk."""
        self._log = log
        self._count = count
        self._kept: OrderedDict[_Key, asyncio.Task[list[bytes]]] = OrderedDict()
        self._sizes: dict[_Key, int] = {}

    async def read(self, feed: Feed, index: int) -> Slice:
        """The events from `index` to the end of its page.

        Raises: BrokerUnavailableError, BrokerRefusedError, MalformedEventError.
        """
        begin, end = feed.page_around(index)
        # The end is part of the key, because the newest page grows: an earlier read of it may lack events.
        key = (feed, begin, end)
        read = self._kept.get(key)
        if read is None:
            read = self._kept[key] = asyncio.create_task(self._read(feed, index))
            read.add_done_callback(lambda done: self._on_read(key, done))
            if len(self._kept) > PAGES_KEPT:
                self._forget(next(iter(self._kept)))
        else:
            self._kept.move_to_end(key)
        # A viewer that leaves must not cancel the read for the others.
        events = await asyncio.shield(read)
        return Slice(b"".join(events[index - begin :]), begin + len(events))

    def _on_read(self, key: _Key, read: asyncio.Task[list[bytes]]) -> None:
        """Counts the page, or removes a failed read: viewers that are waiting get its error, and the next viewer reads
        again."""
        if self._kept.get(key) is not read:
            return
        if read.cancelled() or read.exception() is not None:
            self._forget(key)
        else:
            self._sizes[key] = sum(map(len, read.result()))
            self._count(self._sizes[key])

    def _forget(self, key: _Key) -> None:
        del self._kept[key]
        self._count(-self._sizes.pop(key, 0))

    def evict(self, excess_bytes: int) -> None:
        """Drops pages, the least recently used first."""
        for key, size in [(key, self._sizes[key]) for key in self._kept if key in self._sizes]:
            if excess_bytes <= 0:
                break
            self._forget(key)
            excess_bytes -= size

    async def _read(self, feed: Feed, index: int) -> list[bytes]:
        begin, end = feed.page_around(index)
        before = feed.buffer.position_before(begin)
        page = await self._log.read_page(feed.stream_id, before, end - begin)
        positions = [before, *(event.position for event in page)]
        has_hole = any(not position.follows(last) for last, position in pairwise(positions))
        if len(page) < end - begin or has_hole:
            feed.lose()
            raise MalformedEventError(f"the log of {feed.stream_id} lacks events that it once had")
        feed.encoded_events += len(page)
        write = feed.dialect_at_page(index).write_event
        kinds = [event.kind.encode() for event in page]
        return [
            write(str(event.position).encode(), kind, feed.shown(kind, event.data))
            for kind, event in zip(kinds, page, strict=True)
        ]

    def forget(self, feed: Feed) -> None:
        """Drops the pages of a feed that the hub has dropped."""
        for key in [key for key in self._kept if key[0] is feed]:
            self._forget(key)
