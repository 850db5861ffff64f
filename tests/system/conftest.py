"""The whole stack as real processes: a broker, the simulator, a worker, two gateways."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.broker import Broker
from tests.stack import Gateway, Simulator, Worker, closing_all
from tests.viewers import DEADLINE_S, question


@dataclass
class Stack:
    """Its processes and addresses."""

    broker: Broker
    simulator: Simulator
    worker: Worker
    gateways: list[Gateway]

    def events_url(self, stream_id: str, gateway: int = 0) -> str:
        return f"{self.gateways[gateway].url}/v1/streams/{stream_id}/events"


@pytest.fixture(scope="session")
def stack(broker: Broker) -> Iterator[Stack]:
    """Shared by the tests that change nothing in it."""
    simulator = Simulator()
    gateways = [Gateway(broker.url), Gateway(broker.url)]
    # Short timeouts of the provider, so that the tests of its faults are quick.
    worker = Worker(broker.url, simulator.url, MANYCAST_FIRST_CHUNK_TIMEOUT_S="1", MANYCAST_CHUNK_TIMEOUT_S="1")
    with closing_all(*gateways, worker, simulator):
        yield Stack(broker, simulator, worker, gateways)


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    limits = httpx2.Limits(max_connections=200)
    async with httpx2.AsyncClient(timeout=DEADLINE_S, limits=limits) as client:
        yield client


async def start_stream(http: httpx2.AsyncClient, stack: Stack, model: str, text: str = "Why?", **more: Any) -> str:
    """The id of a new stream, asked for at the first gateway."""
    answer = await http.post(f"{stack.gateways[0].url}/v1/streams", json=question(model, text, **more))
    assert answer.status_code == 201, answer.text
    stream_id: str = answer.json()["id"]
    return stream_id
