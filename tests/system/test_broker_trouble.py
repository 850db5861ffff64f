"""Redis is cut off, frozen, restarted or emptied under a gateway: viewers stay, and see all of it or the truth."""

import asyncio
import json
import signal
from collections.abc import Iterator

import httpx2
import pytest

from contract.connection import call_redis, command_client
from contract.event import Kind
from tests.author import Run, open_run
from tests.broker import Broker
from tests.stack import Gateway, closing_all
from tests.viewers import Response, read_events, until


@pytest.fixture
def gateways(fragile_broker: Broker) -> Iterator[list[Gateway]]:
    settings = {"MANYCAST_WATCHDOG_S": "0.3", "MANYCAST_PING_INTERVAL_S": "0.5", "MANYCAST_OPENING_TIMEOUT_S": "0.5"}
    gateways = [Gateway(fragile_broker.url, **settings) for _ in range(2)]
    with closing_all(*gateways):
        yield gateways


class TwoViewers:
    """Two viewers, one at each gateway, that must receive the same whole stream."""

    def __init__(self, http: httpx2.AsyncClient, gateways: list[Gateway], stream_id: str) -> None:
        self.urls = [f"{gateway.url}/v1/streams/{stream_id}/events" for gateway in gateways]
        self.seen = [Response() for _ in self.urls]
        self._tasks = [
            asyncio.create_task(read_events(http, url, response=response))
            for url, response in zip(self.urls, self.seen, strict=True)
        ]

    async def until_all_have(self, events: int) -> None:
        await until(lambda: all(len(response.logged) >= events for response in self.seen))

    async def until_all_are_told(self, state: str) -> None:
        await until(lambda: all(response.states[-1:] == [state] for response in self.seen))

    async def end(self) -> None:
        await asyncio.gather(*self._tasks)


def check_whole(viewers: TwoViewers, run: Run) -> None:
    whole = [line.partition(b" ")[2].decode() for line in run.lines]
    for response in viewers.seen:
        assert [frame.id for frame in response.logged] == [f"1-{seq}" for seq in range(1, len(whole) + 1)]
        assert [frame.data for frame in response.logged] == whole


async def test_a_subscription_that_is_cut_misses_nothing(
    http: httpx2.AsyncClient, fragile_broker: Broker, gateways: list[Gateway]
) -> None:
    async with open_run(fragile_broker.url) as run:
        await run.begin()
        viewers = TwoViewers(http, gateways, run.stream_id)
        await viewers.until_all_have(1)
        for round_ in range(10):
            # What is said between the cut and the next subscription is published to nobody.
            fragile_broker.cut_subscriptions()
            for at in range(5):
                await run.say(f"{round_}.{at} ")
            await viewers.until_all_have(1 + (round_ + 1) * 5)
        await run.end()
        await viewers.end()
        check_whole(viewers, run)


async def test_events_published_during_a_cut_arrive_without_a_later_event(
    http: httpx2.AsyncClient, fragile_broker: Broker
) -> None:
    # No look at the log now and then, which would find it too, but late.
    gateway = Gateway(fragile_broker.url, MANYCAST_PING_INTERVAL_S="3600")
    with closing_all(gateway):
        async with open_run(fragile_broker.url) as run:
            await run.begin()
            viewers = TwoViewers(http, [gateway], run.stream_id)
            await viewers.until_all_have(1)
            for at in range(10):
                fragile_broker.cut_subscriptions()
                await run.say(f"{at} ")
                await viewers.until_all_have(2 + at)
            await run.end()
            await viewers.end()
            check_whole(viewers, run)


async def test_a_frozen_broker_is_noticed_and_costs_no_event(
    http: httpx2.AsyncClient, fragile_broker: Broker, gateways: list[Gateway]
) -> None:
    async with open_run(fragile_broker.url) as run:
        await run.begin()
        viewers = TwoViewers(http, gateways, run.stream_id)
        await viewers.until_all_have(1)
        with fragile_broker.frozen():
            await viewers.until_all_are_told("broker_unavailable")
            newcomer = await read_events(http, viewers.urls[0].replace(run.stream_id, "x" * 22))
            assert (newcomer.status, newcomer.frames) == (200, [])
            assert newcomer.retry_ms is not None
        await viewers.until_all_are_told("streaming")
        await run.say("after")
        await run.end()
        await viewers.end()
        check_whole(viewers, run)


