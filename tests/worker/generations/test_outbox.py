"""Lines stay in order and until they are confirmed, whatever Redis answers."""

from collections.abc import Callable

import pytest

from contract.event import Status
from contract.limits import BATCH_LIMIT_BYTES, BATCH_LIMIT_EVENTS
from contract.stream_log import Batch, WriteResult, WriteStatus
from worker.generations.outbox import TAIL_LIMIT_BYTES, Outbox


class RecordedStatuses:
    """Records the write statuses that a generation would get."""

    def __init__(self) -> None:
        self.statuses: list[WriteStatus] = []

    def on_write_status(self, answer: WriteStatus) -> None:
        self.statuses.append(answer)


@pytest.fixture
def recorded() -> RecordedStatuses:
    return RecordedStatuses()


@pytest.fixture
def outbox(recorded: RecordedStatuses) -> Outbox:
    return Outbox("s", epoch=2, next_seq=2, entry="5-0", on_write_status=recorded.on_write_status)


def line(number: int) -> bytes:
    return f"chunk {number:06d}".encode()


def put(outbox: Outbox, *numbers: int) -> None:
    for number in numbers:
        outbox.put(line(number))


def confirm(outbox: Outbox) -> Batch:
    """Redis writes what there is."""
    batch = outbox.next_batch()
    assert batch is not None
    outbox.settle(batch, WriteResult(WriteStatus.OK, batch.first_seq + len(batch.lines) - 1))
    return batch


def test_the_first_line_gets_the_seq_the_claim_left_free(outbox: Outbox) -> None:
    put(outbox, 1, 2)
    batch = confirm(outbox)
    assert (batch.epoch, batch.first_seq, list(batch.lines)) == (2, 2, [line(1), line(2)])
    put(outbox, 3)
    assert confirm(outbox).first_seq == 4


def test_an_unanswered_batch_is_repeated_with_the_lines_since_then(outbox: Outbox) -> None:
    put(outbox, 1)
    first = outbox.next_batch()
    put(outbox, 2)
    again = outbox.next_batch()
    assert first is not None
    assert again is not None
    assert (again.first_seq, list(again.lines)) == (first.first_seq, [line(1), line(2)])


def test_a_batch_has_at_most_as_many_events_as_the_contract_says(outbox: Outbox) -> None:
    put(outbox, *range(BATCH_LIMIT_EVENTS + 1))
    assert len(confirm(outbox).lines) == BATCH_LIMIT_EVENTS
    assert len(confirm(outbox).lines) == 1
    assert not outbox.has_more


def test_a_batch_is_cut_at_its_limit_of_bytes_but_a_single_event_may_be_larger(outbox: Outbox) -> None:
    for size in (BATCH_LIMIT_BYTES - 1, 10, BATCH_LIMIT_BYTES * 3, 10):
        outbox.put(b"x" * size)
    assert [len(confirm(outbox).lines) for _ in range(4)] == [1, 1, 1, 1]


def test_the_end_goes_with_the_last_lines_and_nothing_comes_after_it(outbox: Outbox) -> None:
    put(outbox, *range(BATCH_LIMIT_EVENTS))
    outbox.end(Status.COMPLETED, b"done {}")
    put(outbox, 99)
    assert confirm(outbox).ending is None
    last = confirm(outbox)
    assert list(last.lines) == [b"done {}"]
    assert last.ending is not None
    assert (last.ending.status, last.ending.entry) == (Status.COMPLETED, "5-0")
    assert outbox.has_ended
    assert outbox.next_batch() is None


def test_unsent_bytes_are_those_not_confirmed(outbox: Outbox) -> None:
    put(outbox, 1, 2)
    assert outbox.unsent_bytes == 2 * len(line(0))
    confirm(outbox)
    assert outbox.unsent_bytes == 0


def test_after_a_cancel_the_lines_wait_for_the_end(outbox: Outbox, recorded: RecordedStatuses) -> None:
    put(outbox, 1)
    batch = outbox.next_batch()
    assert batch is not None
    outbox.settle(batch, WriteResult(WriteStatus.CANCELLED, 0))
    assert recorded.statuses == [WriteStatus.CANCELLED]
    assert outbox.next_batch() is None
    outbox.end(Status.CANCELLED, b"done {}")
    assert list(confirm(outbox).lines) == [line(1), b"done {}"]


