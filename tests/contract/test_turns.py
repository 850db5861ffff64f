"""Callers take turns in the queue, whatever one of them submits, and whatever becomes of the run whose turn it is."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from contract.connection import Client, blocking_client, call_redis, command_client
from contract.errors import BrokerRefusedError
from contract.event import Status
from contract.job_queue import Lease, OnceUse, StorageLimits, Submitted, Verdict
from contract.keys import WORKERS_GROUP
from contract.presence import Count, count_viewers
from contract.recent_runs import RecentRun, add_recent_run
from contract.run_record import read_run
from contract.stream_log import Batch, Ending, WriteStatus
from contract.worker_registry import WorkerOffer, announce, leave, read_workers
from tests.contract.store import MAX_EPOCHS, MAX_LOST, MAX_WAITING, Store, chunk_lines, done_line
from tests.redis_keys import JOBS, SIGNING, TURNS, stream_keys

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"


async def submit(store: Store, caller: str, count: int = 1, *, max_waiting: int = MAX_WAITING) -> list[str]:
    """The ids of new runs of this caller."""
    submissions = [replace(store.submission(), caller=caller) for _ in range(count)]
    for submission in submissions:
        assert await store.queue.submit(submission, max_waiting) == (Submitted.OK, submission.stream_id)
    return [submission.stream_id for submission in submissions]


async def work(store: Store, count: int, worker: str = "w1") -> list[str]:
    """Takes `count` runs as a worker does that has room for one. Returns their ids in order."""
    taken = []
    for _ in range(count):
        (job,) = await store.take(worker, 1)
        assert (await store.claim(job, worker)).verdict is Verdict.RUN
        taken.append(job.stream_id)
    return taken


async def test_a_caller_waits_for_its_own_turn_behind_a_thousand_runs_of_another(store: Store) -> None:
    many = await submit(store, "key:a", 1120, max_waiting=3000)
    (one,) = await submit(store, "key:b", max_waiting=3000)
    (other,) = await submit(store, "key:c", max_waiting=3000)
    assert await work(store, 5) == [many[0], one, other, many[1], many[2]]


async def test_callers_with_many_runs_take_turns_and_each_callers_runs_keep_their_order(store: Store) -> None:
    a, b, c = [await submit(store, caller, 3) for caller in ("key:a", "key:b", "")]
    assert await work(store, 9) == [run for turn in zip(a, b, c, strict=True) for run in turn]
    assert await call_redis(store.client, "EXISTS", TURNS) == 0
    assert await store.keys_without_expiry() == []


async def test_a_turn_is_as_large_as_the_room_that_others_leave(store: Store) -> None:
    many = await submit(store, "key:a", 20)
    others = [run for caller in "bcd" for run in await submit(store, f"key:{caller}")]
    (first,) = await store.take("w1", 1)
    claim = await store.queue.claim(first, "w1", MAX_LOST, MAX_EPOCHS, room=7)
    assert claim.verdict is Verdict.RUN
    # Three runs of others wait, and the worker has room for seven.
    assert [job.stream_id for job in await store.take("w1", 20)] == [*others, *many[1:5]]
    # The turn is over when the last run of it is taken.
    assert await store.take("w1", 20) == []


@pytest.mark.parametrize("end", ["cancelled", "deleted", "expired", "expired after its delivery"])
async def test_the_turn_of_a_run_that_is_not_taken_goes_to_the_callers_next_run(store: Store, end: str) -> None:
    first, second, third = await submit(store, "key:a", 3)
    jobs = await store.take("w1", 1) if end == "expired after its delivery" else []
    if end == "cancelled":
        await store.queue.cancel(first)
    elif end == "deleted":
        await store.queue.delete(first)
    else:
        await call_redis(store.client, "DEL", stream_keys(first).meta)
        for job in jobs or await store.take("w1", 1):
            assert (await store.claim(job, "w1")).verdict is Verdict.GONE
    assert await work(store, 2) == [second, third]


@pytest.mark.parametrize("end", ["cancelled", "deleted", "expired"])
async def test_a_run_that_ends_in_the_backlog_takes_no_turn_and_no_room(store: Store, end: str) -> None:
    first, second, third = await submit(store, "key:a", 3)
    if end == "cancelled":
        assert await store.queue.cancel(second) == "cancelled"
        assert await store.kinds(second) == ["done"]
        # The record of a cancelled run may be deleted afterwards: that takes nothing out of the queue.
        await store.queue.delete(second)
    elif end == "deleted":
        await store.queue.delete(second)
    else:
        await call_redis(store.client, "DEL", stream_keys(second).meta)
    assert await work(store, 2) == [first, third]
    assert await store.take("w1") == []
    assert await call_redis(store.client, "EXISTS", TURNS) == 0
    assert (await store.queue.submit(store.submission(), 1))[0] is Submitted.OK


async def test_a_worker_that_dies_before_its_claim_keeps_others_from_nothing_and_loses_no_turn(store: Store) -> None:
    first, second = await submit(store, "key:a", 2)
    (job,) = await store.take("dead", 1)
    assert job.stream_id == first
    (other,) = await submit(store, "key:b")
    assert await work(store, 1) == [other]
    assert (await store.hand_over(job, "w1")).verdict is Verdict.RUN
    assert await work(store, 1) == [second]


async def test_a_turn_that_somebody_removed_by_hand_is_begun_again(store: Store) -> None:
    first, second = await submit(store, "key:a", 2)
    await call_redis(store.client, "XDEL", JOBS, (await store.meta(first))["job"])
    (third,) = await submit(store, "key:a")
    assert await work(store, 2) == [second, third]


async def test_where_the_group_is_gone_a_turn_is_passed_all_the_same(store: Store) -> None:
    first, second = await submit(store, "key:a", 2)
    await call_redis(store.client, "XGROUP", "DESTROY", JOBS, WORKERS_GROUP)
    assert await store.queue.cancel(first) == "cancelled"
    await store.queue.open()
    assert await work(store, 1) == [second]


async def test_no_caller_fills_the_queue(store: Store) -> None:
    async def fill(caller: str) -> list[Submitted]:
        answers = [Submitted.OK]
        while answers[-1] is Submitted.OK:
            answers.append((await store.queue.submit(replace(store.submission(), caller=caller), 12))[0])
        return answers[1:]

    # Each may have as many as there is room left.
    assert await fill("key:a") == [Submitted.OK] * 6 + [Submitted.SHARE]
    assert await fill("key:b") == [Submitted.OK] * 3 + [Submitted.SHARE]
    await work(store, 9)
    # A caller without a name is the only one.
    assert await fill("") == [Submitted.OK] * 12 + [Submitted.FULL]


async def test_out_of_memory_no_turn_is_lost(store: Store) -> None:
    first, second, third = await submit(store, "key:a", 3)
    (job,) = await store.take("w1", 1)
    await call_redis(store.client, "CONFIG", "SET", "maxmemory", "1")
    try:
        for call in (
            store.claim(job, "w1"),
            store.queue.cancel(first),
            store.queue.cancel(second),
            store.queue.delete(first),
            store.queue.delete(second),
            store.queue.submit(replace(store.submission(), caller="key:a"), MAX_WAITING),
        ):
            with pytest.raises(BrokerRefusedError):
                await call
        # The run is gone: its claim passes the turn.
        await call_redis(store.client, "DEL", stream_keys(first).meta)
        with pytest.raises(BrokerRefusedError):
            await store.claim(job, "w1")
    finally:
        await call_redis(store.client, "CONFIG", "SET", "maxmemory", "0")
    assert (await store.claim(job, "w1")).verdict is Verdict.GONE
    assert await work(store, 2) == [second, third]


# With the rights that the stack gives to its services


@asynccontextmanager
async def acting_as(service: str, store: Store) -> AsyncIterator[tuple[Client, Client]]:
    """Clients of a user with exactly the rights that docker-compose.yml gives to the service."""
    text = COMPOSE.read_text(encoding="utf-8").replace("${MANYCAST_PREFIX:-mc}", "mc")
    shared = re.sub(r"\\\n\s*", "", re.search(r'shared="([^"]*)"', text)[1])  # type: ignore[index]
    rights = re.search(rf"user {service} on #\$\$\(hash {service}\) (.*)", text)[1].replace("$$shared", shared)  # type: ignore[index]
    # Redis 7.0 does not know it, and redis-py can do without.
    rights = rights.replace("+client|setinfo ", "")
    await call_redis(store.client, "ACL", "SETUSER", service, "reset", "on", ">pw", *rights.split())
    host, path = store.url.removeprefix("redis://").split("/")
    url = f"redis://{service}:pw@{host}/{path}"
    client, blocking = command_client(url), blocking_client(url)
    yield client, blocking
    await client.aclose()
    await blocking.aclose()
    await call_redis(store.client, "ACL", "DELUSER", service)


async def test_gateway_and_worker_may_do_what_they_do_and_no_more(store: Store) -> None:
    async with acting_as("gateway", store) as (client, _), acting_as("worker", store) as (working, blocking):
        gateway = await Store.on(store.url, client, client)
        worker = await Store.on(store.url, working, blocking)
        await announce(working, "w1", 60_000, WorkerOffer((), "demo"))
        runs = [
            replace(store.submission(once=f"k{number}", use=OnceUse.KEY), caller="key:a", max_at_once=9)
            for number in range(8)
        ]
        for run in runs:
            limits = StorageLimits(caller_bytes=1 << 20, reserve_percent=25)
            assert await gateway.queue.submit(run, MAX_WAITING, limits) == (Submitted.OK, run.stream_id)
            await add_recent_run(client, RecentRun(run.stream_id, "Why?"), 60_000)
        in_line, waiting, deleted, *_, last = [run.stream_id for run in runs]
        await gateway.queue.cancel(in_line)
        await gateway.queue.cancel(waiting)
        await gateway.queue.delete(deleted)
        await gateway.queue.leave(last, 60_000)
        for _ in range(2):
            (job,) = await worker.take("w1", 1)
            claim = await worker.claim(job, "w1")
            lease = Lease(job, claim.epoch)
            await count_viewers(client, "g", [Count(job.stream_id, 1)], 60_000, 0)
            assert await worker.queue.renew("w1", [lease]) == [WriteStatus.OK]
            assert await worker.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a"))) == ("ok", 1)
            assert await worker.queue.release("w1", [lease]) == [WriteStatus.OK]
            assert await worker.queue.take_over("w1", 3_600_000, 1) == [job]
            again = await worker.claim(job, "w1")
            ending = Ending(Status.COMPLETED, job.entry)
            assert await worker.write(Batch(job.stream_id, again.epoch, 2, [done_line()], ending)) == ("ok", 2)
            record = await read_run(client, job.stream_id)
            assert record is not None
            assert record.status == "completed"
        await worker.queue.forget_worker("w1")
        assert await read_workers(client) == ["w1"]
        await leave(working, "w1")
        with pytest.raises(BrokerRefusedError, match="no permissions"):
            await call_redis(working, "GET", SIGNING)
