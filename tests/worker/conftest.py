"""A provider for all tests, and for each test a broker with a worker on it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from contract.connection import Client, command_client
from tests.broker import Broker
from tests.stack import Simulator, Worker, closing_all
from tests.worker.runs import Caller

# Short leases make quick tests; one this short is still twenty times what a busy machine needs to renew it.
QUICK = {"MANYCAST_LEASE_S": "1", "MANYCAST_GRACE_S": "5", "PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}


@pytest.fixture(scope="session")
def provider() -> Iterator[Simulator]:
    provider = Simulator(SIMULATOR_FIRST_CHUNK_MS="10", SIMULATOR_CHUNKS_PER_S="500")
    yield provider
    provider.close()


@pytest.fixture
async def fragile_client(fragile_broker: Broker) -> AsyncIterator[Client]:
    client = command_client(fragile_broker.url)
    yield client
    await client.aclose()


@pytest.fixture
def caller(fragile_client: Client) -> Caller:
    return Caller(fragile_client)


@pytest.fixture
def worker(fragile_broker: Broker, provider: Simulator) -> Iterator[Worker]:
    worker = Worker(fragile_broker.url, provider.url, **QUICK)
    with closing_all(worker):
        yield worker
        worker.process.terminate()
        worker.wait()
        words = worker.output
    assert "Traceback" not in words, words
    assert "Warning:" not in words, words
