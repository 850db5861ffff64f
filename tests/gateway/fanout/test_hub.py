"""The hub drops a feed without viewers, and no other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from contract.connection import Client, call_redis
from contract.job_queue import JobQueue, Policy, Submission
from contract.position import Position
from contract.stream_id import new_stream_id
from contract.stream_log import StreamLog
from gateway.dialects.registry import NATIVE
from gateway.fanout.feed import FeedStatus
from gateway.fanout.hub import Hub, HubLimits, NoSuchStreamError
from gateway.fanout.local_viewers import LocalViewers, ViewerLimits
from gateway.fanout.viewer import Viewer
from gateway.http.memory_budget import MemoryBudget
from gateway.routes.new_viewer import place_viewer
from tests.author import RETENTION_MS, open_run
from tests.broker import Broker
from tests.redis_keys import stream_keys
from tests.viewers import until


def new_hub(
    broker: Broker, client: Client, *, linger_s: float, opening_s: float = 3.0, memory: MemoryBudget | None = None
) -> Hub:
    limits = HubLimits(buffer_bytes=1 << 20, linger_s=linger_s, opening_s=opening_s, watchdog_s=2.0)
    return Hub(broker.url, client, StreamLog(client, RETENTION_MS), limits, memory or MemoryBudget(1 << 30))


@asynccontextmanager
async def running_hub(
    broker: Broker, client: Client, *, linger_s: float, opening_s: float = 3.0, memory: MemoryBudget | None = None
) -> AsyncIterator[Hub]:
    hub = new_hub(broker, client, linger_s=linger_s, opening_s=opening_s, memory=memory)
    running = asyncio.create_task(hub.run())
    try:
        yield hub
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_viewer_gets_events_of_a_feed_that_was_dropped_while_it_connected(
    broker: Broker, client: Client
) -> None:
    async with running_hub(broker, client, linger_s=0.0) as hub, open_run(broker.url) as run:
        await run.begin()
        feed = await hub.open(run.stream_id, NATIVE)
        await until(lambda: feed not in list(hub.feeds()))
        LocalViewers("gateway", client, hub, ViewerLimits(0, 0)).join(
            Viewer(feed, 0, b"", hub.pages.read), lambda: None
        )
        await run.say("still there?")
        await until(lambda: feed.buffer.end == 2)
        await run.end()
        await until(lambda: feed.status is FeedStatus.ENDED)


async def test_a_feed_that_was_dropped_takes_nothing_from_the_memory_of_others(broker: Broker, client: Client) -> None:
    memory = MemoryBudget(1 << 30)
    async with running_hub(broker, client, linger_s=0.0, memory=memory) as hub, open_run(broker.url) as run:
        await run.begin()
        feed = await hub.open(run.stream_id, NATIVE)
        await until(lambda: feed not in list(hub.feeds()))
        assert memory.held_bytes == 0
        # A read that was under way, for example during an outage of Redis, ends after the feed was dropped.
        await run.say("late")
        await run.end()
        await hub.refresh(feed)
        await until(lambda: feed.status is FeedStatus.ENDED)
        assert memory.held_bytes == 0
        # So does the way of a viewer to its place.
        viewers = LocalViewers("gateway", client, hub, ViewerLimits(0, 0))
        viewer = Viewer(feed, 0, b"", hub.pages.read)
        viewers.join(viewer, lambda: None)
        viewers.leave(viewer)
        assert memory.held_bytes == 0


async def test_a_record_of_a_server_that_is_the_primary_no_more_does_not_end_a_stream(
    broker: Broker, client: Client
) -> None:
    async with running_hub(broker, client, linger_s=5.0) as hub, open_run(broker.url) as run:
        await run.begin()
        meta = stream_keys(run.stream_id).meta
        last = await call_redis(client, "HGET", meta, "last")
        await call_redis(client, "HSET", meta, "last", "1-9")
        opening = asyncio.create_task(hub.open(run.stream_id, NATIVE))
        await until(lambda: any(feed.buffer.end == 1 for feed in hub.feeds()))
        await call_redis(client, "HSET", meta, "last", last.decode())
        feed = await opening
        await run.say("all of it")
        await run.end()
        await until(lambda: feed.over)
        assert feed.status is FeedStatus.ENDED


async def test_a_log_without_its_last_event_is_shown_as_far_as_it_goes_and_then_lost(
    broker: Broker, client: Client
) -> None:
    async with running_hub(broker, client, linger_s=0.0) as hub, open_run(broker.url) as run:
        await run.begin()
        await run.say("kept")
        await run.end()
        await call_redis(client, "XDEL", stream_keys(run.stream_id).log, "1-3")
        feed = await hub.open(run.stream_id, NATIVE)
        await until(lambda: feed.status is FeedStatus.LOST)
        assert feed.buffer.last == Position(1, 2)


async def test_a_viewer_ahead_of_the_log_waits_as_long_as_the_lease_of_its_worker(
    broker: Broker, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.fanout.feed.TAIL_PATIENCE_S", 0.05)
    monkeypatch.setattr("gateway.fanout.feed.TAKE_OVER_S", 0.05)
    async with (
        running_hub(broker, client, linger_s=60.0, opening_s=30.0) as hub,
        open_run(broker.url) as long,
        open_run(broker.url) as short,
    ):
        await call_redis(client, "HSET", stream_keys(long.stream_id).meta, "lease_ms", 60_000)
        viewers = []
        for run in (long, short):
            await run.begin()
            viewers.append(await place_viewer(hub, await hub.open(run.stream_id, NATIVE), Position(1, 2)))
        patient, other = viewers
        assert patient.waits_for_log
        await until(lambda: not other.waits_for_log)
        assert patient.waits_for_log
        await long.say("written again")
        await until(lambda: patient.feed.buffer.end == 2)
        assert patient.take() is None
        assert not patient.waits_for_log
        for run in (long, short):
            await run.end()


async def test_viewers_who_come_together_read_the_record_once(broker: Broker, client: Client) -> None:
    async with running_hub(broker, client, linger_s=60.0, opening_s=30.0) as hub, open_run(broker.url) as run:
        await run.begin()
        before = await count_reads(client)
        feeds = await asyncio.gather(*(hub.open(run.stream_id, NATIVE) for _ in range(50)))
        # One for the viewers, and one before the log is read. A gateway of another test may read some, too.
        assert await count_reads(client) - before < 20
        assert len(set(feeds)) == 1
        await run.end()


async def test_viewers_who_come_together_to_a_stream_that_does_not_exist_hear_so(
    broker: Broker, client: Client
) -> None:
    hub = new_hub(broker, client, linger_s=60.0, opening_s=30.0)
    opened = await asyncio.gather(*(hub.open("s_" + "n" * 22, NATIVE) for _ in range(5)), return_exceptions=True)
    assert [type(error) for error in opened] == [NoSuchStreamError] * 5


async def count_reads(client: Client) -> int:
    """How often records of runs have been read from this Redis."""
    stats = await call_redis(client, "INFO", "commandstats")
    return int(stats.get("cmdstat_hmget", {}).get("calls", 0))


async def test_a_feed_that_was_opened_before_a_worker_had_its_run_learns_the_lease(
    broker: Broker, client: Client
) -> None:
    queue, stream_id = JobQueue(client, RETENTION_MS), new_stream_id(private=False)
    await queue.submit(Submission(stream_id, b"{}", "demo", Policy(), ""), 1000)
    async with running_hub(broker, client, linger_s=60.0) as hub:
        feed = await hub.open(stream_id, NATIVE)
        before = feed.tail_patience_s
        await queue.open()
        jobs = (await queue.take_now("worker", {0: 1000}))[0]
        (job,) = [job for job in jobs if job.stream_id == stream_id]
        await queue.claim(job, "worker", 1, 1, lease_ms=3_600_000)
        await until(lambda: feed.tail_patience_s > before + 3000)
        assert feed.visible_state == "waiting"
