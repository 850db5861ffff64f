"""What of a chunk is text, and what a terminal is spared."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.client.answer_text import Answer, TextJoiner


def content(text: str, index: int = 0) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": text}}]}


@given(st.text(alphabet=st.sampled_from("aé😀👋\u2028"), max_size=20), st.lists(st.integers(0, 40)))
def test_text_cut_anywhere_in_its_utf_16_is_joined_again(text: str, cuts: list[int]) -> None:
    # As a provider that cuts strings of UTF-16 sends it: JSON with halves of surrogate pairs.
    units = text.encode("utf-16-le", "surrogatepass")
    places = sorted({0, len(units), *(2 * cut for cut in cuts if 2 * cut < len(units))})
    pieces = [
        json.loads(json.dumps(units[start:stop].decode("utf-16-le", "surrogatepass")))
        for start, stop in pairwise(places)
    ]
    joiner = TextJoiner()
    assert "".join(map(joiner.join, pieces)) + joiner.end() == text


@pytest.mark.parametrize("text", ["\ud83d", "\ude00", "a\ud83db", "\ude00\ud83d"])
def test_a_half_that_finds_no_other_is_replaced_and_never_an_error(text: str) -> None:
    joiner = TextJoiner()
    shown = joiner.join(text) + joiner.end()
    assert shown.encode() and "\ufffd" in shown


def test_only_the_first_choice_is_text_and_the_others_are_counted() -> None:
    answer = Answer()
    assert [answer.take(content("a")), answer.take(content("b", 1)), answer.take(content("c"))] == ["a", "", "c"]
    assert answer.choices == 2


def test_a_refusal_is_text_and_nulls_are_none() -> None:
    answer = Answer()
    assert answer.take({"choices": [{"index": 0, "delta": {"content": None, "refusal": "No."}}]}) == "No."
    assert answer.take({"choices": [{"index": 0, "delta": None}]}) == ""
    assert answer.take({"choices": None}) == ""
    assert answer.take({"usage": {}}) == ""


def test_the_words_of_audio_are_text() -> None:
    answer = Answer()
    for audio, text in (({"id": "a", "transcript": "Hello"}, "Hello"), ({"data": "AA=="}, ""), ("odd", ""), (None, "")):
        assert answer.take({"choices": [{"index": 0, "delta": {"content": None, "audio": audio}}]}) == text


def test_tool_calls_are_put_together_from_their_pieces() -> None:
    answer = Answer()
    for index, function in [(0, {"name": "f", "arguments": ""}), (1, {"name": "g"}), (0, {"arguments": '{"a"'})]:
        answer.take({"choices": [{"delta": {"tool_calls": [{"index": index, "function": function}]}}]})
    answer.take({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}}]})
    assert answer.tool_calls == ['f({"a":1})', "g()"]
