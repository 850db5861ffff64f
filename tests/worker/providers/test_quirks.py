"""The worker puts the streams of real providers into OpenAI's form: OpenAI's own classes read what it writes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from contract.event import Chunk
from simulator.quirks import QUIRKS, Quirk
from tests.quirks import EXPECTED, Message, chunks_of, chunks_of_quirk, message_of


def byte_by_byte(pieces: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(bytes([byte]) for byte in b"".join(pieces))


def folded_by_the_sdk(chunks: list[Chunk]) -> Message:
    """What OpenAI's own class makes of them."""
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.construct(**chunk))
    completion = state.get_final_completion().to_dict()
    completion["usage"] = next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None)
    return message_of(completion)


@pytest.mark.parametrize("quirk", QUIRKS.values(), ids=QUIRKS)
@pytest.mark.parametrize("cut", [tuple, byte_by_byte])
async def test_the_sdk_folds_the_answer_that_the_provider_meant(
    quirk: Quirk, cut: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]
) -> None:
    assert folded_by_the_sdk(await chunks_of(cut(quirk.pieces))) == EXPECTED[quirk.name]


@pytest.mark.parametrize("quirk", QUIRKS.values(), ids=QUIRKS)
async def test_every_chunk_has_openais_form(quirk: Quirk) -> None:
    chunks = await chunks_of_quirk(quirk)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        assert len(chunk["choices"]) == 1
        assert "message" not in chunk["choices"][0]
        json.dumps(chunk, allow_nan=False)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert ["role" in delta for delta in deltas] == [True] + [False] * (len(deltas) - 1)
    named = [part for delta in deltas for part in delta.get("tool_calls", ()) if "name" in part["function"]]
    assert len(named) == len(EXPECTED[quirk.name].calls)
    assert all(part["id"] for part in named)


async def test_a_field_without_choices_comes_with_the_next_chunk() -> None:
    first = (await chunks_of_quirk(QUIRKS["no-choices-first"]))[0]
    assert first["prompt_filter_results"] == [{"prompt_index": 0}]
    assert (first["id"], first["model"]) == ("chatcmpl-quirk", "quirk")


async def test_a_field_that_comes_last_without_choices_is_kept() -> None:
    pieces = (*QUIRKS["crlf"].pieces[:-1], b'data: {"citations":["https://example.org"]}\n\n', b"data: [DONE]\n\n")
    last = (await chunks_of(pieces))[-1]
    assert (last["choices"], last["citations"], last["model"]) == ([], ["https://example.org"], "quirk")


