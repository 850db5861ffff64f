"""A page's conversation, as the provider is told it."""

from typing import Any

import pytest

from gateway.dialects.ai_sdk_messages import to_messages
from gateway.http.errors import ApiError

PIXEL = "data:image/png;base64,AAAA"


def told(*entries: dict[str, Any]) -> list[Any]:
    return to_messages(list(entries))


def entry(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "role": role, "parts": list(parts)}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content, "state": "done"}


def call(state: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool-weather", "toolCallId": "a", "state": state, "input": {"city": "Rome"}, **fields}


def test_texts_and_files_of_the_user() -> None:
    image = {"type": "file", "mediaType": "image/png", "url": PIXEL}
    paper = {
        "type": "file",
        "mediaType": "application/pdf",
        "url": "data:application/pdf;base64,BB",
        "filename": "a.pdf",
    }
    sound = {"type": "file", "mediaType": "audio/wav", "url": "data:audio/wav;base64,CC"}
    assert told(entry("system", text("Be brief.")), entry("user", text("Hi"), text("!"))) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi!"},
    ]
    assert told(entry("user", text("Look"), image, paper, sound))[0]["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BB"}},
        {"type": "input_audio", "input_audio": {"data": "CC", "format": "wav"}},
    ]


def test_calls_and_their_results_step_by_step() -> None:
    step = {"type": "step-start"}
    answer = entry("assistant", step, {"type": "reasoning", "text": "hm"}, call("output-available", output={"c": 20}))
    answer["parts"] += [step, text("It is 20 degrees.")]
    function = {"name": "weather", "arguments": '{"city": "Rome"}'}
    assert told(entry("user", text("?")), answer)[1:] == [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "a", "content": '{"c": 20}'},
        {"role": "assistant", "content": "It is 20 degrees."},
    ]


@pytest.mark.parametrize(
    ("part", "result"),
    [
        (call("output-available", output="sunny"), "sunny"),
        (call("output-error", errorText="no network"), "no network"),
        (call("output-denied"), "The user did not allow this call."),
        ({**call("output-available", output=1), "type": "dynamic-tool", "toolName": "weather"}, "1"),
    ],
)
def test_whatever_came_of_a_call_is_told(part: dict[str, Any], result: str) -> None:
    asked, answered = told(entry("assistant", part))
    assert asked["tool_calls"][0]["function"]["name"] == "weather"
    assert answered["content"] == result


@pytest.mark.parametrize("state", ["input-streaming", "input-available"])
def test_a_call_without_a_result_is_left_out(state: str) -> None:
    assert told(entry("assistant", call(state), text("Wait."))) == [{"role": "assistant", "content": "Wait."}]


@pytest.mark.parametrize(
    ("entries", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        (["x"], "messages[0]"),
        ([{"role": "user", "content": "old form"}], "messages[0]"),
        ([{"role": "robot", "parts": []}], "messages[0].role"),
        ([{"role": "user", "parts": [{"type": "file", "mediaType": "text/x", "url": "http://a"}]}], "messages[0]"),
    ],
)
def test_what_is_no_conversation_is_refused_with_the_place(entries: Any, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        to_messages(entries)
    assert caught.value.body["error"]["param"] == param


def test_what_a_provider_sent_as_metadata_goes_back_with_the_results_of_tools() -> None:
    signed, detail = {"google": {"thought_signature": "x"}}, {"type": "reasoning.encrypted", "data": "y"}
    ours = {"manycast": {"extra_content": signed, "reasoning_details": [detail]}}
    thoughts = [
        {"type": "reasoning", "text": part, "providerMetadata": {"manycast": {"field": "reasoning_content"}}}
        for part in ("Let me", " see")
    ]
    done = call("output-available", output="sunny", callProviderMetadata=ours)
    asked, _ = told(entry("assistant", {"type": "step-start"}, *thoughts, done))
    assert asked["reasoning_content"] == "Let me see"
    assert asked["reasoning_details"] == [detail]
    assert asked["tool_calls"][0]["extra_content"] == signed
    # Without the results of tools no provider needs them, and some refuse them.
    assert told(entry("assistant", *thoughts, text("Hello"))) == [{"role": "assistant", "content": "Hello"}]


@pytest.mark.parametrize("metadata", [None, 7, {}, {"openai": {}}, {"manycast": 7}, {"manycast": {"field": "content"}}])
def test_metadata_of_others_does_not_go_to_the_provider(metadata: Any) -> None:
    thought = {"type": "reasoning", "text": "hm", "providerMetadata": metadata}
    asked, _ = told(entry("assistant", thought, call("output-available", output=1, callProviderMetadata=metadata)))
    assert set(asked) == {"role", "content", "tool_calls"}
    assert set(asked["tool_calls"][0]) == {"id", "type", "function"}


def test_a_call_whose_input_the_page_could_not_read_has_empty_arguments() -> None:
    asked, _ = told(entry("assistant", {**call("output-error", errorText="not JSON"), "input": None}))
    assert asked["tool_calls"][0]["function"]["arguments"] == "{}"
