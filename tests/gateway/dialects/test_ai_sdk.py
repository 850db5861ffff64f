"""What `useChat` reads."""

import copy
from typing import Any

from contract.errors import RunError
from contract.event import Kind
from gateway.dialects.ai_sdk import UIDialect
from tests.author import Entry
from tests.gateway.dialects.test_openai import read_frames
from tests.gateway.fanout.recording import USAGE, attempt, chunk_of, done, restart, write_all

BEGIN = [{"type": "start", "messageId": "s"}, {"type": "start-step"}]


def parts_of(*entries: Entry, continues: bool = False) -> list[Any]:
    return read_frames(write_all(UIDialect(continues=continues), entries))


def end(reason: str) -> list[Any]:
    return [{"type": "finish-step"}, {"type": "finish", "messageMetadata": {"finishReason": reason}}, "[DONE]"]


def test_reasoning_and_text_are_parts_of_their_own() -> None:
    chunks = [
        chunk_of({"role": "assistant", "content": ""}),
        chunk_of({"reasoning_content": "hm"}),
        chunk_of({"content": "Hel"}),
        chunk_of({"content": "lo"}),
        chunk_of({}, "stop"),
        {**chunk_of({}), "choices": []},
    ]
    assert parts_of(*attempt(chunks), done()) == [
        *BEGIN,
        {"type": "reasoning-start", "id": "1", "providerMetadata": {"manycast": {"field": "reasoning_content"}}},
        {"type": "reasoning-delta", "id": "1", "delta": "hm"},
        {"type": "reasoning-end", "id": "1"},
        {"type": "text-start", "id": "2"},
        {"type": "text-delta", "id": "2", "delta": "Hel"},
        {"type": "text-delta", "id": "2", "delta": "lo"},
        {"type": "text-end", "id": "2"},
        *end("stop"),
    ]


def test_tool_calls_are_told_as_they_come_and_whole_at_the_end() -> None:
    def call(index: int, **fields: Any) -> dict[str, Any]:
        return chunk_of({"tool_calls": [{"index": index, **fields}]})

    chunks = [
        call(0, id="a", function={"name": "f", "arguments": ""}),
        call(1, id="b", function={"name": "g", "arguments": "{"}),
        call(0, function={"arguments": '{"x":1}'}),
        chunk_of({}, "tool_calls"),
    ]
    assert parts_of(*attempt(chunks), done()) == [
        *BEGIN,
        {"type": "tool-input-start", "toolCallId": "a", "toolName": "f"},
        {"type": "tool-input-start", "toolCallId": "b", "toolName": "g"},
        {"type": "tool-input-delta", "toolCallId": "b", "inputTextDelta": "{"},
        {"type": "tool-input-delta", "toolCallId": "a", "inputTextDelta": '{"x":1}'},
        {"type": "tool-input-available", "toolCallId": "a", "toolName": "f", "input": {"x": 1}},
        {"type": "tool-output-error", "toolCallId": "b", "errorText": "The model's arguments are not JSON."},
        *end("tool-calls"),
    ]


def test_failure_and_cancellation_end_the_open_part() -> None:
    text = [{"type": "text-start", "id": "1"}, {"type": "text-delta", "id": "1", "delta": "Hel"}]
    entries = attempt([chunk_of({"content": "Hel"})])
    failed = parts_of(*entries, done("failed", RunError("x", "It broke.")))
    assert failed == [
        *BEGIN,
        *text,
        {"type": "text-end", "id": "1"},
        {"type": "error", "errorText": "It broke."},
        "[DONE]",
    ]
    cancelled = parts_of(*entries, done("cancelled"))
    assert cancelled == [*BEGIN, *text, {"type": "text-end", "id": "1"}, {"type": "abort"}, "[DONE]"]


def test_an_answer_that_goes_on_after_a_tool_keeps_the_pages_own_id() -> None:
    assert parts_of(*attempt([chunk_of({}, "stop")]), done(), continues=True)[0] == {"type": "start"}


def test_a_restart_is_an_error_to_those_who_have_read_and_nothing_to_the_others() -> None:
    again = [restart(2), *attempt([chunk_of({"content": "again"}, "stop")], 2, 2), done()]
    told = parts_of(*attempt([chunk_of({"content": "lost"})]), *again)
    assert [part["type"] for part in told[-2:-1]] == ["error"]
    assert "again" not in str(told[:-2])
    dialect = UIDialect(continues=False)
    write_all(dialect, attempt([chunk_of({"content": "lost"})]))
    dialect.forget()
    assert read_frames(write_all(dialect, again)) == [
        *BEGIN,
        {"type": "text-start", "id": "1"},
        {"type": "text-delta", "id": "1", "delta": "again"},
        {"type": "text-end", "id": "1"},
        *end("stop"),
    ]


