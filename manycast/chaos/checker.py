"""Compares the events of each viewer with the log, and the log with the provider's answer. No I/O, no clock."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from contract.event import Event, Kind, Status
from contract.position import START, Position
from manycast.chaos.allowed_endings import may_end
from manycast.chaos.answer import read_answer
from manycast.chaos.chain_script import CALLS
from manycast.chaos.evidence import Leftovers, Observation, StreamRecord
from manycast.chaos.script_run import find_repeated, find_unended, read_question_ends

STEP_RESTARTED = "step_restarted"
"""The reason of a `restart` that takes back a script's answer, but none of its steps."""


class Violation(StrEnum):
    """Ways in which Manycast can break its promises. Each is a row of the table. One violation makes the run fail."""

    MISSING = "missing events"
    DUPLICATE = "duplicate events"
    OUT_OF_ORDER = "events out of order"
    HANGING = "viewers left hanging"
    LEAK = "keys leaked"
    FALSE_EVENT = "false events"
    WRONG_ANSWER = "wrong answers"
    WRONG_ENDING = "wrong endings"
    NO_END = "streams without an end"
    STARTED_TWICE = "runs started twice"
    PAID_TWICE = "finished steps paid for again"
    WRONG_INPUT = "answers to questions lost or replaced"
    CRASH = "processes that crashed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation that occurred `count` times. `where` names the stream, viewer, key or process."""

    violation: Violation
    where: str
    text: str
    count: int = 1

    def __str__(self) -> str:
        return f"{self.violation}: {self.where}: {self.text}"


def check_stream(record: StreamRecord) -> Iterator[Finding]:
    """Yields all violations of one stream and its viewers."""
    where = f"stream {record.name} ({record.model}, {record.id})"
    if len(record.ids) > 1:
        yield Finding(Violation.STARTED_TWICE, where, f"the same request got the ids {sorted(record.ids)}")
    yield from _check_log(record, where)
    if record.is_script:
        yield from _check_input(record, where)
        yield from _check_steps(record, where)
    for observation in record.observations:
        for finding in check_viewer(record.log, observation, is_on_group=record.is_on_group):
            yield Finding(finding.violation, f"{where}, {finding.where}", finding.text, finding.count)


def _check_log(record: StreamRecord, where: str) -> Iterator[Finding]:
    log = record.log
    if not log or log[-1].kind is not Kind.DONE or not record.status or not Status(record.status).is_final:
        yield Finding(Violation.NO_END, where, f"status {record.status or 'unknown'}, {len(log)} events")
        return
    if missing := _missing_in_log(log):
        yield Finding(Violation.MISSING, where, f"the log has no {_some(missing)}", len(missing))
    for early in [event for event in log[:-1] if event.kind is Kind.DONE]:
        yield Finding(Violation.FALSE_EVENT, where, f"the log has more events after done at {early.position}")
    if record.cancel_statuses - {record.status, "cancelling"}:
        yield Finding(
            Violation.FALSE_EVENT,
            where,
            f"cancel requests returned {sorted(record.cancel_statuses)}, but the run ended as {record.status}",
        )
    done = json.loads(log[-1].data)
    if done["status"] != record.status or not may_end(record.model, record.ending, record.may_be_cancelled):
        yield Finding(
            Violation.WRONG_ENDING, where, f"the status is {record.status}, and done has {log[-1].data.decode()}"
        )
    if record.status == Status.COMPLETED and record.answer is not None:
        found = read_answer(log)
        if found != record.answer:
            yield Finding(
                Violation.WRONG_ANSWER, where, f"the log has {_cut(found)}, the provider sent {_cut(record.answer)}"
            )


def _check_input(record: StreamRecord, where: str) -> Iterator[Finding]:
    """The first answer of a person to a question counts, and only one is accepted."""
    ends = read_question_ends(record.log)
    counts = {(each, end["value"]) for each, end in ends.items() if end["state"] == "answered"}
    # A run that was stopped in the meantime need not have read the answer to its last question.
    unread = [] if record.status == Status.COMPLETED else [each for each in record.accepted if each[0] not in ends]
    if record.accepted - counts - set(unread[:1]):
        text = f"{sorted(record.accepted)} were accepted, and the log has {sorted(counts)}"
        yield Finding(Violation.WRONG_INPUT, where, text)


def _check_steps(record: StreamRecord, where: str) -> Iterator[Finding]:
    """Each step begins once and ends once, whichever worker goes on with it."""
    if repeated := find_repeated(record.log):
        yield Finding(Violation.FALSE_EVENT, where, f"the log has these steps twice: {repeated}", len(repeated))
    if record.status == Status.COMPLETED and (unended := find_unended(record.log)):
        yield Finding(Violation.MISSING, where, f"steps have no end: {unended}", len(unended))


def check_bill(attempts: Mapping[str, int], bill: Mapping[str, int]) -> Iterator[Finding]:
    """`attempts`: how many of them may have paid for each step of a chain. `bill`: how many calls the provider has
    answered for each step and attempt. Calls for other users are not those of chains."""
    paid: dict[str, dict[str, int]] = {}
    for user, count in bill.items():
        step, _, attempt = user.rpartition(" ")
        paid.setdefault(step, {})[attempt] = count
    for step, allowed in attempts.items():
        calls = CALLS.get(step.rpartition(" ")[2], 1)
        for attempt, count in paid.get(step, {}).items():
            if count > calls:
                text = f"attempt {attempt} has paid for {count} calls, and makes {calls}"
                yield Finding(Violation.PAID_TWICE, f"step {step}", text, count - calls)
        if (found := len(paid.get(step, {}))) > allowed:
            text = f"{found} attempts have paid for it; the log accounts for {allowed}"
            yield Finding(Violation.PAID_TWICE, f"step {step}", text, found - allowed)


