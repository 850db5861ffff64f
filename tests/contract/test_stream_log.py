"""Writes to a log: refused without a lease, harmless when repeated, never leaving a hole."""

import pytest

from contract.connection import call_redis
from contract.errors import BrokerRefusedError
from contract.event import MalformedEventError, Status
from contract.job_queue import Claim, Job
from contract.keys import StreamKeys
from contract.limits import PAGE_LIMIT_EVENTS
from contract.position import START, Position
from contract.stream_log import Batch, Ending, WriteResult, WriteStatus
from tests.contract.place import Place, chunk_lines, done_line


def batch(job: Job, claim: Claim, first_seq: int, *texts: str) -> Batch:
    return Batch(job.stream_id, claim.epoch, first_seq, chunk_lines(*texts))


def ending(job: Job, claim: Claim, first_seq: int, *texts: str, status: Status = Status.COMPLETED) -> Batch:
    lines = [*chunk_lines(*texts), done_line(status)]
    return Batch(job.stream_id, claim.epoch, first_seq, lines, Ending(status, job.entry))


async def texts(place: Place, job: Job) -> list[str]:
    return [f"{event.position} {event.data.decode()}" for event in await place.events(job.stream_id)]


async def test_a_batch_stands_in_the_log_in_order(place: Place) -> None:
    job, claim = await place.start()
    assert await place.write(batch(job, claim, 1, "a", "b")) == ("ok", 2)
    assert await place.write(batch(job, claim, 3, "c")) == ("ok", 3)
    assert await texts(place, job) == ['1-1 {"text":"a"}', '1-2 {"text":"b"}', '1-3 {"text":"c"}']
    assert (await place.meta(job.stream_id))["last"] == "1-3"


async def test_a_repeated_batch_is_harmless_and_answers_the_same(place: Place) -> None:
    job, claim = await place.start()
    for _ in range(3):
        assert await place.write(batch(job, claim, 1, "a", "b")) == ("ok", 2)
    assert await place.positions(job.stream_id) == ["1-1", "1-2"]


async def test_a_batch_that_overlaps_the_log_adds_only_what_is_new(place: Place) -> None:
    job, claim = await place.start()
    await place.write(batch(job, claim, 1, "a", "b"))
    assert await place.write(batch(job, claim, 2, "b", "c")) == ("ok", 3)
    assert await texts(place, job) == ['1-1 {"text":"a"}', '1-2 {"text":"b"}', '1-3 {"text":"c"}']


async def test_a_batch_that_would_leave_a_hole_is_refused_with_what_the_log_has(place: Place) -> None:
    job, claim = await place.start()
    assert await place.write(batch(job, claim, 2, "b")) == ("hole", 0)
    await place.write(batch(job, claim, 1, "a"))
    assert await place.write(batch(job, claim, 3, "c")) == ("hole", 1)
    assert await place.write(ending(job, claim, 3)) == ("hole", 1)
    assert await place.positions(job.stream_id) == ["1-1"]


async def test_seqs_go_on_as_integers_beyond_what_lua_prints_shortly(place: Place) -> None:
    job, claim = await place.start()
    meta = StreamKeys.of(job.stream_id)
    await call_redis(place.client, "XADD", meta.log, "1-99999999999999", "e", "chunk {}")
    await call_redis(place.client, "HSET", meta.meta, "last", "1-99999999999999")
    assert await place.write(batch(job, claim, 100000000000000, "x")) == ("ok", 100000000000000)
    assert (await place.positions(job.stream_id))[-1] == "1-100000000000000"
    assert (await place.meta(job.stream_id))["last"] == "1-100000000000000"


async def test_an_older_epoch_writes_nothing(place: Place) -> None:
    job, old = await place.start("w1")
    await place.write(batch(job, old, 1, "a"))
    new = await place.hand_over(job, "w2")
    assert await place.write(batch(job, old, 2, "zombie")) == ("lost", 0)
    assert await place.write(ending(job, old, 2, "zombie")) == ("lost", 0)
    assert await place.write(batch(job, new, new.next_seq, "b")) == ("ok", 2)
    assert await place.positions(job.stream_id) == ["1-1", "2-1", "2-2"]


async def test_an_epoch_to_come_writes_nothing_either(place: Place) -> None:
    job, claim = await place.start()
    assert await place.write(Batch(job.stream_id, claim.epoch + 1, 1, chunk_lines("x"))) == ("lost", 0)


async def test_nothing_is_written_to_what_is_no_stream(place: Place) -> None:
    job, claim = await place.start()
    await call_redis(place.client, "DEL", *StreamKeys.of(job.stream_id)[:2])
    assert await place.write(batch(job, claim, 1, "x")) == ("gone", 0)
    assert await place.write(ending(job, claim, 1)) == ("gone", 0)
    assert await place.keys_without_expiry() == []
    assert await place.queued_entries() == []


async def test_a_log_that_redis_dropped_does_not_begin_anew_in_its_middle(place: Place) -> None:
    job, claim = await place.start()
    await place.write(batch(job, claim, 1, "a"))
    await call_redis(place.client, "DEL", StreamKeys.of(job.stream_id).log)
    assert await place.write(batch(job, claim, 2, "b")) == ("gone", 0)
    again = await place.hand_over(job, "w2")
    assert await place.write(batch(job, again, again.next_seq, "a")) == ("ok", 2)
    assert await place.kinds(job.stream_id) == ["restart", "chunk"]
    assert await place.keys_without_expiry() == []


