"""The Responses API through the whole stack, with OpenAI's Python SDK as it is."""

import asyncio
import json
from typing import Any

import httpx2
import openai
import pytest
from pydantic import BaseModel

from simulator.quirks import QUIRKS, Quirk
from tests.clients.conftest import Stack
from tests.quirks import EXPECTED
from tests.responses import check_event, check_response, message_of_response

ASK: dict[str, Any] = {"input": "Tell me about rivers"}
SLOW: dict[str, Any] = {"simulator": {"chunks": 60, "chunks_per_s": 60, "first_chunk_ms": 0}}
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: dict[str, Any] = {"type": "function", "name": "get_weather", "parameters": PLACE, "strict": True}


class River(BaseModel):
    name: str
    length_km: int


@pytest.fixture
def elsewhere(ours: openai.AsyncOpenAI, stack: Stack) -> openai.AsyncOpenAI:
    """The SDK at another gateway."""
    return ours.with_options(base_url=f"{stack.hasty}/v1")


@pytest.mark.parametrize("model", ["demo", "demo-reasoning"])
async def test_create_returns_what_chat_completions_say(ours: openai.AsyncOpenAI, model: str) -> None:
    seeded: dict[str, Any] = {"extra_body": {"simulator": {"seed": 7}}}
    response = await ours.responses.create(model=model, **ASK, **seeded)
    messages: Any = [{"role": "user", "content": ASK["input"]}]
    chat = await ours.chat.completions.create(model=model, messages=messages, **seeded)
    assert response.output_text == chat.choices[0].message.content
    assert response.usage is not None
    assert chat.usage is not None
    assert response.usage.total_tokens == chat.usage.total_tokens
    kinds = ["reasoning", "message"] if model == "demo-reasoning" else ["message"]
    assert [item.type for item in response.output] == kinds
    check_response(response.to_dict())


async def test_the_sdk_builds_the_response_from_its_events(ours: openai.AsyncOpenAI) -> None:
    async with ours.responses.stream(model="demo-reasoning", **ASK) as stream:
        events = [event async for event in stream]
        response = await stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == response.output_text
    assert "response.reasoning_summary_text.delta" in [event.type for event in events]


async def test_every_event_fits_the_models_of_the_sdk(ours: openai.AsyncOpenAI) -> None:
    for model in ("demo", "demo-tools", "demo-reasoning", "demo-choices", "fault-surrogate"):
        async for event in await ours.responses.create(model=model, stream=True, **ASK):
            check_event(event.to_dict())


async def test_parse_returns_the_object(ours: openai.AsyncOpenAI) -> None:
    response = await ours.responses.parse(model="demo", text_format=River, **ASK)
    assert response.output_parsed is not None
    assert response.output_parsed.name == "rivers"
    async with ours.responses.stream(model="demo", text_format=River, **ASK) as stream:
        async for _ in stream:
            pass
        assert isinstance((await stream.get_final_response()).output_parsed, River)


@pytest.mark.parametrize("keeps_context", [True, False], ids=["previous_response_id", "own context"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_the_loop_of_an_agent_ends_with_an_answer(
    ours: openai.AsyncOpenAI, keeps_context: bool, stream: bool
) -> None:
    asked: dict[str, Any] = {"model": "demo-reasoning", "tools": [WEATHER], "store": keeps_context}
    sent: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    previous: dict[str, Any] = {}
    calls = 0
    while True:
        if stream:
            async with ours.responses.stream(input=sent, **asked, **previous) as events:
                response: Any = await events.get_final_response()
        else:
            response = await ours.responses.create(input=sent, **asked, **previous)
        made = [item for item in response.output if item.type == "function_call"]
        if not made:
            break
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "21"} for call in made]
        assert all(json.loads(call.arguments).keys() == {"city"} for call in made)
        previous = {"previous_response_id": response.id} if keeps_context else {}
        sent = results if keeps_context else [*sent, *response.output, *results]
        calls += len(made)
    assert calls == 1
    assert response.output_text


async def test_an_image_goes_to_the_provider(ours: openai.AsyncOpenAI) -> None:
    content: Any = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"},
    ]
    response = await ours.responses.create(model="demo", input=[{"role": "user", "content": content}])
    assert response.output_text


