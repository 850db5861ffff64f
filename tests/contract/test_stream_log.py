"""Writes to a log: refused without a lease, harmless when repeated, never leaving a hole."""

import pytest

from contract.connection import call_redis
from contract.errors import BrokerRefusedError
from contract.event import MalformedEventError, Status
from contract.job_queue import Claim, Job
from contract.limits import PAGE_LIMIT_EVENTS
from contract.position import START, Position
from contract.stream_log import Batch, Ending, WriteResult, WriteStatus
from tests.contract.store import Store, chunk_lines, done_line
from tests.redis_keys import JOBS, stream_keys


def batch(job: Job, claim: Claim, first_seq: int, *texts: str) -> Batch:
    return Batch(job.stream_id, claim.epoch, first_seq, chunk_lines(*texts))


def ending(job: Job, claim: Claim, first_seq: int, *texts: str, status: Status = Status.COMPLETED) -> Batch:
    lines = [*chunk_lines(*texts), done_line(status)]
    return Batch(job.stream_id, claim.epoch, first_seq, lines, Ending(status, job.entry))


async def texts(store: Store, job: Job) -> list[str]:
    return [f"{event.position} {event.data.decode()}" for event in await store.events(job.stream_id)]


async def test_a_batch_is_in_the_log_in_order(store: Store) -> None:
    job, claim = await store.start()
    assert await store.write(batch(job, claim, 1, "a", "b")) == ("ok", 2)
    assert await store.write(batch(job, claim, 3, "c")) == ("ok", 3)
    assert await texts(store, job) == ['1-1 {"text":"a"}', '1-2 {"text":"b"}', '1-3 {"text":"c"}']
    assert (await store.meta(job.stream_id))["last"] == "1-3"


async def test_a_repeated_batch_is_harmless_and_answers_the_same(store: Store) -> None:
    job, claim = await store.start()
    for _ in range(3):
        assert await store.write(batch(job, claim, 1, "a", "b")) == ("ok", 2)
    assert await store.positions(job.stream_id) == ["1-1", "1-2"]


async def test_a_batch_that_overlaps_the_log_adds_only_what_is_new(store: Store) -> None:
    job, claim = await store.start()
    await store.write(batch(job, claim, 1, "a", "b"))
    assert await store.write(batch(job, claim, 2, "b", "c")) == ("ok", 3)
    assert await texts(store, job) == ['1-1 {"text":"a"}', '1-2 {"text":"b"}', '1-3 {"text":"c"}']


async def test_a_batch_that_would_leave_a_hole_is_refused_with_the_last_position(store: Store) -> None:
    job, claim = await store.start()
    assert await store.write(batch(job, claim, 2, "b")) == ("hole", 0)
    await store.write(batch(job, claim, 1, "a"))
    assert await store.write(batch(job, claim, 3, "c")) == ("hole", 1)
    assert await store.write(ending(job, claim, 3)) == ("hole", 1)
    assert await store.positions(job.stream_id) == ["1-1"]


async def test_large_sequence_numbers_stay_integers(store: Store) -> None:
    job, claim = await store.start()
    meta = stream_keys(job.stream_id)
    await call_redis(store.client, "XADD", meta.log, "1-99999999999999", "e", "chunk {}")
    await call_redis(store.client, "HSET", meta.meta, "last", "1-99999999999999")
    assert await store.write(batch(job, claim, 100000000000000, "x")) == ("ok", 100000000000000)
    assert (await store.positions(job.stream_id))[-1] == "1-100000000000000"
    assert (await store.meta(job.stream_id))["last"] == "1-100000000000000"


async def test_an_older_epoch_writes_nothing(store: Store) -> None:
    job, old = await store.start("w1")
    await store.write(batch(job, old, 1, "a"))
    new = await store.hand_over(job, "w2")
    assert await store.write(batch(job, old, 2, "zombie")) == ("lost", 0)
    assert await store.write(ending(job, old, 2, "zombie")) == ("lost", 0)
    assert await store.write(batch(job, new, new.next_seq, "b")) == ("ok", 2)
    assert await store.positions(job.stream_id) == ["1-1", "2-1", "2-2"]


async def test_a_future_epoch_writes_nothing(store: Store) -> None:
    job, claim = await store.start()
    assert await store.write(Batch(job.stream_id, claim.epoch + 1, 1, chunk_lines("x"))) == ("lost", 0)


async def test_nothing_is_written_to_a_missing_stream(store: Store) -> None:
    job, claim = await store.start()
    await call_redis(store.client, "DEL", *stream_keys(job.stream_id)[:2])
    assert await store.write(batch(job, claim, 1, "x")) == ("gone", 0)
    assert await store.write(ending(job, claim, 1)) == ("gone", 0)
    assert await store.keys_without_expiry() == []
    assert await store.queued_entries() == []


async def test_a_log_that_redis_dropped_does_not_restart_in_the_middle(store: Store) -> None:
    job, claim = await store.start()
    await store.write(batch(job, claim, 1, "a"))
    await call_redis(store.client, "DEL", stream_keys(job.stream_id).log)
    assert await store.write(batch(job, claim, 2, "b")) == ("gone", 0)
    again = await store.hand_over(job, "w2")
    assert await store.write(batch(job, again, again.next_seq, "a")) == ("ok", 2)
    assert await store.kinds(job.stream_id) == ["restart", "chunk"]
    assert await store.keys_without_expiry() == []


