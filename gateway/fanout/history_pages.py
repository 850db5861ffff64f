"""History pages: events from Redis for viewers that need older ones than the replay buffer holds.

Viewers share the pages. Each page lies between two checkpoints of its feed, so that all viewers who read through a long
stream ask for the same pages.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

from contract.event import Event, MalformedEventError
from contract.position import Position
from contract.stream_log import StreamLog
from gateway.fanout.feed import Feed, FeedStatus
from gateway.fanout.replay_buffer import Slice

PAGES_KEPT = 16
READ_AGAIN_S = 0.2
END_PATIENCE_S = 5.0
"""`Feed.tail_patience_s` of a run that has ended: its worker repeats the end if no replica has it."""
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
        """The events from `index` to the end of its page, or to the first one that only memory has.

        Raises: BrokerUnavailableError, BrokerRefusedError, MalformedEventError.
        """
        begin, end = feed.page_around(index)
        # The end is part of the key, because the newest page grows: an earlier read of it may lack events.
        key = (feed, begin, end)
        read = self._kept.get(key)
        if read is None:
            read = self._kept[key] = asyncio.create_task(self._read(feed, begin, end))
            read.add_done_callback(lambda done: self._on_read(key, done))
            if len(self._kept) > PAGES_KEPT:
                self._forget(next(iter(self._kept)))
        else:
            self._kept.move_to_end(key)
        # A viewer that leaves must not cancel the read for the others.
        events = await asyncio.shield(read)
        return Slice(b"".join(events[index - begin :]), begin + len(events))

    def _on_read(self, key: _Key, read: asyncio.Task[list[bytes]]) -> None:
        """Counts the page, or removes a read that failed or found only a part of it: viewers that are waiting get the
        error or the part, and the next viewer reads again."""
        # First: if all viewers have left and the page is forgotten, asyncio would log the error as never retrieved.
        has_failed = read.cancelled() or read.exception() is not None
        if self._kept.get(key) is not read:
            return
        _, begin, end = key
        if has_failed or len(read.result()) < end - begin:
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

    async def _read(self, feed: Feed, begin: int, end: int) -> list[bytes]:
        found = await self._find(feed, begin, end)
        write = feed.dialect_at_page(begin).write_event
        encoded = []
        for event in found:
            if event is None:
                # Nothing, so that all others keep their indices.
                encoded.append(b"")
            else:
                kind = event.kind.encode()
                encoded.append(write(str(event.position).encode(), kind, feed.shown(kind, event.data)))
                feed.encoded_events += 1
        return encoded

    async def _find(self, feed: Feed, begin: int, end: int) -> list[Event | None]:
        """The events of a page; None in the place of one that a failover of Redis lost and a later epoch took back.

        If the log ends before the page, waits for what the worker writes again, but not for what memory has.
        """
        wanted = [feed.buffer.position_before(index + 1) for index in range(begin, end)]
        before = feed.buffer.position_before(begin)
        clock = asyncio.get_running_loop().time
        begun_at = clock()
        while True:
            page = await self._log.read_page(feed.stream_id, before, len(wanted))
            found = _place(wanted, page)
            if found is None or feed.status is FeedStatus.LOST:
                break
            has_ended = feed.status is FeedStatus.ENDED
            has_rest = not has_ended and begin + len(found) >= feed.buffer.begin
            if len(found) == len(wanted) or has_rest:
                return found
            if clock() - begun_at >= (END_PATIENCE_S if has_ended else feed.tail_patience_s):
                break
            await asyncio.sleep(READ_AGAIN_S)
        feed.lose()
        raise MalformedEventError(f"the log of {feed.stream_id} lacks events that it once had")

    def forget(self, feed: Feed) -> None:
        """Drops the pages of a feed that the hub has dropped."""
        for key in [key for key in self._kept if key[0] is feed]:
            self._forget(key)


def _place(wanted: Sequence[Position], page: Sequence[Event]) -> list[Event | None] | None:
    """The events of a page of the log, in the order of `wanted`, up to the first one that the log does not have yet.

    None in place of an event: the log goes on with a later epoch. None: the log has a hole inside an epoch.
    """
    found: list[Event | None] = []
    rest = iter(page)
    event = next(rest, None)
    for position in wanted:
        if event is None:
            break
        if event.position == position:
            found.append(event)
            event = next(rest, None)
        elif event.position.epoch > position.epoch:
            found.append(None)
        else:
            return None
    return found
