"""The official Python SDK: the gateway instead of the provider, and nothing else is different."""

import asyncio
import json
import uuid
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from tests.clients.conftest import Stack

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Tell me about rivers"}]}
SEEDED: dict[str, Any] = {**ASK, "extra_body": {"simulator": {"seed": 7}}}
WORKING = ["demo", "demo-fast", "demo-tools", "demo-reasoning", "demo-choices", "fault-surrogate", "fault-huge"]


def unnamed(answer: BaseModel) -> Any:
    """Without what two runs of one request never share: ids and the time."""
    fields = answer.model_dump(exclude_none=True)
    del fields["id"], fields["created"]
    for choice in fields["choices"]:
        said = choice["delta"] if "delta" in choice else choice["message"]
        # Only whole answers of OpenAI's have this list; it is empty unless the model searched the web.
        said.pop("annotations", None)
        for call in said.get("tool_calls", ()):
            call.pop("id", None)
    return fields


async def read(client: openai.AsyncOpenAI, **asked: Any) -> list[ChatCompletionChunk]:
    async with await client.chat.completions.create(stream=True, **asked) as chunks:
        return [chunk async for chunk in chunks]


@pytest.mark.parametrize("model", WORKING)
@pytest.mark.parametrize("usage", [False, True], ids=["", "usage"])
async def test_a_stream_has_the_providers_chunks(
    ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI, model: str, usage: bool
) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
    asked = {"model": model, **SEEDED, **options}
    expected = [unnamed(chunk) for chunk in await read(theirs, **asked)]
    assert [unnamed(chunk) for chunk in await read(ours, **asked)] == expected


@pytest.mark.parametrize("model", WORKING)
async def test_a_whole_answer_is_the_providers(
    ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI, model: str
) -> None:
    expected = await theirs.chat.completions.create(model=model, **SEEDED)
    got = await ours.chat.completions.create(model=model, **SEEDED)
    assert unnamed(got) == unnamed(expected)


async def test_the_response_names_the_stream(ours: openai.AsyncOpenAI, stack: Stack) -> None:
    raw = await ours.chat.completions.with_raw_response.create(model="demo-fast", **ASK)
    stream_id = raw.headers["x-stream-id"]
    assert raw.parse()._request_id == stream_id
    async with httpx2.AsyncClient(base_url=stack.gateway) as http:
        status = (await http.get(f"/v1/streams/{stream_id}")).json()
    assert status["status"] == "completed"


async def test_the_sdks_own_folding_of_a_stream_works(ours: openai.AsyncOpenAI) -> None:
    async with ours.chat.completions.stream(model="demo-tools", **ASK) as stream:
        kinds = [event.type async for event in stream]
        whole = await stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    calls = whole.choices[0].message.tool_calls
    assert calls is not None
    assert len(calls) == 2
    assert all(json.loads(call.function.arguments) for call in calls)


async def test_two_choices_come_side_by_side(ours: openai.AsyncOpenAI) -> None:
    whole = await ours.chat.completions.create(model="demo-choices", n=2, logprobs=True, **ASK)
    assert [choice.index for choice in whole.choices] == [0, 1]
    assert all(choice.logprobs and choice.logprobs.content for choice in whole.choices)


SAME_AS_THE_PROVIDERS = ["fault-401", "fault-429", "fault-500", "no-such-model"]


@pytest.mark.parametrize("model", SAME_AS_THE_PROVIDERS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_refusal_raises_what_the_provider_itself_would_raise(
    ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI, model: str, stream: bool
) -> None:
    refused: dict[str, Any] = {**ASK, "extra_body": {"simulator": {"failures": 1000}}}
    raised = []
    for client in (theirs, ours):
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model=model, stream=stream, **refused)
        raised.append(caught.value)
    expected, got = raised
    assert type(got) is type(expected)
    assert isinstance(expected.body, dict)
    # Where the provider names no code, its type is what we go by.
    body = {**expected.body, "code": expected.body["code"] or expected.body["type"]}
    assert (got.status_code, got.body) == (expected.status_code, body)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("fault-stall-middle", "upstream_timeout"),
        ("fault-drop", "upstream_disconnected"),
        ("fault-truncated", "upstream_truncated"),
        ("fault-error-frame", "server_error"),
        ("fault-garbage", "upstream_invalid"),
    ],
)
async def test_a_failure_in_the_middle_raises_and_what_came_before_stays(
    ours: openai.AsyncOpenAI, model: str, code: str
) -> None:
    """Also where the provider's own stream would have ended as if all were well: `fault-truncated`."""
    texts = []
    with pytest.raises(openai.APIError) as caught:
        async for chunk in await ours.chat.completions.create(model=model, stream=True, **ASK):
            texts.append(chunk.choices[0].delta.content)  # noqa: PERF401 - it must hold what came before the error
    assert caught.value.code == code
    assert len(texts) >= 12
    with pytest.raises(openai.InternalServerError) as whole:
        await ours.chat.completions.create(model=model, **ASK)
    assert whole.value.code == code