async def test_a_cancel_is_an_answer_of_the_next_append_which_says_what_the_log_has(place: Place) -> None:
    job, claim = await place.start()
    await place.write(batch(job, claim, 1, "a"))
    assert await place.queue.cancel(job.stream_id) == "cancelling"
    assert await place.write(batch(job, claim, 2, "b")) == ("cancelled", 1)
    assert await place.write(ending(job, claim, 2, status=Status.CANCELLED)) == ("ok", 2)
    assert await place.kinds(job.stream_id) == ["chunk", "done"]


async def test_a_done_is_written_after_lines_whose_confirmation_was_lost(place: Place) -> None:
    job, claim = await place.start()
    await place.write(batch(job, claim, 1, "a", "b"))
    # The worker has heard of neither: it counts its `done` from where it believes the log to be.
    assert await place.write(ending(job, claim, 1)) == ("ok", 3)
    assert await place.kinds(job.stream_id) == ["chunk", "chunk", "done"]
    assert (await place.meta(job.stream_id))["last"] == "1-3"


async def test_a_finish_that_repeats_written_lines_adds_its_done_once(place: Place) -> None:
    job, claim = await place.start()
    await place.write(batch(job, claim, 1, "a", "b"))
    for _ in range(2):
        assert await place.write(ending(job, claim, 1, "a", "b")) == ("ok", 3)
    assert await place.kinds(job.stream_id) == ["chunk", "chunk", "done"]


async def test_after_the_done_nothing_is_written(place: Place) -> None:
    job, claim = await place.start()
    await place.write(ending(job, claim, 1))
    assert await place.write(batch(job, claim, 2, "late")) == ("lost", 0)
    assert await place.write(ending(job, claim, 2, status=Status.FAILED)) == ("ok", 1)
    assert await place.kinds(job.stream_id) == ["done"]
    assert (await place.meta(job.stream_id))["status"] == "completed"


async def test_a_finished_run_has_left_the_queue_and_ages_from_its_end(place: Place) -> None:
    job, claim = await place.start()
    await place.write(batch(job, claim, 1, "a"))
    await place.queue.renew("w1", [])
    await place.write(ending(job, claim, 2))
    keys = StreamKeys.of(job.stream_id)
    assert await place.queued_entries() == []
    assert (await call_redis(place.client, "XPENDING", "mc:jobs", "workers"))["pending"] == 0
    for key in (keys.log, keys.meta):
        assert 0 < await call_redis(place.client, "PTTL", key) <= 300_000
    meta = await place.meta(job.stream_id)
    assert meta["done"] == '{"status":"completed"}'
    assert not {"owner", "cancel", "claim", "released"} & set(meta)


async def test_batches_of_many_streams_are_judged_each_by_itself(place: Place) -> None:
    first, second, third = [await place.start() for _ in range(3)]
    await place.queue.cancel(second[0].stream_id)
    batches = [batch(*first, 1, "a"), batch(*second, 1, "a"), batch(*third, 2, "a"), batch(*first, 2, "b")]
    assert await place.log.write(batches) == [
        WriteResult(WriteStatus.OK, 1),
        WriteResult(WriteStatus.CANCELLED, 0),
        WriteResult(WriteStatus.HOLE, 0),
        WriteResult(WriteStatus.OK, 2),
    ]


async def test_a_key_of_another_type_refuses_its_own_batch_alone(place: Place) -> None:
    first, second = [await place.start() for _ in range(2)]
    await call_redis(place.client, "SET", StreamKeys.of(first[0].stream_id).log, "x")
    refused, written = await place.log.write([batch(*first, 1, "a"), batch(*second, 1, "a")])
    assert isinstance(refused, BrokerRefusedError)
    assert written == WriteResult(WriteStatus.OK, 1)


async def test_bytes_of_any_kind_come_back_as_they_were_written(place: Place) -> None:
    job, claim = await place.start()
    data = [bytes([byte]) * 3 for byte in range(256) if byte != 0x0A] + [b"x" * (1 << 20)]
    await place.write(Batch(job.stream_id, claim.epoch, 1, [b"chunk " + one for one in data]))
    assert [event.data for event in await place.events(job.stream_id)] == data


async def test_a_log_of_several_pages_is_read_whole_from_any_place(place: Place) -> None:
    job, claim = await place.start()
    count = 2 * PAGE_LIMIT_EVENTS
    await place.write(batch(job, claim, 1, *map(str, range(count))))
    for after in (0, 1, PAGE_LIMIT_EVENTS - 1, PAGE_LIMIT_EVENTS, PAGE_LIMIT_EVENTS + 1, count - 1, count):
        seqs = [event.position.seq async for event in place.log.read(job.stream_id, Position(1, after))]
        assert seqs == list(range(after + 1, count + 1))


async def test_reading_what_is_no_stream_gives_nothing(place: Place) -> None:
    assert await place.log.read_page("x" * 22, START) == []


@pytest.mark.parametrize("entry", [("1-1", "e", "chunk"), ("1-1", "x", "chunk {}"), ("9" * 18 + "-1", "e", "chunk {}")])
async def test_an_entry_that_no_version_wrote_is_told_and_not_shown(place: Place, entry: tuple[str, ...]) -> None:
    await call_redis(place.client, "XADD", StreamKeys.of("x" * 22).log, *entry)
    with pytest.raises(MalformedEventError):
        await place.log.read_page("x" * 22, START)
