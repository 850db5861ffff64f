"""A real cluster of three primaries: each call reaches the node of its key, also while slots and nodes move."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from contract.cluster_slots import slot_of
from contract.connection import Client, blocking_client, call_redis, call_server, command_client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.redis_server import Place
from contract.scripts import Call, run_call, run_calls
from contract.stream_log import Batch
from contract.subscription import Subscription
from contract.topology import address_text
from manycast.chaos.redis_cluster import RedisCluster
from manycast.chaos.redis_node import RedisNode
from tests.broker import Broker
from tests.contract.store import Store, chunk_lines
from tests.contract.test_subscription import RecordingListener, subscribed
from tests.contract.topology import DEADLINE_S, announce_call, repeating, until, until_answered, until_available
from tests.topologies import redis_cluster

TAGS = [f"p{number:02d}" for number in range(64)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with redis_cluster(password="p@ss/word") as cluster:
        yield cluster


@pytest.fixture
async def url(cluster: RedisCluster) -> str:
    await asyncio.to_thread(cluster.wait_until_well)
    return cluster.url.replace("p@ss/word", "p%40ss%2Fword")


@pytest.fixture
async def routed(url: str) -> AsyncIterator[Client]:
    client = command_client(url)
    yield client
    await client.aclose()


def test_our_slots_are_those_of_redis(cluster: RedisCluster) -> None:
    for key in ("", "a", "mc:{p07}:jobs", "{}x", "a{b}c{d}", "{}{p01}", "a{", "ü{ö}", "}{x}"):
        assert slot_of(key) == cluster.slot_of(key), key


async def test_calls_of_all_slots_come_back_in_order(routed: Client) -> None:
    calls = [announce_call(f"order-{tag}", f"w{turn}") for turn in range(3) for tag in TAGS]
    # The script returns how many there are.
    assert await run_calls(routed, calls) == [turn for turn in (1, 2, 3) for _ in TAGS]
    reads = [await call_redis(routed, "ZCARD", call.keys[0]) for call in calls[: len(TAGS)]]
    assert reads == [3] * len(TAGS)
    assert len(await routed.places()) == 3


async def test_each_node_loads_the_scripts_that_it_lacks(routed: Client) -> None:
    await run_calls(routed, [announce_call(tag) for tag in TAGS])
    for place in await routed.places():
        await call_server(routed.server_at(place), "SCRIPT", "FLUSH")
    assert await run_calls(routed, [announce_call(tag) for tag in TAGS]) == [1] * len(TAGS)


async def test_a_refused_call_harms_no_other(routed: Client) -> None:
    await call_redis(routed, "SET", "test:{p01}:text", "x")
    wrong = Call("announce", ("test:{p01}:text", "test:{p01}:offers"), ("w", 1, "{}"))
    replies = await run_calls(routed, [announce_call("p01"), wrong, announce_call("p02")])
    assert replies[::2] == [1, 1]
    assert isinstance(replies[1], BrokerRefusedError)


async def test_a_command_of_each_form_reaches_its_key(routed: Client) -> None:
    for tag in TAGS[:8]:
        jobs = f"test:{{{tag}}}:jobs"
        await call_redis(routed, "XGROUP", "CREATE", jobs, "workers", "0", "MKSTREAM")
        entry = await call_redis(routed, "XADD", jobs, "*", "id", tag)
        read = ("XREADGROUP", "GROUP", "workers", "w", "COUNT", 1, "BLOCK", 10, "STREAMS", jobs, ">")
        assert await call_redis(routed, *read, block_ms=10) == [[jobs.encode(), [(entry, {b"id": tag.encode()})]]]
        assert await call_redis(routed, "XRANGE", jobs, "-", "+") == [(entry, {b"id": tag.encode()})]
        assert await call_redis(routed, "MEMORY", "USAGE", jobs)
    assert await call_redis(routed, "PING")


async def test_a_slot_that_moves_under_load_stops_no_call(cluster: RedisCluster, routed: Client) -> None:
    call = announce_call("p05")
    slot = slot_of(call.keys[0])

    async def step() -> object:
        await until_answered(routed, call)
        return await call_redis(routed, "ZCARD", call.keys[0])

    async with repeating(step) as results:
        for _ in range(2):
            owner = await asyncio.to_thread(cluster.owner_of, slot)
            target = next(node for node in await asyncio.to_thread(cluster.primaries) if node is not owner)
            seen = len(results)
            await until(lambda seen=seen: len(results) > seen)  # type: ignore[misc]
            await asyncio.to_thread(cluster.move_slot, slot, target)
            seen = len(results)
            await until(lambda seen=seen: len(results) > seen + 5)  # type: ignore[misc]
    assert set(results) == {1}


async def test_a_slot_in_two_halves_is_read_and_written(cluster: RedisCluster, routed: Client) -> None:
    """Keys that have moved are found by ASK. A call with keys on both sides waits until they are together."""
    keys = [f"test:{{p06}}:{number}" for number in range(20)]
    for key in keys:
        await call_redis(routed, "SET", key, key)
    slot = slot_of(keys[0])
    owner = await asyncio.to_thread(cluster.owner_of, slot)
    target = next(node for node in await asyncio.to_thread(cluster.primaries) if node is not owner)
    source = await asyncio.to_thread(cluster.begin_move, slot, target)
    await asyncio.to_thread(cluster.move_keys, slot, source, target, 10)
    assert [await call_redis(routed, "GET", key) for key in keys] == [key.encode() for key in keys]
    # Neither of its keys is there yet: the target runs it, and has to learn the script.
    assert await run_call(routed, announce_call("p06")) == 1
    both_sides = [await first_held(source, keys), await first_held(target, keys)]
    with pytest.raises(BrokerUnavailableError, match="Multiple keys"):
        await call_redis(routed, "DEL", *both_sides)
    await asyncio.to_thread(cluster.move_keys, slot, source, target)
    await asyncio.to_thread(cluster.end_move, slot, target)
    assert await call_redis(routed, "DEL", *both_sides) == 2


async def first_held(node: RedisNode, keys: list[str]) -> str:
    """The first of the keys that this node has."""
    held = await asyncio.to_thread(node.call, "CLUSTER", "GETKEYSINSLOT", slot_of(keys[0]), 100)
    return next(key for key in keys if key.encode() in held)


async def test_a_planned_failover_stops_no_call(cluster: RedisCluster, routed: Client) -> None:
    call = announce_call("p08")
    async with repeating(lambda: until_answered(routed, call)) as results:
        primary = await asyncio.to_thread(cluster.owner_of, slot_of(call.keys[0]))
        await asyncio.to_thread(cluster.fail_over, await asyncio.to_thread(cluster.replica_of, primary))
        seen = len(results)
        await until(lambda: len(results) > seen + 5)
    assert set(results) == {1}


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_when_a_primary_is_lost_the_others_go_on_and_its_replica_takes_over(
    cluster: RedisCluster, routed: Client, how: str
) -> None:
    calls = [announce_call(tag) for tag in TAGS]
    await run_calls(routed, calls)
    lost = await asyncio.to_thread(cluster.owner_of, slot_of(calls[0].keys[0]))
    getattr(lost, how)()
    try:
        replies = await run_calls(routed, calls)
        places = [routed.routes.find(call.keys[0]) for call in calls]
        for place, reply in zip(places, replies, strict=True):
            assert isinstance(place, Place)
            assert reply == 1 or (isinstance(reply, BrokerUnavailableError) and address_text(place.url) == lost.address)
        await asyncio.to_thread(cluster.wait_for_takeover, lost)
        for call in calls:
            assert await until_answered(routed, call) == 1
        assert await run_calls(routed, calls) == [1] * len(calls)
    finally:
        lost.start() if how == "kill" else lost.resume()
        await asyncio.to_thread(cluster.wait_until_well)


async def test_without_any_node_every_call_says_so() -> None:
    client = command_client("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:[12]"):
        await run_call(client, announce_call("p01"))
    with pytest.raises(BrokerUnavailableError):
        await call_redis(client, "PING")
    await client.aclose()


async def test_a_single_server_is_no_cluster(broker: Broker) -> None:
    client = command_client(broker.url.replace("redis://", "redis+cluster://").removesuffix("/0"))
    with pytest.raises((BrokerUnavailableError, BrokerRefusedError), match="cluster support disabled"):
        await call_redis(client, "GET", "x")
    await client.aclose()


async def test_a_node_of_a_cluster_is_no_single_server(cluster: RedisCluster) -> None:
    client = command_client(f"redis://:p%40ss%2Fword@{cluster.nodes[0].address}/0")
    with pytest.raises(BrokerUnavailableError, match=r"redis\+cluster://"):
        for tag in TAGS:
            await run_call(client, announce_call(tag))
    await client.aclose()


async def shard_listeners(cluster: RedisCluster, channel: str) -> int:
    """How many subscribers the channel's node has."""
    node = await asyncio.to_thread(cluster.owner_of, slot_of(channel))
    return int((await asyncio.to_thread(node.call, "PUBSUB", "SHARDNUMSUB", channel))[1])


