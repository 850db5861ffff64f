"""What a terminal tells of a script, line by line."""

from typing import Any

import pytest

from contract.position import Position
from manycast.client.event import Emit, Input, Step
from manycast.command.steps import SHOWN_CHARS, Steps

AT = Position(1, 1)


@pytest.fixture
def steps() -> Steps:
    return Steps()


def step(place: str, state: str, **data: Any) -> Step:
    return Step(AT, place, state, {"id": place, "state": state, **data})


def question(state: str, **data: Any) -> Input:
    return Input(AT, "1", state, {"id": "1", "state": state, **data})


def test_a_step_is_told_by_the_names_of_those_around_it(steps: Steps) -> None:
    assert steps.tell_step(step("1", "begin", kind="part", name="read", parent=None)) == "step: read"
    inner = step("1.1", "begin", kind="generate", name="part 1", parent="1", model="m")
    assert steps.tell_step(inner) == "step: read > part 1 (m)"
    ended = step("1.1", "end", ms=1234, message={"content": "Leaves\nfall"}, usage={"completion_tokens": 3}, error=None)
    assert steps.tell_step(ended) == "step: read > part 1: Leaves fall (1.2 s, 3 tokens)"
    assert steps.tell_step(step("1", "end", ms=1300, failed=False)) == ""


def test_a_long_text_is_cut(steps: Steps) -> None:
    steps.tell_step(step("1", "begin", kind="generate", name="draft", parent=None))
    line = steps.tell_step(step("1", "end", ms=0, message={"content": "x" * 1000}, usage=None, error=None))
    assert line == f"step: draft: {'x' * SHOWN_CHARS}… (0.0 s)"


def test_a_failure_is_told_with_its_reason(steps: Steps) -> None:
    steps.tell_step(step("1", "begin", kind="generate", name="draft", parent=None))
    failed = step("1", "end", ms=100, message=None, error={"message": "It is down."})
    assert steps.tell_step(failed) == "step: draft failed: It is down. (0.1 s)"


def test_a_tool_is_told_with_its_arguments_and_its_result(steps: Steps) -> None:
    begun = step("2", "begin", kind="tool", name="price_of", parent=None, arguments='{"article":"tea"}')
    assert steps.tell_step(begun) == 'step: price_of ({"article":"tea"})'
    assert steps.tell_step(step("2", "end", ms=0, result="3", failed=False)) == "step: price_of: 3 (0.0 s)"


def test_a_step_that_starts_again_is_told(steps: Steps) -> None:
    steps.tell_step(step("1", "begin", kind="generate", name="draft", parent=None))
    assert steps.tell_step(step("1", "restart")) == "step: draft starts again"
    assert steps.tell_step(step("1", "chunk", choices=[])) == ""


def test_who_only_watches_reads_questions_and_answers(steps: Steps) -> None:
    asked = question("asked", question="Sure?", choices=["yes", "no"])
    assert list(steps.tell_question(asked)) == ["the script asks: Sure?", "  one of: yes, no"]
    assert list(steps.tell_question(question("refused", problem="in pairs"))) == ["an answer does not fit: in pairs"]
    assert list(steps.tell_question(question("answered", value="yes", by="user:ada"))) == ["the answer: yes (user:ada)"]
    assert list(steps.tell_question(question("timed_out"))) == ["nobody has answered in time"]


def test_an_event_of_the_author_is_told(steps: Steps) -> None:
    assert steps.tell_event(Emit(AT, "progress", None, {"part": 1})) == 'event: progress {"part": 1}'
