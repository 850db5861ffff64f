"""Jobs from their submission to their end: claimed once, taken over, given back, cancelled, in every order."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from contract.connection import call_redis
from contract.digest import digest_name
from contract.errors import BrokerRefusedError
from contract.event import Status
from contract.job_queue import Job, Lease, OnceUse, Submission, Submitted, Verdict
from contract.keys import WORKERS_GROUP
from contract.limits import QUESTION_LIMIT_CHARS
from contract.presence import Count, count_viewers
from contract.recent_runs import RecentRun, add_recent_run, read_recent_runs
from contract.run_record import read_question, read_response, read_run
from contract.scripts import Call, run_call
from contract.stream_log import Batch, Ending, StreamLog, WriteStatus
from tests.contract.store import LIFETIME_MS, MAX_LOST, MAX_WAITING, RETENTION_MS, Store, chunk_lines, done_line
from tests.redis_keys import CONTROL, JOBS, KEYS, TURNS, stream_keys


async def finish(store: Store, job: Job, epoch: int, seq: int, status: Status = Status.COMPLETED) -> tuple[str, int]:
    return await store.write(Batch(job.stream_id, epoch, seq, [done_line(status)], Ending(status, job.entry)))


async def pending(store: Store) -> dict[str, str]:
    """Which entry stands delivered to whom."""
    rows = await raw(store, "XPENDING", JOBS, WORKERS_GROUP, "-", "+", "100")
    return {row[0].decode(): row[1].decode() for row in rows}


async def raw(store: Store, *command: str) -> list[list[Any]]:
    """A reply in RESP2 as it came: redis-py expects some of these in its own calls alone."""
    rows: list[list[Any]] = await call_redis(store.client, "EVAL", "return redis.call(unpack(ARGV))", 0, *command)
    return rows


# Submitting


async def test_a_submission_creates_a_waiting_stream(store: Store) -> None:
    stream_id = await store.submit()
    record = await read_run(store.client, stream_id)
    assert record is not None
    assert (record.status, record.epoch, str(record.last), record.model) == ("queued", 0, "0-0", "demo")
    assert (record.claimed_ms, record.ended_ms, record.done) == (None, None, None)
    (job,) = await store.take("w1")
    assert job.stream_id == stream_id


async def test_a_repeated_submission_queues_one_job(store: Store) -> None:
    for submission in (store.submission(), store.submission(once="k1")):
        for _ in range(3):
            assert await store.queue.submit(submission, MAX_WAITING) == (Submitted.OK, submission.stream_id)
    assert len(await store.queued_entries()) == 2


async def test_a_caller_has_no_more_runs_at_once_than_its_limit(store: Store) -> None:
    def of(caller: str) -> Submission:
        return replace(store.submission(), caller=caller, max_at_once=2)

    async def submit(submission: Submission) -> Submitted:
        return (await store.queue.submit(submission, MAX_WAITING))[0]

    first, second = of("key:a"), of("key:a")
    assert [await submit(each) for each in (first, second, of("key:a"))] == ["ok", "ok", "busy"]
    assert await submit(of("key:b")) == "ok"
    await store.queue.cancel(first.stream_id)
    assert [await submit(of("key:a")), await submit(of("key:a"))] == ["ok", "busy"]
    # The stream is gone with all its keys: Redis has lost it, or it has expired.
    await call_redis(store.client, "DEL", stream_keys(second.stream_id).meta)
    # Since more than a minute: until then it could be a submission in progress.
    await call_redis(store.client, "ZADD", KEYS.account(digest_name("key:a")).open, 1, second.stream_id)
    assert [await submit(of("key:a")), await submit(of("key:a"))] == ["ok", "busy"]
    assert await submit(store.submission()) == "ok"
    assert await store.keys_without_expiry() == []


async def test_a_repeated_submission_of_a_caller_at_its_limit_gets_the_same_run(store: Store) -> None:
    one = replace(store.submission(once="k1"), caller="key:a", max_at_once=1)
    for _ in range(2):
        assert await store.queue.submit(one, MAX_WAITING) == (Submitted.OK, one.stream_id)
    again = replace(store.submission(once="k1"), caller="key:a", max_at_once=1)
    assert await store.queue.submit(again, MAX_WAITING) == (Submitted.KNOWN, one.stream_id)


async def test_an_idempotency_key_answers_the_first_stream_or_a_mismatch(store: Store) -> None:
    first = store.submission(once="k1")
    assert await store.queue.submit(first, MAX_WAITING) == (Submitted.OK, first.stream_id)
    again = store.submission(once="k1")
    assert await store.queue.submit(again, MAX_WAITING) == (Submitted.KNOWN, first.stream_id)
    other = store.submission(once="k1", body="another")
    assert await store.queue.submit(other, MAX_WAITING) == (Submitted.MISMATCH, first.stream_id)
    assert len(await store.queued_entries()) == 1
    assert await store.keys_without_expiry() == []


async def test_a_retry_gets_the_run_of_the_last_equal_request(store: Store) -> None:
    """Equal requests that are no retries each start a run: several answers to one question may be wanted."""
    first, second = (store.submission(once="body", use=OnceUse.FIRST) for _ in range(2))
    for one in (first, second):
        assert await store.queue.submit(one, MAX_WAITING) == (Submitted.OK, one.stream_id)
    for _ in range(2):
        retry = store.submission(once="body", use=OnceUse.RETRY)
        assert await store.queue.submit(retry, MAX_WAITING) == (Submitted.KNOWN, second.stream_id)
    assert await store.keys_without_expiry() == []


async def test_a_retry_of_a_cancelled_unknown_or_expired_run_starts_one(store: Store) -> None:
    unknown = store.submission(once="body", use=OnceUse.RETRY)
    assert await store.queue.submit(unknown, MAX_WAITING) == (Submitted.OK, unknown.stream_id)
    await store.queue.cancel(unknown.stream_id)
    after_cancel = store.submission(once="body", use=OnceUse.RETRY)
    assert await store.queue.submit(after_cancel, MAX_WAITING) == (Submitted.OK, after_cancel.stream_id)
    await call_redis(store.client, "DEL", stream_keys(after_cancel.stream_id).meta)
    after_expiry = store.submission(once="body", use=OnceUse.RETRY)
    assert await store.queue.submit(after_expiry, MAX_WAITING) == (Submitted.OK, after_expiry.stream_id)


async def test_a_retry_of_a_run_that_is_being_cancelled_starts_one(store: Store) -> None:
    first = store.submission(once="body", use=OnceUse.FIRST)
    await store.queue.submit(first, MAX_WAITING)
    (job,) = await store.take("w1")
    await store.claim(job, "w1")
    await store.queue.cancel(first.stream_id)
    retry = store.submission(once="body", use=OnceUse.RETRY)
    assert await store.queue.submit(retry, MAX_WAITING) == (Submitted.OK, retry.stream_id)


async def test_the_key_of_a_run_that_has_expired_starts_another_run(store: Store) -> None:
    """A failed run is kept for a shorter time than its key."""
    first = store.submission(once="k1")
    await store.queue.submit(first, MAX_WAITING)
    await call_redis(store.client, "DEL", stream_keys(first.stream_id).meta)
    second = store.submission(once="k1", body="another")
    assert await store.queue.submit(second, MAX_WAITING) == (Submitted.OK, second.stream_id)
    again = store.submission(once="k1", body="another")
    assert await store.queue.submit(again, MAX_WAITING) == (Submitted.KNOWN, second.stream_id)


async def test_many_submissions_of_one_key_at_once_make_one_stream(store: Store) -> None:
    submissions = [store.submission(once="k1") for _ in range(20)]
    answers = await asyncio.gather(*(store.queue.submit(one, MAX_WAITING) for one in submissions))
    assert len({stream_id for _, stream_id in answers}) == 1
    assert [answer for answer, _ in answers].count(Submitted.OK) == 1
    assert len(await store.queued_entries()) == 1


async def test_a_full_queue_takes_nothing_and_remembers_no_key(store: Store) -> None:
    for _ in range(2):
        assert (await store.queue.submit(store.submission(), 2))[0] is Submitted.OK
    refused = store.submission(once="k1")
    assert await store.queue.submit(refused, 2) == (Submitted.FULL, "")
    assert await read_run(store.client, refused.stream_id) is None
    await store.take("w1", 1)
    assert await store.queue.submit(refused, 2) == (Submitted.OK, refused.stream_id)


async def test_a_full_queue_still_answers_a_known_key(store: Store) -> None:
    first = store.submission(once="k1")
    await store.queue.submit(first, 1)
    assert await store.queue.submit(first, 1) == (Submitted.OK, first.stream_id)
    assert await store.queue.submit(store.submission(once="k1"), 1) == (Submitted.KNOWN, first.stream_id)


async def test_a_job_submitted_before_any_worker_came_is_found(store: Store) -> None:
    await call_redis(store.client, "FLUSHALL")
    stream_id = await store.submit()
    await store.queue.open()
    assert [job.stream_id for job in await store.take("w1")] == [stream_id]


async def test_submitting_leaves_no_error_in_the_statistics_of_redis(store: Store) -> None:
    await call_redis(store.client, "CONFIG", "RESETSTAT")
    for _ in range(3):
        await store.submit()
    assert not [name for name in await call_redis(store.client, "INFO", "errorstats") if "BUSYGROUP" in name]


async def test_a_lone_surrogate_in_a_model_name_is_replaced(store: Store) -> None:
    submission = store.submission()
    odd = replace(submission, model="gpt-\ud83d")
    await store.queue.submit(odd, MAX_WAITING)
    record = await read_run(store.client, submission.stream_id)
    assert record is not None
    assert record.model == "gpt-?"


# Claiming


async def test_a_claim_gives_the_first_epoch_and_the_request(store: Store) -> None:
    stream_id = await store.submit()
    (job,) = await store.take("w1")
    claim = await store.claim(job, "w1")
    assert (claim.verdict, claim.epoch, claim.next_seq, claim.request) == (Verdict.RUN, 1, 1, b'{"messages":[]}')
    assert claim.queued_ms >= 0
    record = await read_run(store.client, stream_id)
    assert record is not None
    assert (record.status, record.epoch) == ("running", 1)


async def test_a_pass_through_call_is_claimed_with_its_endpoint(store: Store) -> None:
    submission = replace(store.submission(), endpoint="embeddings")
    await store.queue.submit(submission, MAX_WAITING)
    (job,) = await store.take("w1")
    assert (await store.claim(job, "w1")).endpoint == "embeddings"
    assert (await store.hand_over(job, "w2")).endpoint == "embeddings"
    record = await read_run(store.client, submission.stream_id)
    assert record is not None
    assert record.endpoint == "embeddings"


@pytest.mark.parametrize("ends", ["finished", "cancelled"])
async def test_a_run_may_be_kept_for_less_time_than_others(store: Store, ends: str) -> None:
    submission = replace(store.submission(), keep_ms=5_000)
    await store.queue.submit(submission, MAX_WAITING)
    keys = stream_keys(submission.stream_id)
    assert await call_redis(store.client, "PTTL", keys.meta) > 5_000
    if ends == "finished":
        (job,) = await store.take("w1")
        claim = await store.claim(job, "w1")
        await store.queue.renew("w1", [Lease(job, claim.epoch)])
        assert await call_redis(store.client, "PTTL", keys.meta) > 5_000
        await finish(store, job, claim.epoch, 1)
    else:
        await store.queue.cancel(submission.stream_id)
    for key in (keys.meta, keys.log):
        assert 0 < await call_redis(store.client, "PTTL", key) <= 5_000


async def test_a_run_whose_caller_has_left_ends_unless_somebody_watches_it_then(store: Store) -> None:
    for is_watched in (True, False):
        job, claim = await store.start()
        await store.queue.leave(job.stream_id, 0)
        if is_watched:
            await count_viewers(store.client, "g", [Count(job.stream_id, 1)], 60_000, 0)
        expected = [WriteStatus.OK if is_watched else WriteStatus.CANCELLED]
        assert await store.queue.renew("w1", [Lease(job, claim.epoch)]) == expected
        await count_viewers(store.client, "g", [Count(job.stream_id, 0)], 60_000, 0)
        # The check is made once.
        assert await store.queue.renew("w1", [Lease(job, claim.epoch)]) == expected


async def test_a_caller_that_left_has_time_to_come_back(store: Store) -> None:
    job, claim = await store.start()
    await store.queue.leave(job.stream_id, 0)
    await store.queue.leave(job.stream_id, 60_000)
    assert await store.queue.renew("w1", [Lease(job, claim.epoch)]) == [WriteStatus.OK]


async def test_leaving_a_run_that_has_ended_changes_nothing(store: Store) -> None:
    job, claim = await store.start()
    await finish(store, job, claim.epoch, 1)
    await store.queue.leave(job.stream_id, 0)
    assert not await call_redis(store.client, "HEXISTS", stream_keys(job.stream_id).meta, "abandon_ms")
    await store.queue.leave("none", 0)
    assert not await call_redis(store.client, "EXISTS", stream_keys("none").meta)


def claim_call(job: Job, worker: str, name: str) -> Call:
    keys = stream_keys(job.stream_id)
    arguments = ("", worker, job.entry, MAX_LOST, 50, 600_000, name, 0, 10_000)
    return Call("claim", (keys.log, keys.meta, JOBS, TURNS), arguments, (keys.live, CONTROL))


@pytest.mark.parametrize("on_lost", ["restart", "fail"])
async def test_a_claim_repeated_because_its_reply_was_lost_gets_the_same_lease(store: Store, on_lost: str) -> None:
    await store.submit(on_lost=on_lost)
    (job,) = await store.take("w1")
    replies = [await run_call(store.client, claim_call(job, "w1", "one")) for _ in range(3)]
    assert [reply[:3] for reply in replies] == [[b"run", b"1", 1]] * 3


async def test_a_repeated_take_over_announces_one_restart(store: Store) -> None:
    job, claim = await store.start("w1")
    await store.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    await store.take_over("w2")
    replies = [await run_call(store.client, claim_call(job, "w2", "one")) for _ in range(3)]
    assert [reply[:3] for reply in replies] == [[b"run", b"2", 2]] * 3
    assert await store.kinds(job.stream_id) == ["chunk", "restart"]


async def test_another_claim_of_the_same_worker_ends_its_older_lease(store: Store) -> None:
    job, old = await store.start("w1", on_lost="fail")
    new = await store.claim(job, "w1")
    assert (new.verdict, new.epoch) == (Verdict.RUN, 2)
    assert await store.write(Batch(job.stream_id, old.epoch, 1, chunk_lines("a"))) == ("lost", 0)


async def test_a_job_that_another_worker_took_meanwhile_is_not_claimed(store: Store) -> None:
    await store.submit()
    (job,) = await store.take("w1")
    assert (await store.hand_over(job, "w2")).verdict is Verdict.RUN
    assert (await store.claim(job, "w1")).verdict is Verdict.GONE
    record = await read_run(store.client, job.stream_id)
    assert record is not None
    assert record.epoch == 1


async def test_a_job_whose_stream_is_gone_is_retired(store: Store) -> None:
    stream_id = await store.submit()
    (job,) = await store.take("w1")
    await call_redis(store.client, "DEL", stream_keys(stream_id).meta)
    assert (await store.claim(job, "w1")).verdict is Verdict.GONE
    assert await store.queued_entries() == []
    assert await pending(store) == {}


async def test_an_entry_deleted_after_its_delivery_is_retired(store: Store) -> None:
    await store.submit()
    (job,) = await store.take("w1")
    await call_redis(store.client, "XDEL", JOBS, job.entry)
    (ghost,) = await store.queue.delivered("w1")
    assert (await store.claim(ghost, "w1")).verdict is Verdict.GONE
    assert await pending(store) == {}


async def test_a_claim_keeps_a_stream_alive_that_has_waited_long(store: Store) -> None:
    job, claim = await store.start()
    await store.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    keys = stream_keys(job.stream_id)
    for key in (keys.log, keys.meta):
        await call_redis(store.client, "PEXPIRE", key, 60_000)
    await store.hand_over(job, "w2")
    for key in (keys.log, keys.meta):
        assert await call_redis(store.client, "PTTL", key) > 60_000


# Losing workers


async def test_a_take_over_writes_a_restart_with_its_reason(store: Store) -> None:
    job, claim = await store.start("w1")
    await store.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a", "b")))
    again = await store.hand_over(job, "w2")
    assert (again.verdict, again.epoch, again.next_seq) == (Verdict.RUN, 2, 2)
    restart = (await store.events(job.stream_id))[-1]
    assert (str(restart.position), restart.kind) == ("2-1", "restart")
    assert restart.data == b'{"epoch":2,"reason":"worker_lost"}'


async def test_a_take_over_before_the_first_chunk_writes_no_restart(store: Store) -> None:
    job, _ = await store.start("w1")
    again = await store.hand_over(job, "w2")
    assert (again.verdict, again.epoch, again.next_seq) == (Verdict.RUN, 2, 1)
    assert await store.kinds(job.stream_id) == []


async def test_a_job_that_costs_too_many_workers_fails(store: Store) -> None:
    job, _ = await store.start("w0")
    verdicts = [(await store.hand_over(job, f"w{number}")).verdict for number in range(1, MAX_LOST + 2)]
    assert verdicts == [Verdict.RUN] * (MAX_LOST - 1) + [Verdict.LOST] * 2
    epoch = MAX_LOST + 2
    assert await finish(store, job, epoch, 1, Status.FAILED) == ("ok", 1)
    assert await store.positions(job.stream_id) == [f"{epoch}-1"]


async def test_a_run_that_wants_no_second_attempt_gets_none(store: Store) -> None:
    job, _ = await store.start("w1", on_lost="fail")
    again = await store.hand_over(job, "w2")
    assert (again.verdict, again.epoch) == (Verdict.LOST, 2)


async def test_a_frozen_worker_that_comes_back_neither_renews_nor_steals(store: Store) -> None:
    job, old = await store.start("w1")
    await store.hand_over(job, "w2")
    assert await store.queue.renew("w1", [Lease(job, old.epoch)]) == [WriteStatus.LOST]
    assert await store.queue.release("w1", [Lease(job, old.epoch)]) == [WriteStatus.LOST]
    assert await pending(store) == {job.entry: "w2"}


async def test_a_renewal_between_take_over_and_claim_keeps_the_lease(store: Store) -> None:
    job, claim = await store.start("w1")
    await store.take_over("w2")
    assert await store.queue.renew("w1", [Lease(job, claim.epoch)]) == [WriteStatus.OK]
    assert (await store.claim(job, "w2")).verdict is Verdict.GONE
    assert await store.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a"))) == ("ok", 1)


async def test_a_finish_between_take_over_and_claim_counts(store: Store) -> None:
    job, claim = await store.start("w1")
    await store.take_over("w2")
    assert await finish(store, job, claim.epoch, 1) == ("ok", 1)
    assert (await store.claim(job, "w2")).verdict is Verdict.GONE
    assert await store.kinds(job.stream_id) == ["done"]
    assert await store.queued_entries() == []


async def test_an_overdue_job_is_found_behind_many_that_are_not(store: Store) -> None:
    for _ in range(40):
        await store.submit()
    jobs = await store.take("w1", 40)
    await raw(store, "XCLAIM", JOBS, WORKERS_GROUP, "w1", "0", jobs[-1].entry, "IDLE", "86000000", "JUSTID")
    assert await store.queue.take_over("w2", 3_600_000, 1) == [jobs[-1]]
    assert await store.queue.take_over("w2", 3_600_000, 1) == []


async def test_a_take_over_takes_no_more_than_asked_and_the_oldest_first(store: Store) -> None:
    for _ in range(5):
        await store.submit()
    jobs = await store.take("w1", 5)
    assert await store.queue.take_over("w2", 0, 2) == jobs[:2]
    assert sorted((await pending(store)).values()) == ["w1"] * 3 + ["w2"] * 2


async def test_jobs_whose_delivery_was_lost_are_found_again(store: Store) -> None:
    await store.submit()
    jobs = await store.take("w1")
    assert await store.queue.delivered("w1") == jobs
    assert await store.queue.delivered("w2") == []


# Renewing and giving back


async def test_a_renewal_keeps_the_lease_and_reports_a_cancel(store: Store) -> None:
    job, claim = await store.start()
    await store.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    keys = stream_keys(job.stream_id)
    for key in (keys.log, keys.meta):
        await call_redis(store.client, "PEXPIRE", key, 60_000)
    lease = Lease(job, claim.epoch)
    assert await store.queue.renew("w1", [lease]) == [WriteStatus.OK]
    for key in (keys.log, keys.meta):
        assert await call_redis(store.client, "PTTL", key) > 60_000
    await store.queue.cancel(job.stream_id)
    assert await store.queue.renew("w1", [lease]) == [WriteStatus.CANCELLED]
    assert await pending(store) == {job.entry: "w1"}


async def test_a_job_given_back_is_taken_at_once_and_costs_no_attempt(store: Store) -> None:
    job, claim = await store.start("w1")
    await store.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    assert await store.queue.release("w1", [Lease(job, claim.epoch)]) == [WriteStatus.OK]
    assert await store.write(Batch(job.stream_id, claim.epoch, 2, chunk_lines("late"))) == ("lost", 0)
    assert await store.queue.take_over("w2", 3_600_000, 1) == [job]
    again = await store.claim(job, "w2")
    assert (again.verdict, again.epoch, again.next_seq) == (Verdict.RUN, 2, 2)
    restart = (await store.events(job.stream_id))[-1]
    assert restart.data == b'{"epoch":2,"reason":"worker_stopped"}'
    assert (await store.meta(job.stream_id))["lost"] == "0"


async def test_releasing_twice_is_harmless_and_answers_the_same(store: Store) -> None:
    job, claim = await store.start("w1")
    lease = Lease(job, claim.epoch)
    assert await store.queue.release("w1", [lease]) == [WriteStatus.OK]
    assert await store.queue.release("w1", [lease]) == [WriteStatus.OK]
    await store.hand_over(job, "w2")
    assert await store.queue.release("w1", [lease]) == [WriteStatus.LOST]
    assert await pending(store) == {job.entry: "w2"}


async def test_a_run_without_retries_may_be_released_before_its_first_chunk(store: Store) -> None:
    job, claim = await store.start("w1", on_lost="fail")
    await store.queue.release("w1", [Lease(job, claim.epoch)])
    again = await store.hand_over(job, "w2")
    assert again.verdict is Verdict.RUN
    await store.write(Batch(job.stream_id, again.epoch, 1, chunk_lines("a")))
    await store.queue.release("w2", [Lease(job, again.epoch)])
    assert (await store.hand_over(job, "w3")).verdict is Verdict.LOST


async def test_a_worker_that_dies_after_a_release_counts_as_lost(store: Store) -> None:
    job, claim = await store.start("w1")
    await store.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    await store.queue.release("w1", [Lease(job, claim.epoch)])
    await store.hand_over(job, "w2")
    await store.hand_over(job, "w3")
    reasons = [event.data for event in await store.events(job.stream_id) if event.kind == "restart"]
    assert reasons == [b'{"epoch":2,"reason":"worker_stopped"}', b'{"epoch":3,"reason":"worker_lost"}']
    assert (await store.meta(job.stream_id))["lost"] == "1"


# Cancelling


async def test_a_cancel_ends_a_run_that_waits(store: Store) -> None:
    stream_id = await store.submit()
    for _ in range(2):
        assert await store.queue.cancel(stream_id) == "cancelled"
    assert await store.kinds(stream_id) == ["done"]
    assert await store.queued_entries() == []
    record = await read_run(store.client, stream_id)
    assert record is not None
    assert (record.status, str(record.last)) == ("cancelled", "1-1")
    assert record.done is not None
    assert record.done["status"] == "cancelled"
    assert await store.take("w1") == []


async def test_a_cancel_between_delivery_and_claim_ends_the_run(store: Store) -> None:
    stream_id = await store.submit()
    (job,) = await store.take("w1")
    assert await store.queue.cancel(stream_id) == "cancelled"
    assert (await store.claim(job, "w1")).verdict is Verdict.GONE
    assert await pending(store) == {}
    assert await store.kinds(stream_id) == ["done"]


async def test_a_cancel_of_a_run_that_was_given_back_ends_it(store: Store) -> None:
    job, claim = await store.start("w1")
    await store.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    await store.queue.release("w1", [Lease(job, claim.epoch)])
    assert await store.queue.cancel(job.stream_id) == "cancelled"
    assert await store.positions(job.stream_id) == ["1-1", "2-1"]
    assert await pending(store) == {}
    assert await store.queued_entries() == []


async def test_a_cancel_asked_of_a_lost_worker_reaches_the_next_one(store: Store) -> None:
    job, _ = await store.start("w1")
    assert await store.queue.cancel(job.stream_id) == "cancelling"
    again = await store.hand_over(job, "w2")
    assert (again.verdict, again.epoch, again.next_seq) == (Verdict.CANCELLED, 2, 1)
    assert await finish(store, job, again.epoch, 1, Status.CANCELLED) == ("ok", 1)
    assert await store.queue.cancel(job.stream_id) == "cancelled"


async def test_a_cancel_that_comes_too_late_says_how_the_run_ended(store: Store) -> None:
    job, claim = await store.start()
    await store.queue.cancel(job.stream_id)
    assert await finish(store, job, claim.epoch, 1) == ("ok", 1)
    assert await store.queue.cancel(job.stream_id) == "completed"
    assert not await call_redis(store.client, "HEXISTS", stream_keys(job.stream_id).meta, "cancel")


async def test_cancelling_a_missing_stream_does_nothing(store: Store) -> None:
    assert await store.queue.cancel("x" * 22) is None
    assert await call_redis(store.client, "EXISTS", *stream_keys("x" * 22)) == 0


# Ending


@pytest.mark.parametrize("ends", ["finished", "cancelled while it waits"])
async def test_a_run_that_has_ended_keeps_its_question_and_not_its_request(store: Store, ends: str) -> None:
    submission = replace(
        store.submission(), request=b'{"messages":["%b"]}' % (b"m" * 100_000), question="Why? \ud83d" * 1000
    )
    await store.queue.submit(submission, MAX_WAITING)
    if ends == "finished":
        (job,) = await store.take("w1")
        assert (await store.claim(job, "w1")).request == submission.request
        # Another attempt needs it too.
        claim = await store.hand_over(job, "w2")
        assert claim.request == submission.request
        assert await finish(store, job, claim.epoch, 1) == ("ok", 1)
    else:
        await store.queue.cancel(submission.stream_id)
    kept = "Why? ?" * 1000
    assert await read_question(store.client, submission.stream_id) == kept[:QUESTION_LIMIT_CHARS]
    assert not await call_redis(store.client, "HEXISTS", stream_keys(submission.stream_id).meta, "request")


async def test_a_failed_run_is_kept_for_a_shorter_time_than_others(store: Store) -> None:
    log = StreamLog(store.client, RETENTION_MS, 5_000)
    for status, kept_ms in ((Status.FAILED, 5_000), (Status.COMPLETED, RETENTION_MS), (Status.CANCELLED, RETENTION_MS)):
        job, claim = await store.start()
        ending = Ending(status, job.entry)
        assert await log.write([Batch(job.stream_id, claim.epoch, 1, [done_line(status)], ending)])
        for key in stream_keys(job.stream_id)[:2]:
            assert kept_ms - 5_000 < await call_redis(store.client, "PTTL", key) <= kept_ms
        record = await read_run(store.client, job.stream_id)
        assert record is not None
        assert record.ended_ms is not None
        assert record.expires_ms - record.ended_ms == kept_ms


# Members of the group


async def members(store: Store) -> set[str]:
    rows = await raw(store, "XINFO", "CONSUMERS", JOBS, WORKERS_GROUP)
    return {row[1].decode() for row in rows}


async def test_a_leaving_worker_is_forgotten_unless_it_has_jobs(store: Store) -> None:
    job, claim = await store.start("w1")
    await store.take("w2")
    await store.queue.forget_worker("w1")
    await store.queue.forget_worker("w2")
    await store.queue.forget_worker("never was")
    assert await members(store) == {"w1"}
    assert await store.queue.delivered("w1") == [job]
    await finish(store, job, claim.epoch, 1)
    await store.queue.forget_worker("w1")
    assert await members(store) == set()


async def test_a_leaving_worker_removes_long_dead_workers_but_not_their_jobs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = await store.start("w1")
    for worker in ("w2", "w3"):
        await raw(store, "XGROUP", "CREATECONSUMER", JOBS, WORKERS_GROUP, worker)
    await store.queue.forget_worker("w3")
    assert await members(store) == {"w1", "w2"}
    monkeypatch.setattr("contract.job_queue._FORGOTTEN_AFTER_MS", -1)
    await store.queue.forget_worker("w3")
    assert await members(store) == {"w1"}
    assert await store.queue.delivered("w1") == [job]


async def test_a_worker_forgotten_while_it_waits_still_gets_the_next_job(store: Store) -> None:
    waiting = asyncio.create_task(store.queue.take(store.blocking, "w1", 1, 4000))
    async with asyncio.timeout(60):
        while not (await call_redis(store.client, "INFO", "clients"))["blocked_clients"]:
            pass
    await store.queue.forget_worker("w1")
    assert await members(store) == set()
    stream_id = await store.submit()
    assert [job.stream_id for job in await waiting] == [stream_id]
    assert list((await pending(store)).values()) == ["w1"]


async def test_a_missing_consumer_group_is_recreated_with_all_its_jobs(store: Store) -> None:
    stream_id = await store.submit()
    await store.take("w1")
    await call_redis(store.client, "XGROUP", "DESTROY", JOBS, WORKERS_GROUP)
    with pytest.raises(BrokerRefusedError, match="NOGROUP"):
        await store.take("w1")
    with pytest.raises(BrokerRefusedError, match="NOGROUP"):
        await store.take_over("w1")
    for _ in range(2):
        await store.queue.open()
    (job,) = await store.take("w1")
    assert job.stream_id == stream_id
    assert (await store.claim(job, "w1")).verdict is Verdict.RUN


# Responses


async def test_a_finished_response_keeps_what_its_request_added_and_not_the_whole_context(store: Store) -> None:
    submission = replace(store.submission(), response=b'{"input":[]}', keep_ms=5_000)
    await store.queue.submit(submission, MAX_WAITING)
    meta = stream_keys(submission.stream_id).meta
    (job,) = await store.take("w1")
    claim = await store.claim(job, "w1")
    assert claim.request == submission.request
    assert await call_redis(store.client, "PTTL", meta) > 5_000
    assert await finish(store, job, claim.epoch, 1) == (WriteStatus.OK, 1)
    assert await read_response(store.client, submission.stream_id) == b'{"input":[]}'
    for key in stream_keys(submission.stream_id)[:2]:
        assert 0 < await call_redis(store.client, "PTTL", key) <= 5_000


async def test_other_runs_have_no_response(store: Store) -> None:
    job, claim = await store.start()
    await finish(store, job, claim.epoch, 1)
    assert await read_response(store.client, job.stream_id) is None


async def test_a_deleted_run_leaves_nothing_whatever_its_state(store: Store) -> None:
    waiting = await store.submit()
    await store.queue.delete(waiting)
    assert await store.queued_entries() == []
    job, claim = await store.start()
    await store.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    await store.queue.delete(job.stream_id)
    late = await store.write(Batch(job.stream_id, claim.epoch, 2, chunk_lines("b")))
    assert late == (WriteStatus.GONE, 0)
    assert (await finish(store, job, claim.epoch, 2))[0] == WriteStatus.GONE
    for stream_id in (waiting, job.stream_id):
        await store.queue.delete(stream_id)
        assert await read_run(store.client, stream_id) is None
        assert await call_redis(store.client, "EXISTS", *stream_keys(stream_id)) == 0
    assert await pending(store) == {}


async def test_the_prompt_of_a_deleted_run_is_not_kept_in_the_list(store: Store) -> None:
    deleted, kept = await store.submit(), await store.submit()
    for stream_id in (deleted, kept):
        await add_recent_run(store.client, RecentRun(stream_id, "The secret."), LIFETIME_MS)
    await store.queue.delete(deleted)
    assert [run.stream_id for run in await read_recent_runs(store.client, 10)] == [kept]


async def test_a_script_that_is_taken_over_has_no_restart(store: Store) -> None:
    """Its answer goes on from what the log records. The worker says what begins again."""
    submission = replace(store.submission(), model="script/haiku")
    await store.queue.submit(submission, MAX_WAITING)
    (job,) = await store.take("w1")
    claim = await store.claim(job, "w1")
    await store.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    again = await store.hand_over(job, "w2")
    assert (again.verdict, again.epoch, again.next_seq) == (Verdict.RUN, 2, 1)
    assert await store.kinds(job.stream_id) == ["chunk"]
