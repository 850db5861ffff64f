"""A primary that was frozen and replaced wakes up, and runs what waited in its connections: nobody may believe it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contract.cluster_slots import slot_of
from contract.connection import Client, call_redis, command_client
from contract.errors import BrokerUnavailableError
from contract.event import Status
from contract.scripts import run_call
from contract.stream_log import Batch, Ending
from manycast.chaos.redis_cluster import RedisCluster
from manycast.chaos.redis_node import RedisNode
from manycast.chaos.sentinel_group import MASTER_NAME, SentinelGroup
from tests.contract.store import Store, done_line
from tests.contract.topology import announce_call, repeat, until, until_answered
from tests.topologies import redis_cluster, sentinel_group

TAG = "p07"
KEY = announce_call(TAG).keys[0]

Group = SentinelGroup | RedisCluster


@pytest.fixture(scope="module", params=["sentinel", "cluster"])
def group(request: pytest.FixtureRequest) -> Iterator[Group]:
    # Without `min_replicas`, a primary that wakes up accepts all writes until it is told.
    running = sentinel_group(min_replicas=1) if request.param == "sentinel" else redis_cluster(min_replicas=1)
    with running as group:
        yield group


@pytest.fixture
async def client(group: Group) -> AsyncIterator[Client]:
    await asyncio.to_thread(group.wait_until_well)
    client = command_client(group.url)
    yield client
    await client.aclose()


def primary_of(group: Group, key: str = KEY) -> RedisNode:
    return group.primary() if isinstance(group, SentinelGroup) else group.owner_of(slot_of(key))


@contextlib.asynccontextmanager
async def replaced_while_frozen(group: Group) -> AsyncIterator[RedisNode]:
    """Freezes the primary. When the block ends, another node has its place, and it wakes up."""
    primary = await asyncio.to_thread(primary_of, group)
    primary.freeze()
    try:
        yield primary
        await asyncio.to_thread(group.wait_for_takeover, primary)
    finally:
        primary.resume()


def unread_bytes(node: RedisNode) -> int:
    """What this process has sent to the node, and the node has not read."""
    own = {str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # Columns: 1 own address, 2 the other end's, 4 the bytes to send and to read, 9 the name of the socket.
    ports = {line[1] for line in lines if f"socket:[{line[9]}]" in own}
    return sum(
        int(line[4].partition(":")[2], 16)
        for line in lines
        if line[2] in ports and int(line[1].partition(":")[2], 16) == node.port
    )


def replica_of(group: Group, primary: RedisNode) -> RedisNode:
    return group.replica() if isinstance(group, SentinelGroup) else group.replica_of(primary)


def promote(group: Group, replica: RedisNode) -> None:
    """Puts a replica in the place of its primary without waiting for what it lacks."""
    if isinstance(group, SentinelGroup):
        group.sentinels[0].call("SENTINEL", "FAILOVER", MASTER_NAME)
    else:
        replica.call("CLUSTER", "FAILOVER", "TAKEOVER")


async def workers(client: Client) -> list[bytes]:
    while True:
        with contextlib.suppress(BrokerUnavailableError):
            return list(await call_redis(client, "ZRANGE", KEY, 0, -1))


async def test_a_write_that_waited_in_a_frozen_primary_counts_only_if_its_successor_has_it(
    group: Group, client: Client
) -> None:
    await until_answered(client, announce_call(TAG, "before"))
    async with replaced_while_frozen(group):
        waiting = asyncio.create_task(run_call(client, announce_call(TAG, "waited")))
    with contextlib.suppress(BrokerUnavailableError):
        await waiting
        await asyncio.to_thread(group.wait_until_well)
        assert b"waited" in await workers(client)


async def test_a_write_just_before_a_replaced_primary_wakes_up_is_not_lost(group: Group, client: Client) -> None:
    """Its connection was silent during the freeze, so no call has noticed it."""
    await until_answered(client, announce_call(TAG, "before"))
    async with replaced_while_frozen(group) as primary:
        await asyncio.to_thread(group.wait_for_takeover, primary)
        sent = unread_bytes(primary)
        writing = asyncio.create_task(until_answered(client, announce_call(TAG, "sudden")))
        await until(lambda: unread_bytes(primary) > sent)
    await writing
    await asyncio.to_thread(group.wait_until_well)
    assert b"sudden" in await workers(client)


async def test_a_read_that_waited_in_a_frozen_primary_does_not_see_what_is_lost(group: Group, client: Client) -> None:
    await until_answered(client, announce_call(TAG, "before"))
    async with replaced_while_frozen(group):
        waiting = asyncio.create_task(run_call(client, announce_call(TAG, "unseen")))
        reading = asyncio.create_task(call_redis(client, "ZRANGE", KEY, 0, -1))
    await asyncio.wait([waiting])
    with contextlib.suppress(BrokerUnavailableError):
        seen = await reading
        await asyncio.to_thread(group.wait_until_well)
        assert set(seen) <= set(await workers(client))


@pytest.fixture(scope="module", params=["sentinel", "cluster"])
def lax_group(request: pytest.FixtureRequest) -> Iterator[Group]:
    """Its primaries accept writes without replicas."""
    with sentinel_group() if request.param == "sentinel" else redis_cluster() as group:
        yield group


async def test_a_start_and_an_end_that_no_replica_has_got_survive_a_failover(lax_group: Group) -> None:
    client = command_client(lax_group.url)
    store = await Store.on(lax_group.url, client, client)
    job, claim = await store.start()
    ending = Batch(job.stream_id, claim.epoch, 1, [done_line()], Ending(Status.COMPLETED, job.entry))
    submission = store.submission()
    primary = await asyncio.to_thread(primary_of, lax_group, client.key_space.stream(job.stream_id).meta)
    replica = await asyncio.to_thread(replica_of, lax_group, primary)
    await asyncio.to_thread(lax_group.cut_off, replica)
    told = asyncio.gather(repeat(lambda: store.write(ending)), repeat(lambda: store.queue.submit(submission, 100)))
    await asyncio.to_thread(promote, lax_group, replica)
    assert [answer[0] for answer in await told] == ["ok", "ok"]
    await asyncio.to_thread(lax_group.rejoin, primary)
    await asyncio.to_thread(lax_group.wait_until_well)
    assert await store.kinds(job.stream_id) == ["done"]
    assert (await store.meta(submission.stream_id))["status"] == "queued"
    await client.aclose()


async def test_a_user_without_the_right_to_wait_is_told_once(
    lax_group: Group, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(lax_group.wait_until_well)
    for node in lax_group.nodes:
        node.call("ACL", "SETUSER", "hasty", "reset", "on", ">pw", "~*", "&*", "+@all", "-wait")
    client = command_client(lax_group.url.replace("://", "://hasty:pw@"))
    store = await Store.on(lax_group.url, client, client)
    submission = store.submission()
    assert (await repeat(lambda: store.queue.submit(submission, 100)))[0] == "ok"
    for _ in range(3):
        await repeat(lambda: store.queue.cancel(submission.stream_id))
    assert sum("whether its replicas" in message for message in caplog.messages) == 1
    await client.aclose()


async def test_without_any_replica_starts_go_on(lax_group: Group) -> None:
    client = command_client(lax_group.url)
    store = await Store.on(lax_group.url, client, client)
    submissions = [store.submission() for _ in range(5)]
    key = client.key_space.stream(submissions[0].stream_id).meta
    primary = await asyncio.to_thread(primary_of, lax_group, key)
    replica = await asyncio.to_thread(replica_of, lax_group, primary)
    replica.kill()
    try:
        for submission in submissions:
            assert (await repeat(lambda submission=submission: store.queue.submit(submission, 100)))[0] == "ok"  # type: ignore[misc]
    finally:
        replica.start()
        await asyncio.to_thread(lax_group.wait_until_well)
    await client.aclose()


async def test_while_starts_wait_for_a_replica_other_calls_go_on(lax_group: Group) -> None:
    client = command_client(lax_group.url, connections=2)
    store = await Store.on(lax_group.url, client, client)
    submissions = [store.submission() for _ in range(4)]
    last = client.key_space.stream(submissions[-1].stream_id).meta
    primary = await asyncio.to_thread(primary_of, lax_group, last)
    replica = await asyncio.to_thread(replica_of, lax_group, primary)
    replica.kill()
    try:
        starts = [asyncio.create_task(store.queue.submit(submission, 100)) for submission in submissions]
        await until(lambda: primary.call("EXISTS", last) == 1)
        assert await call_redis(client, "EXISTS", last) == 1
        assert not any(start.done() for start in starts)
        assert [answer[0] for answer in await asyncio.gather(*starts)] == ["ok"] * 4
    finally:
        replica.start()
        await asyncio.to_thread(lax_group.wait_until_well)
    await client.aclose()
