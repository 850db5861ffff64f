"""What the log of a script's run lets the provider bill, and which answers of people it must contain."""

import json
from typing import Any

import pytest

from contract.event import Event, Kind
from contract.position import Position
from manycast.chaos.chain_script import CHOICES, MODEL, QUESTION_ID, STAGES, chain
from manycast.chaos.checker import Violation, check_bill, check_bill_of_examples, check_stream
from manycast.chaos.evidence import StreamRecord, read_bill, read_bill_of_examples
from manycast.chaos.script_answer import answer_of_chain, answer_of_example
from manycast.chaos.script_run import paying_attempts
from simulator.bill import digest_messages

ONCE = {"draft": 1, "left": 1, "right": 1, "measure": 1, "final": 1}
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
    assert paying_attempts(whole(), may_lose_tail=False) == ONCE


@pytest.mark.parametrize("name", ONCE)
def test_a_step_that_was_under_way_is_paid_for_again_and_no_other(name: str) -> None:
    assert paying_attempts(whole(**{name: 3}), may_lose_tail=False) == {**ONCE, name: ONCE[name] + 2}


def test_a_question_that_was_answered_in_a_later_epoch_makes_no_step_cost_more() -> None:
    assert paying_attempts(whole(mood=2), may_lose_tail=False) == ONCE


def test_a_run_that_has_failed_may_have_paid_for_a_step_that_its_log_does_not_know() -> None:
    log = log_of(*generation(1, "draft"), (2, Kind.RESTART, {}), status="failed")
    assert paying_attempts(log, may_lose_tail=False) == {"draft": 1, "left": 2, "right": 2, "measure": 1, "final": 1}


def test_a_failover_may_have_lost_that_an_earlier_attempt_had_come_as_far() -> None:
    log = log_of(*generation(2, "draft"), *generation(2, "left"), *generation(2, "right"))
    assert paying_attempts(log, may_lose_tail=False)["left"] == 1
    assert paying_attempts(log, may_lose_tail=True)["left"] == 2


@pytest.mark.parametrize(
    ("calls", "excess"),
    [
        (["draft a", "left a", "measure a", "measure a"], 0),
        (["draft a", "draft b"], 1),
        (["left a", "left a"], 1),
        (["left a", "left b"], 0),
        (["left a", "left b", "left c"], 1),
        (["measure a", "measure a", "measure a"], 1),
    ],
)
def test_a_bill_above_that_is_found(calls: list[str], excess: int) -> None:
    """An attempt pays once for a step; two may have paid for the left one, which was under way when the first ended."""
    lines = "".join(f'{{"user": "u {call}"}}\n' for call in calls) + '{"user": null}\n'
    attempts = {"u draft": 1, "u left": 2, "u measure": 1}
    found = list(check_bill(attempts, read_bill(lines.encode())))
    assert [(finding.violation, finding.count) for finding in found] == [(Violation.PAID_TWICE, 1)] * excess


@pytest.mark.parametrize(
    ("states", "violation"),
    [
        (["begin", "end"], None),
        (["begin", "restart", "end"], None),
        (["begin", "begin", "end"], Violation.FALSE_EVENT),
        (["begin", "end", "end"], Violation.FALSE_EVENT),
        (["begin"], Violation.MISSING),
    ],
)
def test_a_step_begins_once_and_ends_once(states: list[str], violation: Violation | None) -> None:
    step = {"id": "1", "kind": "generate", "name": "draft"}
    log = log_of(*((1, Kind.STEP, {**step, "state": state}) for state in states))
    record = StreamRecord("s", "script/haiku", {"x"}, "completed", log=log)
    assert [finding.violation for finding in check_stream(record)] == ([violation] if violation else [])


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
    given = {(QUESTION_ID, value) for value in accepted}
    record = StreamRecord("s", MODEL, {"x"}, status, may_be_cancelled=True, log=log, accepted=given)
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
    answer = await answer_of_chain(body, whole(), ask)
    assert [user.split()[-2] for user, _ in asked] == ["draft", "left", "right", "measure", "measure", "final"]
    assert all(user.startswith("chaos check ") for user, _ in asked)
    assert asked[4][1] == "4"
    assert answer == [f"{CALM}\n\nanswer 6"]
    assert len({user.split()[-1] for user, _ in asked}) == 1
    assert chain.name == MODEL.removeprefix("script/")


async def test_an_example_must_end_as_its_log_says() -> None:
    body = {"messages": [{"role": "user", "content": "autumn"}]}
    answer, paying = await answer_of_example("haiku", body, haiku_log(3))
    assert answer == ["Leaves drift"]
    assert list(paying.values()) == [1, 1, 1]
    assert digest_messages([{"role": "system", "content": "You write haiku."}, HAIKU_PROMPT]) in paying
    (lacking,), _ = await answer_of_example("haiku", body, haiku_log(2))
    assert "no answer for step 'final'" in lacking


async def test_later_attempts_may_not_pay_for_a_call_of_an_example_that_has_ended() -> None:
    body = {"messages": [{"role": "user", "content": "autumn"}]}
    _, paying = await answer_of_example("haiku", body, haiku_log(2, ends_in=2))
    draft, critique, final = paying
    assert paying == {draft: 2, critique: 2, final: 3}
    lines = "".join(f'{{"user": null, "messages": "{digest}"}}\n' for digest in (draft, draft, draft, final, "other"))
    bill = read_bill_of_examples(f'{lines}{{"user": "u", "messages": "{critique}"}}\n'.encode())
    (finding,) = check_bill_of_examples(paying, bill)
    assert (finding.violation, finding.where, finding.count) == (Violation.PAID_TWICE, f"messages {draft}", 1)


HAIKU_PROMPT = {"role": "user", "content": "A haiku about autumn"}


def haiku_log(ended: int, *, ends_in: int = 1) -> list[Event]:
    """So many steps of the example haiku have ended, all in one epoch. Without the last one, another has begun."""
    said = [{"role": "assistant", "content": text} for text in ("Leaves", "The first.", "Leaves drift")]
    happenings: list[Happening] = []
    for number, (name, message) in enumerate(list(zip(("draft", "critique", "final"), said, strict=True))[:ended], 1):
        begin = {"id": str(number), "kind": "generate", "name": name, "state": "begin"}
        happenings.append((ends_in, Kind.STEP, begin))
        happenings.append((ends_in, Kind.STEP, {"id": str(number), "state": "end", "message": message}))
    if ended < len(said):
        return log_of(*happenings, (ends_in + 1, Kind.RESTART, {}), status="failed")
    return log_of(*happenings)