async def test_a_background_response_resumes_after_every_number_at_another_gateway(
    ours: openai.AsyncOpenAI, elsewhere: openai.AsyncOpenAI
) -> None:
    asked: dict[str, Any] = {"model": "demo-long", "background": True, "extra_body": SLOW, **ASK}
    seen: list[Any] = []
    async for event in await ours.responses.create(stream=True, **asked):
        seen.append(event)
        if event.sequence_number == 20:
            break
    response_id = seen[0].response.id
    async for event in await elsewhere.responses.retrieve(response_id, stream=True, starting_after=20):
        seen.append(event)  # noqa: PERF401 - it must hold what came before an error
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert seen[-1].type == "response.completed"
    whole = await elsewhere.responses.retrieve(response_id)
    assert whole.output == seen[-1].response.output
    for number in range(0, len(seen), 9):
        rest = [event async for event in await ours.responses.retrieve(response_id, stream=True, starting_after=number)]
        assert rest == seen[number + 1 :]


async def test_a_background_response_is_polled_to_its_end(ours: openai.AsyncOpenAI) -> None:
    response = await ours.responses.create(model="demo-fast", background=True, **ASK)
    async with asyncio.timeout(60):
        while response.status in ("queued", "in_progress"):
            await asyncio.sleep(0.05)
            response = await ours.responses.retrieve(response.id)
    assert response.status == "completed"
    assert response.output_text
    items = [item async for item in ours.responses.input_items.list(response.id)]
    assert [item.type for item in items] == ["message"]
    await ours.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        await ours.responses.retrieve(response.id)


async def test_a_response_is_cancelled_from_another_gateway(
    ours: openai.AsyncOpenAI, elsewhere: openai.AsyncOpenAI
) -> None:
    slow: dict[str, Any] = {"simulator": {"chunks": 2000, "chunks_per_s": 20}}
    stream = await ours.responses.create(model="demo-long", background=True, stream=True, extra_body=slow, **ASK)
    events = []
    async for event in stream:
        events.append(event)
        if event.type == "response.output_text.delta" and event.sequence_number < 10:
            await elsewhere.responses.cancel(events[0].response.id)
    last: Any = events[-1]
    assert (last.type, last.response.status) == ("response.failed", "cancelled")
    assert (await ours.responses.retrieve(last.response.id)).status == "cancelled"


@pytest.mark.parametrize("model", ["fault-401", "fault-500", "no-such-model"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_refusal_raises_what_the_call_for_chat_completions_raises(
    ours: openai.AsyncOpenAI, model: str, stream: bool
) -> None:
    messages: Any = [{"role": "user", "content": "Hi"}]
    with pytest.raises(openai.APIStatusError) as expected:
        await ours.chat.completions.create(model=model, messages=messages)
    with pytest.raises(openai.APIStatusError) as caught:
        await ours.responses.create(model=model, stream=stream, **ASK)
    assert type(caught.value) is type(expected.value)
    assert caught.value.body == expected.value.body


@pytest.mark.parametrize(
    ("model", "code"), [("fault-drop", "upstream_disconnected"), ("fault-truncated", "upstream_truncated")]
)
async def test_a_failure_in_the_middle_is_told_and_what_came_before_stays(
    ours: openai.AsyncOpenAI, model: str, code: str
) -> None:
    events = [event async for event in await ours.responses.create(model=model, stream=True, **ASK)]
    last: Any = events[-1]
    assert (last.type, last.response.error.code) == ("response.failed", code)
    assert last.response.output_text
    with pytest.raises(openai.InternalServerError) as whole:
        await ours.responses.create(model=model, **ASK)
    assert whole.value.code == code


async def test_a_limit_makes_the_response_incomplete(ours: openai.AsyncOpenAI) -> None:
    response = await ours.responses.create(model="demo", max_output_tokens=16, **ASK)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


async def test_the_response_can_be_watched_as_a_stream(ours: openai.AsyncOpenAI, stack: Stack) -> None:
    raw = await ours.responses.with_raw_response.create(model="demo-fast", **ASK)
    async with httpx2.AsyncClient(base_url=stack.gateway) as http:
        url = f"/v1/streams/{raw.headers['x-stream-id']}/events"
        text = (await http.get(url, params={"dialect": "text"})).text
    response: Any = raw.parse()
    assert text == response.output_text + "\n"


@pytest.mark.parametrize("quirk", QUIRKS.values(), ids=QUIRKS)
async def test_a_quirk_of_a_provider_comes_out_right(ours: openai.AsyncOpenAI, quirk: Quirk) -> None:
    async with ours.responses.stream(model=quirk.model, input="Hi") as stream:
        async for _ in stream:
            pass
        response = await stream.get_final_response()
    assert message_of_response(response.to_dict()) == EXPECTED[quirk.name]
    whole = await ours.responses.create(model=quirk.model, input="Hi")
    assert message_of_response(check_response(whole.to_dict())) == EXPECTED[quirk.name]
