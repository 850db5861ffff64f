"""Reads what the Responses API answers, and checks all of it against the models of OpenAI's Python SDK and those of the
public Open Responses specification."""

import json
from collections import defaultdict
from typing import Any, get_args

import openai
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response
from openai.types.responses import response_stream_event as events
from openresponses_types import types as public

from gateway.dialects.responses import BEGINNING_EVENTS, ResponsesDialect
from gateway.runs.response_request import echo_of
from tests.author import Entry
from tests.gateway.fanout.recording import write_all
from tests.quirks import Message

_MODELS = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(events.ResponseStreamEvent)[0])
}

_PUBLIC_MODELS = {
    next(iter(model.model_fields["type"].annotation)).value: model
    for name, model in vars(public).items()
    if name.endswith("StreamingEvent")
}

STREAM_ID = "s_0123456789abcdefghijkl"
ECHO: dict[str, Any] = echo_of({"model": "demo"}, lambda: 1763000000.0)

Event = dict[str, Any]


def new_dialect() -> ResponsesDialect:
    return ResponsesDialect(STREAM_ID, json.dumps(ECHO).encode())


def read_events(written: bytes) -> list[Event]:
    """Every event, valid for the SDK's model of its type. `event:` and the type in `data:` are the same."""
    found = []
    for block in written.decode().split("\n\n")[:-1]:
        if block == ": ping":
            continue
        kind, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert kind == f"event: {event['type']}"
        found.append(check_event(event))
    return found


def check_event(event: Event) -> Event:
    checked, shown = dict(event), dict(event)
    if "response" in event:
        checked["response"] = check_response(event["response"], as_model=False)
        shown["response"] = _without_schema(event["response"])
    _MODELS[event["type"]].model_validate(checked, strict=False)
    _PUBLIC_MODELS[event["type"]].model_validate(shown)
    return event


def check_response(response: Event, *, as_model: bool = True) -> Event:
    """The SDK lists the codes of OpenAI's errors. A provider's code, and ours, are told as they are."""
    error = response.get("error")
    checked = response if error is None else {**response, "error": {**error, "code": "server_error"}}
    Response.model_validate(checked)
    public.ResponseResource.model_validate(_without_schema(response))
    return response if as_model else checked


def _without_schema(response: Event) -> Event:
    """The specification's models want no schema in the format of the text. OpenAI repeats it, and so do we."""
    form = response["text"]["format"]
    return {**response, "text": {**response["text"], "format": {**form, "schema": None} if "schema" in form else form}}


def events_of(*entries: Entry) -> list[Event]:
    """All that a viewer of these entries gets, the beginning included. The numbers have no gap."""
    dialect = new_dialect()
    found = read_events(dialect.write_beginning() + write_all(dialect, entries))
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert len(found) == dialect.next_number >= BEGINNING_EVENTS
    return found


def fold_events(found: list[Event]) -> Event:
    """What the SDK makes of the events; equal to the response in the last one, and to the items as they ended."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=[], text_format=openai.omit)
    for event in found:
        state.handle_event(_MODELS[event["type"]].construct(None, **event))
    last: Event = found[-1]["response"]
    done = {event["output_index"]: event["item"] for event in found if event["type"] == "response.output_item.done"}
    assert last["output"] == [done[place] for place in sorted(done)] or last["error"]["code"] == "worker_lost"
    grown: defaultdict[tuple[int, int], str] = defaultdict(str)
    for event in found:
        if event["type"].endswith(".delta"):
            grown[event["output_index"], event.get("content_index", 0)] += event["delta"]
    for (place, part), text in grown.items():
        assert last["output"] == [] or _texts(last["output"][place])[part] == text
    return last


def _texts(item: Event) -> list[str]:
    if item["type"] == "function_call":
        return [item["arguments"]]
    parts = item["content"] if item["type"] == "message" else item["summary"]
    return [part.get("text") or part.get("refusal") for part in parts]


def message_of_response(response: Event) -> Message:
    """What a response says, to compare with the table of quirks."""
    items = response["output"]
    texts = [part["text"] for item in items if item["type"] == "message" for part in item["content"]]
    thoughts = [part["text"] for item in items if item["type"] == "reasoning" for part in item["summary"]]
    made = [item for item in items if item["type"] == "function_call"]
    assert len({item["call_id"] for item in made}) == len(made)
    usage = response.get("usage")
    if usage is not None:
        usage = {
            "prompt_tokens": usage["input_tokens"],
            "completion_tokens": usage["output_tokens"],
            "total_tokens": usage["total_tokens"],
        }
    assert response["status"] == "completed"
    calls = [(item["name"], json.loads(item["arguments"])) for item in made]
    return Message("".join(texts), "tool_calls" if made else "stop", "".join(thoughts), calls, usage)
