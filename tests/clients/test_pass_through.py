"""Embeddings, text completions and moderations with the official Python SDK: the gateway instead of the provider."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import openai
import pytest

from tests.clients.conftest import Stack

PROMPT = {"prompt": "Tell me about rivers", "extra_body": {"simulator": {"seed": 7}}}


def unnamed(answer: Any) -> Any:
    """Without what two runs of one request never share."""
    return answer.model_dump(exclude={"id", "created"})


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}], ids=["base64", "float"])
async def test_embeddings_are_the_providers(
    ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI, encoding: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {"model": "demo", "input": ["one", "two"], "dimensions": 256, **encoding}
    got = await ours.embeddings.create(**asked)
    assert unnamed(got) == unnamed(await theirs.embeddings.create(**asked))
    assert len(got.data[1].embedding) == 256


async def test_the_embeddings_of_many_texts_arrive_whole(ours: openai.AsyncOpenAI) -> None:
    texts = [str(number) for number in range(500)]
    got = await ours.embeddings.create(model="demo", input=texts, dimensions=1024)
    assert [one.index for one in got.data] == list(range(500))
    last = await ours.embeddings.create(model="demo", input=texts[-1], dimensions=1024)
    assert got.data[-1].embedding == last.data[0].embedding


async def test_a_text_completion_is_the_providers(ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI) -> None:
    asked: dict[str, Any] = {"model": "demo", "max_tokens": 40, **PROMPT}
    assert unnamed(await ours.completions.create(**asked)) == unnamed(await theirs.completions.create(**asked))


@pytest.mark.parametrize("usage", [False, True], ids=["", "usage"])
async def test_a_streamed_text_completion_has_the_providers_chunks(
    ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI, usage: bool
) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
    asked: dict[str, Any] = {"model": "demo", "stream": True, "max_tokens": 40, **PROMPT, **options}
    expected = [unnamed(chunk) async for chunk in await theirs.completions.create(**asked)]
    assert [unnamed(chunk) async for chunk in await ours.completions.create(**asked)] == expected
    assert expected[-1]["choices"] == [] if usage else expected[-1]["choices"][0]["finish_reason"] == "length"


async def test_a_moderation_needs_no_model(ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI) -> None:
    asked = ["peace", "violence"]
    got = await ours.moderations.create(input=asked)
    assert unnamed(got) == unnamed(await theirs.moderations.create(input=asked))
    assert [result.flagged for result in got.results] == [False, True]


CALLS: dict[str, Callable[[openai.AsyncOpenAI, str], Awaitable[Any]]] = {
    "embeddings": lambda client, model: client.embeddings.create(model=model, input="x"),
    "completions": lambda client, model: client.completions.create(model=model, prompt="x"),
    "streamed": lambda client, model: client.completions.create(model=model, prompt="x", stream=True),
    "moderations": lambda client, model: client.moderations.create(model=model, input="x"),
}


@pytest.mark.parametrize("model", ["fault-401", "fault-500", "no-such-model"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_refusal_raises_what_the_provider_itself_would_raise(
    ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI, call: str, model: str
) -> None:
    raised = []
    for client in (theirs, ours):
        with pytest.raises(openai.APIStatusError) as caught:
            await CALLS[call](client, model)
        raised.append(caught.value)
    expected, got = raised
    assert type(got) is type(expected)
    assert (got.status_code, got.message) == (expected.status_code, expected.message)


@pytest.mark.parametrize("call", CALLS)
async def test_a_failure_is_not_repeated(stack: Stack, ours: openai.AsyncOpenAI, call: str) -> None:
    async def requests() -> int:
        async with httpx2.AsyncClient(base_url=stack.provider) as http:
            stats = (await http.get("/simulator/stats")).json()["models"]
        found: int = stats.get("fault-error-frame", {}).get("requests", 0)
        return found

    before = await requests()
    with pytest.raises(openai.APIError):
        async for _ in await CALLS[call](ours.with_options(max_retries=2), "fault-error-frame"):
            pass
    assert await requests() == before + 1


async def test_leaving_stops_the_call_at_the_provider_if_it_should(stack: Stack, ours: openai.AsyncOpenAI) -> None:
    slow: dict[str, Any] = {"simulator": {"chunks_per_s": 1, "chunks": 50}}
    headers = {"X-On-Disconnect": "cancel"}
    calling = asyncio.create_task(
        ours.completions.create(model="demo-long", prompt="x", extra_body=slow, extra_headers=headers)
    )
    async with httpx2.AsyncClient(base_url=stack.provider) as http, asyncio.timeout(60):

        async def count(kind: str) -> int:
            found: int = (await http.get("/simulator/stats")).json()["models"].get("demo-long", {}).get(kind, 0)
            return found

        aborted = await count("aborted")
        while not await count("open"):
            await asyncio.sleep(0.02)
        calling.cancel()
        while await count("aborted") == aborted:
            await asyncio.sleep(0.02)


async def test_azures_client_is_told_which_client_and_address_to_use(stack: Stack) -> None:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=stack.gateway, api_key="any", api_version="2024-10-21", max_retries=0
    ) as azure:
        with pytest.raises(openai.NotFoundError, match=r"OpenAI's client instead of Azure's.*'demo' as the model"):
            await azure.chat.completions.create(model="demo", messages=[{"role": "user", "content": "x"}])


@pytest.mark.parametrize("path", ["", "/v1/v1"])
async def test_a_wrong_base_url_is_told_the_right_one(stack: Stack, path: str) -> None:
    async with openai.AsyncOpenAI(base_url=stack.gateway + path, api_key="any", max_retries=0) as client:
        with pytest.raises(
            openai.NotFoundError, match="at /v1/embeddings: the client's base URL must end in /v1, once"
        ):
            await client.embeddings.create(model="demo", input="x")
