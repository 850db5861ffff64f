"""What the chunks tell of a run's end."""

from typing import Any

import pytest

from worker.generations.outcome import Outcome


def outcome(choices_asked: object, *reasons: tuple[int, str | None]) -> Outcome:
    found = Outcome(choices_asked)
    for index, reason in reasons:
        found.record({"choices": [{"index": index, "delta": {}, "finish_reason": reason}]})
    return found


def test_a_run_without_a_chunk_is_not_finished() -> None:
    assert not outcome(1).is_finished


def test_a_run_is_finished_when_each_choice_seen_has_its_reason() -> None:
    assert not outcome(2, (0, None), (0, "stop"), (1, None)).is_finished
    assert outcome(2, (0, None), (0, "stop"), (1, None), (1, "length")).is_whole


def test_a_reason_stays_when_more_comes_after_it() -> None:
    assert outcome(1, (0, "stop"), (0, None)).is_whole


def test_a_run_of_two_choices_is_not_whole_before_the_second_has_begun() -> None:
    assert outcome(2, (0, "stop")).is_finished
    assert not outcome(2, (0, "stop")).is_whole


def test_the_reason_told_is_that_of_choice_0() -> None:
    assert outcome(2, (1, "length"), (0, "tool_calls")).finish_reason == "tool_calls"


def test_the_last_usage_counts() -> None:
    found = outcome(1)
    for usage in ({"total_tokens": 1}, None, {"total_tokens": 2}, None):
        found.record({"choices": [], "usage": usage})
    assert found.usage == {"total_tokens": 2}


@pytest.mark.parametrize(
    "chunk",
    [
        {},
        {"choices": None},
        {"choices": {"0": 1}},
        {"choices": [None, 1, "x"]},
        {"choices": [{"index": [], "finish_reason": "stop"}]},
        {"choices": [{"finish_reason": {"a": 1}}]},
        {"usage": []},
    ],
)
def test_a_malformed_chunk_breaks_nothing(chunk: dict[str, Any]) -> None:
    found = Outcome("many")
    found.record(chunk)
    assert found.usage is None
    assert not found.is_finished
