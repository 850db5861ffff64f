"""What the log of a script's run says: what people answered, and how often the provider may bill each step. No I/O."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contract.event import Event, Kind
from manycast.chaos.chain_script import CALLS, QUESTION, QUESTION_ID, STAGES


def read_question_end(log: Sequence[Event]) -> dict[str, Any] | None:
    """The `input` event that says how the question has ended; None if it has not."""
    return next((data for _, data in _question_ends(log)), None)


def count_states(log: Sequence[Event]) -> Counter[str]:
    """How many steps have begun (`begin`), begun again (`restart`) and ended (`end`)."""
    return Counter(json.loads(event.data)["state"] for event in log if event.kind is Kind.STEP)


def payable_calls(log: Sequence[Event]) -> Mapping[str, int]:
    """How many provider calls each name of a step may have cost.

    A step is paid for once. If it was under way when an epoch ended, the next epoch pays for it again: so there may be
    one call for each epoch from that in which the stage before had ended to that in which the step ended. Later epochs
    find its result in the log. A step whose beginning was lost with its worker has no event, but may have cost a call.
    """
    ends: Counter[str] = Counter()
    ended_in: dict[str, int] = {}
    for name, epoch in _ends(log):
        ends[name] += 1
        ended_in[name] = epoch
    last_epoch = log[-1].position.epoch if log else 0
    payable: dict[str, int] = {}
    may_begin_in = 1
    for stage in STAGES:
        until = {name: ended_in[name] if ends[name] >= CALLS.get(name, 1) else last_epoch for name in stage}
        # Where one call of a name ends and the next one begins, both are in the same epoch.
        payable |= {name: epoch - may_begin_in + CALLS.get(name, 1) for name, epoch in until.items()}
        may_begin_in = max(until.values())
    del payable[QUESTION]
    return payable


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
    for event, _ in _question_ends(log):
        yield QUESTION, event.position.epoch


def _question_ends(log: Sequence[Event]) -> Iterator[tuple[Event, dict[str, Any]]]:
    for event in log:
        if event.kind is Kind.INPUT:
            data = json.loads(event.data)
            if data["id"] == QUESTION_ID and data["state"] in ("answered", "timed_out"):
                yield event, data
