"""Who lives and what they offer, by Redis's clock alone."""

import asyncio

from contract.connection import call_redis
from contract.worker_registry import Model, WorkerOffer, announce, leave, read_offers, read_workers
from tests.contract.store import Store
from tests.redis_keys import OFFERS, WORKERS

DEADLINE_S = 60.0
LONG_MS = 60_000
DEMO = WorkerOffer((Model("demo", "manycast", 1763826000), Model("half-\ud83d", "ö", 0)), "demo")
PLAIN = WorkerOffer((), "gpt")


async def until_only(store: Store, *offers: WorkerOffer) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while await read_offers(store.client) != list(offers):
            pass


async def test_what_is_announced_is_read(store: Store) -> None:
    await announce(store.client, "w1", LONG_MS, DEMO)
    await announce(store.client, "w2", LONG_MS + 1, PLAIN)
    assert await read_offers(store.client) == [DEMO, PLAIN]
    assert await read_workers(store.client) == ["w1", "w2"]


async def test_a_later_announcement_replaces_the_earlier(store: Store) -> None:
    for offer in (PLAIN, DEMO):
        await announce(store.client, "w1", LONG_MS, offer)
    assert await read_offers(store.client) == [DEMO]


async def test_a_worker_that_leaves_is_gone_at_once_and_may_leave_twice(store: Store) -> None:
    await announce(store.client, "w1", LONG_MS, DEMO)
    for _ in range(2):
        await leave(store.client, "w1")
    assert await read_offers(store.client) == []
    assert await call_redis(store.client, "EXISTS", WORKERS, OFFERS) == 0


async def test_a_dead_worker_is_no_longer_listed(store: Store) -> None:
    await announce(store.client, "w1", LONG_MS, PLAIN)
    await announce(store.client, "w2", 1, DEMO)
    await until_only(store, PLAIN)


async def test_a_short_lived_worker_does_not_shorten_the_life_of_others(store: Store) -> None:
    await announce(store.client, "w1", LONG_MS, DEMO)
    await announce(store.client, "w2", 20, PLAIN)
    await until_only(store, DEMO)
    assert await call_redis(store.client, "PTTL", WORKERS) > LONG_MS / 2
    assert await call_redis(store.client, "PTTL", OFFERS) > LONG_MS / 2


async def test_the_next_announcement_removes_expired_workers(store: Store) -> None:
    await announce(store.client, "w1", LONG_MS, PLAIN)
    await announce(store.client, "w2", 1, DEMO)
    await until_only(store, PLAIN)
    await announce(store.client, "w1", LONG_MS, PLAIN)
    assert await call_redis(store.client, "HLEN", OFFERS) == 1
    assert await call_redis(store.client, "ZCARD", WORKERS) == 1


async def test_the_last_worker_leaves_no_key_behind(store: Store) -> None:
    await announce(store.client, "w1", 1, PLAIN)
    assert await store.keys_without_expiry() == []
    async with asyncio.timeout(DEADLINE_S):
        while await call_redis(store.client, "EXISTS", WORKERS, OFFERS):
            pass


async def test_the_known_fields_of_a_newer_offer_are_read(store: Store) -> None:
    await announce(store.client, "w1", LONG_MS, PLAIN)
    newer = '{"models":[{"id":"m","owned_by":"o","created":1,"context":9}],"default_model":"m","region":"eu"}'
    await call_redis(store.client, "HSET", OFFERS, "w1", newer)
    assert await read_offers(store.client) == [WorkerOffer((Model("m", "o", 1),), "m")]


async def test_a_worker_without_an_offer_still_counts(store: Store) -> None:
    await announce(store.client, "w1", LONG_MS, PLAIN)
    await call_redis(store.client, "DEL", OFFERS)
    assert await read_offers(store.client) == [WorkerOffer((), "")]
