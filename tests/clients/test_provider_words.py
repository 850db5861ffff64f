"""A provider's error, in whatever shape, reaches OpenAI's SDK as the error that the provider meant."""

import asyncio
import json
from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio

from tests.broker import Broker, valkey_binary
from tests.stack import Gateway, Worker, closing_all
from tests.worker.raw_provider import RawProvider, raw_provider, refuses, sends

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
TOO_MANY = {
    "status": refuses("429 Too Many Requests", b'{"detail":"Slow\\u001b down"}'),
    "body": refuses("200 OK", b'[{"error":{"code":429,"message":"Slow\\u001b down"}}]'),
    "first frame": sends(b'data: {"error":{"message":"Slow\\u001b down","code":429}}\n\n'),
}
ANSWERS = {**TOO_MANY, "middle": sends(TEXT, b'data: {"detail":"It broke"}\n\n')}
"""What the provider answers, by model."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK at a gateway, before a provider with ANSWERS."""
    asked: list[RawProvider] = []

    async def by_model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        model = json.loads(asked[0].bodies[-1] or b"{}").get("model")
        await ANSWERS.get(model, refuses("404 Not Found", b"{}"))(reader, writer)

    broker = Broker(valkey_binary())
    async with raw_provider(by_model) as provider:
        asked.append(provider)
        worker = Worker(broker.url, provider.base_url.removesuffix("/v1"), MANYCAST_PROVIDER_RETRIES="0")
        gateway = Gateway(broker.url)
        with closing_all(gateway, worker):
            async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
                yield client
    broker.close()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", TOO_MANY)
async def test_too_many_requests_raise_a_rate_limit_error(client: openai.AsyncOpenAI, model: str, stream: bool) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}], stream=stream)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"] == "Slow\\x1b down"


async def test_an_error_in_the_middle_raises_with_the_providers_words(client: openai.AsyncOpenAI) -> None:
    said = []
    with pytest.raises(openai.APIError, match="It broke"):
        async for chunk in await client.chat.completions.create(
            model="middle", messages=[{"role": "user", "content": "Hi"}], stream=True
        ):
            said.append(chunk.choices[0].delta.content)  # noqa: PERF401 - it must hold what came before the error
    assert said == ["Hello"]