async def test_a_viewer_ahead_of_its_gateway_reconnects_while_the_log_cannot_be_read(
    http: httpx2.AsyncClient, fragile_broker: Broker, gateways: list[Gateway]
) -> None:
    async with open_run(fragile_broker.url) as run:
        await run.begin()
        viewers = TwoViewers(http, gateways, run.stream_id)
        await viewers.until_all_have(1)
        with fragile_broker.frozen():
            newcomer = await read_events(http, viewers.urls[0], after="1-2")
        assert (newcomer.status, newcomer.frames) == (200, [])
        assert newcomer.retry_ms is not None
        await run.end()
        await viewers.end()


async def test_a_broker_that_is_killed_and_restarted_with_its_data_loses_no_viewer(
    http: httpx2.AsyncClient, fragile_broker: Broker, gateways: list[Gateway]
) -> None:
    async with open_run(fragile_broker.url) as run:
        await run.begin()
        await run.say("before")
        viewers = TwoViewers(http, gateways, run.stream_id)
        await viewers.until_all_have(2)
        fragile_broker.stop()
        await viewers.until_all_are_told("broker_unavailable")
        refused = await http.post(f"{gateways[0].url}/v1/streams", json={"messages": [{"role": "user"}]})
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "broker_unavailable"
        assert int(refused.headers["retry-after"]) > 0
        fragile_broker.start()
        await viewers.until_all_are_told("streaming")
        await run.say("after")
        await run.end()
        await viewers.end()
        check_whole(viewers, run)


@pytest.mark.parametrize("how", ["restarted empty", "flushed"])
async def test_a_broker_that_lost_its_data_ends_the_stream_as_lost(
    http: httpx2.AsyncClient, fragile_broker: Broker, gateways: list[Gateway], how: str
) -> None:
    async with open_run(fragile_broker.url) as run:
        await run.begin()
        await run.say("before")
        viewers = TwoViewers(http, gateways, run.stream_id)
        await viewers.until_all_have(2)
        if how == "restarted empty":
            fragile_broker.stop()
            fragile_broker.wipe()
            fragile_broker.start()
        else:
            fragile_broker.empty()
        await viewers.end()
        for response in viewers.seen:
            assert response.frames[-1].event == Kind.DONE
            assert response.frames[-1].id is None
            assert json.loads(response.frames[-1].data)["error"]["code"] == "stream_lost"
        assert (await read_events(http, viewers.urls[0], after="1-2")).status == 404


async def test_a_gateway_that_is_killed_is_no_longer_counted(
    http: httpx2.AsyncClient, fragile_broker: Broker, gateways: list[Gateway]
) -> None:
    async with open_run(fragile_broker.url) as run:
        await run.begin()
        viewers = TwoViewers(http, gateways, run.stream_id)

        def told() -> list[str]:
            return [frame.data for frame in viewers.seen[0].frames if frame.event == "viewers"][-1:]

        await until(lambda: told() == ['{"viewers":2}'])
        gateways[1].signal(signal.SIGKILL)
        await until(lambda: told() == ['{"viewers":1}'])
        await run.end()
        with pytest.raises(httpx2.RemoteProtocolError):
            await viewers.end()


async def test_a_finished_stream_expires_and_is_then_404(http: httpx2.AsyncClient, fragile_broker: Broker) -> None:
    client = command_client(fragile_broker.url)
    with closing_all(gateway := Gateway(fragile_broker.url, MANYCAST_LINGER_S="0")):
        async with open_run(fragile_broker.url) as run:
            await run.begin()
            await run.end()
        url = f"{gateway.url}/v1/streams/{run.stream_id}"
        assert (await read_events(http, f"{url}/events")).done["status"] == "completed"
        (keys,) = [keys for keys in fragile_broker.call_each("KEYS", "mc:*_*") if keys]
        assert all([await call_redis(client, "PTTL", key) > 0 for key in keys])
        for key in keys:
            await call_redis(client, "PEXPIRE", key, 1)
        async with asyncio.timeout(5):
            while (await http.get(url)).status_code != 404:
                await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            while (await read_events(http, f"{url}/events")).status != 404:
                await asyncio.sleep(0.01)
    await client.aclose()
