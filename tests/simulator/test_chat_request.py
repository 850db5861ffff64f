import json
from typing import Any

import pytest

from simulator.chat_request import ChatRequest, read_chat_request
from simulator.errors import Refused

TURN = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "weather"}}
NAMED = {"type": "function", "function": {"name": "forecast"}}


def read(**fields: Any) -> ChatRequest:
    return read_chat_request(json.dumps({"model": "demo", "messages": [TURN], **fields}).encode())


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": ["hi"]}, "messages[0]", "invalid_type"),
        ({"messages": [TURN, {"role": "king", "content": "hi"}]}, "messages[1].role", "invalid_value"),
        ({"messages": [{"role": ["user"], "content": "hi"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content", "invalid_type"),
        ({"model": None}, None, None),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream": True, "stream_options": []}, "stream_options", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": True}, "n", "invalid_type"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"tool_choice": NAMED}, "tool_choice", None),
        ({"tools": [TOOL], "tool_choice": NAMED}, "tool_choice", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice", "invalid_value"),
        ({"tools": [TOOL], "parallel_tool_calls": 1}, "parallel_tool_calls", "invalid_type"),
        ({"response_format": "json"}, "response_format", "invalid_type"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "missing_required_parameter",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
            "missing_required_parameter",
        ),
        ({"simulator": 1}, "simulator", "invalid_type"),
        ({"simulator": {"chunk": 1}}, "simulator.chunk", "unknown_parameter"),
        ({"simulator": {"chunks": 0}}, "simulator.chunks", "invalid_value"),
        ({"simulator": {"chunks": 2.0}}, "simulator.chunks", "invalid_value"),
        ({"simulator": {"jitter": 1.1}}, "simulator.jitter", "invalid_value"),
        ({"simulator": {"chunks_per_s": float("nan")}}, "simulator.chunks_per_s", "invalid_value"),
        ({"simulator": {"first_chunk_ms": True}}, "simulator.first_chunk_ms", "invalid_value"),
    ],
)
def test_a_wrong_field_is_refused_by_name(fields: dict[str, Any], param: str | None, code: str | None) -> None:
    with pytest.raises(Refused) as refused:
        read(**fields)
    error = refused.value.error
    assert (error.status, error.param, error.code) == (400, param, code)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 100_000, b'{"n": ' + b"1" * 5_000 + b"}"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="could not parse"):
        read_chat_request(body)


def test_fields_it_does_not_know_are_let_through() -> None:
    assert read(temperature=2, vendor={"x": []}).prompt == "hi"


def test_the_prompt_is_the_last_user_turn_whose_parts_may_be_many() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {}},
        {"type": "text", "text": "b"},
    ]
    turns = [TURN, {"role": "user", "content": parts}, {"role": "assistant", "content": None}]
    assert read(messages=turns).prompt == "a b"


def test_a_longer_prompt_costs_more_tokens() -> None:
    long = {"role": "user", "content": "one two three four"}
    assert read(messages=[TURN, long]).prompt_tokens > read().prompt_tokens > 0
