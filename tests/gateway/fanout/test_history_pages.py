"""Old events are read from the log, page by page."""

from collections.abc import AsyncIterator

import pytest

from contract.connection import Client, call_redis
from contract.event import MalformedEventError
from contract.stream_log import StreamLog
from gateway.dialects.registry import DIALECTS, NATIVE
from gateway.fanout.feed import Feed, FeedStatus
from gateway.fanout.history_pages import HistoryPages
from tests.author import RETENTION_MS, Run, open_run
from tests.broker import Broker
from tests.redis_keys import stream_keys


@pytest.fixture
async def run(broker: Broker) -> AsyncIterator[Run]:
    async with open_run(broker.url) as run:
        yield run


async def test_a_page_that_has_grown_is_read_again(run: Run, client: Client) -> None:
    log = StreamLog(client, RETENTION_MS)
    feed, pages = Feed(run.stream_id, DIALECTS[NATIVE](), 100), HistoryPages(log, lambda _: None)

    async def say(count: int) -> None:
        for at in range(count):
            await run.say(str(at))
        feed.merge.request_read()
        feed.receive_page(await log.read_page(run.stream_id, feed.buffer.last), is_end=True)

    await run.begin()
    await say(4)
    assert (await pages.read(feed, 0)).end == 5
    await say(4)
    rest = await pages.read(feed, 5)
    assert rest.end == 9
    assert rest.body.count(b"event: chunk") == 4


@pytest.mark.parametrize("position", ["1-1", "1-3", "1-5"])
async def test_a_page_of_which_redis_lost_an_event_is_an_error(run: Run, client: Client, position: str) -> None:
    """Redis then gives the same number of events: those that follow the page."""
    log = StreamLog(client, RETENTION_MS)
    feed, pages = Feed(run.stream_id, DIALECTS[NATIVE](), 100), HistoryPages(log, lambda _: None)
    await run.begin()
    for at in range(4):
        await run.say(str(at))
    feed.merge.request_read()
    feed.receive_page(await log.read_page(run.stream_id, feed.buffer.last), is_end=True)
    await run.say("after the page")
    await call_redis(client, "XDEL", stream_keys(run.stream_id).log, position)
    with pytest.raises(MalformedEventError):
        await pages.read(feed, 0)
    assert feed.status is FeedStatus.LOST
