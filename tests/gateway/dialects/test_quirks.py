"""What each dialect, and the folded completion, make of the simulator's quirks: the same answer in each."""

import json
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from contract.event import Chunk, Event, Kind, encode_json, merge_chunk
from contract.position import Position
from gateway.dialects.registry import DIALECTS, NATIVE, OPENAI, OPENAI_USAGE, TEXT, UI
from gateway.runs.completion import CompletionFold
from simulator.quirks import QUIRKS, Quirk
from tests.author import Entry
from tests.gateway.fanout.recording import attempt, done, write_all
from tests.quirks import EXPECTED, Message, chunks_of_quirk, message_of
from tests.responses import events_of, fold_events, message_of_response

every_quirk = pytest.mark.parametrize("quirk", QUIRKS.values(), ids=QUIRKS)


def folded(entries: list[Entry]) -> Message:
    fold = CompletionFold()
    for at, kind, data in entries:
        fold.add(Event(Position.parse(at), Kind(kind), encode_json(data)))
    return message_of(fold.result())


async def entries_of(quirk: Quirk) -> list[Entry]:
    return [*attempt(await chunks_of_quirk(quirk)), done()]


def frames(written: bytes) -> list[Any]:
    """The data of each event, parsed, without what is not JSON."""
    lines = [line.removeprefix("data: ") for line in written.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@every_quirk
async def test_the_folded_completion(quirk: Quirk) -> None:
    assert folded(await entries_of(quirk)) == EXPECTED[quirk.name]


@every_quirk
async def test_the_native_dialect(quirk: Quirk) -> None:
    start, *events = frames(write_all(DIALECTS[NATIVE](), await entries_of(quirk)))
    chunks: list[Chunk] = [merge_chunk(start["chunk"], event) for event in events[:-1]]
    assert folded([*attempt(chunks), done()]) == EXPECTED[quirk.name]


@every_quirk
@pytest.mark.parametrize("dialect", [OPENAI, OPENAI_USAGE])
async def test_the_openai_dialect(quirk: Quirk, dialect: str) -> None:
    chunks = frames(write_all(DIALECTS[dialect](), await entries_of(quirk)))
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk, strict=True))
    expected = EXPECTED[quirk.name]
    with_usage = [chunk for chunk in chunks if chunk.get("usage")]
    assert [chunk["usage"] for chunk in with_usage] == [expected.usage] * (
        dialect == OPENAI_USAGE and expected.usage is not None
    )
    assert with_usage in ([], chunks[-1:])
    completion = {**state.get_final_completion().to_dict(), "usage": expected.usage}
    assert message_of(completion) == expected


@every_quirk
async def test_the_text_dialect(quirk: Quirk) -> None:
    assert write_all(DIALECTS[TEXT](), await entries_of(quirk)) == EXPECTED[quirk.name].content.encode() + b"\n"


@every_quirk
async def test_the_ai_sdks_dialect(quirk: Quirk) -> None:
    parts = frames(write_all(DIALECTS[UI](), await entries_of(quirk)))

    def joined(kind: str) -> str:
        return "".join(part["delta"] for part in parts if part["type"] == kind)

    expected = EXPECTED[quirk.name]
    assert (joined("text-delta"), joined("reasoning-delta")) == (expected.content, expected.reasoning)
    inputs = [part for part in parts if part["type"] == "tool-input-available"]
    assert [(part["toolName"], part["input"]) for part in inputs] == expected.calls
    assert len({part["toolCallId"] for part in inputs}) == len(inputs)
    assert not [part for part in parts if part["type"] in ("error", "tool-input-error")]


@every_quirk
async def test_the_dialect_of_the_responses_api(quirk: Quirk) -> None:
    chunks = await chunks_of_quirk(quirk)
    at, kind, last = done()
    usage = next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None)
    response = fold_events(events_of(*attempt(chunks), (at, kind, {**last, "usage": usage})))
    assert message_of_response(response) == EXPECTED[quirk.name]


def test_a_name_that_is_repeated_is_not_joined() -> None:
    detail = {"type": "reasoning.text", "format": "unknown", "index": 0}
    deltas = [{"reasoning_details": [{**detail, "text": text}], "x_vendor": "same"} for text in ("a", "b")]
    fold = CompletionFold()
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    for at, kind, data in attempt(chunks):
        fold.add(Event(Position.parse(at), Kind(kind), encode_json(data)))
    message = fold.result()["choices"][0]["message"]
    assert message["reasoning_details"] == [{**detail, "text": "ab"}]
    assert message["x_vendor"] == "same"
