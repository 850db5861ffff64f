"""History pages: old events for viewers that are further behind than the replay buffer reaches.

Pages are read from the log and shared. A page lies between two checkpoints of its feed, so that viewers who read
through a long stream ask for the same pages.
"""

import asyncio
from collections import OrderedDict

from contract.event import MalformedEventError
from contract.stream_log import StreamLog
from gateway.fanout.feed import Feed
from gateway.fanout.replay_buffer import Slice

PAGES_KEPT = 16


class HistoryPages:
    """Keeps the last pages. One read of Redis serves all viewers that ask for the same page meanwhile."""

    def __init__(self, log: StreamLog) -> None:
        self._log = log
        self._kept: OrderedDict[tuple[Feed, int, int], asyncio.Task[list[bytes]]] = OrderedDict()

    async def read(self, feed: Feed, index: int) -> Slice:
        """The events from `index` to the end of its page.

        Raises: BrokerUnavailableError, BrokerRefusedError, MalformedEventError.
        """
        place, until = feed.page_around(index)
        # The last page grows: an earlier read of it is too short for a viewer that is further.
        key = (feed, place, until)
        read = self._kept.get(key)
        if read is None:
            read = self._kept[key] = asyncio.create_task(self._read(feed, index))
            read.add_done_callback(lambda done: self._settle(key, done))
            if len(self._kept) > PAGES_KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        # A viewer that leaves must not cancel the read for the others.
        written = await asyncio.shield(read)
        return Slice(b"".join(written[index - place :]), place + len(written))

    def _settle(self, key: tuple[Feed, int, int], read: asyncio.Task[list[bytes]]) -> None:
        """Keeps no failure: viewers that wait get it, and the next one reads again."""
        if (read.cancelled() or read.exception() is not None) and self._kept.get(key) is read:
            del self._kept[key]

    async def _read(self, feed: Feed, index: int) -> list[bytes]:
        place, until = feed.page_around(index)
        page = await self._log.read_page(feed.stream_id, feed.buffer.position_before(place), until - place)
        if len(page) < until - place:
            feed.lose()
            raise MalformedEventError(f"the log of {feed.stream_id} lacks events that it had")
        feed.encoded_events += len(page)
        write = feed.dialect_at_page(index).write_event
        return [write(str(event.position).encode(), event.kind.encode(), event.data) for event in page]

    def forget(self, feed: Feed) -> None:
        """The hub has dropped the feed."""
        for key in [key for key in self._kept if key[0] is feed]:
            del self._kept[key]