async def test_channels_are_heard_wherever_their_slots_are(cluster: RedisCluster, routed: Client, url: str) -> None:
    channels = [f"test:{{{tag}}}:live" for tag in TAGS]
    async with subscribed(url, "test:control", *channels) as (kept, listener):
        for channel in channels:
            await call_redis(routed, "SPUBLISH", channel, "x")
        await call_redis(routed, "PUBLISH", "test:control", "x")
        await listener.until(lambda: listener.count("payload") == len(channels) + 1)
        kept.unwant(channels[0])
        async with asyncio.timeout(DEADLINE_S):
            while await shard_listeners(cluster, channels[0]):
                pass
        assert listener.count("down") == 0


@pytest.mark.parametrize("what", ["move", "failover", "kill", "freeze"])
async def test_a_subscription_follows_its_channels(cluster: RedisCluster, routed: Client, url: str, what: str) -> None:
    channels = [f"test:{{{tag}}}:live" for tag in TAGS]
    slot = slot_of(channels[0])
    async with subscribed(url, *channels, watchdog_s=0.5) as (_, listener):
        owner = await asyncio.to_thread(cluster.owner_of, slot)
        hit = [channels[0]]
        if what == "move":
            target = next(node for node in await asyncio.to_thread(cluster.primaries) if node is not owner)
            await asyncio.to_thread(cluster.move_slot, slot, target)
        else:
            hit = [one for one in channels if await asyncio.to_thread(cluster.owner_of, slot_of(one)) is owner]
            if what == "failover":
                await asyncio.to_thread(cluster.fail_over, await asyncio.to_thread(cluster.replica_of, owner))
            else:
                getattr(owner, what)()
                await asyncio.to_thread(cluster.wait_for_takeover, owner)
        try:
            for channel in hit:
                await listener.until(lambda channel=channel: listener.told.count(("confirmed", channel)) >= 2)  # type: ignore[misc]
            for channel in channels:
                await until_available(routed, "SPUBLISH", channel, "again")
                await listener.until(lambda channel=channel: ("payload", f"{channel} again") in listener.told)  # type: ignore[misc]
            untouched = [channel for channel in channels if channel not in hit]
            assert all(listener.told.count(("confirmed", channel)) == 1 for channel in untouched)
        finally:
            if what == "kill":
                owner.start()
            elif what == "freeze":
                owner.resume()


