"""What the log of a script's run lets the provider bill, and which answers of people it must contain."""

import json
from typing import Any

import pytest

from contract.event import Event, Kind
from contract.position import Position
from manycast.chaos.chain_script import CHOICES, MODEL, QUESTION_ID, STAGES, chain
from manycast.chaos.checker import Violation, check_bill, check_stream
from manycast.chaos.evidence import StreamRecord, read_bill
from manycast.chaos.script_answer import answer_of_script
from manycast.chaos.script_run import payable_calls

ONCE = {"draft": 1, "left": 1, "right": 1, "measure": 2, "final": 1}
CALM, WILD = CHOICES
Happening = tuple[int, Kind, dict[str, Any]]
"""The epoch of an event, its kind and its data."""


def generation(epoch: int, name: str, *, ends_in: int | None = None, place: str = "") -> list[Happening]:
    place = place or name
    begin = {"id": place, "state": "begin", "kind": "generate", "name": name}
    end = {"id": place, "state": "end"}
    return [(epoch, Kind.STEP, begin), (ends_in or epoch, Kind.STEP, end)]


def answered(epoch: int, value: str = CALM) -> Happening:
    return epoch, Kind.INPUT, {"id": QUESTION_ID, "state": "answered", "value": value, "by": None}


def measured(epoch: int, *, ends_in: int | None = None) -> list[Happening]:
    tool = {"id": "4", "state": "begin", "kind": "tool", "name": "measure"}
    call = [
        *generation(epoch, "measure", place="3"),
        (epoch, Kind.STEP, tool),
        (epoch, Kind.STEP, {**tool, "state": "end"}),
    ]
    return [*call, *generation(epoch, "measure", place="5", ends_in=ends_in)]


def log_of(*happenings: Happening, status: str = "completed") -> list[Event]:
    seqs: dict[int, int] = {}
    events = []
    told = sorted(happenings, key=lambda one: one[0])
    for epoch, kind, data in [*told, (told[-1][0], Kind.DONE, {"status": status})]:
        seqs[epoch] = seqs.get(epoch, 0) + 1
        events.append(Event(Position(epoch, seqs[epoch]), kind, json.dumps(data).encode()))
    return events


def whole(**changed: int) -> list[Event]:
    """A run whose steps all end in the epoch in which they begin, except those named: they end later."""
    happenings: list[Happening] = []
    epoch = 1
    for stage in STAGES:
        for name in stage:
            ends_in = changed.get(name, epoch)
            if name == "measure":
                happenings += measured(epoch, ends_in=ends_in)
            elif name in ONCE:
                happenings += generation(epoch, name, ends_in=ends_in)
            else:
                happenings.append(answered(ends_in))
        epoch = max([epoch, *(changed.get(name, 0) for name in stage)])
    return log_of(*happenings)


def test_a_run_without_a_lost_worker_pays_for_each_step_once() -> None:
    assert payable_calls(whole()) == ONCE


@pytest.mark.parametrize("name", ONCE)
def test_a_step_that_was_under_way_is_paid_for_again_and_no_other(name: str) -> None:
    assert payable_calls(whole(**{name: 3})) == {**ONCE, name: ONCE[name] + 2}


def test_a_question_that_was_answered_in_a_later_epoch_makes_no_step_cost_more() -> None:
    assert payable_calls(whole(mood=2)) == ONCE


def test_a_run_that_has_failed_may_have_paid_for_a_step_that_its_log_does_not_know() -> None:
    log = log_of(*generation(1, "draft"), (2, Kind.RESTART, {}), status="failed")
    assert payable_calls(log) == {"draft": 1, "left": 2, "right": 2, "measure": 2, "final": 1}


def test_a_bill_above_that_is_found() -> None:
    lines = b'{"user": "u draft"}\n{"user": "u draft"}\n{"user": null}\n{"user": "u final"}\n'
    payable = {"u draft": 1, "u left": 1, "u final": 1}
    (finding,) = check_bill(payable, read_bill(lines))
    assert (finding.violation, finding.where, finding.count) == (Violation.PAID_TWICE, "step u draft", 1)


@pytest.mark.parametrize(
    ("accepted", "log", "status", "is_wrong"),
    [
        (set(), whole(), "completed", False),
        ({CALM}, whole(), "completed", False),
        ({WILD}, whole(), "completed", True),
        ({CALM, WILD}, whole(), "completed", True),
        ({CALM}, log_of(*generation(1, "draft"), status="failed"), "failed", False),
        ({CALM, WILD}, log_of(*generation(1, "draft"), status="failed"), "failed", True),
        ({CALM}, log_of(*generation(1, "draft")), "completed", True),
    ],
)
def test_an_answer_of_a_person_that_was_accepted_is_the_one_in_the_log(
    accepted: set[str], log: list[Event], status: str, is_wrong: bool
) -> None:
    record = StreamRecord("s", MODEL, {"x"}, status, may_be_cancelled=True, log=log, accepted=accepted)
    found = [finding.violation for finding in check_stream(record)]
    assert (Violation.WRONG_INPUT in found) == is_wrong


async def test_the_right_answer_is_what_the_script_says_where_nothing_fails() -> None:
    asked = []

    async def ask(body: dict[str, Any]) -> dict[str, Any]:
        asked.append((body["user"], body["messages"][-1]["content"]))
        message: dict[str, Any] = {"content": f"answer {len(asked)}"}
        if asked[-1][1].startswith("Measure: "):
            function = {"name": "measure", "arguments": '{"text": "four"}'}
            message = {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}

    body = {"messages": [{"role": "user", "content": "Hi"}], "user": "x", "simulator": {}}
    answer = await answer_of_script(body, whole(), ask)
    assert [user.split()[-1] for user, _ in asked] == ["draft", "left", "right", "measure", "measure", "final"]
    assert all(user.startswith("chaos check ") for user, _ in asked)
    assert asked[4][1] == "4"
    assert answer == [f"{CALM}\n\nanswer 6"]
    assert chain.name == MODEL.removeprefix("script/")
