"""Each model that works, through OpenAI's own client: what it cannot read, nobody can."""

import json
from typing import Any

import httpx2
import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage

from simulator.answer import answer, answer_pieces
from simulator.catalogue import CATALOGUE
from tests.simulator.process import body

PROMPT = "How do I bake bread?"
WORKING = ["demo", "demo-fast", "demo-long", "demo-echo", "demo-tools", "demo-reasoning", "demo-choices", "fault-huge"]


async def stream(sdk: openai.AsyncOpenAI, model: str, **extra: Any) -> list[ChatCompletionChunk]:
    turns: Any = [{"role": "user", "content": PROMPT}]
    async with await sdk.chat.completions.create(model=model, messages=turns, stream=True, **extra) as chunks:
        return [chunk async for chunk in chunks]


def join(chunks: list[ChatCompletionChunk]) -> ChatCompletion:
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    return state.get_final_completion()


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def functions_of(said: ChatCompletionMessage) -> list[tuple[str, Any]]:
    """Name and parsed arguments of each tool call."""
    calls = said.tool_calls or []
    functions = [call.function for call in calls if call.type == "function"]
    return [(function.name, json.loads(function.arguments)) for function in functions]


@pytest.mark.parametrize("model", [*WORKING, "fault-surrogate"])
async def test_every_chunk_has_openais_shape(http: httpx2.AsyncClient, model: str) -> None:
    answer = await http.post("/v1/chat/completions", json=body(model, stream=True))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-request-id"].startswith("req_")
    *frames, done, end = answer.text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        assert len(chunk["choices"]) == 1
        assert "usage" not in chunk
    names = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
    assert len({tuple(chunk[name] for name in names) for chunk in chunks}) == 1
    assert chunks[0]["model"] == model
    assert chunks[0]["id"].startswith("chatcmpl-")
    first, last = chunks[0]["choices"][0], chunks[-1]["choices"][0]
    assert first["delta"]["role"] == "assistant"
    assert not first["delta"].get("content")
    assert last["delta"] == {}
    assert last["finish_reason"] in ("stop", "tool_calls")
    finished = [chunk for chunk in chunks if chunk["choices"][0]["finish_reason"]]
    assert len(finished) == (2 if model == "demo-choices" else 1)


@pytest.mark.parametrize("model", WORKING)
async def test_the_whole_answer_is_the_streamed_one_put_together(sdk: openai.AsyncOpenAI, model: str) -> None:
    knobs = {"simulator": {"seed": 7}}
    options = {"include_usage": True}
    chunks = await stream(sdk, model, stream_options=options, extra_body=knobs)
    turns: Any = [{"role": "user", "content": PROMPT}]
    whole = await sdk.chat.completions.create(model=model, messages=turns, extra_body=knobs)
    joined = join(chunks)
    assert joined.usage == whole.usage
    for one, other in zip(joined.choices, whole.choices, strict=True):
        assert one.finish_reason == other.finish_reason
        assert one.message.content == other.message.content
        assert one.logprobs == other.logprobs
        assert getattr(one.message, "reasoning_content", None) == getattr(other.message, "reasoning_content", None)
        assert functions_of(one.message) == functions_of(other.message)


async def test_usage_comes_only_on_request_and_then_last(sdk: openai.AsyncOpenAI) -> None:
    chunks = await stream(sdk, "demo", stream_options={"include_usage": True})
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks[:-1])
    assert chunks[-1].choices == []
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens == len(chunks) - 3, "without the role, the end and the usage"
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


async def test_demo_says_the_answer_to_the_prompt(sdk: openai.AsyncOpenAI) -> None:
    slow, fast = await stream(sdk, "demo"), await stream(sdk, "demo-fast")
    assert text_of(slow) == text_of(fast) == answer(PROMPT, seed=None)


