"""What clients of OpenAI's Responses API read."""

import copy
import random
from typing import Any

import pytest

from contract.errors import RunError
from contract.event import encode_json
from gateway.dialects.responses import ResponsesDialect
from gateway.http.run_errors import STREAM_LOST
from tests.author import Entry
from tests.gateway.fanout.recording import USAGE, attempt, chunk_of, done, restart, write_all
from tests.responses import STREAM_ID, Event, events_of, fold_events, new_dialect, read_events

BEGIN = ["response.created", "response.in_progress"]


def kinds(found: list[Event]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in found]


def call(index: int, **fields: Any) -> dict[str, Any]:
    return chunk_of({"tool_calls": [{"index": index, **fields}]})


THINKS = [chunk_of({"role": "assistant", "reasoning_content": "h"}), chunk_of({"reasoning_content": "m"})]
SAYS = [chunk_of({"content": "Hel"}), chunk_of({"content": "lo"})]
CALLS = [
    call(0, id="a", function={"name": "f", "arguments": ""}),
    call(1, id="b", function={"name": "g", "arguments": "{"}),
    call(0, function={"arguments": '{"x":1}'}),
    call(1, function={"arguments": "}"}),
]


def test_every_kind_of_item_begins_grows_and_ends() -> None:
    found = events_of(*attempt([*THINKS, *SAYS, *CALLS, chunk_of({}, "tool_calls")]), done())
    assert kinds(found) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    response = fold_events(found)
    assert response["status"] == "completed"
    thoughts, said, *made = response["output"]
    assert thoughts["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert said["content"][0]["text"] == "Hello"
    assert [(each["call_id"], each["name"], each["arguments"]) for each in made] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", "{}"),
    ]
    assert [each["id"] for each in response["output"]] == [
        f"{prefix}_{STREAM_ID}_1_{place}" for place, prefix in enumerate(["rs", "msg", "fc", "fc"])
    ]


def test_a_text_after_calls_is_another_message() -> None:
    chunks = [*SAYS, *CALLS, chunk_of({"content": "Wait."}), chunk_of({}, "tool_calls")]
    response = fold_events(events_of(*attempt(chunks), done()))
    assert [item["type"] for item in response["output"]] == ["message", "function_call", "function_call", "message"]


def test_the_words_of_audio_are_text() -> None:
    chunks = [chunk_of({"audio": {"transcript": "Hello"}}), chunk_of({"audio": {"data": "AA"}}, "stop")]
    (message,) = fold_events(events_of(*attempt(chunks), done()))["output"]
    assert message["content"][0]["text"] == "Hello"


