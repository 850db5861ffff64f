"""A whole completion, folded from a stream."""

import json
from typing import Any

import pytest

from contract.event import Event, Kind, encode_json, parse_json
from contract.position import Position
from gateway.http.json_response import JsonResponse
from gateway.runs.completion import CompletionFold
from tests.author import Entry
from tests.gateway.fanout.recording import USAGE, attempt, chunk_of, done, restart


def fold(*entries: Entry) -> dict[str, Any]:
    folded = CompletionFold()
    for at, kind, data in entries:
        folded.add(Event(Position.parse(at), Kind(kind), encode_json(data)))
    return folded.result()


def test_texts_are_joined_and_the_last_of_everything_else_counts() -> None:
    last = {**chunk_of({}, system_fingerprint="fp"), "choices": [], "usage": USAGE}
    chunks = [chunk_of({"role": "assistant", "content": "Hel", "reasoning_content": "h"}), chunk_of({"content": "lo"})]
    whole = fold(*attempt([*chunks, chunk_of({"reasoning_content": "m"}, "stop"), last]), done())
    spoken = {"role": "assistant", "content": "Hello", "refusal": None, "reasoning_content": "hm"}
    assert whole["choices"] == [{"index": 0, "message": spoken, "logprobs": None, "finish_reason": "stop"}]
    assert (whole["object"], whole["usage"], whole["system_fingerprint"]) == ("chat.completion", USAGE, "fp")


def test_tool_calls_are_merged_by_index_and_lose_it() -> None:
    def call(index: int, **fields: Any) -> dict[str, Any]:
        return chunk_of({"tool_calls": [{"index": index, **fields}]})

    chunks = [
        call(0, id="a", type="function", function={"name": "f", "arguments": ""}),
        call(1, id="b", type="function", function={"name": "g", "arguments": "{"}),
        # Some providers repeat what names the call, or send it empty.
        call(0, id="", type="function", function={"arguments": "{}"}),
        call(1, function={"arguments": "}"}),
    ]
    (choice,) = fold(*attempt(chunks), done())["choices"]
    calls = [(each["id"], each["function"]) for each in choice["message"]["tool_calls"]]
    assert calls == [("a", {"name": "f", "arguments": "{}"}), ("b", {"name": "g", "arguments": "{}"})]
    assert all("index" not in each for each in choice["message"]["tool_calls"])


def test_logprobs_that_begin_as_null_are_collected() -> None:
    def token(text: str) -> dict[str, Any]:
        chunk = chunk_of({"content": text})
        chunk["choices"][0]["logprobs"] = {"content": [{"token": text}], "refusal": None}
        return chunk

    (choice,) = fold(*attempt([chunk_of({"role": "assistant"}), token("a"), token("b")]), done())["choices"]
    assert [each["token"] for each in choice["logprobs"]["content"]] == ["a", "b"]


def test_a_lost_epoch_leaves_nothing() -> None:
    again = attempt([chunk_of({"content": "again"}, "stop")], 2, 2)
    (choice,) = fold(*attempt([chunk_of({"content": "lost"})]), restart(2), *again, done())["choices"]
    assert choice["message"]["content"] == "again"


@pytest.mark.parametrize("choices", [None, {}, ["x", 3], [{"index": "a", "delta": None}], [{"delta": "text"}]])
def test_choices_of_the_wrong_type_are_ignored(choices: Any) -> None:
    chunks = [{**chunk_of({}), "choices": choices}, chunk_of({"content": "a", "tool_calls": ["x"]}, "stop")]
    assert fold(*attempt(chunks), done())["choices"][0]["message"]["content"] == "a"


def test_an_emoji_that_was_cut_in_the_middle_is_joined() -> None:
    whole = fold(*attempt([chunk_of({"content": "\ud83d"}), chunk_of({"content": "\ude00"}, "stop")]), done())
    read = json.loads(bytes(JsonResponse(whole).body))
    assert read["choices"][0]["message"]["content"] == "😀"


def nested(depth: int, innermost: str) -> dict[str, Any]:
    value: Any = innermost
    for _ in range(depth):
        value = {"index": 0, "x": [value]}
    return {"x_vendor": value}


def unnested(value: Any) -> tuple[int, Any]:
    """How deep it is, and what is innermost."""
    levels = 0
    while isinstance(value, dict):
        levels, value = levels + 1, value["x"] if len(value["x"]) > 1 else value["x"][0]
    return levels, value


@pytest.mark.parametrize("depth", [480, 990, 20_000])
def test_a_vendor_field_may_be_nested_at_any_depth(depth: int) -> None:
    last = {**chunk_of({"content": "lo", **nested(depth, "b")}, "stop"), **nested(depth, "c")}
    completion = fold(*attempt([chunk_of({"content": "Hel", **nested(depth, "a")}), last]), done())
    read = parse_json(bytes(JsonResponse(completion).body))
    message = read["choices"][0]["message"]
    assert message["content"] == "Hello"
    assert unnested(message["x_vendor"]) == (depth, ["a", "b"])
    assert unnested(read["x_vendor"]) == (depth, "c")


def test_a_message_of_the_wrong_type_is_ignored() -> None:
    first = chunk_of({"content": "a"})
    first["choices"][0] = {"index": 0, "message": "text", **first["choices"][0]}
    alone = {**first, "choices": [{"index": 1, "message": ["text"]}]}
    choices = fold(*attempt([first, alone]), done())["choices"]
    assert [choice["message"]["content"] for choice in choices] == ["a", None]
