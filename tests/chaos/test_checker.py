"""The judge notices what is wrong. Each fault is put into a run without one, and is found, and nothing else is."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from contract.event import Event, Kind
from contract.position import START, Position
from manycast.chaos.checker import Finding, Wrong, judge_leftovers, judge_stream
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
    sighting = Observation("v", joined, ended=True)
    for event in log:
        if event.position > joined:
            sighting.see(event.position, str(event.kind), event.data.decode())
    return sighting


@pytest.fixture
def record() -> StreamRecord:
    """One viewer from the start, one from the middle of the first epoch, one that came for nothing more."""
    log = log_of_two_epochs()
    viewers = [viewer_of(log), viewer_of(log, Position(1, 2)), viewer_of(log, log[-1].position)]
    return StreamRecord("s", "demo", {"x"}, "completed", False, log, [ANSWER], {"cancelling"}, viewers)


def found(record: StreamRecord) -> list[tuple[Wrong, int]]:
    return [(finding.wrong, finding.count) for finding in judge_stream(record)]


def test_a_run_without_a_fault_is_found_to_be_without_one(record: StreamRecord) -> None:
    assert found(record) == []
    assert list(judge_leftovers(Leftovers())) == []


def leave_out(record: StreamRecord) -> None:
    del record.sightings[0].events[3:5]


def repeat(record: StreamRecord) -> None:
    record.sightings[0].events.insert(3, record.sightings[0].events[1])


def swap(record: StreamRecord) -> None:
    events = record.sightings[0].events
    events[6], events[7] = events[7], events[6]


def hang(record: StreamRecord) -> None:
    record.sightings[0].ended = False
    del record.sightings[0].events[-3:]


def hang_with_a_hole(record: StreamRecord) -> None:
    hang(record)
    del record.sightings[0].events[2]


def change_data(record: StreamRecord) -> None:
    position, kind, data = record.sightings[0].events[1]
    record.sightings[0].events[1] = (position, kind, data.replace("Hello", "Hallo"))


def invent_an_event(record: StreamRecord) -> None:
    record.sightings[0].events.insert(3, (Position(2, 1), "restart", "{}"))


def tell_a_gap(record: StreamRecord) -> None:
    record.sightings[1].start_again()
    record.sightings[1].events = list(record.sightings[0].events)


def end_too_soon(record: StreamRecord) -> None:
    del record.sightings[1].events[-1]


def lose_an_event_of_the_log(record: StreamRecord) -> None:
    for sighting in record.sightings[:2]:
        sighting.events = [each for each in sighting.events if each[0] != Position(3, 2)]
    record.log = [event for event in record.log if event.position != Position(3, 2)]
    record.answer = None


def go_on_after_done(record: StreamRecord) -> None:
    done = record.log[-1]
    record.log.append(replace_position(done, Position(4, 1)))
    for sighting in record.sightings:
        sighting.see(Position(4, 1), "done", done.data.decode())


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
    record.sightings = []


def begin_twice(record: StreamRecord) -> None:
    record.ids.add("y")


def lie_about_a_cancel(record: StreamRecord) -> None:
    record.said.add("cancelled")


def be_told_that_it_is_lost(record: StreamRecord) -> None:
    record.sightings[0].complaint = "was told that the stream is lost"


FAULTS: list[tuple[Callable[[StreamRecord], None], list[tuple[Wrong, int]]]] = [
    (leave_out, [(Wrong.HOLE, 2)]),
    (repeat, [(Wrong.DUPLICATE, 1)]),
    (swap, [(Wrong.DISORDER, 1)]),
    (hang, [(Wrong.HANGING, 1)]),
    (hang_with_a_hole, [(Wrong.HOLE, 1), (Wrong.HANGING, 1)]),
    (change_data, [(Wrong.FALSE, 1)]),
    (invent_an_event, [(Wrong.FALSE, 1)]),
    (tell_a_gap, [(Wrong.FALSE, 1)]),
    (end_too_soon, [(Wrong.HOLE, 1)]),
    (lose_an_event_of_the_log, [(Wrong.HOLE, 1)]),
    (go_on_after_done, [(Wrong.FALSE, 1)]),
    (change_the_answer, [(Wrong.ANSWER, 1)]),
    (never_end, [(Wrong.UNENDED, 1)]),
    (end_otherwise_than_it_says, [(Wrong.ENDING, 1)]),
    (end_as_nobody_asked, [(Wrong.ENDING, 1)]),
    (fail_for_a_reason_that_is_none, [(Wrong.ENDING, 1)]),
    (complete_what_cannot_be_completed, [(Wrong.ENDING, 1)]),
    (begin_twice, [(Wrong.TWICE, 1)]),
    (lie_about_a_cancel, [(Wrong.FALSE, 1)]),
    (be_told_that_it_is_lost, [(Wrong.FALSE, 1)]),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_it_notices(
    record: StreamRecord, fault: Callable[[StreamRecord], None], expected: list[tuple[Wrong, int]]
) -> None:
    fault(record)
    assert found(record) == expected


@pytest.mark.parametrize(
    "leftovers",
    [
        replace(Leftovers(), immortal=("mc:{x}:viewers",)),
        replace(Leftovers(), unknown=("x",)),
        replace(Leftovers(), beyond=("mc:{x}:log",)),
        replace(Leftovers(), queued=1),
        replace(Leftovers(), pending=1),
    ],
    ids=["without expiry", "of nobody", "after its time", "a job", "a lease"],
)
def test_it_notices_a_leak_of_a_key(leftovers: Leftovers) -> None:
    assert [finding.wrong for finding in judge_leftovers(leftovers)] == [Wrong.LEAK]


@pytest.mark.parametrize("wrong", Wrong)
def test_each_finding_is_a_row_of_the_table_and_a_failure(wrong: Wrong) -> None:
    tally = Tally(7, 1, "parts")
    assert not tally.has_failed
    tally.findings.append(Finding(wrong, "somewhere", "something", 3))
    assert tally.has_failed
    (row,) = [line for line in table(tally) if line.startswith(f"  {wrong} ")]
    assert row.split()[-1] == "3"
