"""How often a provider is asked for one call of an app: never more often than if the app called it directly."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import Any

import openai
import pytest
import pytest_asyncio

from simulator.catalogue import CATALOGUE
from tests.broker import Broker, valkey_binary
from tests.stack import Gateway, Simulator, Worker, closing_all
from tests.worker.runs import counts, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 1.0
FAULTS = [name for name in CATALOGUE if name.startswith("fault-")]


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[str, str]]:
    """A gateway and its provider. The worker retries as it does by default, and is as patient as the client."""
    broker = Broker(valkey_binary())
    simulator = Simulator(SIMULATOR_FIRST_CHUNK_MS="0", SIMULATOR_CHUNKS_PER_S="500")
    patience = {"MANYCAST_FIRST_CHUNK_TIMEOUT_S": str(PATIENCE_S), "MANYCAST_CHUNK_TIMEOUT_S": str(PATIENCE_S)}
    worker, gateway = Worker(broker.url, simulator.url, **patience), Gateway(broker.url)
    with closing_all(gateway, worker, simulator):
        yield gateway.url, simulator.url
    broker.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours(place: tuple[str, str]) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK with its own retries and timeout, which is longer than the worker's."""
    async with openai.AsyncOpenAI(base_url=f"{place[0]}/v1", api_key="any") as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theirs(place: tuple[str, str]) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{place[1]}/v1", api_key="any", timeout=PATIENCE_S) as client:
        yield client


async def requests_of(client: openai.AsyncOpenAI, provider_url: str, model: str, *, stream: bool, **knobs: Any) -> int:
    """How many requests the provider gets for one call, however it ends."""
    before = counts(provider_url, model).get("requests", 0)
    # The simulator tells a repeated request by its bytes.
    asked: dict[str, Any] = {"user": uuid.uuid4().hex, "extra_body": {"simulator": knobs}}
    messages: Any = [{"role": "user", "content": "Hi"}]
    with contextlib.suppress(openai.OpenAIError, ValueError):
        if stream:
            async with await client.chat.completions.create(
                model=model, messages=messages, stream=True, **asked
            ) as chunks:
                async for _ in chunks:
                    pass
        else:
            await client.chat.completions.create(model=model, messages=messages, **asked)
    await until(lambda: counts(provider_url, model).get("open", 0) == 0)
    return counts(provider_url, model).get("requests", 0) - before


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def requests(
    ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI, place: tuple[str, str]
) -> dict[tuple[str, bool], tuple[int, int]]:
    """By fault, and whether the answer is streamed: how many requests a call costs through us, and directly. All faults
    are tried side by side, because they consist of waiting."""

    async def count(model: str) -> list[tuple[tuple[str, bool], tuple[int, int]]]:
        found = []
        for stream in (False, True):
            direct = await requests_of(theirs, place[1], model, stream=stream)
            found.append(((model, stream), (await requests_of(ours, place[1], model, stream=stream), direct)))
        return found

    return dict(chain.from_iterable(await asyncio.gather(*map(count, FAULTS))))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", FAULTS)
async def test_a_fault_costs_no_more_requests_than_without_manycast(
    requests: dict[tuple[str, bool], tuple[int, int]], model: str, stream: bool
) -> None:
    through, direct = requests[model, stream]
    assert 1 <= through <= direct


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_provider_that_refuses_for_long_is_asked_no_more_often(
    ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI, place: tuple[str, str], stream: bool
) -> None:
    direct = await requests_of(theirs, place[1], "fault-429", stream=stream, failures=100)
    through = await requests_of(ours, place[1], "fault-429", stream=stream, failures=100)
    assert 1 <= through <= direct


async def test_a_client_that_does_not_wait_long_enough_asks_the_provider_once(
    ours: openai.AsyncOpenAI, theirs: openai.AsyncOpenAI, place: tuple[str, str]
) -> None:
    slow = {"chunks_per_s": 100, "chunks": 300}
    direct = await requests_of(theirs, place[1], "demo", stream=False, **slow)
    through = await requests_of(ours.with_options(timeout=PATIENCE_S), place[1], "demo", stream=False, **slow)
    assert (through, direct) == (1, 3)