@pytest.mark.parametrize("answer", [WriteStatus.LOST, WriteStatus.GONE])
def test_lines_of_a_lost_run_are_dropped(outbox: Outbox, recorded: RecordedStatuses, answer: WriteStatus) -> None:
    put(outbox, 1, 2)
    batch = outbox.next_batch()
    assert batch is not None
    outbox.settle(batch, WriteResult(answer, 0))
    put(outbox, 3)
    outbox.end(Status.COMPLETED, b"done {}")
    assert recorded.statuses == [answer]
    assert outbox.next_batch() is None
    assert outbox.unsent_bytes == 0


def test_an_answer_that_comes_after_the_close_changes_nothing(outbox: Outbox, recorded: RecordedStatuses) -> None:
    put(outbox, 1)
    batch = outbox.next_batch()
    assert batch is not None
    outbox.close()
    outbox.settle(batch, WriteResult(WriteStatus.HOLE, 0))
    assert recorded.statuses == []
    assert outbox.next_batch() is None


@pytest.mark.parametrize("kept", [0, 1, 5])
def test_confirmed_lines_that_redis_lost_are_written_again(
    outbox: Outbox, recorded: RecordedStatuses, kept: int
) -> None:
    put(outbox, *range(6))
    confirm(outbox)
    put(outbox, 6)
    batch = outbox.next_batch()
    assert batch is not None
    outbox.settle(batch, WriteResult(WriteStatus.HOLE, 1 + kept))
    again = outbox.next_batch()
    assert again is not None
    assert again.first_seq == 2 + kept
    assert list(again.lines) == [line(number) for number in range(kept, 7)]
    assert outbox.unsent_bytes == (7 - kept) * len(line(0))
    assert recorded.statuses == []


def fill_beyond_memory(outbox: Outbox) -> int:
    """How many lines were confirmed."""
    size = TAIL_LIMIT_BYTES // 4
    for _ in range(40):
        outbox.put(b"x" * size)
        confirm(outbox)
    return 40


def end_after(outbox: Outbox) -> None:
    outbox.end(Status.COMPLETED, b"done {}")


def go_on_after(outbox: Outbox) -> None:
    put(outbox, 7)


@pytest.mark.parametrize("then", [end_after, go_on_after], ids=["at its end", "in its middle"])
def test_lines_that_are_gone_everywhere_end_the_stream_as_lost(
    outbox: Outbox, recorded: RecordedStatuses, then: Callable[[Outbox], None]
) -> None:
    fill_beyond_memory(outbox)
    then(outbox)
    batch = outbox.next_batch()
    assert batch is not None
    outbox.settle(batch, WriteResult(WriteStatus.HOLE, 3))
    assert recorded.statuses == [WriteStatus.HOLE]
    put(outbox, 8)
    outbox.end(Status.COMPLETED, b"done {}")
    last = confirm(outbox)
    assert last.first_seq == 4
    assert last.ending is not None
    assert last.ending.status is Status.FAILED
    (line_of_the_end,) = last.lines
    assert b'"code":"stream_lost"' in line_of_the_end
    assert outbox.has_ended


@pytest.mark.parametrize("following", [0, 1, 5])
def test_a_line_larger_than_memory_is_written_again(outbox: Outbox, recorded: RecordedStatuses, following: int) -> None:
    huge = b"x" * (20 * TAIL_LIMIT_BYTES)
    outbox.put(huge)
    confirm(outbox)
    for number in range(following):
        put(outbox, number)
        confirm(outbox)
    end_after(outbox)
    batch = outbox.next_batch()
    assert batch is not None
    outbox.settle(batch, WriteResult(WriteStatus.HOLE, 1))
    again = [confirm(outbox)]
    while outbox.has_more:
        again.append(confirm(outbox))
    assert again[0].first_seq == 2
    lines = [each for batch in again for each in batch.lines]
    assert lines == [huge, *(line(number) for number in range(following)), b"done {}"]
    assert recorded.statuses == []


