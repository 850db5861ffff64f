"""Old events are read from the log, page by page."""

import asyncio
import gc
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
from tests.lost_tail import lose_tail, write_again
from tests.redis_keys import stream_keys
from tests.viewers import until


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


async def test_a_read_that_fails_after_its_viewers_and_its_feed_have_left_is_no_unhandled_error(
    run: Run, client: Client
) -> None:
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    log = StreamLog(client, RETENTION_MS)
    feed, pages = Feed(run.stream_id, DIALECTS[NATIVE](), 100), HistoryPages(log, lambda _: None)
    await run.begin()
    await run.say("lost")
    feed.merge.request_read()
    feed.receive_page(await log.read_page(run.stream_id, feed.buffer.last), is_end=True)
    await run.say("after the page")
    await call_redis(client, "XDEL", stream_keys(run.stream_id).log, "1-2")
    viewer = asyncio.create_task(pages.read(feed, 0))
    await asyncio.sleep(0)
    viewer.cancel()
    pages.forget(feed)
    await until(lambda: feed.status is FeedStatus.LOST)
    await asyncio.wait([viewer])
    # Its frames hold the read, whose error is reported when nothing does.
    del viewer
    gc.collect()
    assert unhandled == []


class Watched:
    """A feed of a run, of which memory holds the newest `limit_bytes`, and its pages."""

    def __init__(self, run: Run, client: Client, limit_bytes: int = 100) -> None:
        self.run, self.client = run, client
        self.log = StreamLog(client, RETENTION_MS)
        self.feed = Feed(run.stream_id, DIALECTS[NATIVE](), limit_bytes)
        self.pages = HistoryPages(self.log, lambda _: None)

    async def follow(self) -> None:
        """Reads what the log has more."""
        self.feed.merge.request_read()
        self.feed.receive_page(await self.log.read_page(self.run.stream_id, self.feed.buffer.last), is_end=True)

    async def read_all(self) -> list[str]:
        """The ids that a viewer gets who reads from the start, from pages and then from memory."""
        index, body = 0, b""
        while index < self.feed.buffer.end:
            due = await self.pages.read(self.feed, index) if index < self.feed.buffer.begin else None
            due = due or self.feed.buffer.take(index)
            assert due is not None and due.end > index
            index, body = due.end, body + due.body
        return [line[4:] for line in body.decode().splitlines() if line.startswith("id: ")]


async def watch_five(run: Run, client: Client, limit_bytes: int = 100) -> Watched:
    """The log ends at 1-3, and the feed has had 1-5."""
    watched = Watched(run, client, limit_bytes)
    await run.begin()
    for at in range(4):
        await run.say(str(at))
    await watched.follow()
    await lose_tail(client, run, 3)
    return watched


async def test_events_that_a_failover_lost_are_read_when_their_worker_has_written_them_again(
    run: Run, client: Client
) -> None:
    watched = await watch_five(run, client)
    assert watched.feed.buffer.begin == 4
    reading = await begin_to_read(watched)
    assert not reading.done()
    await write_again(run, 3)
    assert await reading == ["1-1", "1-2", "1-3", "1-4", "1-5"]
    assert watched.feed.status is FeedStatus.STREAMING


async def begin_to_read(watched: Watched) -> "asyncio.Task[list[str]]":
    """A viewer who has read the short log once."""
    before = await count_reads(watched.client)
    reading = asyncio.create_task(watched.read_all())
    async with asyncio.timeout(60):
        while await count_reads(watched.client) == before:
            pass
    return reading


async def count_reads(client: Client) -> int:
    """How often logs have been read from this Redis."""
    stats = await call_redis(client, "INFO", "commandstats")
    return int(stats.get("cmdstat_xrange", {}).get("calls", 0))


async def test_events_that_only_memory_has_are_not_waited_for(run: Run, client: Client) -> None:
    watched = await watch_five(run, client, limit_bytes=350)
    assert watched.feed.buffer.begin in (2, 3)
    assert await watched.read_all() == ["1-1", "1-2", "1-3", "1-4", "1-5"]
    # The page was not whole, so it is read again when memory has less.
    await write_again(run, 3)
    watched.feed.shrink(0)
    assert await watched.read_all() == ["1-1", "1-2", "1-3", "1-4", "1-5"]
    await run.say("more")
    await watched.follow()
    assert await watched.read_all() == ["1-1", "1-2", "1-3", "1-4", "1-5", "1-6"]


async def test_a_restart_takes_lost_events_back(run: Run, client: Client) -> None:
    watched = await watch_five(run, client)
    reading = await begin_to_read(watched)
    again = await run.lose()
    await again.say("again")
    assert await reading == ["1-1", "1-2", "1-3"]
    await watched.follow()
    assert await watched.read_all() == ["1-1", "1-2", "1-3", "2-1", "2-2"]
    assert watched.feed.status is FeedStatus.WAITING


async def test_an_epoch_without_a_restart_takes_lost_events_back(run: Run, client: Client) -> None:
    """Its events are in the same page, and those after the lost ones keep their places."""
    watched = await watch_five(run, client)
    await call_redis(client, "HSET", stream_keys(run.stream_id).meta, "model", "script/one")
    again = await run.lose()
    for text in ("go", "on", "and", "on"):
        await again.say(text)
    await watched.follow()
    assert await watched.read_all() == ["1-1", "1-2", "1-3", "2-1", "2-2", "2-3", "2-4"]
    assert (await watched.pages.read(watched.feed, 6)).body.count(b"id: 2-") == 3
    assert watched.feed.status is FeedStatus.STREAMING
