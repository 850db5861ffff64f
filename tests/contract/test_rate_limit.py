"""Tokens out of a bucket: never more than it holds, back evenly, the same for all who ask Redis."""

import asyncio

from contract.connection import Client, call_redis
from contract.digest import digest_name
from contract.rate_limit import RateLimit, take_token
from tests.redis_keys import bucket_key

DEADLINE_S = 60.0
SLOW = RateLimit("key:slow", 3)


async def test_a_minutes_worth_of_tokens_may_be_used_at_once_and_no_more(any_client: Client) -> None:
    taken = [await take_token(any_client, SLOW) for _ in range(5)]
    assert [(each.granted, each.left) for each in taken] == [(True, 2), (True, 1), (True, 0), (False, 0), (False, 0)]
    assert all(19_000 < each.next_ms <= 20_000 for each in taken[2:])
    assert taken[0].next_ms == 0
    assert 59_000 < taken[-1].full_ms <= 60_000


async def test_used_tokens_come_back_evenly(any_client: Client) -> None:
    quick = RateLimit("key:quick", 600)
    while (taken := await take_token(any_client, quick)).granted:
        pass
    assert 0 < taken.next_ms <= 100
    async with asyncio.timeout(DEADLINE_S):
        while not (taken := await take_token(any_client, quick)).granted:
            pass
    assert taken.left == 0


async def test_of_many_concurrent_requests_as_many_pass_as_there_are_tokens(any_client: Client) -> None:
    taken = await asyncio.gather(*(take_token(any_client, SLOW) for _ in range(50)))
    assert sum(each.granted for each in taken) == 3


async def test_one_callers_bucket_is_not_anothers(any_client: Client) -> None:
    for _ in range(4):
        await take_token(any_client, SLOW)
    assert (await take_token(any_client, RateLimit("key:other", 3))).granted


async def test_a_bucket_that_would_be_full_again_is_forgotten(any_client: Client) -> None:
    taken = await take_token(any_client, SLOW)
    left_ms = await call_redis(any_client, "PTTL", bucket_key(digest_name(SLOW.name)))
    assert 0 < left_ms <= taken.full_ms


async def test_a_clock_that_was_set_back_neither_fills_nor_drains_a_bucket(any_client: Client) -> None:
    await take_token(any_client, SLOW)
    key = bucket_key(digest_name(SLOW.name))
    await call_redis(any_client, "HINCRBY", key, "at_ms", 3_600_000)
    assert (await take_token(any_client, SLOW)).left == 1