async def test_a_client_of_the_older_functions_gets_its_function_call() -> None:
    request = {"model": "m", "messages": [], "functions": [{"name": "weather"}]}
    chunks = await chunks_of(QUIRKS["function-call"].pieces, request)
    called = [chunk["choices"][0]["delta"].get("function_call") for chunk in chunks]
    assert [one for one in called if one] == [
        {"name": "weather", "arguments": ""},
        {"arguments": '{"city'},
        {"arguments": '":"Oslo"}'},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"


async def test_the_fixed_fields_of_a_reasoning_part_are_sent_once() -> None:
    chunks = await chunks_of_quirk(QUIRKS["reasoning-details"])
    details = [one for chunk in chunks for one in chunk["choices"][0]["delta"].get("reasoning_details", ())]
    first, second = details
    assert (first["format"], first["id"]) == ("unknown", "reasoning-1")
    assert second == {"type": "reasoning.text", "text": "hello.", "index": 0}


def frames(*choices: dict[str, Any]) -> tuple[bytes, ...]:
    return tuple(b"data: " + json.dumps({"id": "1", "choices": [one]}).encode() + b"\n\n" for one in choices)


WELL_FORMED: list[list[dict[str, Any]]] = [
    [
        {"index": 0, "delta": {"role": "assistant", "content": "", "refusal": None}, "finish_reason": None},
        {"index": 0, "delta": {"content": "a", "x_vendor": "kept"}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {"content": "b", "x_vendor": "kept"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop", "x_stop": 3},
    ],
    [
        {"index": 1, "delta": {"role": "assistant", "content": "b"}, "finish_reason": None},
        {"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
        {"index": 1, "delta": {}, "finish_reason": "length"},
    ],
    [
        {
            "index": 0,
            "delta": {
                "role": "assistant",
                "tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}],
            },
            "finish_reason": None,
        },
        {
            "index": 0,
            "delta": {
                "tool_calls": [{"index": 0, "function": {"arguments": "{}"}, "extra_content": {"google": {"x": 1}}}]
            },
            "finish_reason": None,
        },
        {
            "index": 0,
            "delta": {"tool_calls": [{"index": 1, "id": "b", "type": "custom", "custom": {"name": "g", "input": "i"}}]},
            "finish_reason": None,
        },
        {"index": 0, "delta": {}, "finish_reason": "tool_calls"},
    ],
    [
        {
            "index": 0,
            "delta": {"role": "assistant", "audio": {"id": "a", "data": "AA==", "transcript": "Hi"}},
            "finish_reason": "stop",
        }
    ],
]


@pytest.mark.parametrize("choices", WELL_FORMED)
async def test_well_formed_chunks_stay_as_they_are(choices: list[dict[str, Any]]) -> None:
    assert [chunk["choices"][0] for chunk in await chunks_of(frames(*choices))] == choices


def spoken(chunks: list[Chunk], name: str = "content") -> str:
    return "".join(choice["delta"].get(name) or "" for chunk in chunks for choice in chunk["choices"])


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ([{"text": "Hello"}, {"text": " world"}], "Hello world"),
        ([{"delta": "Hello"}, {"delta": " world"}], "Hello world"),
        ([{"delta": {"content": ["Hello", {"type": "output_text", "text": " world"}]}}], "Hello world"),
        ([{"delta": {}, "message": {"content": [{"type": "text", "text": "Hello"}]}}], "Hello"),
        ([{"message": {"content": "Hello"}}, {"message": {"content": " world"}}], "Hello world"),
        ([{"delta": {"content": "a"}}, {"delta": {}, "message": {"content": "a"}}], "a"),
    ],
)
async def test_text_is_found_in_every_place_where_providers_put_it(choices: list[dict[str, Any]], text: str) -> None:
    assert spoken(await chunks_of(frames(*choices))) == text


async def test_parts_of_a_content_that_are_not_text_are_kept() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    (chunk,) = await chunks_of(frames({"delta": {"content": [picture, {"type": "text", "text": "a"}]}}))
    delta = {"role": "assistant", "content": "a", "content_parts": [{**picture, "index": 0}]}
    assert chunk["choices"][0]["delta"] == delta


@pytest.mark.parametrize(
    "fragments",
    [
        # No index, no id, the name in each fragment.
        [{"function": {"name": "f", "arguments": '{"a":'}}, {"function": {"name": "f", "arguments": "1}"}}],
        # The index as text, the id later.
        [
            {"index": "0", "function": {"name": "f", "arguments": '{"a":'}},
            {"index": "0", "id": "x", "function": {"arguments": "1}"}},
        ],
        # The name later, and null where a text belongs.
        [
            {"index": 0, "id": "x", "function": {"name": None, "arguments": None}},
            {"index": 0, "function": {"name": "f", "arguments": '{"a":1}'}},
        ],
        # The whole object again.
        [
            {"index": 0, "id": "x", "function": {"name": "f", "arguments": {"a": 1}}},
            {"index": 0, "id": "x", "function": {"name": "f", "arguments": {"a": 1}}},
        ],
        # An empty last fragment that repeats everything.
        [
            {"index": 0, "id": "x", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"index": 0, "id": "x", "function": {"name": "f", "arguments": ""}},
        ],
        # Not a list.
        [{"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}, "nonsense"],
    ],
)
async def test_fragments_of_one_call_are_one_call(fragments: list[Any]) -> None:
    choices = [{"index": 0, "delta": {"tool_calls": [one]}, "finish_reason": None} for one in fragments]
    chunks = await chunks_of((*frames(*choices), *frames({"delta": {}, "finish_reason": "tool_calls"})))
    assert folded_by_the_sdk(chunks).calls == [("f", {"a": 1})]


@pytest.mark.parametrize(
    "fragments",
    [
        # The same id for both.
        [
            {"index": 0, "id": "x", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"index": 1, "id": "x", "function": {"name": "f", "arguments": '{"a":2}'}},
        ],
        # Indexes that begin with 1.
        [
            {"index": 1, "id": "x", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"index": 2, "id": "y", "function": {"name": "f", "arguments": '{"a":2}'}},
        ],
        # No argument at all in the first.
        [
            {"id": "x", "function": {"name": "g"}},
            {"id": "y", "function": {"name": "f", "arguments": '{"a":2}'}},
        ],
        [
            {"function": {"name": "f", "arguments": '{"a":1}'}},
            {"function": {"name": "f", "arguments": '{"a":2}'}},
        ],
    ],
)
async def test_fragments_of_two_calls_are_two_calls(fragments: list[Any]) -> None:
    choices = [{"index": 0, "delta": {"tool_calls": [one]}, "finish_reason": None} for one in fragments]
    chunks = await chunks_of((*frames(*choices), *frames({"delta": {}, "finish_reason": "tool_calls"})))
    made = [part for chunk in chunks for part in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [part["index"] for part in made] == [0, 1]
    assert len({part["id"] for part in made}) == 2
    assert made[1]["function"]["arguments"] == '{"a":2}'


async def test_two_interleaved_calls_without_index_are_told_apart_by_their_place() -> None:
    pieces = frames(
        {
            "delta": {
                "tool_calls": [
                    {"id": "x", "function": {"name": "f", "arguments": ""}},
                    {"id": "y", "function": {"name": "g", "arguments": ""}},
                ]
            }
        },
        {"delta": {"tool_calls": [{"function": {"arguments": '{"a":1}'}}, {"function": {"arguments": '{"b":2}'}}]}},
        {"delta": {}, "finish_reason": "tool_calls"},
    )
    assert folded_by_the_sdk(await chunks_of(pieces)).calls == [("f", {"a": 1}), ("g", {"b": 2})]


async def test_done_after_nothing_but_a_role_is_no_answer() -> None:
    chunks = await chunks_of(
        (*frames({"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}), b"data: [DONE]\n\n")
    )
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None]
