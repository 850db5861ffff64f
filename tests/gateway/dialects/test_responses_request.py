"""A request of the Responses API as the provider gets it."""

from typing import Any

import pytest

from gateway.dialects.responses_items import to_messages
from gateway.dialects.responses_request import to_chat_request
from gateway.dialects.responses_thoughts import write_thoughts
from gateway.http.errors import ApiError

Items = list[dict[str, Any]]


def named(items: Items) -> list[tuple[str, dict[str, Any]]]:
    return [(f"input[{index}]", item) for index, item in enumerate(items)]


def messages_of(*items: dict[str, Any]) -> Items:
    return to_messages(named(list(items)))


def request_of(**body: Any) -> dict[str, Any]:
    asked = to_chat_request(body, [("input", {"role": "user", "content": "Hi"})])
    assert asked.pop("stream") is True
    assert asked.pop("messages")[-1] == {"role": "user", "content": "Hi"}
    return asked


def refusal(**body: Any) -> str | None:
    """The parameter that the error names."""
    with pytest.raises(ApiError) as caught:
        request_of(**body)
    assert caught.value.status == 400
    return caught.value.body["error"]["param"]


def test_instructions_come_first_and_developers_are_system() -> None:
    items = named([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
    assert to_chat_request({"instructions": "Be kind."}, items)["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_parts_of_a_message_become_parts_of_chat_completions() -> None:
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]
    (message,) = messages_of({"type": "message", "role": "user", "content": parts})
    assert message["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]
    (message,) = messages_of({"role": "user", "content": parts[:1]})
    assert message["content"] == "What is this?"


def call(call_id: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **fields}


def result(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "4"}


def test_what_the_assistant_said_between_others_is_one_message() -> None:
    text = {
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Let "}, {"type": "output_text", "text": "me."}],
    }
    made = messages_of(text, call("a"), call("b"), result("a"), result("b"), call("c"), result("c"))
    tools = [{"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}} for name in "abc"]
    assert made == [
        {"role": "assistant", "content": "Let me.", "tool_calls": tools[:2]},
        {"role": "tool", "tool_call_id": "a", "content": "4"},
        {"role": "tool", "tool_call_id": "b", "content": "4"},
        {"role": "assistant", "content": None, "tool_calls": tools[2:]},
        {"role": "tool", "tool_call_id": "c", "content": "4"},
    ]


def test_two_texts_of_the_assistant_are_two_messages() -> None:
    texts = [{"role": "assistant", "content": text} for text in ("One.", "Two.")]
    assert messages_of(*texts) == texts


def test_a_refusal_of_the_assistant_stays_one() -> None:
    said = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert messages_of(said) == [{"role": "assistant", "content": None, "refusal": "No."}]


def thoughts(field: str, details: Items, text: str = "hm") -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}]
    return {"type": "reasoning", "id": "rs", "summary": summary, "encrypted_content": write_thoughts(field, details)}


def test_thoughts_go_back_before_calls_as_the_provider_sent_them() -> None:
    details = [{"type": "reasoning.encrypted", "data": "y"}]
    signed = {"google": {"thought_signature": "x"}}
    said, _ = messages_of(thoughts("reasoning", details), call("a", extra_content=signed), result("a"))
    assert (said["reasoning"], said["reasoning_details"]) == ("hm", details)
    assert said["tool_calls"][0]["extra_content"] == signed


def test_other_thoughts_are_left_out() -> None:
    foreign = {**thoughts("reasoning", []), "encrypted_content": "gAAAA"}
    assert messages_of(thoughts("reasoning", []), {"role": "assistant", "content": "Hi"}) == [
        {"role": "assistant", "content": "Hi"}
    ]
    said, _ = messages_of(foreign, call("a"), result("a"))
    assert "reasoning" not in said
    assert messages_of(thoughts("reasoning", []), {"role": "user", "content": "Hi"}) == [
        {"role": "user", "content": "Hi"}
    ]


@pytest.mark.parametrize("content", ["manycast.", "manycast.?", "manycast.W10=", "manycast.bm90IGpzb24=", 7])
def test_thoughts_that_cannot_be_read_are_left_out(content: object) -> None:
    said, _ = messages_of({"type": "reasoning", "encrypted_content": content}, call("a"), result("a"))
    assert said.keys() == {"role", "content", "tool_calls"}


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "web_search_call"}, "input[0].type"),
        ({"role": "robot", "content": "Hi"}, "input[0].role"),
        ({"role": "user"}, "input[0].content"),
        ({"role": "user", "content": ["Hi"]}, "input[0].content[0]"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "input[0].content[0].text"),
        ({"role": "user", "content": [{"type": "video"}]}, "input[0].content[0].type"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}, "input[0].content[0].file_id"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, "input[0].content[0].file_id"),
        ({"role": "user", "content": [{"type": "input_file", "file_url": "f"}]}, "input[0].content[0].file_url"),
        ({"role": "assistant", "content": [{"type": "input_image"}]}, "input[0].content[0].type"),
        ({"type": "function_call", "call_id": "a", "name": "f"}, "input[0].arguments"),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "a"}, "input[0].output"),
    ],
)
def test_an_item_that_cannot_be_translated_is_named(item: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        messages_of(item)
    assert (caught.value.status, caught.value.body["error"]["param"]) == (400, param)


TOOL = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
NESTED = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
}
OTHER = {"type": "function", "name": "g", "parameters": None}