def check_bill_of_examples(attempts: Mapping[str, int], bill: Mapping[str, int]) -> Iterator[Finding]:
    """As `check_bill`, for the examples, whose calls have no names. Both are by the messages of the calls; several runs
    may make the same call."""
    for messages, allowed in attempts.items():
        if (found := bill.get(messages, 0)) > allowed:
            text = f"the provider answered {found} calls with these messages; the logs account for {allowed}"
            yield Finding(Violation.PAID_TWICE, f"messages {messages}", text, found - allowed)


def _missing_in_log(log: Sequence[Event]) -> list[Position]:
    """Returns the positions that the log skips. Each epoch counts from 1; an epoch may have no events."""
    missing = []
    last = START
    for event in log:
        first = last.seq + 1 if event.position.epoch == last.epoch else 1
        missing += [Position(event.position.epoch, seq) for seq in range(first, event.position.seq)]
        last = event.position
    return missing


def check_viewer(log: Sequence[Event], observation: Observation, *, is_on_group: bool = False) -> Iterator[Finding]:
    """Yields all differences between the log after `joined` and the events that this viewer received.

    On a group of servers, a failover may lose the last events of an epoch. If their worker is lost too, nobody writes
    them again. They count as taken back if the viewer was told of a later epoch that begins with a `restart` of all, or
    of a `gap`. A `done` is never taken back.
    """
    where = f"viewer {observation.name}"
    truth = {
        event.position: (str(event.kind), event.data.decode()) for event in log if event.position > observation.joined
    }
    seen: set[Position] = set()
    twice, displaced, false = [], [], []
    end = observation.joined
    for position, kind, data in observation.events:
        if position in seen:
            twice.append(position)
        elif position < end:
            displaced.append(position)
        if truth.get(position) != (kind, data):
            false.append((position, kind))
        seen.add(position)
        end = max(end, position)
    if is_on_group:
        false = [each for each in false if each[1] == "done" or not _was_taken_back(each[0], log, end)]
    if twice:
        yield Finding(Violation.DUPLICATE, where, f"received twice: {_some(twice)}", len(twice))
    if displaced:
        yield Finding(Violation.OUT_OF_ORDER, where, f"received too late: {_some(displaced)}", len(displaced))
    if false:
        yield Finding(
            Violation.FALSE_EVENT,
            where,
            f"received events that differ from the log: {_some([position for position, _ in false])}",
            len(false),
        )
    # A viewer that has not ended may still receive the rest: count only gaps before its last event.
    missing = [position for position in truth if position not in seen and (observation.ended or position < end)]
    if missing:
        yield Finding(Violation.MISSING, where, f"never received {_some(missing)} of {len(truth)} events", len(missing))
    gaps = [at for at in observation.gaps if not (is_on_group and _epoch_after_loss(at, log))]
    if gaps:
        yield Finding(Violation.FALSE_EVENT, where, f"received gaps at {_some(gaps)}, but the log lost nothing")
    if observation.protocol_error:
        yield Finding(Violation.FALSE_EVENT, where, observation.protocol_error)
    if not observation.ended:
        yield Finding(Violation.HANGING, where, f"waits at position {observation.position}; {observation.last_answer}")


def _was_taken_back(position: Position, log: Sequence[Event], end: Position) -> bool:
    """Whether the log lost `position`, and the next epoch voids everything before it and was told up to `end`."""
    beginning = _epoch_after_loss(position, log)
    if beginning is None or beginning.kind is not Kind.RESTART or beginning.position > end:
        return False
    return bool(json.loads(beginning.data)["reason"] != STEP_RESTARTED)


def _epoch_after_loss(position: Position, log: Sequence[Event]) -> Event | None:
    """The first event of the epoch with which the log goes on, if it ends the epoch of `position` before that."""
    in_epoch = [event.position.seq for event in log if event.position.epoch == position.epoch]
    later = [event for event in log if event.position.epoch > position.epoch]
    return later[0] if later and position.seq > max(in_epoch, default=0) else None


def check_leftovers(leftovers: Leftovers) -> Iterator[Finding]:
    """Yields a violation for each key, job and lease that Redis should no longer hold."""
    for text, names in (
        ("the key has no expiry", leftovers.without_expiry),
        ("this run started no such stream", leftovers.unknown),
        ("the key exists although its stream has expired", leftovers.outlived),
    ):
        for name in names:
            yield Finding(Violation.LEAK, name, text)
    if leftovers.queued:
        yield Finding(Violation.LEAK, "jobs", f"{leftovers.queued} jobs remain in the queue", leftovers.queued)
    if leftovers.pending:
        yield Finding(Violation.LEAK, "jobs", f"{leftovers.pending} jobs still belong to a worker", leftovers.pending)


def _some(positions: Sequence[Position]) -> str:
    shown = ", ".join(map(str, positions[:5]))
    return f"{shown} and {len(positions) - 5} more" if len(positions) > 5 else shown


def _cut(texts: Sequence[str]) -> str:
    return repr([text if len(text) < 60 else f"{text[:28]}…{text[-28:]} ({len(text)})" for text in texts])
