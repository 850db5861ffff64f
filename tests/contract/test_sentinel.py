"""A real Sentinel group: calls and subscriptions go to its primary, whichever node that is."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest

from contract.connection import Client, call_redis, command_client
from contract.errors import BrokerUnavailableError
from contract.scripts import run_call
from manycast.chaos.sentinel_group import SentinelGroup
from tests.contract.test_subscription import subscribed
from tests.contract.test_useless_connections import firewall_before
from tests.contract.topology import announce_call, repeating, until, until_answered
from tests.topologies import sentinel_group

PASSWORDS = "?sentinel_password=s%40t"


@pytest.fixture(scope="module")
def group() -> Iterator[SentinelGroup]:
    with sentinel_group(password="d@t", sentinel_password="s@t") as group:
        yield group


@pytest.fixture
async def url(group: SentinelGroup) -> str:
    await asyncio.to_thread(group.wait_until_well)
    return group.url.replace("d@t", "d%40t") + PASSWORDS


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    client = command_client(url)
    yield client
    await client.aclose()


async def test_a_failover_stops_no_call_and_no_subscription(group: SentinelGroup, url: str, client: Client) -> None:
    call = announce_call("a")
    async with subscribed(url, "a") as (_, listener):
        async with repeating(lambda: until_answered(client, call)) as results:
            await asyncio.to_thread(group.fail_over)
            seen = len(results)
            await until(lambda: len(results) > seen + 5)
        assert set(results) == {1}
        await listener.until(lambda: listener.count("confirmed") >= 2)
        await call_redis(client, "PUBLISH", "a", "x")
        await listener.until(lambda: listener.told[-1] == ("payload", "a x"))


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_a_lost_primary_is_left_for_the_new_one(group: SentinelGroup, url: str, client: Client, how: str) -> None:
    call = announce_call("b")
    # More connections than one are open to the lost primary.
    await asyncio.gather(*(run_call(client, call) for _ in range(8)))
    async with subscribed(url, "b", watchdog_s=0.5) as (_, listener):
        lost = await asyncio.to_thread(group.primary)
        getattr(lost, how)()
        try:
            await asyncio.to_thread(group.wait_for_takeover, lost)
            assert await until_answered(client, call) == 1
            await listener.until(lambda: listener.count("confirmed") >= 2)
        finally:
            lost.start() if how == "kill" else lost.resume()
            await asyncio.to_thread(group.wait_until_well)


async def test_a_primary_that_became_a_replica_unnoticed_is_left(group: SentinelGroup, client: Client) -> None:
    """Nothing closes the connections to it, and reads go on to work."""
    call = announce_call("c")
    await run_call(client, call)
    blocked = asyncio.create_task(call_redis(client, "BLPOP", "test:nothing", 30, block_ms=30_000))
    old, new = await asyncio.to_thread(group.primary), await asyncio.to_thread(group.replica)
    new.call("REPLICAOF", "NO", "ONE")
    old.call("REPLICAOF", "127.0.0.1", new.port)
    with pytest.raises(BrokerUnavailableError):
        await blocked
    assert await until_answered(client, call) == 1


async def test_sentinels_that_are_down_or_frozen_are_passed_over(group: SentinelGroup, url: str) -> None:
    group.sentinels[0].kill()
    group.sentinels[1].freeze()
    client = command_client(url)
    try:
        assert await until_answered(client, announce_call("d")) == 1
    finally:
        group.sentinels[0].start()
        group.sentinels[1].resume()
        await client.aclose()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda url: url.replace("/mymaster/", "/nosuch/"), "knows no group 'nosuch'"),
        (lambda url: url.removesuffix(PASSWORDS), "NOAUTH|Authentication|authenticate"),
        (lambda _: "redis+sentinel://127.0.0.1:1,127.0.0.1:2/mymaster", "127.0.0.1:2"),
    ],
)
async def test_a_primary_that_nobody_names_is_unavailable(url: str, change: object, reason: str) -> None:
    assert callable(change)
    client = command_client(change(url))
    with pytest.raises(BrokerUnavailableError, match=reason):
        await run_call(client, announce_call("e"))
    await client.aclose()


async def test_many_connections_at_once_ask_the_sentinels_once(group: SentinelGroup, url: str) -> None:
    """After a failover a busy process makes all of its connections anew."""
    async with firewall_before(f"redis://{group.sentinels[0].address}") as (firewall, address):
        client = command_client(url.replace(group.sentinel_addresses, urlsplit(address).netloc))
        await asyncio.gather(*(run_call(client, announce_call("f")) for _ in range(30)))
        assert firewall.connections < 10
        await client.aclose()
