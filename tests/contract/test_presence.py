"""Viewers over all gateways: the sum of those that live, told where it has changed, and not too often."""

import asyncio
import dataclasses

from contract.connection import call_redis
from contract.errors import BrokerError
from contract.job_queue import Claim, Job, Lease, Policy
from contract.presence import Count, Sum, count_viewers, read_viewers, read_viewers_by_gateway
from contract.stream_log import Batch, WriteStatus
from tests.contract.store import ChannelReader, Store, chunk_lines
from tests.redis_keys import stream_keys

DEADLINE_S = 60.0
LONG_MS = 60_000
STREAM = "s" * 22
KEYS = stream_keys(STREAM)


async def count(store: Store, gateway: str, viewers: int, *, lives_ms: int = LONG_MS, telling_ms: int = 0) -> Sum:
    (answer,) = await count_viewers(store.client, gateway, [Count(STREAM, viewers)], lives_ms, telling_ms)
    assert answer is not None
    return answer


async def test_the_viewers_of_all_gateways_are_added_up(store: Store) -> None:
    assert await count(store, "g1", 3) == Sum(3, False)
    assert await count(store, "g2", 4) == Sum(7, False)
    assert await count(store, "g1", 1) == Sum(5, False)
    assert await read_viewers(store.client, STREAM) == 5


async def test_a_changed_sum_is_published_once(store: Store) -> None:
    async with ChannelReader.on(store.url, KEYS.live) as reader:
        for viewers in (2, 2, 3, 3, 2):
            await count(store, "g1", viewers)
        assert await reader.received() == [b'!\nviewers {"viewers":%d}' % viewers for viewers in (2, 3, 2)]


async def test_a_change_that_comes_too_soon_is_published_later(store: Store) -> None:
    async with ChannelReader.on(store.url, KEYS.live) as reader:
        assert await count(store, "g1", 1, telling_ms=LONG_MS) == Sum(1, False)
        assert await count(store, "g1", 2, telling_ms=LONG_MS) == Sum(2, True)
        # Back to what was told: there is nothing to tell any more.
        assert await count(store, "g1", 1, telling_ms=LONG_MS) == Sum(1, False)
        assert await count(store, "g2", 1, telling_ms=LONG_MS) == Sum(2, True)
        assert len(await reader.received()) == 1
        assert await count(store, "g1", 1) == Sum(2, False)
        assert await reader.received() == [b'!\nviewers {"viewers":2}']


async def test_the_viewers_of_a_dead_gateway_stop_counting(store: Store) -> None:
    await count(store, "g1", 1)
    await count(store, "dead", 100, lives_ms=1)
    async with asyncio.timeout(DEADLINE_S):
        while await read_viewers(store.client, STREAM) != 1:
            pass
    assert await count(store, "g1", 1) == Sum(1, False)
    assert b"dead" not in await call_redis(store.client, "HGETALL", KEYS.viewers)


async def test_a_short_lived_gateway_does_not_shorten_the_life_of_others(store: Store) -> None:
    await count(store, "g1", 1)
    await count(store, "g2", 1, lives_ms=1)
    assert await call_redis(store.client, "PTTL", KEYS.viewers) > LONG_MS / 2


async def test_after_the_last_viewer_the_zero_is_published_and_the_key_expires(store: Store) -> None:
    await count(store, "g1", 1)
    async with ChannelReader.on(store.url, KEYS.live) as reader:
        assert await count(store, "g1", 0, lives_ms=1) == Sum(0, False)
        assert await reader.received() == [b'!\nviewers {"viewers":0}']
    async with asyncio.timeout(DEADLINE_S):
        while await call_redis(store.client, "EXISTS", KEYS.viewers):
            pass


async def test_every_count_expires_from_its_creation(store: Store) -> None:
    for gateway, viewers in (("g1", 0), ("g1", 5), ("g2", 1), ("g1", 0), ("g2", 0)):
        await count(store, gateway, viewers)
        assert await call_redis(store.client, "PTTL", KEYS.viewers) > 0


async def test_a_stream_that_nobody_watches_has_no_viewers(store: Store) -> None:
    assert await read_viewers(store.client, "n" * 22) == 0


async def test_many_streams_are_counted_at_once_and_one_refusal_spoils_no_other(store: Store) -> None:
    other = "o" * 22
    await call_redis(store.client, "SET", KEYS.viewers, "x")
    answers = await count_viewers(store.client, "g1", [Count(STREAM, 1), Count(other, 2)], LONG_MS, 0)
    assert answers == [None, Sum(2, False)]


async def test_each_live_gateway_is_listed_with_its_viewers(store: Store) -> None:
    await count(store, "g1", 3)
    await count(store, "g2", 0)
    await count(store, "g3", 2, lives_ms=1)
    async with asyncio.timeout(DEADLINE_S):
        while await read_viewers_by_gateway(store.client, STREAM) != {"g1": 3}:
            await asyncio.sleep(0.01)


async def renew(store: Store, job: Job, claim: Claim) -> WriteStatus | BrokerError:
    (answer,) = await store.queue.renew("w1", [Lease(job, claim.epoch)])
    return answer


async def start_unwatched(store: Store, unwatched_ms: int) -> tuple[Job, Claim]:
    submission = store.submission()
    impatient = dataclasses.replace(submission, policy=Policy(unwatched_ms=unwatched_ms))
    await store.queue.submit(impatient, 1000)
    (job,) = await store.take("w1")
    return job, await store.claim(job, "w1")


async def test_a_run_that_nobody_watches_is_cancelled_after_its_time_and_not_before(store: Store) -> None:
    job, claim = await start_unwatched(store, LONG_MS)
    for _ in range(2):
        assert await renew(store, job, claim) is WriteStatus.OK
    meta = stream_keys(job.stream_id).meta
    since = int(await call_redis(store.client, "HGET", meta, "unwatched_since"))
    await call_redis(store.client, "HSET", meta, "unwatched_since", since - LONG_MS)
    for _ in range(2):
        assert await renew(store, job, claim) is WriteStatus.CANCELLED
    batch = Batch(job.stream_id, claim.epoch, 1, chunk_lines("a"))
    assert await store.write(batch) == ("cancelled", 0)


async def test_a_viewer_stops_the_clock_and_a_dead_gateway_does_not(store: Store) -> None:
    job, claim = await start_unwatched(store, LONG_MS)
    meta = stream_keys(job.stream_id).meta
    await renew(store, job, claim)
    await count_viewers(store.client, "g1", [Count(job.stream_id, 1)], LONG_MS, 0)
    await renew(store, job, claim)
    assert await call_redis(store.client, "HEXISTS", meta, "unwatched_since") == 0
    await count_viewers(store.client, "g1", [Count(job.stream_id, 1)], 1, 0)
    async with asyncio.timeout(DEADLINE_S):
        while not await call_redis(store.client, "HEXISTS", meta, "unwatched_since"):
            assert await renew(store, job, claim) is WriteStatus.OK


async def test_without_that_policy_a_run_goes_on_unwatched(store: Store) -> None:
    job, claim = await start_unwatched(store, 0)
    assert await renew(store, job, claim) is WriteStatus.OK
    assert "unwatched_since" not in await store.meta(job.stream_id)
