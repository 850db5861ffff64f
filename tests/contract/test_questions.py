"""Questions of scripts: runs that wait without a lease, and the one answer that counts."""

import asyncio
import time
from dataclasses import replace

import pytest

from contract.connection import call_redis
from contract.job_queue import Lease, Policy, Verdict
from contract.questions import Answered, Parked, Questions
from contract.run_record import read_run
from contract.stream_log import Batch, WriteStatus
from tests.contract.store import MAX_EPOCHS, MAX_WAITING, Store, chunk_lines
from tests.redis_keys import ALARMS, stream_keys

QUESTION = {"id": "2", "state": "asked", "question": "Why?"}
ANSWER = {"value": "so", "by": "user:ada"}
KEPT_MS = 900_000


@pytest.fixture
def questions(store: Store) -> Questions:
    return Questions(store.client)


async def start(store: Store, policy: Policy | None = None) -> Lease:
    """A run of a script that has written something and holds a lease."""
    submission = replace(store.submission(), model="script/quiz", policy=policy or Policy())
    await store.queue.submit(submission, MAX_WAITING)
    (job,) = await store.take("w1")
    claim = await store.claim(job, "w1")
    await store.write(Batch(job.stream_id, claim.epoch, 1, chunk_lines("a")))
    return Lease(job, claim.epoch)


async def park(questions: Questions, lease: Lease, alarm_ms: int = 0) -> Parked:
    assert await questions.ask(lease.job.stream_id, lease.epoch, QUESTION, "") == (WriteStatus.OK, "")
    return await questions.park(lease, KEPT_MS, alarm_ms, ["2"])


async def status_of(store: Store, lease: Lease) -> str:
    record = await read_run(store.client, lease.job.stream_id)
    assert record is not None
    return str(record.status)


async def test_a_parked_run_holds_no_lease_and_is_kept_for_long(store: Store, questions: Questions) -> None:
    lease = await start(store)
    assert await park(questions, lease) is Parked.OK
    assert await status_of(store, lease) == "parked"
    assert await store.queue.renew("w1", [lease]) == [WriteStatus.LOST]
    assert await store.take_over("w2") == []
    assert await store.queued_entries() == []
    keys = stream_keys(lease.job.stream_id)
    for key in (keys.log, keys.meta):
        assert KEPT_MS - 60_000 < await call_redis(store.client, "PTTL", key) <= KEPT_MS
    assert await questions.park(lease, KEPT_MS, 0, ["2"]) is Parked.OK


async def test_an_answer_queues_the_run_and_it_goes_on_without_a_restart(store: Store, questions: Questions) -> None:
    lease = await start(store, Policy("fail"))
    await park(questions, lease)
    assert await questions.answer(lease.job.stream_id, "2", ANSWER) == (Answered.OK, ANSWER)
    (job,) = await store.take("w2")
    claim = await store.claim(job, "w2")
    assert (claim.verdict, claim.epoch, claim.next_seq) == (Verdict.RUN, 2, 1)
    assert await store.kinds(job.stream_id) == ["chunk"]
    status, answer = await questions.ask(job.stream_id, 2, QUESTION, "")
    assert (status, answer) == (WriteStatus.OK, '{"value":"so","by":"user:ada"}')


async def test_the_first_answer_counts(store: Store, questions: Questions) -> None:
    lease = await start(store)
    await park(questions, lease)
    stream_id = lease.job.stream_id
    results = await asyncio.gather(*(questions.answer(stream_id, "2", {"value": n, "by": None}) for n in range(5)))
    counting = {str(answer) for _, answer in results}
    assert sorted(str(result) for result, _ in results) == ["answered"] * 4 + ["ok"]
    assert len(counting) == 1
    assert len(await store.queued_entries()) == 1


async def test_the_same_answer_may_be_repeated(store: Store, questions: Questions) -> None:
    lease = await start(store)
    await park(questions, lease)
    for _ in range(2):
        assert await questions.answer(lease.job.stream_id, "2", ANSWER) == (Answered.OK, ANSWER)
    assert len(await store.queued_entries()) == 1


async def test_a_run_that_was_answered_before_it_is_parked_goes_on_at_once(store: Store, questions: Questions) -> None:
    lease = await start(store)
    await questions.ask(lease.job.stream_id, lease.epoch, QUESTION, "")
    await questions.answer(lease.job.stream_id, "2", ANSWER)
    alarm_ms = round(time.time() * 1000) + 600_000
    assert await questions.park(lease, KEPT_MS, alarm_ms, ["2"]) is Parked.ANSWERED
    assert await store.queue.renew("w1", [lease]) == [WriteStatus.LOST]
    assert len(await store.queued_entries()) == 1
    assert await call_redis(store.client, "EXISTS", ALARMS) == 0
    # If the reply was lost, the worker asks again.
    assert await questions.park(lease, KEPT_MS, alarm_ms, ["2"]) is Parked.LOST
    assert len(await store.queued_entries()) == 1