def test_functions_are_nested_and_choices_too() -> None:
    chosen = {"type": "function", "name": "f"}
    assert request_of(tools=[TOOL], tool_choice=chosen, parallel_tool_calls=False) == {
        "tools": [NESTED],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
    }
    assert request_of(tools=[TOOL], tool_choice="required")["tool_choice"] == "required"
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [chosen]}
    assert request_of(tools=[OTHER, TOOL], tool_choice=allowed) == {"tools": [NESTED], "tool_choice": "required"}


def test_without_tools_nothing_is_said_about_them() -> None:
    assert request_of(tools=[], tool_choice="auto", parallel_tool_calls=True) == {}


def test_the_format_of_the_text_becomes_the_response_format() -> None:
    schema = {"name": "city", "schema": {"type": "object"}, "strict": True}
    assert request_of(text={"format": {"type": "json_schema", **schema}, "verbosity": "low"}) == {
        "response_format": {"type": "json_schema", "json_schema": schema},
        "verbosity": "low",
    }
    assert request_of(text={"format": {"type": "json_object"}}) == {"response_format": {"type": "json_object"}}
    assert request_of(text={"format": {"type": "text"}}) == {}


def test_reasoning_becomes_the_effort_and_vendors_fields_stay_an_object() -> None:
    assert request_of(reasoning={"effort": "low", "summary": "auto"}) == {"reasoning_effort": "low"}
    assert request_of(reasoning={"effort": "low", "max_tokens": 9}) == {"reasoning": {"effort": "low", "max_tokens": 9}}


def test_limits_and_logprobs_get_their_names() -> None:
    assert request_of(max_output_tokens=9) == {"max_tokens": 9}
    assert request_of(max_output_tokens=9, max_completion_tokens=8) == {"max_completion_tokens": 8}
    assert request_of(top_logprobs=2) == {"logprobs": True, "top_logprobs": 2}
    assert request_of(include=["message.output_text.logprobs"]) == {"logprobs": True}


def test_all_other_fields_go_to_the_provider_unchanged_and_ours_do_not() -> None:
    passed = {"model": "m", "temperature": 0.5, "top_p": 1, "user": "u", "service_tier": "flex", "x_vendor": {"a": [1]}}
    ours = {"store": True, "background": False, "metadata": {"a": "b"}, "stream_options": {}, "max_tool_calls": 3}
    assert request_of(**passed, **ours, seed=None, include=["reasoning.encrypted_content"]) == passed


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"truncation": "auto"}, "truncation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [TOOL, {"type": "mcp"}]}, "tools[1].type"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [TOOL], "tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
    ],
)
def test_what_no_provider_of_chat_completions_can_serve_is_named(body: dict[str, Any], param: str) -> None:
    assert refusal(**body) == param
