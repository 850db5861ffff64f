"""Make a viewer of the Responses dialect that continues after a sequence number.

The number of an event follows from the log alone, so the viewer may have had it from another gateway.
"""

from contract.errors import BrokerUnavailableError
from contract.stream_log import StreamLog
from gateway.dialects.base import Dialect
from gateway.dialects.responses import ResponsesDialect
from gateway.dialects.responses_items import invalid
from gateway.fanout.feed import Feed
from gateway.fanout.hub import Hub
from gateway.fanout.viewer import Viewer


async def new_numbered_viewer(hub: Hub, log: StreamLog, feed: Feed, after: int) -> Viewer:
    """A viewer of the events with numbers above `after`; -1 for all. If the attempt that has number `after` was lost,
    these are all events of the next attempt.

    Raises: ApiError 400 if the answer has ended before that number; BrokerUnavailableError, also if the log has not yet
    reached it: after a failover of Redis, its worker writes the end of it again; BrokerRefusedError.
    """
    found = await _find(log, feed, after)
    if found is None:
        # The viewer may come from another gateway, which had read more events than this one.
        await hub.refresh(feed)
        found = await _find(log, feed, after)
    if found is None and feed.over:
        raise invalid("starting_after", "is greater than the number of the last event")
    if found is None:
        raise BrokerUnavailableError("the log does not have this event yet")
    index, rest = found
    dialect = _numbered(feed.dialect)
    beginning = b"" if dialect.begins_again else dialect.write_beginning(after)
    return Viewer(feed, index, beginning + rest, hub.pages.read)


async def _find(log: StreamLog, feed: Feed, after: int) -> tuple[int, bytes] | None:
    """The index to continue from, and what is still missing of the log entry before it. None: there is no such number.

    Encodes one page again: it would take more memory to keep the number of each entry.
    """
    begin, end, dialect = feed.find_page(lambda dialect: _numbered(dialect).next_number <= after + 1)
    numbered = _numbered(dialect)
    if numbered.next_number > after:
        return begin, b""
    page = await log.read_page(feed.stream_id, feed.buffer.position_before(begin), end - begin) if end > begin else []
    following = begin
    for event in page:
        # Not simply the next index: the log may lack events that a failover lost and a later epoch took back.
        index = feed.buffer.index_after(event.position)
        if index is None or index > end:
            break
        following = index
        first = numbered.next_number
        frames = numbered.write_frames(event.kind.encode(), event.data)
        if numbered.next_number > after + 1:
            return following, b"".join(frames[after + 1 - first :])
    return (following, b"") if numbered.next_number == after + 1 else None


def _numbered(dialect: Dialect) -> ResponsesDialect:
    assert isinstance(dialect, ResponsesDialect)
    return dialect
