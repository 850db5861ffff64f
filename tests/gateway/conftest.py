"""A gateway process, its broker, and an author that writes runs by hand."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from contract.connection import Client, call_server
from tests.author import Author
from tests.broker import Broker
from tests.stack import Gateway
from tests.topologies import new_broker


@pytest.fixture(scope="package")
def broker() -> Iterator[Broker]:
    """For this package only: no other worker may take its jobs."""
    broker = new_broker()
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def emptied(broker: Broker) -> Iterator[None]:
    """For tests whose runs no worker takes: the next test's author would take them."""
    yield
    broker.empty()


@pytest.fixture(scope="package")
def gateway(broker: Broker) -> Iterator[Gateway]:
    """It keeps little in memory, so that late viewers read pages of the log."""
    settings = {"MANYCAST_TAPE_LIMIT_BYTES": "20000", "MANYCAST_PING_INTERVAL_S": "0.4"}
    gateway = Gateway(broker.url, **settings)
    yield gateway
    gateway.close()


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as client:
        yield client


@pytest.fixture
async def author(client: Client) -> Author:
    """Takes every job: it is the only worker of this broker."""
    for place in await client.places():
        await call_server(client.server_at(place), "FLUSHALL")
    return Author(client, client)
