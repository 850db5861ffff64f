"""What the log of a script's run says: what people answered, and how many attempts may pay for each step. No I/O."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contract.event import Event, Kind
from manycast.chaos.chain_script import CALLS, QUESTION, QUESTION_ID, STAGES


def read_question_ends(log: Sequence[Event]) -> dict[str, dict[str, Any]]:
    """The `input` events that say how questions have ended, by the ids of the questions, in their order."""
    return {data["id"]: data for _, data in _question_ends(log)}


def read_open_questions(log: Sequence[Event]) -> list[dict[str, Any]]:
    """The `input` events of the questions that wait for an answer."""
    ended = read_question_ends(log)
    told = [json.loads(event.data) for event in log if event.kind is Kind.INPUT]
    return [data for data in told if data["state"] == "asked" and data["id"] not in ended]


def read_messages(log: Sequence[Event]) -> dict[str, list[dict[str, Any]]]:
    """What models have said, by the name of the step, in the order in which the steps have ended."""
    names: dict[str, str] = {}
    messages: dict[str, list[dict[str, Any]]] = {}
    for data in _steps(log):
        if data["state"] == "begin" and data["kind"] == "generate":
            names[data["id"]] = data["name"]
        elif data["state"] == "end" and data.get("message") and data["id"] in names:
            messages.setdefault(names[data["id"]], []).append(data["message"])
    return messages


def read_end_epochs(log: Sequence[Event]) -> dict[str, list[int]]:
    """In which epochs the generations of each name have ended, in this order."""
    epochs: dict[str, list[int]] = {}
    for name, epoch in _ends(log):
        epochs.setdefault(name, []).append(epoch)
    return epochs


def find_repeated(log: Sequence[Event]) -> list[str]:
    """What has begun or ended twice: a later attempt must go on from what is in the log."""
    told = Counter((data["id"], data["state"]) for data in _steps(log) if data["state"] in ("begin", "end"))
    return [f"{step_id} ({state})" for (step_id, state), count in told.items() if count > 1]


def find_unended(log: Sequence[Event]) -> list[str]:
    """The ids of the steps that have begun and not ended."""
    states: dict[str, set[str]] = {}
    for data in _steps(log):
        states.setdefault(data["id"], set()).add(data["state"])
    return [step_id for step_id, told in states.items() if "end" not in told]


def count_states(log: Sequence[Event]) -> Counter[str]:
    """How many steps have begun (`begin`), begun again (`restart`) and ended (`end`)."""
    return Counter(data["state"] for data in _steps(log))


def paying_attempts(log: Sequence[Event], *, may_lose_tail: bool) -> Mapping[str, int]:
    """How many attempts may have paid for the step of each name in the chain.

    A step is paid for once by an attempt. If it was under way when an epoch ended, the next epoch pays for it again: so
    there may be one attempt for each epoch from that in which the stage before had ended to that in which the step
    ended. Later epochs find its result in the log. A step whose beginning was lost with its worker has no event, but
    may have been paid for. `may_lose_tail`: a failover may take the ends of earlier stages out of the log again, if
    their worker is lost as well; then every earlier epoch may have come as far.
    """
    ends: Counter[str] = Counter()
    ended_in: dict[str, int] = {}
    for name, epoch in _ends(log):
        ends[name] += 1
        ended_in[name] = epoch
    last_epoch = log[-1].position.epoch if log else 0
    attempts: dict[str, int] = {}
    may_begin_in = 1
    for stage in STAGES:
        until = {name: ended_in[name] if ends[name] >= CALLS.get(name, 1) else last_epoch for name in stage}
        attempts |= {name: epoch - may_begin_in + 1 for name, epoch in until.items()}
        if not may_lose_tail:
            may_begin_in = max(until.values())
    del attempts[QUESTION]
    return attempts


def _steps(log: Sequence[Event]) -> Iterator[dict[str, Any]]:
    for event in log:
        if event.kind is Kind.STEP:
            yield json.loads(event.data)


def _ends(log: Sequence[Event]) -> Iterator[tuple[str, int]]:
    """The name and the epoch of each generation that has ended, and of the question."""
    names: dict[str, str] = {}
    for event in log:
        if event.kind is Kind.STEP:
            data = json.loads(event.data)
            if data["state"] == "begin" and data["kind"] == "generate":
                names[data["id"]] = data["name"]
            elif data["state"] == "end" and data["id"] in names:
                # Only its first end: a second one would be an error.
                yield names.pop(data["id"]), event.position.epoch
    for event, data in _question_ends(log):
        if data["id"] == QUESTION_ID:
            yield QUESTION, event.position.epoch


def _question_ends(log: Sequence[Event]) -> Iterator[tuple[Event, dict[str, Any]]]:
    for event in log:
        if event.kind is Kind.INPUT:
            data = json.loads(event.data)
            if data["state"] in ("answered", "timed_out"):
                yield event, data