def test_a_refusal_is_a_part_of_its_own() -> None:
    found = events_of(*attempt([*SAYS, chunk_of({"refusal": "No"}), chunk_of({"refusal": "."}, "stop")]), done())
    (message,) = fold_events(found)["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert message["content"][1]["refusal"] == "No."
    assert kinds(found)[-4:] == ["refusal.done", "content_part.done", "output_item.done", "completed"]


@pytest.mark.parametrize(
    ("finish_reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_cut_is_incomplete(finish_reason: str, why: str) -> None:
    found = events_of(*attempt([*SAYS, chunk_of({}, finish_reason)]), done())
    response = fold_events(found)
    assert found[-1]["type"] == "response.incomplete"
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": why})
    assert response["output"][0]["status"] == "incomplete"


def test_a_failure_tells_its_code_and_keeps_the_text_so_far() -> None:
    found = events_of(*attempt(SAYS), done("failed", RunError("upstream_timeout", "It stalled.")))
    response = fold_events(found)
    assert found[-1]["type"] == "response.failed"
    assert response["error"] == {"code": "upstream_timeout", "message": "It stalled."}
    assert response["output"][0]["content"][0]["text"] == "Hello"
    assert response["output"][0]["status"] == "incomplete"


def test_a_cancelled_response_says_so() -> None:
    response = fold_events(events_of(*attempt(SAYS), done("cancelled")))
    assert (response["status"], response["error"]["code"]) == ("cancelled", "cancelled")


def test_usage_has_the_names_of_this_api() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 2}}
    at, kind, last = done()
    found = events_of(*attempt([chunk_of({}, "stop")]), (at, kind, {**last, "usage": {**USAGE, **details}}))
    assert fold_events(found)["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 5,
    }


def test_a_character_that_was_cut_in_two_is_shown_whole() -> None:
    chunks = [chunk_of({"content": "a\ud83d"}), chunk_of({"content": "\ude00b"}), chunk_of({"content": "\ud83d"})]
    found = events_of(*attempt(chunks), done())
    deltas = [event["delta"] for event in found if event["type"] == "response.output_text.delta"]
    assert deltas == ["a", "\U0001f600b", "\ufffd"]
    assert fold_events(found)["output"][0]["content"][0]["text"] == "".join(deltas)


def test_sources_are_annotations_and_each_is_told_once() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://b.test", "title": "B"}}
    cited: dict[str, Any] = {"citations": ["https://a.test"]}
    chunks = [
        {**chunk_of({"content": "See"}), **cited},
        {**chunk_of({"content": ".", "annotations": [note]}), **cited},
        {**chunk_of({}, "stop"), **cited},
    ]
    found = events_of(*attempt(chunks), done())
    told = [event["annotation"] for event in found if event["type"] == "response.output_text.annotation.added"]
    assert [(each["url"], each["title"]) for each in told] == [
        ("https://a.test", "https://a.test"),
        ("https://b.test", "B"),
    ]
    assert fold_events(found)["output"][0]["content"][0]["annotations"] == told


def test_logprobs_come_with_their_text() -> None:
    entry = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
    chunk = chunk_of({"content": "Hi"}, "stop")
    chunk["choices"][0]["logprobs"] = {"content": [entry]}
    found = events_of(*attempt([chunk]), done())
    (delta,) = [event for event in found if event["type"] == "response.output_text.delta"]
    assert delta["logprobs"] == [entry]
    assert fold_events(found)["output"][0]["content"][0]["logprobs"] == [entry]


def test_what_a_provider_wants_back_goes_out_with_the_items() -> None:
    signed = {"google": {"thought_signature": "x"}}
    detail = {"type": "reasoning.encrypted", "data": "y"}
    chunks = [
        chunk_of({"reasoning": "hm", "reasoning_details": [detail]}),
        call(0, id="a", function={"name": "f", "arguments": "{}"}, extra_content=signed),
        chunk_of({"reasoning_details": [{**detail, "data": "z"}]}, "tool_calls"),
    ]
    response = fold_events(events_of(*attempt(chunks), done()))
    assert [item["type"] for item in response["output"]] == ["reasoning", "function_call", "reasoning"]
    first, made, second = response["output"]
    assert made["extra_content"] == signed
    assert first["encrypted_content"] != second["encrypted_content"]
    assert second["summary"] == []


# Numbers

LOST = attempt([*THINKS, *SAYS])
AGAIN = [restart(2), *attempt([*SAYS, *CALLS, chunk_of({}, "tool_calls")], 2, 2), done()]


def test_a_restart_ends_the_response_of_those_who_have_read() -> None:
    found = events_of(*LOST, *AGAIN)
    assert found[-1]["type"] == "response.failed"
    assert found[-1]["response"]["error"]["code"] == "worker_lost"
    assert found[-1]["response"]["output"] == []


def test_whoever_comes_later_gets_the_new_attempt_with_numbers_after_those_of_the_lost_one() -> None:
    seen = events_of(*LOST, *AGAIN)
    dialect = new_dialect()
    write_all(dialect, LOST)
    dialect.forget()
    found = read_events(write_all(dialect, AGAIN))
    assert [event["type"] for event in found[:2]] == BEGIN
    assert found[0]["sequence_number"] == seen[-1]["sequence_number"] + 1
    assert [event["sequence_number"] for event in found] == [
        found[0]["sequence_number"] + at for at in range(len(found))
    ]
    old = {event["item"]["id"] for event in seen if "item" in event}
    assert not old & {item["id"] for item in fold_events(found)["output"]}


def test_a_restart_before_the_first_chunk_changes_no_number() -> None:
    again = events_of(restart(2), *attempt([*SAYS, chunk_of({}, "stop")], 2, 2), done())
    first = events_of(*attempt([*SAYS, chunk_of({}, "stop")]), done())
    assert kinds(again) == kinds(first)
    dialect = new_dialect()
    dialect.forget()
    write_all(dialect, [restart(2), *attempt([*SAYS, chunk_of({}, "stop")], 2, 2), done()])
    assert dialect.next_number == len(first)


def random_chunks(draw: random.Random, count: int) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [
        {"content": "word "},
        {"content": "\ud83d"},
        {"content": "\ude00"},
        {"reasoning": "thought "},
        {"reasoning_details": [{"type": "reasoning.text", "text": "thought "}]},
        {"refusal": "no "},
        {"annotations": [{"url": "https://a.test"}]},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]},
        {"tool_calls": [{"index": 1, "function": {"name": "g"}}]},
        {},
    ]
    reasons = [None, None, None, None, "stop", "length"]
    return [chunk_of(draw.choice(deltas), draw.choice(reasons)) for _ in range(count)]


