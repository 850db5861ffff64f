"""A gateway of its own process on the shared broker, and somebody who writes runs by hand."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from contract.connection import Client, call_redis
from tests.broker import Broker, valkey_binary
from tests.gateway.author import Author
from tests.stack import Gateway


@pytest.fixture(scope="package")
def broker() -> Iterator[Broker]:
    """Of these tests alone: no other worker may take their jobs."""
    broker = Broker(valkey_binary())
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def emptied(broker: Broker) -> Iterator[None]:
    """For tests that start runs which nobody takes: the next author would take them for its own."""
    yield
    broker.empty()


@pytest.fixture(scope="package")
def gateway(broker: Broker) -> Iterator[Gateway]:
    """It keeps little in memory, so that whoever comes late reads pages of the log."""
    settings = {"MANYCAST_TAPE_LIMIT_BYTES": "20000", "MANYCAST_PING_INTERVAL_S": "0.4"}
    gateway = Gateway(broker.url, **settings)
    yield gateway
    gateway.close()


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=20) as client:
        yield client


@pytest.fixture
async def author(client: Client) -> Author:
    """Takes every job there is: nobody else works on this broker."""
    await call_redis(client, "FLUSHALL")
    return Author(client)
