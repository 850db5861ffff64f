"""Jobs of workers that are gone: found however many others are in front of them, and lost with nobody."""

from contract.connection import call_redis
from contract.event import Status
from contract.job_queue import Lease, Verdict
from contract.keys import WORKERS_GROUP
from contract.stream_log import Batch, Ending, WriteStatus
from tests.contract.store import Store, done_line
from tests.redis_keys import JOBS

LONG_MS = 3_600_000


async def consumers(store: Store) -> set[str]:
    fields = await call_redis(store.client, "XINFO", "CONSUMERS", JOBS, WORKERS_GROUP)
    return {one[b"name"].decode() if isinstance(one, dict) else one[1].decode() for one in fields}


async def test_an_orphan_behind_many_runs_is_found_with_room_for_one(store: Store) -> None:
    for _ in range(50):
        await store.start("w1")
    job, claim = await store.start("w1")
    assert await store.queue.release("w1", [Lease(job, claim.epoch)]) == [WriteStatus.OK]
    assert await store.queue.take_over("w2", LONG_MS, 1) == [job]
    assert (await store.claim(job, "w2")).verdict is Verdict.RUN


async def test_no_more_jobs_are_taken_than_there_is_room_for(store: Store) -> None:
    jobs = [(await store.start("w1"))[0] for _ in range(3)]
    assert await store.queue.take_over("w2", 0, 2) == jobs[:2]
    assert await store.queue.delivered("w2") == jobs[:2]


async def test_a_lease_that_is_renewed_is_not_taken(store: Store) -> None:
    await store.start("w1")
    assert await store.queue.take_over("w2", LONG_MS, 10) == []


async def test_a_run_that_wants_no_restart_survives_a_lost_reply_to_its_claim(store: Store) -> None:
    job, first = await store.start("w1", on_lost="fail")
    again = await store.claim(job, "w1")
    assert (again.verdict, again.epoch) == (Verdict.RUN, first.epoch + 1)


async def test_a_worker_that_leaves_is_forgotten_with_its_jobs_done(store: Store) -> None:
    job, claim = await store.start("w1")
    await store.queue.forget_worker("w1")
    assert "w1" in await consumers(store)
    ending = Ending(Status.COMPLETED, job.entry)
    await store.write(Batch(job.stream_id, claim.epoch, claim.next_seq, [done_line()], ending))
    await store.queue.forget_worker("w1")
    assert "w1" not in await consumers(store)


async def test_a_released_job_outlives_the_worker_that_left(store: Store) -> None:
    job, claim = await store.start("w1")
    await store.queue.release("w1", [Lease(job, claim.epoch)])
    await store.queue.forget_worker("w1")
    assert await store.queue.take_over("w2", LONG_MS, 1) == [job]
