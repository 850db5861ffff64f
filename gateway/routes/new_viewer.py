"""Make a viewer that continues a stream after a position."""

import asyncio
from collections.abc import Callable

from contract.position import START, Position
from gateway.fanout.feed import Feed
from gateway.fanout.hub import Hub
from gateway.fanout.viewer import Viewer

RETRY_MS = 1_000
"""How long a viewer waits before it reconnects after an unexpected end."""


async def new_viewer(
    hub: Hub,
    feed: Feed,
    after: Position = START,
    when_gone: Callable[[], None] | None = None,
    prologue: bytes = b"",
) -> Viewer:
    """The viewer of a response that has no other: as `place_viewer`, and it tells the client when to reconnect.
    `when_gone` is called if the client disconnects before the stream ends. `prologue` is sent first.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    viewer = await place_viewer(hub, feed, after, prologue + feed.dialect.write_retry(RETRY_MS))
    viewer.when_gone = when_gone
    return viewer


def new_viewer_at_once(hub: Hub, feed: Feed, after: Position) -> Viewer | None:
    """As `new_viewer`. None if this gateway must first ask Redis whether the log has the position."""
    index = feed.index_after(after)
    if index is None:
        return None
    return Viewer(feed, max(index, feed.first_index), feed.dialect.write_retry(RETRY_MS), hub.pages.read)


async def place_viewer(hub: Hub, feed: Feed, after: Position, prologue: bytes = b"") -> Viewer:
    """A viewer of the events after a position. If the log of a run that goes on does not have that position, the viewer
    waits until it has. If it never has it, the viewer gets a `gap` notice and every event.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    if feed.index_after(after) is None and not feed.over:
        # The viewer may come from another gateway, which had read more events than this one.
        await hub.refresh(feed)
    viewer = Viewer(feed, feed.first_index, prologue, hub.pages.read)
    viewer.resume_after(after)
    if viewer.waits_for_log:
        asyncio.get_running_loop().call_later(feed.tail_patience_s, viewer.give_up_waiting)
    return viewer
