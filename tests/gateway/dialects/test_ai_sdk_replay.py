"""A message of a page, written as a stream from which another page builds it again."""

from typing import Any

from gateway.dialects.ai_sdk_replay import replay_message
from tests.gateway.dialects.test_openai import read_frames

START = {"type": "start", "messageId": "m"}
STEP = {"type": "step-start"}


def replay(*parts: Any, **fields: Any) -> list[Any]:
    start, *rest = read_frames(replay_message({"id": "m", "role": "assistant", "parts": list(parts), **fields}))
    assert start == {**START, **({"messageMetadata": fields["metadata"]} if fields else {})}
    return rest


def call(state: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool-weather", "toolCallId": "a", "state": state, "input": {"city": "Rome"}, **fields}


def test_texts_are_replayed_step_by_step() -> None:
    metadata = {"vendor": {"signature": "x"}}
    thought = {"type": "reasoning", "text": "hm", "state": "done", "providerMetadata": metadata}
    assert replay(STEP, thought, {"type": "text", "text": "Let me see"}, STEP, metadata={"finishReason": "stop"}) == [
        {"type": "start-step"},
        {"type": "reasoning-start", "id": "earlier-1", "providerMetadata": metadata},
        {"type": "reasoning-delta", "id": "earlier-1", "delta": "hm"},
        {"type": "reasoning-end", "id": "earlier-1"},
        {"type": "text-start", "id": "earlier-2"},
        {"type": "text-delta", "id": "earlier-2", "delta": "Let me see"},
        {"type": "text-end", "id": "earlier-2"},
        {"type": "finish-step"},
        {"type": "start-step"},
        {"type": "finish-step"},
    ]


def test_files_sources_and_data_are_replayed_as_they_are() -> None:
    parts = [
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA"},
        {"type": "source-url", "sourceId": "1", "url": "https://a.test", "title": "A"},
        {"type": "source-document", "sourceId": "2", "mediaType": "text/plain", "title": "B", "filename": "b.txt"},
        {"type": "data-weather", "id": "w", "data": {"degrees": 20}},
        {"type": "data-nothing", "data": None},
    ]
    assert replay(*parts) == parts


def test_a_call_with_a_result_is_not_one_that_the_page_executes() -> None:
    metadata = {"vendor": {"signature": "x"}}
    available = {"type": "tool-input-available", "toolCallId": "a", "toolName": "weather", "input": {"city": "Rome"}}
    assert replay(call("output-available", output=20, callProviderMetadata=metadata)) == [
        {**available, "providerMetadata": metadata, "providerExecuted": True},
        {"type": "tool-output-available", "toolCallId": "a", "output": 20, "providerExecuted": False},
    ]
    dynamic = call("output-error", errorText="no network", type="dynamic-tool", toolName="weather")
    assert replay(dynamic) == [
        {**available, "dynamic": True, "providerExecuted": True},
        {
            "type": "tool-output-error",
            "toolCallId": "a",
            "errorText": "no network",
            "providerExecuted": False,
            "dynamic": True,
        },
    ]


def test_a_call_without_a_result_is_left_to_the_page() -> None:
    available = {"type": "tool-input-available", "toolCallId": "a", "toolName": "weather", "input": {"city": "Rome"}}
    asked = {"type": "tool-approval-request", "toolCallId": "a", "approvalId": "x"}
    start = {"type": "tool-input-start", "toolCallId": "a", "toolName": "weather"}
    delta = {"type": "tool-input-delta", "toolCallId": "a", "inputTextDelta": '{"city": "Rome"}'}
    approval = {"id": "x"}
    assert replay(call("input-available")) == [available]
    assert replay(call("input-streaming")) == [start]
    assert replay(call("approval-requested", approval=approval)) == [available, asked]
    denied = {"type": "tool-output-denied", "toolCallId": "a"}
    assert replay(call("output-denied", approval={"id": "x", "approved": False})) == [start, delta, asked, denied]


def test_what_is_no_part_is_left_out() -> None:
    odd = [None, "text", {}, {"type": 7}, {"type": "finish"}, {"type": "error", "errorText": "x"}, {"type": "unknown"}]
    assert replay(*odd) == []
