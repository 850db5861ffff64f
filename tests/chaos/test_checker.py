"""The checker finds each violation, and only that one, in a run that had none before."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from contract.event import Event, Kind
from contract.position import START, Position
from manycast.chaos.checker import Finding, Violation, check_leftovers, check_stream
from manycast.chaos.evidence import Leftovers, Observation, StreamRecord
from manycast.chaos.report import Tally, table

ANSWER = "Hello there, all of you 🌍"


def chunk(text: str) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


def log_of_two_epochs() -> list[Event]:
    """The first worker is lost after two chunks; the second one says it all."""
    lines: list[tuple[Kind, dict[str, object]]] = [
        (Kind.START, {"stream": "x", "epoch": 1, "chunk": {"model": "demo"}}),
        (Kind.CHUNK, chunk("Hello ")),
        (Kind.CHUNK, chunk("the")),
        (Kind.RESTART, {"epoch": 3, "reason": "worker_lost"}),
        (Kind.START, {"stream": "x", "epoch": 3, "chunk": {"model": "demo"}}),
        (Kind.CHUNK, chunk("Hello there, ")),
        (Kind.CHUNK, chunk("all of you \ud83c")),
        (Kind.CHUNK, chunk("\udf0d")),
        (Kind.DONE, {"status": "completed"}),
    ]
    positions = [Position(1, seq) for seq in (1, 2, 3)] + [Position(3, seq) for seq in range(1, 7)]
    return [
        Event(position, kind, json.dumps(data).encode())
        for position, (kind, data) in zip(positions, lines, strict=True)
    ]


def viewer_of(log: list[Event], joined: Position = START) -> Observation:
    observation = Observation("v", joined, ended=True)
    for event in log:
        if event.position > joined:
            observation.see(event.position, str(event.kind), event.data.decode())
    return observation


@pytest.fixture
def record() -> StreamRecord:
    """One viewer from the start, one from the middle of the first epoch, one that came for nothing more."""
    log = log_of_two_epochs()
    viewers = [viewer_of(log), viewer_of(log, Position(1, 2)), viewer_of(log, log[-1].position)]
    return StreamRecord("s", "demo", {"x"}, "completed", False, log, [ANSWER], {"cancelling"}, viewers)


def found(record: StreamRecord) -> list[tuple[Violation, int]]:
    return [(finding.violation, finding.count) for finding in check_stream(record)]


def test_a_run_without_a_fault_is_found_to_be_without_one(record: StreamRecord) -> None:
    assert found(record) == []
    assert list(check_leftovers(Leftovers())) == []


def lose_tail(record: StreamRecord) -> None:
    """A failover lost the last chunk of the first epoch, which the first viewer has seen."""
    lost = Position(1, 3)
    record.log = [event for event in record.log if event.position != lost]
    record.observations = record.observations[:1]
    record.is_on_group = True


def test_what_a_failover_lost_may_be_taken_back_by_a_later_epoch(record: StreamRecord) -> None:
    lose_tail(record)
    assert found(record) == []
    record.is_on_group = False
    assert found(record) == [(Violation.FALSE_EVENT, 1)]


def test_what_a_failover_lost_is_not_taken_back_before_the_viewer_is_told(record: StreamRecord) -> None:
    lose_tail(record)
    (viewer,) = record.observations
    del viewer.events[3:]
    assert (Violation.FALSE_EVENT, 1) in found(record)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Kind.RESTART, {"epoch": 3, "reason": "step_restarted"}),
        (Kind.STEP, {"id": "1", "state": "restart"}),
        (Kind.CHUNK, chunk("Hello ")),
    ],
)
def test_what_a_failover_lost_is_not_taken_back_by_an_epoch_that_goes_on(
    record: StreamRecord, kind: Kind, data: dict[str, object]
) -> None:
    lose_tail(record)
    record.log[2] = Event(Position(3, 1), kind, json.dumps(data).encode())
    (viewer,) = record.observations
    viewer.events[3] = (Position(3, 1), str(kind), json.dumps(data))
    assert (Violation.FALSE_EVENT, 1) in found(record)


def test_a_gap_is_true_if_a_failover_lost_what_the_viewer_had(record: StreamRecord) -> None:
    lose_tail(record)
    (viewer,) = record.observations
    seen, viewer.events = viewer.events, viewer.events[:3]
    viewer.start_again()
    viewer.events = [each for each in seen if each[0] != Position(1, 3)]
    assert found(record) == []
    record.is_on_group = False
    assert found(record) == [(Violation.FALSE_EVENT, 1)]


def test_an_end_is_never_taken_back(record: StreamRecord) -> None:
    lose_tail(record)
    (viewer,) = record.observations
    viewer.events[2] = (Position(1, 3), "done", "{}")
    assert found(record) == [(Violation.FALSE_EVENT, 1)]


def test_an_event_inside_an_epoch_is_not_taken_back(record: StreamRecord) -> None:
    record.is_on_group = True
    viewer = record.observations[0]
    viewer.events[1] = (viewer.events[1][0], "chunk", "{}")
    assert found(record) == [(Violation.FALSE_EVENT, 1)]


def leave_out(record: StreamRecord) -> None:
    del record.observations[0].events[3:5]


def repeat(record: StreamRecord) -> None:
    record.observations[0].events.insert(3, record.observations[0].events[1])


def swap(record: StreamRecord) -> None:
    events = record.observations[0].events
    events[6], events[7] = events[7], events[6]


def hang(record: StreamRecord) -> None:
    record.observations[0].ended = False
    del record.observations[0].events[-3:]


def hang_with_a_hole(record: StreamRecord) -> None:
    hang(record)
    del record.observations[0].events[2]


def change_data(record: StreamRecord) -> None:
    position, kind, data = record.observations[0].events[1]
    record.observations[0].events[1] = (position, kind, data.replace("Hello", "Hallo"))


def invent_an_event(record: StreamRecord) -> None:
    record.observations[0].events.insert(3, (Position(2, 1), "restart", "{}"))


def tell_a_gap(record: StreamRecord) -> None:
    record.observations[1].start_again()
    record.observations[1].events = list(record.observations[0].events)


def end_too_soon(record: StreamRecord) -> None:
    del record.observations[1].events[-1]


def lose_an_event_of_the_log(record: StreamRecord) -> None:
    for observation in record.observations[:2]:
        observation.events = [each for each in observation.events if each[0] != Position(3, 2)]
    record.log = [event for event in record.log if event.position != Position(3, 2)]
    record.answer = None


def go_on_after_done(record: StreamRecord) -> None:
    done = record.log[-1]
    record.log.append(replace_position(done, Position(4, 1)))
    for observation in record.observations:
        observation.see(Position(4, 1), "done", done.data.decode())


def replace_position(event: Event, position: Position) -> Event:
    return Event(position, event.kind, event.data)


def change_the_answer(record: StreamRecord) -> None:
    record.answer = [ANSWER.replace("all", "most")]


def never_end(record: StreamRecord) -> None:
    record.status = "running"


def end_otherwise_than_it_says(record: StreamRecord) -> None:
    record.status, record.may_be_cancelled = "cancelled", True


def end_as_nobody_asked(record: StreamRecord) -> None:
    record.status = "cancelled"
    change_done(record, {"status": "cancelled"})


def fail_for_a_reason_that_is_none(record: StreamRecord) -> None:
    record.status = "failed"
    change_done(record, {"status": "failed", "error": {"code": "upstream_invalid"}})


def complete_what_cannot_be_completed(record: StreamRecord) -> None:
    record.model = "fault-drop"


def change_done(record: StreamRecord, done: dict[str, object]) -> None:
    record.log[-1] = Event(record.log[-1].position, Kind.DONE, json.dumps(done).encode())
    record.observations = []


def begin_twice(record: StreamRecord) -> None:
    record.ids.add("y")


def lie_about_a_cancel(record: StreamRecord) -> None:
    record.cancel_statuses.add("cancelled")


def be_told_that_it_is_lost(record: StreamRecord) -> None:
    record.observations[0].protocol_error = "was told that the stream is lost"


FAULTS: list[tuple[Callable[[StreamRecord], None], list[tuple[Violation, int]]]] = [
    (leave_out, [(Violation.MISSING, 2)]),
    (repeat, [(Violation.DUPLICATE, 1)]),
    (swap, [(Violation.OUT_OF_ORDER, 1)]),
    (hang, [(Violation.HANGING, 1)]),
    (hang_with_a_hole, [(Violation.MISSING, 1), (Violation.HANGING, 1)]),
    (change_data, [(Violation.FALSE_EVENT, 1)]),
    (invent_an_event, [(Violation.FALSE_EVENT, 1)]),
    (tell_a_gap, [(Violation.FALSE_EVENT, 1)]),
    (end_too_soon, [(Violation.MISSING, 1)]),
    (lose_an_event_of_the_log, [(Violation.MISSING, 1)]),
    (go_on_after_done, [(Violation.FALSE_EVENT, 1)]),
    (change_the_answer, [(Violation.WRONG_ANSWER, 1)]),
    (never_end, [(Violation.NO_END, 1)]),
    (end_otherwise_than_it_says, [(Violation.WRONG_ENDING, 1)]),
    (end_as_nobody_asked, [(Violation.WRONG_ENDING, 1)]),
    (fail_for_a_reason_that_is_none, [(Violation.WRONG_ENDING, 1)]),
    (complete_what_cannot_be_completed, [(Violation.WRONG_ENDING, 1)]),
    (begin_twice, [(Violation.STARTED_TWICE, 1)]),
    (lie_about_a_cancel, [(Violation.FALSE_EVENT, 1)]),
    (be_told_that_it_is_lost, [(Violation.FALSE_EVENT, 1)]),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_it_notices(
    record: StreamRecord, fault: Callable[[StreamRecord], None], expected: list[tuple[Violation, int]]
) -> None:
    fault(record)
    assert found(record) == expected


@pytest.mark.parametrize(
    "leftovers",
    [
        replace(Leftovers(), without_expiry=("mc:{x}:viewers",)),
        replace(Leftovers(), unknown=("x",)),
        replace(Leftovers(), outlived=("mc:{x}:log",)),
        replace(Leftovers(), queued=1),
        replace(Leftovers(), pending=1),
    ],
    ids=["without expiry", "of nobody", "after its time", "a job", "a lease"],
)
def test_it_notices_a_leak_of_a_key(leftovers: Leftovers) -> None:
    assert [finding.violation for finding in check_leftovers(leftovers)] == [Violation.LEAK]


@pytest.mark.parametrize("violation", Violation)
def test_each_finding_is_a_row_of_the_table_and_a_failure(violation: Violation) -> None:
    tally = Tally(7, 1, "parts")
    assert not tally.has_failed
    tally.findings.append(Finding(violation, "somewhere", "something", 3))
    assert tally.has_failed
    (row,) = [line for line in table(tally) if line.startswith(f"  {violation} ")]
    assert row.split()[-1] == "3"
