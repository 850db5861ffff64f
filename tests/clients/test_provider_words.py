"""A provider's error, in whatever shape, reaches OpenAI's SDK as the error that the provider meant."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest

from tests.broker import Broker
from tests.stack import Gateway, Worker, closing_all
from tests.worker.raw_provider import Answer, raw_provider, refuses, sends

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'


@asynccontextmanager
async def behind_manycast(broker: Broker, *answers: Answer) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK at a gateway whose provider gives these answers."""
    async with raw_provider(*answers) as provider:
        base_url = provider.base_url.removesuffix("/v1")
        worker = Worker(broker.url, base_url, MANYCAST_PROVIDER_RETRIES="0")
        gateway = Gateway(broker.url)
        with closing_all(gateway, worker):
            async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
                yield client


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "answer",
    [
        refuses("429 Too Many Requests", b'{"detail":"Slow\\u001b down"}'),
        refuses("200 OK", b'[{"error":{"code":429,"message":"Slow\\u001b down"}}]'),
        sends(b'data: {"error":{"message":"Slow\\u001b down","code":429}}\n\n'),
    ],
    ids=["status", "body", "first frame"],
)
async def test_too_many_requests_raise_a_rate_limit_error(fragile_broker: Broker, answer: Answer, stream: bool) -> None:
    async with behind_manycast(fragile_broker, answer) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}], stream=stream)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"] == "Slow\\x1b down"


async def test_an_error_in_the_middle_raises_with_the_providers_words(fragile_broker: Broker) -> None:
    said = []
    async with behind_manycast(fragile_broker, sends(TEXT, b'data: {"detail":"It broke"}\n\n')) as client:
        with pytest.raises(openai.APIError, match="It broke"):
            async for chunk in await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
            ):
                said.append(chunk.choices[0].delta.content)  # noqa: PERF401 - it must hold what came before the error
    assert said == ["Hello"]
