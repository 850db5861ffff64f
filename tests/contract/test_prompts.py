"""Prompts of scripts: kept with their run where it is wished, within bounds, and counted."""

from dataclasses import replace

import pytest

from contract.connection import call_redis
from contract.event import Kind, Status, encode_json, entry_line
from contract.job_queue import BEGINNING_LIFETIME_MS, Beginning, JobQueue, Lease, StorageLimits, Submitted, Verdict
from contract.prompts import PROMPT_LIMIT_BYTES, PROMPTS_LIMIT_BYTES, TEXT_LIMIT_CHARS, KeptRun, Prompts, cut_messages
from contract.stream_log import Batch, Ending
from tests.contract.store import MAX_WAITING, Store, chunk_lines, done_line
from tests.redis_keys import stream_keys

MESSAGES = [{"role": "user", "content": "Why?"}]
KEPT = {"messages": MESSAGES, "omitted": 0, "cut": False}


@pytest.fixture
def prompts(store: Store) -> Prompts:
    return Prompts(store.client)


async def start(store: Store, *, keeps: bool = True, storage: StorageLimits | None = None) -> Lease:
    submission = replace(
        store.submission(), model="script/quiz", request=b'{"messages":[]}', keeps_prompts=keeps, caller="user:ada"
    )
    await store.queue.submit(submission, MAX_WAITING, storage or StorageLimits())
    (job,) = await store.take("w1")
    return Lease(job, (await store.claim(job, "w1")).epoch)


async def end(store: Store, lease: Lease) -> None:
    ending = Ending(Status.COMPLETED, lease.job.entry)
    await store.write(Batch(lease.job.stream_id, lease.epoch, 1, [*chunk_lines("a"), done_line()], ending))


async def test_prompts_and_the_request_stay_after_the_end(store: Store, prompts: Prompts) -> None:
    lease = await start(store)
    stream_id = lease.job.stream_id
    assert await prompts.keep(stream_id, lease.epoch, "1.2", MESSAGES)
    await end(store, lease)
    assert await prompts.read(stream_id) == {"1.2": KEPT}
    assert await prompts.read_run(stream_id) == KeptRun({"messages": []}, None)
    assert not await prompts.keep(stream_id, lease.epoch, "3", MESSAGES)


async def test_prompts_come_in_the_order_of_the_calls(store: Store, prompts: Prompts) -> None:
    """Redis returns the fields of a record that has become large in any order."""
    lease = await start(store)
    steps = ["1", "2", "3.1", "3.2", "9", "10", "10.1", "11"]
    for step_id in reversed(steps):
        assert await prompts.keep(lease.job.stream_id, lease.epoch, step_id, MESSAGES * 4)
    assert list(await prompts.read(lease.job.stream_id)) == steps


async def test_a_run_that_keeps_none_has_none(store: Store, prompts: Prompts) -> None:
    lease = await start(store, keeps=False)
    assert not await prompts.keep(lease.job.stream_id, lease.epoch, "1", MESSAGES)
    assert await prompts.read(lease.job.stream_id) == {}
    assert await prompts.read_run(lease.job.stream_id) is None


async def test_a_worker_that_has_lost_its_run_keeps_nothing(store: Store, prompts: Prompts) -> None:
    lease = await start(store)
    assert not await prompts.keep(lease.job.stream_id, lease.epoch + 1, "1", MESSAGES)
    assert await prompts.read(lease.job.stream_id) == {}


async def test_the_prompts_of_a_run_have_a_bound(store: Store, prompts: Prompts) -> None:
    lease = await start(store)
    large = [{"role": "user", "content": "m" * TEXT_LIMIT_CHARS}] * 3
    kept = [await prompts.keep(lease.job.stream_id, lease.epoch, str(number), large) for number in range(1, 60)]
    assert kept.index(False) == sum(kept) > 10
    held = sum(len(encode_json(prompt)) for prompt in (await prompts.read(lease.job.stream_id)).values())
    assert held <= PROMPTS_LIMIT_BYTES


async def test_what_is_kept_counts_for_its_caller(store: Store, prompts: Prompts) -> None:
    lease = await start(store, storage=StorageLimits(caller_bytes=1 << 20))
    before = int(await call_redis(store.client, "HGET", stream_keys(lease.job.stream_id).meta, "bytes"))
    await prompts.keep(lease.job.stream_id, lease.epoch, "1", MESSAGES)
    after = int(await call_redis(store.client, "HGET", stream_keys(lease.job.stream_id).meta, "bytes"))
    assert after - before == len(encode_json(KEPT))


def test_the_last_messages_are_kept_and_long_texts_are_cut() -> None:
    many = [{"role": "user", "content": f"{number} " + "m" * 10_000} for number in range(20)]
    kept = cut_messages(many)
    assert kept["messages"] == many[kept["omitted"] :]
    assert 0 < len(encode_json(kept["messages"])) <= PROMPT_LIMIT_BYTES
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "d" * 100_000}}]}]
    cut = cut_messages(picture)
    assert cut["cut"]
    assert len(encode_json(cut)) < TEXT_LIMIT_CHARS + 1000


async def test_a_run_goes_on_from_a_copied_record_and_its_first_attempt_is_no_second_one(store: Store) -> None:
    lines = [entry_line(Kind.START, b"{}"), *(entry_line(Kind.VALUE, b'{"id":"%d"}' % n) for n in range(1, 600))]
    beginning = Beginning(lines, {"again": b'{"run":"r","step":"600"}'})
    submission, queue = store.submission(), JobQueue(store.client, 2 * BEGINNING_LIFETIME_MS)
    policy = replace(submission.policy, on_worker_lost="fail")
    submission = replace(submission, model="script/quiz", policy=policy, beginning=beginning, keeps_prompts=True)
    log = stream_keys(submission.stream_id).log
    for _ in range(2):
        await queue.copy_record(submission.stream_id, beginning)
    # Its gateway may die now, or lose Redis.
    assert 0 < await call_redis(store.client, "PTTL", log) <= BEGINNING_LIFETIME_MS
    answer, _ = await queue.submit(submission, MAX_WAITING)
    assert answer is Submitted.OK
    assert await call_redis(store.client, "PTTL", log) > BEGINNING_LIFETIME_MS
    (job,) = await store.take("w1")
    claim = await store.claim(job, "w1")
    assert (claim.verdict, claim.epoch, claim.next_seq) == (Verdict.RUN, 2, 1)
    await store.write(Batch(job.stream_id, 2, 1, chunk_lines("a")))
    positions = await store.positions(job.stream_id)
    assert positions == [*(f"1-{seq}" for seq in range(1, 601)), "2-1"]
    kept = await Prompts(store.client).read_run(job.stream_id)
    assert kept is not None
    assert kept.again == {"run": "r", "step": "600"}
