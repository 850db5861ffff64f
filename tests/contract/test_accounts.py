"""A caller's account: what it reserves before a start, gives back after the end, and loses if a process dies."""

import time
from dataclasses import replace

import pytest

from contract.accounts import UNSUBMITTED_MS, Reservation, Reserved, Settlement, reserve, settle
from contract.connection import call_redis
from contract.digest import digest_name
from contract.event import Status
from contract.job_queue import Job, StorageLimits, Submission, Submitted
from contract.scripts import Call, run_call
from contract.stream_log import Batch, Ending
from tests.contract.store import MAX_WAITING, Store, chunk_lines, done_line
from tests.redis_keys import JOBS, KEYS, stream_keys

CALLER = "key:a"
ACCOUNT = KEYS.account(digest_name(CALLER))
LIMITS = StorageLimits(caller_bytes=10_000)


def limited(store: Store, max_at_once: int = 2, once: str | None = None, request: bytes = b"{}") -> Submission:
    return replace(store.submission(once=once), caller=CALLER, max_at_once=max_at_once, request=request)


async def submit(store: Store, submission: Submission, storage: StorageLimits = LIMITS) -> Submitted:
    return (await store.queue.submit(submission, MAX_WAITING, storage))[0]


async def end(store: Store, *, settles: bool = True) -> Job:
    """Runs the next job to its end. `settles`: False if the worker dies just after it."""
    (job,) = await store.take("w1", 1)
    claim = await store.claim(job, "w1")
    if settles:
        batch = Batch(job.stream_id, claim.epoch, 1, [done_line()], Ending(Status.COMPLETED, job.entry))
        await store.log.write([batch])
        await store.log.settled()
    else:
        keys = stream_keys(job.stream_id)
        arguments = (claim.epoch, 1, 60_000, "completed", job.entry, done_line())
        await run_call(store.client, Call("finish", (keys.log, keys.meta, JOBS), arguments, (keys.live,)))
    return job


async def open_runs(store: Store) -> int:
    count: int = await call_redis(store.client, "ZCARD", ACCOUNT.open)
    return count


async def counted(store: Store) -> int:
    return int(await call_redis(store.client, "HGET", ACCOUNT.bytes, "=total") or 0)


async def test_a_caller_has_its_place_again_when_a_run_has_ended(store: Store) -> None:
    assert [await submit(store, limited(store)) for _ in range(3)] == ["ok", "ok", "busy"]
    await end(store)
    assert await open_runs(store) == 1
    assert [await submit(store, limited(store)) for _ in range(2)] == ["ok", "busy"]
    assert await store.keys_without_expiry() == []


@pytest.mark.parametrize("limit", ["places", "bytes"])
async def test_a_worker_that_dies_after_the_end_of_a_run_costs_its_caller_nothing_for_long(
    store: Store, limit: str
) -> None:
    most, request = (2, b"{}") if limit == "places" else (0, b"r" * 12_000)
    limits = StorageLimits(caller_bytes=31_000)
    for _ in range(2):
        assert await submit(store, limited(store, most, request=request), limits) == "ok"
    ended = await end(store, settles=False)
    assert await open_runs(store) == 2
    assert await submit(store, limited(store, most, request=request), limits) == "ok"
    assert await open_runs(store) == 2
    assert await call_redis(store.client, "ZSCORE", ACCOUNT.open, ended.stream_id) is None


async def test_a_gateway_that_dies_before_the_submission_costs_a_place_for_a_minute(store: Store) -> None:
    reservation = Reservation("s_00" + "x" * 22, 5_000, 60_000, 1, 10_000)
    assert await reserve(store.client, digest_name(CALLER), reservation) is Reserved.OK
    assert await submit(store, limited(store, 1)) == "busy"
    long_ago = round(time.time() * 1000) - UNSUBMITTED_MS - 1
    await call_redis(store.client, "ZADD", ACCOUNT.open, long_ago, reservation.stream_id)
    assert await submit(store, limited(store, 1)) == "ok"
    assert await call_redis(store.client, "HGET", ACCOUNT.bytes, reservation.stream_id) is None


@pytest.mark.parametrize("answer", ["full", "known", "mismatch"])
async def test_a_start_that_starts_nothing_gives_back_what_it_reserved(store: Store, answer: str) -> None:
    assert await submit(store, limited(store, 9, once="k")) == "ok"
    before = await open_runs(store), await counted(store)
    again = limited(store, 9, once=None if answer == "full" else "k")
    again = replace(again, body="other" if answer == "mismatch" else again.body)
    waiting = 1 if answer == "full" else MAX_WAITING
    assert (await store.queue.submit(again, waiting, LIMITS))[0] == answer
    assert (await open_runs(store), await counted(store)) == before


async def test_a_repeated_request_finds_its_run_although_the_caller_is_at_its_limit(store: Store) -> None:
    first = limited(store, 1, once="k")
    assert await submit(store, first) == "ok"
    assert await submit(store, limited(store, 1)) == "busy"
    assert await store.queue.submit(limited(store, 1, once="k"), MAX_WAITING, LIMITS) == ("known", first.stream_id)


async def test_a_submission_that_is_repeated_takes_one_place(store: Store) -> None:
    submission = limited(store, 1)
    assert [await submit(store, submission) for _ in range(3)] == ["ok"] * 3
    assert await open_runs(store) == 1


async def test_a_run_that_is_cancelled_or_deleted_gives_its_place_back(store: Store) -> None:
    first, second = limited(store), limited(store)
    for submission in (first, second):
        await submit(store, submission)
    assert await store.queue.cancel(first.stream_id) == "cancelled"
    assert await open_runs(store) == 1
    for _ in range(2):
        await store.queue.delete(second.stream_id)
    assert await open_runs(store) == 0
    await store.queue.delete(first.stream_id)
    assert await counted(store) == 0


async def test_a_run_counts_with_its_answer_when_it_has_ended(store: Store) -> None:
    await submit(store, limited(store, request=b"r" * 5_000))
    reserved = await counted(store)
    (job,) = await store.take("w1", 1)
    claim = await store.claim(job, "w1")
    ending = Ending(Status.COMPLETED, job.entry)
    for _ in range(2):
        lines = [*chunk_lines("x" * 1_000), done_line()]
        await store.write(Batch(job.stream_id, claim.epoch, 1, lines, ending))
    await store.log.settled()
    assert reserved - 5_000 + 1_000 < await counted(store) < reserved - 5_000 + 1_200
    assert await call_redis(store.client, "PTTL", ACCOUNT.bytes) > 0


async def test_settling_twice_counts_once(store: Store) -> None:
    for size in (b"700", b"700", b"300"):
        await settle(store.client, [Settlement(digest_name(CALLER), "item", size, 60_000)])
    assert await counted(store) == 300
    for _ in range(2):
        await settle(store.client, [Settlement(digest_name(CALLER), "item", b"0", 60_000)])
    assert await counted(store) == 0


async def test_a_caller_without_limits_has_no_account(store: Store) -> None:
    assert await submit(store, limited(store, 0), StorageLimits()) == "ok"
    await end(store)
    assert await call_redis(store.client, "EXISTS", *ACCOUNT) == 0
