"""Compares what each viewer received with the log, and reports differences. No I/O, no clock.

The log in Redis is the truth; whether it is itself the provider's answer is looked at too.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from contract.event import Event, Kind, Status
from contract.position import START, Position
from manycast.chaos.allowed_endings import may_end
from manycast.chaos.answer import read_answer
from manycast.chaos.evidence import Leftovers, Observation, StreamRecord


class Wrong(StrEnum):
    """Kinds of faults. Each is a row of the table; any number but zero makes the run a failure."""

    HOLE = "holes"
    DUPLICATE = "duplicates"
    DISORDER = "disorder"
    HANGING = "viewers left hanging"
    LEAK = "keys leaked"
    FALSE = "false events"
    ANSWER = "wrong answers"
    ENDING = "untrue endings"
    UNENDED = "streams without an end"
    TWICE = "runs begun twice"
    FALLEN = "processes that fell by themselves"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, `count` times: where, and what differs."""

    wrong: Wrong
    where: str
    text: str
    count: int = 1

    def __str__(self) -> str:
        return f"{self.wrong}: {self.where}: {self.text}"


def judge_stream(record: StreamRecord) -> Iterator[Finding]:
    """All faults of one stream and its viewers."""
    where = f"stream {record.name} ({record.model}, {record.id})"
    if len(record.ids) > 1:
        yield Finding(Wrong.TWICE, where, f"the same request was given {sorted(record.ids)}")
    yield from _judge_log(record, where)
    for sighting in record.sightings:
        for finding in judge_viewer(record.log, sighting):
            yield Finding(finding.wrong, f"{where}, {finding.where}", finding.text, finding.count)


def _judge_log(record: StreamRecord, where: str) -> Iterator[Finding]:
    log = record.log
    if not log or log[-1].kind is not Kind.DONE or not record.status or not Status(record.status).is_final:
        yield Finding(Wrong.UNENDED, where, f"status {record.status or 'unknown'}, {len(log)} events")
        return
    if missing := _missing_in_log(log):
        yield Finding(Wrong.HOLE, where, f"the log itself lacks {_some(missing)}", len(missing))
    for early in [event for event in log[:-1] if event.kind is Kind.DONE]:
        yield Finding(Wrong.FALSE, where, f"the log goes on after its done at {early.position}")
    if record.said - {record.status, "cancelling"}:
        yield Finding(Wrong.FALSE, where, f"a cancel was answered {sorted(record.said)}, it ended {record.status}")
    done = json.loads(log[-1].data)
    if done["status"] != record.status or not may_end(record.model, record.ending, record.may_be_cancelled):
        yield Finding(Wrong.ENDING, where, f"status {record.status}, its done says {log[-1].data.decode()}")
    if record.status == Status.COMPLETED and record.answer is not None:
        found = read_answer(log)
        if found != record.answer:
            yield Finding(Wrong.ANSWER, where, f"the log says {_cut(found)}, the provider {_cut(record.answer)}")


def _missing_in_log(log: Sequence[Event]) -> list[Position]:
    """Each epoch counts from 1. An epoch without events is not missing."""
    missing = []
    last = START
    for event in log:
        first = last.seq + 1 if event.position.epoch == last.epoch else 1
        missing += [Position(event.position.epoch, seq) for seq in range(first, event.position.seq)]
        last = event.position
    return missing


def judge_viewer(log: Sequence[Event], sighting: Observation) -> Iterator[Finding]:
    """All differences between the log after `joined` and what this viewer received."""
    where = f"viewer {sighting.name}"
    truth = {
        event.position: (str(event.kind), event.data.decode()) for event in log if event.position > sighting.joined
    }
    seen: set[Position] = set()
    twice, displaced, false = [], [], []
    end = sighting.joined
    for position, kind, data in sighting.events:
        if position in seen:
            twice.append(position)
        elif position < end:
            displaced.append(position)
        if truth.get(position) != (kind, data):
            false.append(position)
        seen.add(position)
        end = max(end, position)
    if twice:
        yield Finding(Wrong.DUPLICATE, where, f"saw again {_some(twice)}", len(twice))
    if displaced:
        yield Finding(Wrong.DISORDER, where, f"saw late {_some(displaced)}", len(displaced))
    if false:
        yield Finding(Wrong.FALSE, where, f"saw what the log does not have at {_some(false)}", len(false))
    # For a viewer that hangs, only gaps before its last event count: it might still get the rest.
    missing = [position for position in truth if position not in seen and (sighting.ended or position < end)]
    if missing:
        yield Finding(Wrong.HOLE, where, f"never saw {_some(missing)} of {len(truth)} events", len(missing))
    if sighting.gaps:
        yield Finding(Wrong.FALSE, where, f"was told {sighting.gaps} times that events were lost, and none were")
    if sighting.complaint:
        yield Finding(Wrong.FALSE, where, sighting.complaint)
    if not sighting.ended:
        yield Finding(Wrong.HANGING, where, f"stands at {sighting.position}; {sighting.last_answer}")


def judge_leftovers(leftovers: Leftovers) -> Iterator[Finding]:
    """Everything that Redis should no longer hold."""
    for text, names in (
        ("has no expiry", leftovers.immortal),
        ("is of a stream that nobody asked for", leftovers.unknown),
        ("is there although its stream has expired", leftovers.beyond),
    ):
        for name in names:
            yield Finding(Wrong.LEAK, name, text)
    if leftovers.queued:
        yield Finding(Wrong.LEAK, "mc:jobs", f"{leftovers.queued} jobs are left", leftovers.queued)
    if leftovers.pending:
        yield Finding(Wrong.LEAK, "mc:jobs", f"{leftovers.pending} leases are left", leftovers.pending)


def _some(positions: Sequence[Position]) -> str:
    shown = ", ".join(map(str, positions[:5]))
    return f"{shown} and {len(positions) - 5} more" if len(positions) > 5 else shown


def _cut(texts: Sequence[str]) -> str:
    return repr([text if len(text) < 60 else f"{text[:28]}…{text[-28:]} ({len(text)})" for text in texts])
