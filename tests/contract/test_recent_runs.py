"""The list of the latest runs: bounded in number and in time, whatever was asked in them."""

import asyncio

from contract.connection import call_redis
from contract.recent_runs import KEPT_RUNS, PROMPT_LIMIT_CHARS, RecentRun, add_recent_run, read_recent_runs
from tests.contract.store import Store
from tests.redis_keys import RECENT

DEADLINE_S = 60.0
LONG_MS = 60_000


async def test_the_newest_run_comes_first(store: Store) -> None:
    runs = [RecentRun(f"{number:022d}", f"ask {number}") for number in range(3)]
    for run in runs:
        await add_recent_run(store.client, run, LONG_MS)
    assert await read_recent_runs(store.client, 10) == runs[::-1]
    assert await read_recent_runs(store.client, 1) == runs[:1:-1]


async def test_a_prompt_is_cut_and_may_hold_anything(store: Store) -> None:
    await add_recent_run(store.client, RecentRun("x" * 22, "\ud83d" + "é" * 1000), LONG_MS)
    (run,) = await read_recent_runs(store.client, 10)
    assert run.prompt == "?" + "é" * (PROMPT_LIMIT_CHARS - 1)


async def test_the_list_grows_no_further_than_it_may(store: Store) -> None:
    for number in range(3 * KEPT_RUNS):
        await add_recent_run(store.client, RecentRun(f"{number:022d}", ""), LONG_MS)
    # Redis trims whole blocks of a hundred entries.
    assert await call_redis(store.client, "XLEN", RECENT) <= KEPT_RUNS + 100


async def test_a_prompt_is_kept_no_longer_than_its_answer(store: Store) -> None:
    await call_redis(store.client, "XADD", RECENT, "1000-0", "id", "o" * 22, "prompt", "long ago")
    await add_recent_run(store.client, RecentRun("x" * 22, "now"), LONG_MS)
    assert [run.prompt for run in await read_recent_runs(store.client, 10)] == ["now"]
    assert await store.keys_without_expiry() == []


async def test_an_unused_list_expires(store: Store) -> None:
    await add_recent_run(store.client, RecentRun("x" * 22, "now"), 1)
    async with asyncio.timeout(DEADLINE_S):
        while await call_redis(store.client, "EXISTS", RECENT):
            pass