@pytest.mark.parametrize("round_", range(3))
async def test_a_demoted_node_is_left_although_others_still_call_it_the_primary(
    cluster: RedisCluster, url: str, round_: int
) -> None:
    """It accepts subscriptions as a replica, and the new primary may not send it what is published. A subscription that
    asks any node asks the right one now and then, so this runs three times."""
    first, other = "test:{p00}:live", f"test:{{p00}}:{round_}:live"
    slot = slot_of(first)
    owner = await asyncio.to_thread(cluster.owner_of, slot)
    replica = await asyncio.to_thread(cluster.replica_of, owner)
    late = [node for node in await asyncio.to_thread(cluster.primaries) if node is not owner]
    owner_id = await asyncio.to_thread(owner.call, "CLUSTER", "MYID")
    credentials = url.partition("@")[0]
    async with subscribed(f"{credentials}@{','.join(node.address for node in late)}", first, other) as (_, listener):
        for node in late:
            # A node that awaits the keys of a slot takes no news of its primary.
            await asyncio.to_thread(node.call, "CLUSTER", "SETSLOT", slot, "IMPORTING", owner_id)
        try:
            await asyncio.to_thread(cluster.fail_over, replica)
            for channel in (first, other):
                async with asyncio.timeout(DEADLINE_S):
                    while not (await asyncio.to_thread(replica.call, "PUBSUB", "SHARDNUMSUB", channel))[1]:
                        pass
                await listener.until(lambda channel=channel: listener.told.count(("confirmed", channel)) >= 2)  # type: ignore[misc]
        finally:
            for node in late:
                await asyncio.to_thread(node.call, "CLUSTER", "SETSLOT", slot, "STABLE")


async def test_a_channel_wanted_while_no_node_answers_is_confirmed_later(cluster: RedisCluster, url: str) -> None:
    for node in cluster.nodes:
        node.freeze()
    listener = RecordingListener()
    kept = Subscription(url, listener, 60.0)
    kept.want("test:{p01}:live")
    running = asyncio.create_task(kept.run())
    try:
        await listener.until(lambda: listener.count("down") >= 1)
    finally:
        for node in cluster.nodes:
            node.resume()
    await listener.until(lambda: ("confirmed", "test:{p01}:live") in listener.told)
    running.cancel()
    await asyncio.wait([running])


async def test_viewers_hear_what_scripts_publish_on_the_node_of_their_stream(routed: Client, url: str) -> None:
    blocking = blocking_client(url)
    store = await Store.on(url, routed, blocking)
    stream_id = await store.submit()
    keys = routed.key_space.stream(stream_id)
    async with subscribed(url, keys.live, routed.key_space.control) as (_, listener):
        (job,) = await store.take("w1")
        claim = await store.claim(job, "w1")
        assert await store.write(Batch(stream_id, claim.epoch, 1, chunk_lines("a"))) == ("ok", 1)
        await listener.until(lambda: ("payload", f'{keys.live} 0-0\n1-1 chunk {{"text":"a"}}') in listener.told)
        assert await store.queue.cancel(stream_id) == "cancelling"
        await listener.until(lambda: listener.told[-1] == ("payload", f"{routed.key_space.control} cancel {stream_id}"))
    await blocking.aclose()
