"""Jobs from their submission to their end: claimed once, taken over, given back, cancelled, in every order."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from contract.connection import call_redis
from contract.errors import BrokerRefusedError
from contract.event import Status
from contract.job_queue import Job, Lease, OnceUse, Submission, Submitted, Verdict
from contract.keys import JOBS, WORKERS_GROUP, StreamKeys
from contract.run_record import read_run
from contract.scripts import Call, run_call
from contract.stream_log import Batch, Ending, WriteStatus
from tests.contract.place import MAX_LOST, MAX_WAITING, Place, chunk_lines, done_line


async def finish(place: Place, job: Job, epoch: int, seq: int, status: Status = Status.COMPLETED) -> tuple[str, int]:
    return await place.write(Batch(job.stream_id, epoch, seq, [done_line(status)], Ending(status, job.entry)))


async def pending(place: Place) -> dict[str, str]:
    """Which entry stands delivered to whom."""
    rows = await raw(place, "XPENDING", JOBS, WORKERS_GROUP, "-", "+", "100")
    return {row[0].decode(): row[1].decode() for row in rows}


async def raw(place: Place, *command: str) -> list[list[Any]]:
    """A reply in RESP2 as it came: redis-py expects some of these in its own calls alone."""
    rows: list[list[Any]] = await call_redis(place.client, "EVAL", "return redis.call(unpack(ARGV))", 0, *command)
    return rows


# Submitting


async def test_a_submission_makes_a_stream_that_waits(place: Place) -> None:
    stream_id = await place.submit()
    record = await read_run(place.client, stream_id)
    assert record is not None
    assert (record.status, record.epoch, str(record.last), record.model) == ("queued", 0, "0-0", "demo")
    assert (record.claimed_ms, record.ended_ms, record.done) == (None, None, None)
    (job,) = await place.take("w1")
    assert job.stream_id == stream_id


async def test_a_repeated_submission_queues_one_job(place: Place) -> None:
    for submission in (place.submission(), place.submission(once="k1")):
        for _ in range(3):
            assert await place.queue.submit(submission, MAX_WAITING) == (Submitted.OK, submission.stream_id)
    assert len(await place.queued_entries()) == 2


async def test_a_caller_has_no_more_runs_at_once_than_it_may(place: Place) -> None:
    def of(caller: str) -> Submission:
        return replace(place.submission(), caller=caller, max_at_once=2)

    async def submit(submission: Submission) -> Submitted:
        return (await place.queue.submit(submission, MAX_WAITING))[0]

    first, second = of("key:a"), of("key:a")
    assert [await submit(each) for each in (first, second, of("key:a"))] == ["ok", "ok", "busy"]
    assert await submit(of("key:b")) == "ok"
    await place.queue.cancel(first.stream_id)
    assert [await submit(of("key:a")), await submit(of("key:a"))] == ["ok", "busy"]
    # The stream is gone with all its keys: Redis has lost it, or it has expired.
    await call_redis(place.client, "DEL", StreamKeys.of(second.stream_id).meta)
    assert [await submit(of("key:a")), await submit(of("key:a"))] == ["ok", "busy"]
    assert await submit(place.submission()) == "ok"
    assert await place.keys_without_expiry() == []


async def test_a_repeated_submission_of_a_caller_that_is_busy_by_it_is_the_same_one(place: Place) -> None:
    one = replace(place.submission(once="k1"), caller="key:a", max_at_once=1)
    for _ in range(2):
        assert await place.queue.submit(one, MAX_WAITING) == (Submitted.OK, one.stream_id)
    again = replace(place.submission(once="k1"), caller="key:a", max_at_once=1)
    assert await place.queue.submit(again, MAX_WAITING) == (Submitted.KNOWN, one.stream_id)


async def test_an_idempotency_key_answers_the_first_stream_or_a_mismatch(place: Place) -> None:
    first = place.submission(once="k1")
    assert await place.queue.submit(first, MAX_WAITING) == (Submitted.OK, first.stream_id)
    again = place.submission(once="k1")
    assert await place.queue.submit(again, MAX_WAITING) == (Submitted.KNOWN, first.stream_id)
    other = place.submission(once="k1", body="another")
    assert await place.queue.submit(other, MAX_WAITING) == (Submitted.MISMATCH, first.stream_id)
    assert len(await place.queued_entries()) == 1
    assert await place.keys_without_expiry() == []


async def test_a_retry_gets_the_run_of_the_last_equal_request(place: Place) -> None:
    """Equal requests that are no retries each start a run: several answers to one question may be wanted."""
    first, second = (place.submission(once="body", use=OnceUse.FIRST) for _ in range(2))
    for one in (first, second):
        assert await place.queue.submit(one, MAX_WAITING) == (Submitted.OK, one.stream_id)
    for _ in range(2):
        retry = place.submission(once="body", use=OnceUse.RETRY)
        assert await place.queue.submit(retry, MAX_WAITING) == (Submitted.KNOWN, second.stream_id)
    assert await place.keys_without_expiry() == []


async def test_a_retry_of_a_cancelled_unknown_or_expired_run_starts_one(place: Place) -> None:
    unknown = place.submission(once="body", use=OnceUse.RETRY)
    assert await place.queue.submit(unknown, MAX_WAITING) == (Submitted.OK, unknown.stream_id)
    await place.queue.cancel(unknown.stream_id)
    after_cancel = place.submission(once="body", use=OnceUse.RETRY)
    assert await place.queue.submit(after_cancel, MAX_WAITING) == (Submitted.OK, after_cancel.stream_id)
    await call_redis(place.client, "DEL", StreamKeys.of(after_cancel.stream_id).meta)
    after_expiry = place.submission(once="body", use=OnceUse.RETRY)
    assert await place.queue.submit(after_expiry, MAX_WAITING) == (Submitted.OK, after_expiry.stream_id)


async def test_a_retry_of_a_run_that_is_being_cancelled_starts_one(place: Place) -> None:
    first = place.submission(once="body", use=OnceUse.FIRST)
    await place.queue.submit(first, MAX_WAITING)
    (job,) = await place.take("w1")
    await place.claim(job, "w1")
    await place.queue.cancel(first.stream_id)
    retry = place.submission(once="body", use=OnceUse.RETRY)
    assert await place.queue.submit(retry, MAX_WAITING) == (Submitted.OK, retry.stream_id)


async def test_many_submissions_of_one_key_at_once_make_one_stream(place: Place) -> None:
    submissions = [place.submission(once="k1") for _ in range(20)]
    answers = await asyncio.gather(*(place.queue.submit(one, MAX_WAITING) for one in submissions))
    assert len({stream_id for _, stream_id in answers}) == 1
    assert [answer for answer, _ in answers].count(Submitted.OK) == 1
    assert len(await place.queued_entries()) == 1


async def test_a_full_queue_takes_nothing_and_remembers_no_key(place: Place) -> None:
    for _ in range(2):
        assert (await place.queue.submit(place.submission(), 2))[0] is Submitted.OK
    refused = place.submission(once="k1")
    assert await place.queue.submit(refused, 2) == (Submitted.FULL, "")
    assert await read_run(place.client, refused.stream_id) is None
    await place.take("w1", 1)
    assert await place.queue.submit(refused, 2) == (Submitted.OK, refused.stream_id)


async def test_a_known_key_is_answered_by_a_full_queue_too(place: Place) -> None:
    first = place.submission(once="k1")
    await place.queue.submit(first, 1)
    assert await place.queue.submit(first, 1) == (Submitted.OK, first.stream_id)
    assert await place.queue.submit(place.submission(once="k1"), 1) == (Submitted.KNOWN, first.stream_id)


async def test_a_job_submitted_before_any_worker_came_is_found(place: Place) -> None:
    await call_redis(place.client, "FLUSHALL")
    stream_id = await place.submit()
    await place.queue.open()
    assert [job.stream_id for job in await place.take("w1")] == [stream_id]


async def test_submitting_leaves_no_error_in_the_statistics_of_redis(place: Place) -> None:
    await call_redis(place.client, "CONFIG", "RESETSTAT")
    for _ in range(3):
        await place.submit()
    assert not [name for name in await call_redis(place.client, "INFO", "errorstats") if "BUSYGROUP" in name]


async def test_a_model_with_half_a_surrogate_pair_is_kept_as_far_as_text_can(place: Place) -> None:
    submission = place.submission()
    odd = replace(submission, model="gpt-\ud83d")
    await place.queue.submit(odd, MAX_WAITING)
    record = await read_run(place.client, submission.stream_id)
    assert record is not None
    assert record.model == "gpt-?"


# Claiming


async def test_a_claim_gives_the_first_epoch_and_the_request(place: Place) -> None:
    stream_id = await place.submit()
    (job,) = await place.take("w1")
    claim = await place.claim(job, "w1")
    assert (claim.verdict, claim.epoch, claim.next_seq, claim.request) == (Verdict.RUN, 1, 1, b'{"messages":[]}')
    assert claim.queued_ms >= 0
    record = await read_run(place.client, stream_id)
    assert record is not None
    assert (record.status, record.epoch) == ("running", 1)


def claim_call(job: Job, worker: str, name: str) -> Call:
    keys = StreamKeys.of(job.stream_id)
    return Call("claim", (keys.log, keys.meta, keys.live, JOBS), (worker, job.entry, MAX_LOST, 50, 600_000, name))


@pytest.mark.parametrize("on_lost", ["restart", "fail"])
async def test_a_claim_repeated_because_its_reply_was_lost_gets_the_same_lease(place: Place, on_lost: str) -> None:
    await place.submit(on_lost=on_lost)
    (job,) = await place.take("w1")
    replies = [await run_call(place.client, claim_call(job, "w1", "one")) for _ in range(3)]
    assert [reply[:3] for reply in replies] == [[b"run", b"1", 1]] * 3


async def test_a_repeated_take_over_announces_one_restart(place: Place) -> None:
    job, claim = await place.start("w1")
    await place.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    await place.take_over("w2")
    replies = [await run_call(place.client, claim_call(job, "w2", "one")) for _ in range(3)]
    assert [reply[:3] for reply in replies] == [[b"run", b"2", 2]] * 3
    assert await place.kinds(job.stream_id) == ["chunk", "restart"]


async def test_another_claim_of_the_same_worker_ends_its_older_lease(place: Place) -> None:
    job, old = await place.start("w1", on_lost="fail")
    new = await place.claim(job, "w1")
    assert (new.verdict, new.epoch) == (Verdict.RUN, 2)
    assert await place.write(Batch(job.stream_id, old.epoch, 1, chunk_lines("a"))) == ("lost", 0)


async def test_a_job_that_another_worker_took_meanwhile_is_not_claimed(place: Place) -> None:
    await place.submit()
    (job,) = await place.take("w1")
    assert (await place.hand_over(job, "w2")).verdict is Verdict.RUN
    assert (await place.claim(job, "w1")).verdict is Verdict.GONE
    record = await read_run(place.client, job.stream_id)
    assert record is not None
    assert record.epoch == 1


async def test_a_job_whose_stream_is_gone_is_retired(place: Place) -> None:
    stream_id = await place.submit()
    (job,) = await place.take("w1")
    await call_redis(place.client, "DEL", StreamKeys.of(stream_id).meta)
    assert (await place.claim(job, "w1")).verdict is Verdict.GONE
    assert await place.queued_entries() == []
    assert await pending(place) == {}


async def test_an_entry_deleted_while_it_stood_delivered_is_retired(place: Place) -> None:
    await place.submit()
    (job,) = await place.take("w1")
    await call_redis(place.client, "XDEL", JOBS, job.entry)
    (ghost,) = await place.queue.delivered("w1")
    assert (await place.claim(ghost, "w1")).verdict is Verdict.GONE
    assert await pending(place) == {}


async def test_a_claim_keeps_a_stream_alive_that_has_waited_long(place: Place) -> None:
    job, claim = await place.start()
    await place.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    keys = StreamKeys.of(job.stream_id)
    for key in (keys.log, keys.meta):
        await call_redis(place.client, "PEXPIRE", key, 60_000)
    await place.hand_over(job, "w2")
    for key in (keys.log, keys.meta):
        assert await call_redis(place.client, "PTTL", key) > 60_000


# Losing workers


async def test_a_take_over_says_restart_and_why(place: Place) -> None:
    job, claim = await place.start("w1")
    await place.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a", "b")))
    again = await place.hand_over(job, "w2")
    assert (again.verdict, again.epoch, again.next_seq) == (Verdict.RUN, 2, 2)
    restart = (await place.events(job.stream_id))[-1]
    assert (str(restart.position), restart.kind) == ("2-1", "restart")
    assert restart.data == b'{"epoch":2,"reason":"worker_lost"}'


async def test_a_take_over_of_what_showed_nothing_needs_no_restart(place: Place) -> None:
    job, _ = await place.start("w1")
    again = await place.hand_over(job, "w2")
    assert (again.verdict, again.epoch, again.next_seq) == (Verdict.RUN, 2, 1)
    assert await place.kinds(job.stream_id) == []


async def test_a_job_that_costs_too_many_workers_is_to_be_failed(place: Place) -> None:
    job, _ = await place.start("w0")
    verdicts = [(await place.hand_over(job, f"w{number}")).verdict for number in range(1, MAX_LOST + 2)]
    assert verdicts == [Verdict.RUN] * (MAX_LOST - 1) + [Verdict.LOST] * 2
    epoch = MAX_LOST + 2
    assert await finish(place, job, epoch, 1, Status.FAILED) == ("ok", 1)
    assert await place.positions(job.stream_id) == [f"{epoch}-1"]


async def test_a_run_that_wants_no_second_attempt_gets_none(place: Place) -> None:
    job, _ = await place.start("w1", on_lost="fail")
    again = await place.hand_over(job, "w2")
    assert (again.verdict, again.epoch) == (Verdict.LOST, 2)


async def test_a_frozen_worker_that_comes_back_neither_renews_nor_steals(place: Place) -> None:
    job, old = await place.start("w1")
    await place.hand_over(job, "w2")
    assert await place.queue.renew("w1", [Lease(job, old.epoch)]) == [WriteStatus.LOST]
    assert await place.queue.release("w1", [Lease(job, old.epoch)]) == [WriteStatus.LOST]
    assert await pending(place) == {job.entry: "w2"}


async def test_a_renewal_between_take_over_and_claim_keeps_the_lease(place: Place) -> None:
    job, claim = await place.start("w1")
    await place.take_over("w2")
    assert await place.queue.renew("w1", [Lease(job, claim.epoch)]) == [WriteStatus.OK]
    assert (await place.claim(job, "w2")).verdict is Verdict.GONE
    assert await place.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a"))) == ("ok", 1)


async def test_a_finish_between_take_over_and_claim_counts(place: Place) -> None:
    job, claim = await place.start("w1")
    await place.take_over("w2")
    assert await finish(place, job, claim.epoch, 1) == ("ok", 1)
    assert (await place.claim(job, "w2")).verdict is Verdict.GONE
    assert await place.kinds(job.stream_id) == ["done"]
    assert await place.queued_entries() == []


async def test_an_overdue_job_is_found_behind_many_that_are_not(place: Place) -> None:
    for _ in range(40):
        await place.submit()
    jobs = await place.take("w1", 40)
    await raw(place, "XCLAIM", JOBS, WORKERS_GROUP, "w1", "0", jobs[-1].entry, "IDLE", "86000000", "JUSTID")
    assert await place.queue.take_over("w2", 3_600_000, 1) == [jobs[-1]]
    assert await place.queue.take_over("w2", 3_600_000, 1) == []


async def test_a_take_over_takes_no_more_than_asked_and_the_oldest_first(place: Place) -> None:
    for _ in range(5):
        await place.submit()
    jobs = await place.take("w1", 5)
    assert await place.queue.take_over("w2", 0, 2) == jobs[:2]
    assert sorted((await pending(place)).values()) == ["w1"] * 3 + ["w2"] * 2


async def test_jobs_whose_delivery_was_not_heard_of_are_still_there(place: Place) -> None:
    await place.submit()
    jobs = await place.take("w1")
    assert await place.queue.delivered("w1") == jobs
    assert await place.queue.delivered("w2") == []


# Renewing and giving back


async def test_a_renewal_keeps_lease_and_keys_and_tells_of_a_cancel(place: Place) -> None:
    job, claim = await place.start()
    await place.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    keys = StreamKeys.of(job.stream_id)
    for key in (keys.log, keys.meta):
        await call_redis(place.client, "PEXPIRE", key, 60_000)
    lease = Lease(job, claim.epoch)
    assert await place.queue.renew("w1", [lease]) == [WriteStatus.OK]
    for key in (keys.log, keys.meta):
        assert await call_redis(place.client, "PTTL", key) > 60_000
    await place.queue.cancel(job.stream_id)
    assert await place.queue.renew("w1", [lease]) == [WriteStatus.CANCELLED]
    assert await pending(place) == {job.entry: "w1"}


async def test_a_job_given_back_is_taken_at_once_and_costs_no_attempt(place: Place) -> None:
    job, claim = await place.start("w1")
    await place.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    assert await place.queue.release("w1", [Lease(job, claim.epoch)]) == [WriteStatus.OK]
    assert await place.write(Batch(job.stream_id, claim.epoch, 2, chunk_lines("late"))) == ("lost", 0)
    assert await place.queue.take_over("w2", 3_600_000, 1) == [job]
    again = await place.claim(job, "w2")
    assert (again.verdict, again.epoch, again.next_seq) == (Verdict.RUN, 2, 2)
    restart = (await place.events(job.stream_id))[-1]
    assert restart.data == b'{"epoch":2,"reason":"worker_stopped"}'
    assert (await place.meta(job.stream_id))["lost"] == "0"


async def test_giving_back_twice_is_harmless_and_answers_the_same(place: Place) -> None:
    job, claim = await place.start("w1")
    lease = Lease(job, claim.epoch)
    assert await place.queue.release("w1", [lease]) == [WriteStatus.OK]
    assert await place.queue.release("w1", [lease]) == [WriteStatus.OK]
    await place.hand_over(job, "w2")
    assert await place.queue.release("w1", [lease]) == [WriteStatus.LOST]
    assert await pending(place) == {job.entry: "w2"}


async def test_a_run_that_wants_no_second_attempt_may_be_given_back_while_it_has_shown_nothing(place: Place) -> None:
    job, claim = await place.start("w1", on_lost="fail")
    await place.queue.release("w1", [Lease(job, claim.epoch)])
    again = await place.hand_over(job, "w2")
    assert again.verdict is Verdict.RUN
    await place.write(Batch(job.stream_id, again.epoch, 1, chunk_lines("a")))
    await place.queue.release("w2", [Lease(job, again.epoch)])
    assert (await place.hand_over(job, "w3")).verdict is Verdict.LOST


async def test_a_worker_that_dies_after_another_had_given_the_job_back_is_a_lost_one(place: Place) -> None:
    job, claim = await place.start("w1")
    await place.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    await place.queue.release("w1", [Lease(job, claim.epoch)])
    await place.hand_over(job, "w2")
    await place.hand_over(job, "w3")
    reasons = [event.data for event in await place.events(job.stream_id) if event.kind == "restart"]
    assert reasons == [b'{"epoch":2,"reason":"worker_stopped"}', b'{"epoch":3,"reason":"worker_lost"}']
    assert (await place.meta(job.stream_id))["lost"] == "1"


# Cancelling


async def test_a_cancel_ends_a_run_that_waits(place: Place) -> None:
    stream_id = await place.submit()
    for _ in range(2):
        assert await place.queue.cancel(stream_id) == "cancelled"
    assert await place.kinds(stream_id) == ["done"]
    assert await place.queued_entries() == []
    record = await read_run(place.client, stream_id)
    assert record is not None
    assert (record.status, str(record.last)) == ("cancelled", "1-1")
    assert record.done is not None
    assert record.done["status"] == "cancelled"
    assert await place.take("w1") == []


async def test_a_cancel_between_delivery_and_claim_ends_the_run(place: Place) -> None:
    stream_id = await place.submit()
    (job,) = await place.take("w1")
    assert await place.queue.cancel(stream_id) == "cancelled"
    assert (await place.claim(job, "w1")).verdict is Verdict.GONE
    assert await pending(place) == {}
    assert await place.kinds(stream_id) == ["done"]


async def test_a_cancel_of_a_run_that_was_given_back_ends_it(place: Place) -> None:
    job, claim = await place.start("w1")
    await place.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    await place.queue.release("w1", [Lease(job, claim.epoch)])
    assert await place.queue.cancel(job.stream_id) == "cancelled"
    assert await place.positions(job.stream_id) == ["1-1", "2-1"]
    assert await pending(place) == {}
    assert await place.queued_entries() == []


async def test_a_cancel_asked_of_a_lost_worker_reaches_the_next_one(place: Place) -> None:
    job, _ = await place.start("w1")
    assert await place.queue.cancel(job.stream_id) == "cancelling"
    again = await place.hand_over(job, "w2")
    assert (again.verdict, again.epoch, again.next_seq) == (Verdict.CANCELLED, 2, 1)
    assert await finish(place, job, again.epoch, 1, Status.CANCELLED) == ("ok", 1)
    assert await place.queue.cancel(job.stream_id) == "cancelled"


async def test_a_cancel_that_comes_too_late_says_how_the_run_ended(place: Place) -> None:
    job, claim = await place.start()
    await place.queue.cancel(job.stream_id)
    assert await finish(place, job, claim.epoch, 1) == ("ok", 1)
    assert await place.queue.cancel(job.stream_id) == "completed"
    assert not await call_redis(place.client, "HEXISTS", StreamKeys.of(job.stream_id).meta, "cancel")


async def test_there_is_nothing_to_cancel_where_there_is_no_stream(place: Place) -> None:
    assert await place.queue.cancel("x" * 22) is None
    assert await call_redis(place.client, "EXISTS", *StreamKeys.of("x" * 22)) == 0


# Members of the group


async def members(place: Place) -> set[str]:
    rows = await raw(place, "XINFO", "CONSUMERS", JOBS, WORKERS_GROUP)
    return {row[1].decode() for row in rows}


async def test_a_worker_that_leaves_is_forgotten_unless_jobs_stand_delivered_to_it(place: Place) -> None:
    job, claim = await place.start("w1")
    await place.take("w2")
    await place.queue.forget_worker("w1")
    await place.queue.forget_worker("w2")
    await place.queue.forget_worker("never was")
    assert await members(place) == {"w1"}
    assert await place.queue.delivered("w1") == [job]
    await finish(place, job, claim.epoch, 1)
    await place.queue.forget_worker("w1")
    assert await members(place) == set()


async def test_with_a_worker_that_leaves_go_those_that_were_killed_long_ago_and_their_jobs_do_not(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = await place.start("w1")
    for worker in ("w2", "w3"):
        await raw(place, "XGROUP", "CREATECONSUMER", JOBS, WORKERS_GROUP, worker)
    await place.queue.forget_worker("w3")
    assert await members(place) == {"w1", "w2"}
    monkeypatch.setattr("contract.job_queue._FORGOTTEN_AFTER_MS", -1)
    await place.queue.forget_worker("w3")
    assert await members(place) == {"w1"}
    assert await place.queue.delivered("w1") == [job]


async def test_a_worker_forgotten_while_it_waits_still_gets_the_next_job(place: Place) -> None:
    waiting = asyncio.create_task(place.queue.take(place.blocking, "w1", 1, 4000))
    async with asyncio.timeout(10):
        while not (await call_redis(place.client, "INFO", "clients"))["blocked_clients"]:
            pass
    await place.queue.forget_worker("w1")
    assert await members(place) == set()
    stream_id = await place.submit()
    assert [job.stream_id for job in await waiting] == [stream_id]
    assert list((await pending(place)).values()) == ["w1"]


async def test_where_the_group_is_gone_it_is_said_and_made_anew_with_all_its_jobs(place: Place) -> None:
    stream_id = await place.submit()
    await place.take("w1")
    await call_redis(place.client, "XGROUP", "DESTROY", JOBS, WORKERS_GROUP)
    with pytest.raises(BrokerRefusedError, match="NOGROUP"):
        await place.take("w1")
    with pytest.raises(BrokerRefusedError, match="NOGROUP"):
        await place.take_over("w1")
    for _ in range(2):
        await place.queue.open()
    (job,) = await place.take("w1")
    assert job.stream_id == stream_id
    assert (await place.claim(job, "w1")).verdict is Verdict.RUN
