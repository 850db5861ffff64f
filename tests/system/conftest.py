"""The whole stack as real processes: a broker, the simulator, a worker, two gateways."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.broker import Broker
from tests.stack import Gateway, Simulator, Worker, closing_all
from tests.topologies import new_broker, topology_kind
from tests.viewers import DEADLINE_S, question


@dataclass
class Stack:
    """Its processes and addresses."""

    broker: Broker
    simulator: Simulator
    worker: Worker
    gateways: list[Gateway]
    partitions: int

    def events_url(self, stream_id: str, gateway: int = 0) -> str:
        return f"{self.gateways[gateway].url}/v1/streams/{stream_id}/events"


PARTITIONS = {"one": [1, 8], "sentinel": [1], "cluster": [128]}[topology_kind()]


@pytest.fixture(scope="session", params=PARTITIONS, ids=lambda count: f"{count} partitions")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Shared by the tests that change nothing in it."""
    broker, simulator = new_broker(), Simulator()
    settings = {"MANYCAST_PARTITIONS": str(request.param)}
    gateways = [Gateway(broker.url, **settings), Gateway(broker.url, **settings)]
    # Short only for the models that stall, so that the tests of these faults are quick. A busy machine needs longer to
    # stop a run before its first chunk.
    patience = {
        "MANYCAST_FIRST_CHUNK_TIMEOUTS": "fault-stall-first=3",
        "MANYCAST_CHUNK_TIMEOUTS": "fault-stall-middle=3",
    }
    worker = Worker(broker.url, simulator.url, **settings, **patience)
    try:
        with closing_all(*gateways, worker, simulator):
            yield Stack(broker, simulator, worker, gateways, request.param)
    finally:
        broker.close()


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