async def test_an_answer_that_did_not_fit_is_replaced(store: Store, questions: Questions) -> None:
    lease = await start(store)
    stream_id = lease.job.stream_id
    await questions.ask(stream_id, lease.epoch, QUESTION, "")
    await questions.answer(stream_id, "2", ANSWER)
    _, given = await questions.ask(stream_id, lease.epoch, QUESTION, "")
    assert await questions.ask(stream_id, lease.epoch, QUESTION, given) == (WriteStatus.OK, "")
    better = {"value": "better", "by": None}
    assert await questions.answer(stream_id, "2", better) == (Answered.OK, better)
    # A repeated call does not remove the new answer.
    assert (await questions.ask(stream_id, lease.epoch, QUESTION, given))[1] == '{"value":"better","by":null}'


async def test_a_question_whose_time_is_over_takes_no_answer(store: Store, questions: Questions) -> None:
    lease = await start(store)
    stream_id = lease.job.stream_id
    await questions.ask(stream_id, lease.epoch, QUESTION, "")
    for _ in range(2):
        assert await questions.close(stream_id, lease.epoch, "2") == (WriteStatus.OK, "")
        assert await questions.answer(stream_id, "2", ANSWER) == (Answered.CLOSED, None)
        # A worker whose clock is behind asks once more. It must not take the mark for an answer.
        assert await questions.ask(stream_id, lease.epoch, QUESTION, "") == (WriteStatus.OK, "")
    assert await questions.park(lease, KEPT_MS, round(time.time() * 1000) + 600_000, ["2"]) is Parked.OK


async def test_an_answer_that_came_in_time_counts_when_the_time_is_over(store: Store, questions: Questions) -> None:
    lease = await start(store)
    stream_id = lease.job.stream_id
    await questions.ask(stream_id, lease.epoch, QUESTION, "")
    await questions.answer(stream_id, "2", ANSWER)
    assert await questions.close(stream_id, lease.epoch, "2") == (WriteStatus.OK, '{"value":"so","by":"user:ada"}')
    assert await questions.answer(stream_id, "2", ANSWER) == (Answered.OK, ANSWER)


async def test_only_what_was_asked_can_be_answered(store: Store, questions: Questions) -> None:
    lease = await start(store)
    await park(questions, lease)
    assert await questions.answer(lease.job.stream_id, "3", ANSWER) == (Answered.UNKNOWN, None)
    assert await questions.answer("none", "2", ANSWER) == (Answered.GONE, None)
    assert await questions.find(lease.job.stream_id, "2") == QUESTION
    assert await questions.find(lease.job.stream_id, "3") is None
    assert await store.queue.cancel(lease.job.stream_id) == "cancelled"
    assert await questions.answer(lease.job.stream_id, "2", ANSWER) == (Answered.ENDED, None)


async def test_a_worker_that_has_lost_its_lease_can_neither_ask_nor_park(store: Store, questions: Questions) -> None:
    lease = await start(store)
    await store.hand_over(lease.job, "w2")
    assert (await questions.ask(lease.job.stream_id, lease.epoch, QUESTION, ""))[0] is WriteStatus.LOST
    assert await questions.park(lease, KEPT_MS, 0, ["2"]) is Parked.LOST


async def test_a_cancelled_run_is_not_parked(store: Store, questions: Questions) -> None:
    lease = await start(store)
    await store.queue.cancel(lease.job.stream_id)
    assert await park(questions, lease) is Parked.CANCELLED


@pytest.mark.parametrize("answers_early", [False, True])
async def test_waiting_for_people_uses_up_no_attempts(store: Store, questions: Questions, answers_early: bool) -> None:
    lease = await start(store, Policy("fail"))
    for number in range(MAX_EPOCHS + 5):
        question = {**QUESTION, "id": str(number)}
        await questions.ask(lease.job.stream_id, lease.epoch, question, "")
        if answers_early:
            await questions.answer(lease.job.stream_id, question["id"], ANSWER)
        parked = await questions.park(lease, KEPT_MS, 0, [question["id"]])
        assert parked is (Parked.ANSWERED if answers_early else Parked.OK)
        if not answers_early:
            await questions.answer(lease.job.stream_id, question["id"], ANSWER)
        (job,) = await store.take("w1")
        claim = await store.claim(job, "w1")
        assert claim.verdict is Verdict.RUN
        lease = Lease(job, claim.epoch)


async def test_an_alarm_wakes_the_runs_whose_time_is_over(store: Store, questions: Questions) -> None:
    now_ms = round(time.time() * 1000)
    due, later, never = [await start(store) for _ in range(3)]
    for lease, alarm_ms in ((due, now_ms - 1), (later, now_ms + 600_000), (never, 0)):
        await park(questions, lease, alarm_ms)
    for _ in range(2):
        await questions.ring()
    assert [await status_of(store, lease) for lease in (due, later, never)] == ["queued", "parked", "parked"]
    assert await call_redis(store.client, "ZRANGE", ALARMS, 0, -1) == [later.job.stream_id.encode()]


async def test_an_alarm_of_a_run_that_has_gone_on_does_nothing(store: Store, questions: Questions) -> None:
    lease = await start(store)
    await park(questions, lease, round(time.time() * 1000) - 1)
    await questions.answer(lease.job.stream_id, "2", ANSWER)
    await questions.ring()
    assert len(await store.queued_entries()) == 1
