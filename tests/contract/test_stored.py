"""What Redis holds for a caller is counted and bounded, and new runs leave memory to those in progress."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from contract.accounts import Settlement, settle
from contract.connection import call_redis
from contract.digest import digest_name
from contract.event import Status
from contract.job_queue import Job, Lease, StorageLimits, Submission, Submitted, Verdict
from contract.stream_log import Batch, Ending, StreamLog
from tests.contract.store import MAX_WAITING, Store, chunk_lines, done_line
from tests.redis_keys import KEYS

MEGABYTE = 1_000_000
LIMITS = StorageLimits(caller_bytes=3 * MEGABYTE)
DEADLINE_S = 60.0


def large(store: Store, caller: str = "key:a") -> Submission:
    return replace(store.submission(), request=b'{"messages":"%b"}' % (b"m" * MEGABYTE), caller=caller)


async def submit(store: Store, submission: Submission) -> Submitted:
    return (await store.queue.submit(submission, MAX_WAITING, LIMITS))[0]


async def stored(store: Store, caller: str = "key:a") -> int:
    """How many bytes are counted for the caller."""
    await store.log.settled()
    fields = await call_redis(store.client, "HGETALL", KEYS.account(digest_name(caller)).bytes)
    sizes = {item: int(size) for item, size in fields.items()}
    total = sizes.pop(b"=total", 0)
    assert all(size > 0 for size in sizes.values())
    assert total == sum(sizes.values())
    return total


async def used_bytes(store: Store) -> int:
    used: int = (await call_redis(store.client, "INFO", "memory"))["used_memory"]
    return used


async def run_next(store: Store, lines: list[bytes], log: StreamLog | None = None) -> Job:
    """Runs the next job to its failure."""
    (job,) = await store.take("w1", 1)
    claim = await store.claim(job, "w1")
    ending = Ending(Status.FAILED, job.entry)
    batch = Batch(job.stream_id, claim.epoch, claim.next_seq, [*lines, done_line("failed")], ending)
    used = log or store.log
    assert await used.write([batch])
    await used.settled()
    return job


async def test_a_caller_has_a_limit_of_bytes_and_gets_room_again_when_its_requests_are_dropped(store: Store) -> None:
    assert [await submit(store, large(store)) for _ in range(4)] == ["ok", "ok", "bytes", "bytes"]
    assert await submit(store, large(store, "key:b")) == "ok"
    await store.queue.cancel((await run_next(store, [])).stream_id)
    assert [await submit(store, large(store)) for _ in range(2)] == ["ok", "bytes"]
    assert await store.keys_without_expiry() == []


async def test_many_failed_requests_of_a_megabyte_leave_little_in_redis(store: Store) -> None:
    before = await used_bytes(store)
    for _ in range(30):
        assert await submit(store, large(store)) == "ok"
        await run_next(store, [])
    # What is left of the requests are buffers of Redis, which it frees by and by.
    async with asyncio.timeout(DEADLINE_S):
        while await used_bytes(store) - before > 5 * MEGABYTE:
            await asyncio.sleep(0.01)


async def test_an_answer_counts_with_all_its_epochs_until_it_is_deleted(store: Store) -> None:
    await submit(store, large(store))
    (job,) = await store.take("w1", 1)
    claim = await store.claim(job, "w1")
    for seq in range(1, 11):
        await store.write(Batch(job.stream_id, claim.epoch, seq, chunk_lines("x" * 10_000)))
    assert MEGABYTE < await stored(store) < 1.1 * MEGABYTE
    again = await store.hand_over(job, "w2")
    assert again.verdict is Verdict.RUN
    ending = Ending(Status.COMPLETED, job.entry)
    for _ in range(2):
        lines = [*chunk_lines("y" * 10_000), done_line()]
        assert (await store.write(Batch(job.stream_id, again.epoch, again.next_seq, lines, ending)))[0] == "ok"
    # Eleven pieces, and what a run takes beside them.
    assert 110_000 < await stored(store) < 120_000
    for _ in range(2):
        await store.queue.delete(job.stream_id)
    assert await stored(store) == 0


@pytest.mark.parametrize("place", ["in the line", "in the backlog", "given back"])
async def test_a_cancelled_run_counts_without_its_request(store: Store, place: str) -> None:
    first, second = large(store), large(store)
    for one in (first, second):
        await submit(store, one)
    cancelled = second if place == "in the backlog" else first
    if place == "given back":
        (job,) = await store.take("w1", 1)
        claim = await store.claim(job, "w1")
        await store.queue.release("w1", [Lease(job, claim.epoch)])
    for _ in range(2):
        assert await store.queue.cancel(cancelled.stream_id) == "cancelled"
    assert MEGABYTE < await stored(store) < 1.01 * MEGABYTE


async def test_what_has_expired_counts_no_longer(store: Store) -> None:
    log = StreamLog(store.client, 50)
    for _ in range(2):
        await submit(store, replace(large(store), request=b"{}"))
        await run_next(store, chunk_lines("x" * (MEGABYTE + MEGABYTE // 2)), log)
    async with asyncio.timeout(DEADLINE_S):
        while await submit(store, large(store)) != "ok":
            await asyncio.sleep(0.01)


async def test_a_chat_counts_with_its_last_messages_alone(store: Store) -> None:
    for size in (1000, 300_000, 200_000):
        await settle(store.client, [Settlement(digest_name("key:a"), "c" * 64, b"%d" % size, 60_000)])
    assert await stored(store) == 200_000


@asynccontextmanager
async def memory_limit(store: Store, used_percent: int) -> AsyncIterator[None]:
    """Redis has a limit of which it uses so much."""
    maximum = await used_bytes(store) * 100 // used_percent
    await call_redis(store.client, "CONFIG", "SET", "maxmemory", maximum)
    try:
        yield
    finally:
        await call_redis(store.client, "CONFIG", "SET", "maxmemory", 0)


async def test_new_runs_leave_memory_to_those_in_progress(store: Store) -> None:
    limits = StorageLimits(reserve_percent=25)
    # So much that the buffers of Redis, which come and go, do not matter.
    await call_redis(store.client, "SETRANGE", "ballast", 40 * MEGABYTE, "x")
    job, claim = await store.start()
    small, known = store.submission(), store.submission(once="k")
    await store.queue.submit(known, MAX_WAITING)
    async with memory_limit(store, 85):
        assert await store.queue.submit(small, MAX_WAITING, limits) == (Submitted.MEMORY, "")
        # A repeated request takes no memory.
        again = store.submission(once="k")
        assert await store.queue.submit(again, MAX_WAITING, limits) == (Submitted.KNOWN, known.stream_id)
        ending = Ending(Status.COMPLETED, job.entry)
        assert (await store.write(Batch(job.stream_id, claim.epoch, 1, [done_line()], ending)))[0] == "ok"
    async with memory_limit(store, 50):
        assert (await store.queue.submit(small, MAX_WAITING, limits))[0] is Submitted.OK
        # Its request would fill the rest.
        huge = replace(large(store), request=b"m" * 30 * MEGABYTE)
        assert await store.queue.submit(huge, MAX_WAITING, limits) == (Submitted.MEMORY, "")
    assert (await store.queue.submit(store.submission(), MAX_WAITING, limits))[0] is Submitted.OK