async def test_demo_long_has_two_thousand_chunks_of_text_or_as_many_as_asked_for(
    sdk: openai.AsyncOpenAI,
) -> None:
    assert len(await stream(sdk, "demo-long")) == 2_002
    chunks = await stream(sdk, "demo-long", extra_body={"simulator": {"chunks": 3, "seed": 1}})
    assert text_of(chunks) == "".join(answer_pieces(PROMPT, 1, 3))


async def test_max_tokens_cuts_the_answer_and_the_finish_reason_says_so(sdk: openai.AsyncOpenAI) -> None:
    chunks = await stream(sdk, "demo", max_completion_tokens=5)
    assert len(chunks) == 7
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_demo_tools_calls_two_tools_at_once_with_arguments_in_fragments(sdk: openai.AsyncOpenAI) -> None:
    chunks = await stream(sdk, "demo-tools")
    said = join(chunks).choices[0].message
    weather = ("get_weather", {"city": "Bake", "unit": "celsius"})
    assert functions_of(said) == [weather, ("get_time", {"city": "Bake", "hours": 24})]
    assert len({call.id for call in said.tool_calls or []}) == 2
    assert len(chunks) > 10
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_demo_tools_calls_the_requests_own_tools_by_their_schema(sdk: openai.AsyncOpenAI) -> None:
    properties = {"unit": {"enum": ["C", "F"]}, "days": {"type": "integer"}, "place": {"type": "string"}, "x": True}
    tool = {"type": "function", "function": {"name": "forecast", "parameters": {"properties": properties}}}
    said = join(await stream(sdk, "demo-tools", tools=[tool])).choices[0].message
    first = {"unit": "C", "days": 3, "place": "bake", "x": "bake"}
    second = {"unit": "F", "days": 4, "place": "bread", "x": "bread"}
    assert functions_of(said) == [("forecast", first), ("forecast", second)]


async def test_demo_tools_answers_once_it_has_the_results(sdk: openai.AsyncOpenAI) -> None:
    turns: Any = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "a", "content": "21 degrees"},
        {"role": "tool", "tool_call_id": "b", "content": "noon"},
    ]
    whole = await sdk.chat.completions.create(model="demo-tools", messages=turns)
    assert whole.choices[0].finish_reason == "stop"
    assert "`21 degrees`\n- `noon`" in (whole.choices[0].message.content or "")


async def test_demo_reasoning_thinks_in_a_vendor_field_before_it_answers(sdk: openai.AsyncOpenAI) -> None:
    chunks = await stream(sdk, "demo-reasoning", stream_options={"include_usage": True})
    thought = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in chunks[:-1]]
    spoken = [chunk.choices[0].delta.content for chunk in chunks[:-1]]
    last_thought = max(index for index, piece in enumerate(thought) if piece)
    first_word = min(index for index, piece in enumerate(spoken) if piece)
    assert 5 < last_thought < first_word
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == last_thought


async def test_demo_choices_gives_two_different_answers_with_logprobs(sdk: openai.AsyncOpenAI) -> None:
    chunks = await stream(sdk, "demo-choices")
    one, two = join(chunks).choices
    assert one.message.content != two.message.content
    for choice in (one, two):
        assert choice.logprobs is not None
        tokens = choice.logprobs.content or []
        assert "".join(token.token for token in tokens) == choice.message.content
        assert all(token.logprob <= 0 and bytes(token.bytes or []).decode() == token.token for token in tokens)
    turns_taken = [chunk.choices[0].index for chunk in chunks[2:12]]
    assert turns_taken == [0, 1] * 5
    assert len(join(await stream(sdk, "demo-choices", n=3)).choices) == 3


async def test_the_list_names_every_model_but_the_quirks_as_the_simulators(sdk: openai.AsyncOpenAI) -> None:
    models = (await sdk.models.list()).data
    assert [model.id for model in models] == [name for name in CATALOGUE if not name.startswith("quirk-")]
    assert (await sdk.models.retrieve("quirk-crlf")).id == "quirk-crlf"
    assert {(model.owned_by, model.object) for model in models} == {("manycast-simulator", "model")}
    assert await sdk.models.retrieve("demo") == models[0]
