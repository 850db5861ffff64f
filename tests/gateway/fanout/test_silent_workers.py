"""Viewers hear that the worker of their answer is silent, before its lease expires."""

import asyncio

from contract.connection import Client
from contract.stream_log import StreamLog
from contract.worker_registry import LIFETIME_MS, WorkerOffer, announce, leave
from gateway.dialects.registry import NATIVE
from gateway.fanout.hub import Hub, HubLimits
from gateway.fanout.local_viewers import LocalViewers, ViewerLimits
from gateway.fanout.silent_workers import SilentWorkers
from gateway.fanout.viewer import Viewer
from gateway.http.memory_budget import MemoryBudget
from tests.author import RETENTION_MS, Author, open_run
from tests.broker import Broker
from tests.viewers import until

OFFER = WorkerOffer((), "demo")


async def test_a_viewer_hears_of_a_silent_worker_until_it_or_another_one_writes(broker: Broker, client: Client) -> None:
    limits = HubLimits(buffer_bytes=1 << 20, linger_s=60.0, opening_s=3.0, watchdog_s=2.0)
    hub = Hub(broker.url, client, StreamLog(client, RETENTION_MS), limits, MemoryBudget(1 << 30))
    running = [asyncio.create_task(hub.run()), asyncio.create_task(SilentWorkers(client, hub).run())]
    async with open_run(broker.url) as run:
        await run.begin()
        # It keeps the registry, so that the silent worker stays in it however busy this machine is.
        await announce(client, "another", 10 * LIFETIME_MS, OFFER)
        await announce(client, Author.name, LIFETIME_MS, OFFER)
        feed = await hub.open(run.stream_id, NATIVE)
        viewer = Viewer(feed, 0, b"", hub.pages.read)
        LocalViewers("gateway", client, hub, ViewerLimits(0, 0)).join(viewer, lambda: None)
        await until(lambda: feed.visible_state == "streaming")
        await until(lambda: feed.visible_state == "worker_silent")
        await announce(client, Author.name, LIFETIME_MS, OFFER)
        await until(lambda: feed.visible_state == "streaming")
        await until(lambda: feed.visible_state == "worker_silent")
        # Its registration has expired, and the other worker's next announcement removes it.
        await leave(client, Author.name)
        await announce(client, "another", LIFETIME_MS, OFFER)
        await SilentWorkers(client, hub).look()
        assert feed.visible_state == "worker_silent"
        later = await run.lose()
        await until(lambda: feed.visible_state == "waiting")
        await later.begin()
        await until(lambda: feed.visible_state == "streaming")
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