async def test_keep_alives_before_and_between_chunks_disturb_nothing(ours: openai.AsyncOpenAI, stack: Stack) -> None:
    slow: dict[str, Any] = {"simulator": {"chunks": 3, "first_chunk_ms": 700, "chunks_per_s": 2, "jitter": 0}}
    asked = {"model": "demo-long", "stream": True, "extra_body": slow, **ASK}
    hasty = ours.with_options(base_url=f"{stack.hasty}/v1")
    async with hasty.chat.completions.with_streaming_response.create(**asked) as response:
        lines = [line async for line in response.iter_lines()]
    assert lines[0] == ": ping"
    assert lines.count(": ping") > 3
    chunks = await read(hasty, **{name: value for name, value in asked.items() if name != "stream"})
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_a_provider_that_never_begins_is_a_gateway_timeout(ours: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        await read(ours, model="fault-stall-first", **ASK)
    assert (caught.value.status_code, caught.value.code) == (504, "upstream_timeout")


async def runs_of(stack: Stack, model: str) -> int:
    async with httpx2.AsyncClient(base_url=stack.provider) as http:
        stats = (await http.get("/simulator/stats")).json()["models"]
    requests: int = stats.get(model, {}).get("requests", 0)
    return requests


async def test_an_sdk_that_times_out_and_tries_again_is_billed_once(stack: Stack, ours: openai.AsyncOpenAI) -> None:
    """With a key its retry attaches to the run that is under way, and gets all of it."""
    before = await runs_of(stack, "demo-long")
    slow: dict[str, Any] = {"simulator": {"chunks": 400, "chunks_per_s": 200, "first_chunk_ms": 0}}
    impatient = ours.with_options(max_retries=9, timeout=httpx2.Timeout(0.7))
    key = {"Idempotency-Key": uuid.uuid4().hex}
    whole = await impatient.chat.completions.create(model="demo-long", extra_body=slow, extra_headers=key, **ASK)
    assert whole.choices[0].finish_reason == "stop"
    assert await runs_of(stack, "demo-long") == before + 1


async def test_leaving_a_stream_leaves_the_run_alone_and_a_header_takes_it_along(
    stack: Stack, ours: openai.AsyncOpenAI
) -> None:
    slow: dict[str, Any] = {"simulator": {"chunks": 30, "chunks_per_s": 20}}
    ends = {}
    for policy in ("continue", "cancel"):
        headers = {"X-On-Disconnect": policy}
        stream = await ours.chat.completions.create(
            model="demo-long", stream=True, extra_body=slow, extra_headers=headers, **ASK
        )
        await anext(aiter(stream))
        stream_id = stream.response.headers["x-stream-id"]
        await stream.close()
        async with httpx2.AsyncClient(base_url=stack.gateway) as http, asyncio.timeout(60):
            while (status := (await http.get(f"/v1/streams/{stream_id}")).json()["status"]) == "running":
                await asyncio.sleep(0.05)
        ends[policy] = status
    assert ends == {"continue": "completed", "cancel": "cancelled"}


async def test_models_are_listed_and_found(ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI) -> None:
    async with asyncio.timeout(60):
        while not (listed := [model.id async for model in ours.models.list()]):
            await asyncio.sleep(0.05)
    assert sorted(listed) == sorted([model.id async for model in theirs.models.list()])
    assert (await ours.models.retrieve("demo")).id == "demo"
    with pytest.raises(openai.NotFoundError):
        await ours.models.retrieve("gpt-9")
    with pytest.raises(openai.NotFoundError, match="This server does not have OpenAI's /v1/files"):
        await ours.files.list()


async def test_streamed_answers_of_the_responses_api_come_on_one_connection(stack: Stack) -> None:
    seen = []

    async def note_connection(response: httpx2.Response) -> None:
        seen.append(response.extensions["network_stream"].get_extra_info("client_addr"))

    http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [note_connection]})
    async with openai.AsyncOpenAI(base_url=f"{stack.gateway}/v1", api_key="any", http_client=http) as client:
        for _ in range(3):
            async with await client.responses.create(model="demo-fast", input="Hello", stream=True) as events:
                async for _ in events:
                    pass
    assert len(seen) == 3
    assert len(set(seen)) == 1