def test_a_copy_goes_on_by_itself_from_any_place() -> None:
    call = {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":'}}]}
    rest = {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}
    chunks = [chunk_of({"reasoning": "hm"}), chunk_of({"content": "a"}), chunk_of(call), chunk_of(rest, "tool_calls")]
    entries = [*attempt(chunks), done()]
    whole = write_all(UIDialect(continues=False), entries)
    for place in range(len(entries)):
        dialect = UIDialect(continues=False)
        before = write_all(dialect, entries[:place])
        twin = copy.deepcopy(dialect)
        write_all(dialect, entries[place:])
        assert before + write_all(twin, entries[place:]) == whole


def test_arguments_that_python_reads_and_json_does_not_have_are_told_as_such() -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x":NaN}'}}
    parts = parts_of(*attempt([chunk_of({"tool_calls": [call]}), chunk_of({}, "tool_calls")]), done("tool_calls"))
    kinds = [part["type"] for part in parts if isinstance(part, dict)]
    assert "tool-output-error" in kinds
    assert "tool-input-available" not in kinds


def test_usage_is_metadata_of_the_message() -> None:
    at, kind, last = done()
    (finish,) = parts_of(*attempt([chunk_of({}, "stop")]), (at, kind, {**last, "usage": USAGE}))[-2:-1]
    tokens = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    assert finish == {"type": "finish", "messageMetadata": {"finishReason": "stop", "usage": tokens}}


def test_audio_is_told_in_words_that_stay_and_in_data_that_does_not() -> None:
    chunks = [
        chunk_of({"content": None, "audio": {"id": "a", "transcript": "Hel"}}),
        chunk_of({"audio": {"data": "AA==", "transcript": "lo"}}),
        chunk_of({"audio": {"data": "BB==", "expires_at": 9}}, "stop"),
    ]
    assert parts_of(*attempt(chunks), done()) == [
        *BEGIN,
        {"type": "text-start", "id": "1"},
        {"type": "text-delta", "id": "1", "delta": "Hel"},
        {"type": "text-delta", "id": "1", "delta": "lo"},
        {"type": "data-audio", "data": {"data": "AA=="}, "transient": True},
        {"type": "data-audio", "data": {"data": "BB==", "expires_at": 9}, "transient": True},
        {"type": "text-end", "id": "1"},
        *end("stop"),
    ]


def test_each_source_is_told_once_and_each_image_as_a_file() -> None:
    cited: dict[str, Any] = {"citations": ["https://a.test"]}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    note = {"type": "url_citation", "url_citation": {"url": "https://b.test", "title": "B"}}
    chunks = [
        {**chunk_of({"content": "See"}), **cited},
        chunk_of({"content": ".", "annotations": [note]}, citations=["https://a.test", "https://c.test"]),
        {**chunk_of({"images": [image]}), **cited},
        chunk_of({"content_parts": [{"type": "image_url", "image_url": "https://a.test/b.gif", "index": 0}]}, "stop"),
    ]
    assert [part for part in parts_of(*attempt(chunks), done()) if isinstance(part, dict) and "url" in part] == [
        {"type": "source-url", "sourceId": "https://a.test", "url": "https://a.test"},
        {"type": "source-url", "sourceId": "https://c.test", "url": "https://c.test"},
        {"type": "source-url", "sourceId": "https://b.test", "url": "https://b.test", "title": "B"},
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA"},
        {"type": "file", "mediaType": "image/gif", "url": "https://a.test/b.gif"},
    ]


def test_what_a_provider_wants_back_with_the_results_of_tools_goes_out_as_metadata() -> None:
    signed = {"google": {"thought_signature": "x"}}
    calls = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}, "extra_content": signed},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}, "extra_content": None},
    ]
    detail = {"type": "reasoning.encrypted", "data": "y"}
    chunks = [
        chunk_of({"reasoning": "hm", "reasoning_details": [detail]}),
        chunk_of({"tool_calls": calls}, "tool_calls"),
    ]
    told = [part for part in parts_of(*attempt(chunks), done()) if isinstance(part, dict)]
    assert [part["providerMetadata"] for part in told if "providerMetadata" in part] == [
        {"manycast": {"field": "reasoning"}},
        {"manycast": {"extra_content": signed, "reasoning_details": [detail]}},
    ]


def test_events_of_a_script_are_data_parts() -> None:
    emitted: Entry = ("1-3", Kind.EMIT, {"id": "2", "name": "progress", "step": None, "data": {"done": 1}})
    parts = parts_of(*attempt([chunk_of({"content": "Hello"}, "stop")]), emitted, done())
    assert {"type": "data-progress", "id": "2", "data": {"done": 1}} in parts


def test_an_answer_that_goes_on_in_another_epoch_is_one_message() -> None:
    first = attempt([chunk_of({"content": "Hel"})])
    second = attempt([chunk_of({"content": "lo"}, "stop")], epoch=2)
    parts = parts_of(*first, *second, done())
    assert [part for part in parts if part in BEGIN] == BEGIN
    assert [part["delta"] for part in parts if part != "[DONE]" and part["type"] == "text-delta"] == ["Hel", "lo"]
