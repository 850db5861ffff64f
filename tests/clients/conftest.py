"""What a client of others talks to: the real stack, and beside it the provider itself."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import openai
import pytest

from tests.broker import Broker, valkey_binary
from tests.stack import Gateway, Simulator, Worker, closing_all


@dataclass(frozen=True)
class Stack:
    """Addresses. `gateway` and `provider` answer the same calls."""

    gateway: str
    provider: str


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """A broker, a gateway, a worker that is impatient, and the simulator at its quickest."""
    broker = Broker(valkey_binary())
    simulator = Simulator(SIMULATOR_FIRST_CHUNK_MS="0", SIMULATOR_CHUNKS_PER_S="500")
    patience = {
        "MANYCAST_FIRST_CHUNK_TIMEOUT_S": "1",
        "MANYCAST_CHUNK_TIMEOUT_S": "1",
        "MANYCAST_PROVIDER_RETRIES": "0",
    }
    worker = Worker(broker.url, simulator.url, **patience)
    gateway = Gateway(broker.url, MANYCAST_PING_INTERVAL_S="0.2")
    with closing_all(gateway, worker, simulator):
        yield Stack(gateway.url, simulator.url)
    broker.close()


@pytest.fixture
async def ours(stack: Stack) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK with nothing changed but its base URL. (No retries: a test asks for them where it wants them.)"""
    async with openai.AsyncOpenAI(base_url=f"{stack.gateway}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def theirs(stack: Stack) -> AsyncIterator[openai.AsyncOpenAI]:
    """The same SDK at the provider itself."""
    async with openai.AsyncOpenAI(base_url=f"{stack.provider}/v1", api_key="any", max_retries=0) as client:
        yield client