def random_log(draw: random.Random) -> list[Entry]:
    entries = []
    epochs = draw.randint(1, 3)
    for epoch in range(1, epochs + 1):
        entries += [restart(epoch)] if epoch > 1 else []
        entries += attempt(random_chunks(draw, draw.randint(0, 12)), epoch, 2 if epoch > 1 else 1)
    failed = done("failed", RunError("x", "It broke."))
    return [*entries, draw.choice([done(), done("cancelled"), failed])]


def frames(dialect: ResponsesDialect, entries: list[Entry]) -> list[bytes]:
    """The events of each entry, for a viewer that comes after the last restart."""
    written = []
    for _, kind, data in entries:
        if kind == "restart":
            dialect.forget()
        written.append(b"".join(dialect.write_frames(kind.encode(), encode_json(data))))
    return written


@pytest.mark.parametrize("seed", range(60))
def test_every_gateway_computes_the_same_events_from_wherever_it_continues(seed: int) -> None:
    entries = random_log(random.Random(seed))
    whole = frames(new_dialect(), entries)
    for cut in range(len(entries) + 1):
        original = new_dialect()
        before = frames(original, entries[:cut])
        twin = copy.deepcopy(original)
        assert vars(twin) == vars(original)
        frames(original, entries[cut:])
        assert before + frames(twin, entries[cut:]) == whole


@pytest.mark.parametrize("seed", range(60))
def test_numbers_are_gapless_and_the_sdk_folds_what_it_gets_into_what_it_is_told(seed: int) -> None:
    entries = random_log(random.Random(seed))
    begins = max([at for at, entry in enumerate(entries) if entry[1] == "restart"], default=0)
    dialect = new_dialect()
    frames(dialect, entries[:begins])
    if begins:
        dialect.forget()
    beginning = b"" if dialect.begins_again else dialect.write_beginning()
    first = dialect.next_number if dialect.begins_again else 0
    found = read_events(beginning + write_all(dialect, entries[begins:]))
    assert [event["type"] for event in found[:2]] == BEGIN
    assert [event["sequence_number"] for event in found] == list(range(first, first + len(found)))
    fold_events(found)


def test_what_is_not_in_the_log_has_a_field_that_sdks_raise() -> None:
    dialect = new_dialect()
    for written in (dialect.write_break("gateway_stopping", "Later."), dialect.write_lost(STREAM_LOST)):
        (event,) = read_events(written)
        assert event["error"]["code"] == event["code"]
        assert dialect.next_number == 2