def test_the_last_lines_are_remembered_within_a_limit(outbox: Outbox) -> None:
    written = fill_beyond_memory(outbox)
    put(outbox, 1)
    batch = outbox.next_batch()
    assert batch is not None
    outbox.settle(batch, WriteResult(WriteStatus.HOLE, batch.first_seq - 4))
    again = outbox.next_batch()
    assert again is not None
    assert again.first_seq == 2 + written - 3
    assert sum(map(len, again.lines)) <= 2 * TAIL_LIMIT_BYTES


def test_a_cancel_that_is_told_before_its_append_is_refused_still_ends() -> None:
    outbox = Outbox("x" * 22, 1, 1, "0-1", lambda _: None)
    outbox.put(b"chunk {}")
    in_flight = outbox.next_batch()
    assert in_flight is not None
    outbox.end(Status.CANCELLED, b"done {}")
    outbox.settle(in_flight, WriteResult(WriteStatus.CANCELLED, 0))
    last = outbox.next_batch()
    assert last is not None
    assert last.ending is not None
    assert last.ending.status is Status.CANCELLED
    assert (last.first_seq, last.lines[-1]) == (1, b"done {}")


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.COMPLETED])
def test_a_cancelled_run_with_more_lines_than_one_batch_ends_as_cancelled(status: Status) -> None:
    outbox = Outbox("x" * 22, 1, 1, "0-1", lambda _: None)
    for _ in range(3 * BATCH_LIMIT_EVENTS):
        outbox.put(b"chunk {}")
    outbox.end(status, b"done {}")
    first = outbox.next_batch()
    assert first is not None
    assert first.ending is None
    outbox.settle(first, WriteResult(WriteStatus.CANCELLED, 0))
    last = outbox.next_batch()
    assert last is not None
    assert last.ending is not None
    assert last.ending.status is Status.CANCELLED
    assert (last.first_seq, len(last.lines)) == (1, BATCH_LIMIT_EVENTS + 1), "what was sent, and the end"
    outbox.settle(last, WriteResult(WriteStatus.OK, BATCH_LIMIT_EVENTS + 1))
    assert outbox.has_ended
    assert outbox.unsent_bytes == 0


def test_the_end_of_a_cancelled_run_overwrites_no_written_line() -> None:
    outbox = Outbox("x" * 22, 1, 1, "0-1", lambda _: None)
    for _ in range(3 * BATCH_LIMIT_EVENTS):
        outbox.put(b"chunk {}")
    first = outbox.next_batch()
    assert first is not None
    outbox.end(Status.CANCELLED, b"done {}")
    # It was written, the reply was lost, a cancel was asked, it was sent again.
    outbox.settle(first, WriteResult(WriteStatus.CANCELLED, BATCH_LIMIT_EVENTS))
    last = outbox.next_batch()
    assert last is not None
    assert (last.first_seq, last.lines) == (BATCH_LIMIT_EVENTS + 1, [b"done {}"])


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.COMPLETED])
@pytest.mark.parametrize("is_confirmed", [False, True])
def test_the_end_of_a_cancelled_run_takes_the_place_of_no_line_that_a_failover_lost(
    status: Status, is_confirmed: bool
) -> None:
    """Viewers have had the first 100 lines, and the log has 40."""
    outbox = Outbox("x" * 22, 1, 1, "0-1", lambda _: None)
    put(outbox, *range(100))
    if is_confirmed:
        confirm(outbox)
    else:
        outbox.next_batch()
    put(outbox, *range(100, 3 * BATCH_LIMIT_EVENTS))
    outbox.end(status, b"done {}")
    batch = outbox.next_batch()
    assert batch is not None
    assert batch.ending is None
    outbox.settle(batch, WriteResult(WriteStatus.CANCELLED, 40))
    batch = outbox.next_batch()
    assert batch is not None
    if is_confirmed:
        # Only now it learns that the log lacks lines which were confirmed.
        outbox.settle(batch, WriteResult(WriteStatus.HOLE, 40))
        batch = outbox.next_batch()
        assert batch is not None
    assert batch.ending is not None
    assert batch.ending.status is Status.CANCELLED
    written = dict(enumerate(batch.lines, batch.first_seq))
    assert [written[seq] for seq in range(41, 101)] == [line(number) for number in range(40, 100)]
    assert batch.lines[-1].startswith(b"done ")
    outbox.settle(batch, WriteResult(WriteStatus.OK, batch.first_seq + len(batch.lines) - 1))
    assert outbox.has_ended