async def test_a_cancel_answers_the_next_append_with_the_last_position(store: Store) -> None:
    job, claim = await store.start()
    await store.write(batch(job, claim, 1, "a"))
    assert await store.queue.cancel(job.stream_id) == "cancelling"
    assert await store.write(batch(job, claim, 2, "b")) == ("cancelled", 1)
    assert await store.write(ending(job, claim, 2, status=Status.CANCELLED)) == ("ok", 2)
    assert await store.kinds(job.stream_id) == ["chunk", "done"]


async def test_a_done_is_written_after_lines_whose_confirmation_was_lost(store: Store) -> None:
    job, claim = await store.start()
    await store.write(batch(job, claim, 1, "a", "b"))
    # The worker has heard of neither: it counts its `done` from where it believes the log to be.
    assert await store.write(ending(job, claim, 1)) == ("ok", 3)
    assert await store.kinds(job.stream_id) == ["chunk", "chunk", "done"]
    assert (await store.meta(job.stream_id))["last"] == "1-3"


async def test_a_finish_that_repeats_written_lines_adds_done_once(store: Store) -> None:
    job, claim = await store.start()
    await store.write(batch(job, claim, 1, "a", "b"))
    for _ in range(2):
        assert await store.write(ending(job, claim, 1, "a", "b")) == ("ok", 3)
    assert await store.kinds(job.stream_id) == ["chunk", "chunk", "done"]


async def test_nothing_is_written_after_done(store: Store) -> None:
    job, claim = await store.start()
    await store.write(ending(job, claim, 1))
    assert await store.write(batch(job, claim, 2, "late")) == ("lost", 0)
    assert await store.write(ending(job, claim, 2, status=Status.FAILED)) == ("ok", 1)
    assert await store.kinds(job.stream_id) == ["done"]
    assert (await store.meta(job.stream_id))["status"] == "completed"


async def test_a_finished_run_leaves_the_queue_and_expires_after_its_end(store: Store) -> None:
    job, claim = await store.start()
    await store.write(batch(job, claim, 1, "a"))
    await store.queue.renew("w1", [])
    await store.write(ending(job, claim, 2))
    keys = stream_keys(job.stream_id)
    assert await store.queued_entries() == []
    assert (await call_redis(store.client, "XPENDING", JOBS, "workers"))["pending"] == 0
    for key in (keys.log, keys.meta):
        assert 0 < await call_redis(store.client, "PTTL", key) <= 300_000
    meta = await store.meta(job.stream_id)
    assert meta["done"] == '{"status":"completed"}'
    assert not {"owner", "cancel", "claim", "released"} & set(meta)


async def test_batches_of_many_streams_are_checked_separately(store: Store) -> None:
    first, second, third = [await store.start() for _ in range(3)]
    await store.queue.cancel(second[0].stream_id)
    batches = [batch(*first, 1, "a"), batch(*second, 1, "a"), batch(*third, 2, "a"), batch(*first, 2, "b")]
    assert await store.log.write(batches) == [
        WriteResult(WriteStatus.OK, 1),
        WriteResult(WriteStatus.CANCELLED, 0),
        WriteResult(WriteStatus.HOLE, 0),
        WriteResult(WriteStatus.OK, 2),
    ]


async def test_a_key_of_another_type_refuses_only_its_own_batch(store: Store) -> None:
    first, second = [await store.start() for _ in range(2)]
    await call_redis(store.client, "SET", stream_keys(first[0].stream_id).log, "x")
    refused, written = await store.log.write([batch(*first, 1, "a"), batch(*second, 1, "a")])
    assert isinstance(refused, BrokerRefusedError)
    assert written == WriteResult(WriteStatus.OK, 1)


async def test_bytes_of_any_kind_come_back_as_they_were_written(store: Store) -> None:
    job, claim = await store.start()
    data = [bytes([byte]) * 3 for byte in range(256) if byte != 0x0A] + [b"x" * (1 << 20)]
    await store.write(Batch(job.stream_id, claim.epoch, 1, [b"chunk " + one for one in data]))
    assert [event.data for event in await store.events(job.stream_id)] == data


async def test_a_log_of_several_pages_is_read_whole_from_any_place(store: Store) -> None:
    job, claim = await store.start()
    count = 2 * PAGE_LIMIT_EVENTS
    await store.write(batch(job, claim, 1, *map(str, range(count))))
    for after in (0, 1, PAGE_LIMIT_EVENTS - 1, PAGE_LIMIT_EVENTS, PAGE_LIMIT_EVENTS + 1, count - 1, count):
        seqs = [event.position.seq async for event in store.log.read(job.stream_id, Position(1, after))]
        assert seqs == list(range(after + 1, count + 1))


async def test_reading_a_missing_stream_gives_nothing(store: Store) -> None:
    assert await store.log.read_page("x" * 22, START) == []


@pytest.mark.parametrize("entry", [("1-1", "e", "chunk"), ("1-1", "x", "chunk {}"), ("9" * 18 + "-1", "e", "chunk {}")])
async def test_a_malformed_entry_is_reported_and_not_shown(store: Store, entry: tuple[str, ...]) -> None:
    await call_redis(store.client, "XADD", stream_keys("x" * 22).log, *entry)
    with pytest.raises(MalformedEventError):
        await store.log.read_page("x" * 22, START)
