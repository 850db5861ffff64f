"""A running simulator without pauses, and clients of it."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import openai
import pytest

from tests.simulator.process import DEADLINE_S, WITHOUT_PAUSES, Simulator


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    """One for all tests. At the end it must have printed no warning."""
    simulator = Simulator(**WITHOUT_PAUSES)
    yield simulator
    assert simulator.stop() == (0, "", "")


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=simulator.url, timeout=DEADLINE_S) as client:
        yield client


@pytest.fixture
async def sdk(simulator: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's own client, without retries."""
    url = f"{simulator.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0, timeout=DEADLINE_S) as client:
        yield client
