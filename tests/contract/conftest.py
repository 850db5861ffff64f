"""An empty broker of each kind, the queue and the log on it, and a server that never answers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from contract.connection import Client, blocking_client, call_redis, command_client
from tests.broker import Broker
from tests.contract.store import Store


@pytest.fixture
async def any_client(any_broker: Broker) -> AsyncIterator[Client]:
    """A client of each kind of broker in turn, emptied."""
    client = command_client(any_broker.url)
    await call_redis(client, "FLUSHALL")
    await call_redis(client, "SCRIPT", "FLUSH")
    yield client
    await client.aclose()


@pytest.fixture
async def store(any_broker: Broker, any_client: Client) -> AsyncIterator[Store]:
    """Queue and log on each kind of broker in turn."""
    blocking = blocking_client(any_broker.url)
    yield await Store.on(any_broker.url, any_client, blocking)
    await blocking.aclose()


@pytest.fixture
async def deaf_port() -> AsyncIterator[int]:
    """The port of a server that accepts connections and never answers: a proxy, say, whose Redis is down."""
    lines: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, line: lines.append(line), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for line in lines:
        line.close()
