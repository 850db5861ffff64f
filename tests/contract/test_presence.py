"""Viewers over all gateways: the sum of those that live, told where it has changed, and not too often."""

import asyncio
import dataclasses

from contract.connection import call_redis
from contract.errors import BrokerRefusedError
from contract.job_queue import Claim, Job, Lease, Policy
from contract.keys import StreamKeys
from contract.presence import Count, Sum, count_viewers, read_viewers, read_viewers_by_gateway
from contract.stream_log import Batch, WriteStatus
from tests.contract.place import Ear, Place, chunk_lines

DEADLINE_S = 10.0
LONG_MS = 60_000
STREAM = "s" * 22
KEYS = StreamKeys.of(STREAM)


async def count(place: Place, gateway: str, viewers: int, *, lives_ms: int = LONG_MS, telling_ms: int = 0) -> Sum:
    (answer,) = await count_viewers(place.client, gateway, [Count(STREAM, viewers)], lives_ms, telling_ms)
    assert answer is not None
    return answer


async def test_the_sum_is_over_all_gateways_and_each_says_only_its_own(place: Place) -> None:
    assert await count(place, "g1", 3) == Sum(3, False)
    assert await count(place, "g2", 4) == Sum(7, False)
    assert await count(place, "g1", 1) == Sum(5, False)
    assert await read_viewers(place.client, STREAM) == 5


async def test_a_changed_sum_is_told_once(place: Place) -> None:
    async with Ear.on(place.url, KEYS.live) as ear:
        for viewers in (2, 2, 3, 3, 2):
            await count(place, "g1", viewers)
        assert await ear.heard() == [b'!\nviewers {"viewers":%d}' % viewers for viewers in (2, 3, 2)]


async def test_a_change_that_comes_too_soon_is_left_to_be_told(place: Place) -> None:
    async with Ear.on(place.url, KEYS.live) as ear:
        assert await count(place, "g1", 1, telling_ms=LONG_MS) == Sum(1, False)
        assert await count(place, "g1", 2, telling_ms=LONG_MS) == Sum(2, True)
        # Back to what was told: there is nothing to tell any more.
        assert await count(place, "g1", 1, telling_ms=LONG_MS) == Sum(1, False)
        assert await count(place, "g2", 1, telling_ms=LONG_MS) == Sum(2, True)
        assert len(await ear.heard()) == 1
        assert await count(place, "g1", 1) == Sum(2, False)
        assert await ear.heard() == [b'!\nviewers {"viewers":2}']


async def test_a_gateway_that_died_counts_no_more(place: Place) -> None:
    await count(place, "g1", 1)
    await count(place, "dead", 100, lives_ms=1)
    async with asyncio.timeout(DEADLINE_S):
        while await read_viewers(place.client, STREAM) != 1:
            pass
    assert await count(place, "g1", 1) == Sum(1, False)
    assert b"dead" not in await call_redis(place.client, "HGETALL", KEYS.viewers)


async def test_a_gateway_that_lives_shortly_does_not_shorten_the_life_of_others(place: Place) -> None:
    await count(place, "g1", 1)
    await count(place, "g2", 1, lives_ms=1)
    assert await call_redis(place.client, "PTTL", KEYS.viewers) > LONG_MS / 2


async def test_when_the_last_viewer_has_left_it_is_told_and_the_key_goes_by_itself(place: Place) -> None:
    await count(place, "g1", 1)
    async with Ear.on(place.url, KEYS.live) as ear:
        assert await count(place, "g1", 0, lives_ms=1) == Sum(0, False)
        assert await ear.heard() == [b'!\nviewers {"viewers":0}']
    async with asyncio.timeout(DEADLINE_S):
        while await call_redis(place.client, "EXISTS", KEYS.viewers):
            pass


async def test_every_count_has_an_expiry_from_birth(place: Place) -> None:
    for gateway, viewers in (("g1", 0), ("g1", 5), ("g2", 1), ("g1", 0), ("g2", 0)):
        await count(place, gateway, viewers)
        assert await call_redis(place.client, "PTTL", KEYS.viewers) > 0


async def test_a_stream_that_nobody_watches_has_no_viewers(place: Place) -> None:
    assert await read_viewers(place.client, "n" * 22) == 0


async def test_many_streams_are_counted_in_one_go_and_one_refusal_spoils_no_other(place: Place) -> None:
    other = "o" * 22
    await call_redis(place.client, "SET", KEYS.viewers, "x")
    answers = await count_viewers(place.client, "g1", [Count(STREAM, 1), Count(other, 2)], LONG_MS, 0)
    assert answers == [None, Sum(2, False)]


async def test_each_gateway_that_lives_is_told_with_its_viewers(place: Place) -> None:
    await count(place, "g1", 3)
    await count(place, "g2", 0)
    await count(place, "g3", 2, lives_ms=1)
    async with asyncio.timeout(DEADLINE_S):
        while await read_viewers_by_gateway(place.client, STREAM) != {"g1": 3}:
            await asyncio.sleep(0.01)


async def renew(place: Place, job: Job, claim: Claim) -> WriteStatus | BrokerRefusedError:
    (answer,) = await place.queue.renew("w1", [Lease(job, claim.epoch)])
    return answer


async def start_unwatched(place: Place, unwatched_ms: int) -> tuple[Job, Claim]:
    submission = place.submission()
    impatient = dataclasses.replace(submission, policy=Policy(unwatched_ms=unwatched_ms))
    await place.queue.submit(impatient, 1000)
    (job,) = await place.take("w1")
    return job, await place.claim(job, "w1")


async def test_a_run_that_nobody_watches_is_cancelled_after_its_time_and_not_before(place: Place) -> None:
    job, claim = await start_unwatched(place, LONG_MS)
    for _ in range(2):
        assert await renew(place, job, claim) is WriteStatus.OK
    meta = StreamKeys.of(job.stream_id).meta
    since = int(await call_redis(place.client, "HGET", meta, "unwatched_since"))
    await call_redis(place.client, "HSET", meta, "unwatched_since", since - LONG_MS)
    for _ in range(2):
        assert await renew(place, job, claim) is WriteStatus.CANCELLED
    batch = Batch(job.stream_id, claim.epoch, 1, chunk_lines("a"))
    assert await place.write(batch) == ("cancelled", 0)


async def test_a_viewer_stops_the_clock_and_a_dead_gateway_does_not(place: Place) -> None:
    job, claim = await start_unwatched(place, LONG_MS)
    meta = StreamKeys.of(job.stream_id).meta
    await renew(place, job, claim)
    await count_viewers(place.client, "g1", [Count(job.stream_id, 1)], LONG_MS, 0)
    await renew(place, job, claim)
    assert await call_redis(place.client, "HEXISTS", meta, "unwatched_since") == 0
    await count_viewers(place.client, "g1", [Count(job.stream_id, 1)], 1, 0)
    async with asyncio.timeout(DEADLINE_S):
        while not await call_redis(place.client, "HEXISTS", meta, "unwatched_since"):
            assert await renew(place, job, claim) is WriteStatus.OK


async def test_a_run_that_says_nothing_of_it_goes_on_unwatched(place: Place) -> None:
    job, claim = await start_unwatched(place, 0)
    assert await renew(place, job, claim) is WriteStatus.OK
    assert "unwatched_since" not in await place.meta(job.stream_id)
