"""Redis is emptied while a gateway with several partitions runs."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from contract.connection import Client, call_redis, command_client
from contract.keys import KeySpace
from contract.partitions import agree_on_partitions
from contract.stream_id import partition_of
from tests.broker import Broker, valkey_binary
from tests.stack import Gateway, closing_all
from tests.viewers import question

COUNT = 8


@pytest.fixture
def private_broker() -> Iterator[Broker]:
    broker = Broker(valkey_binary())
    yield broker
    broker.close()


@pytest.fixture
async def spread(private_broker: Broker) -> AsyncIterator[Client]:
    """The client of the service that was started first."""
    client = command_client(private_broker.url, KeySpace(wanted_partitions=COUNT))
    await agree_on_partitions(client)
    yield client
    await client.aclose()


@pytest.fixture
async def http(private_broker: Broker, spread: Client) -> AsyncIterator[httpx2.AsyncClient]:
    with closing_all(gateway := Gateway(private_broker.url)):
        async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
            assert max([await place(http) for _ in range(30)]) > 0
            yield http


async def place(http: httpx2.AsyncClient) -> int:
    """The partition of a new run."""
    answer = await http.post("/v1/streams", json=question("demo"))
    assert answer.status_code == 201, answer.text
    return partition_of(answer.json()["id"])


async def stored(client: Client) -> bytes | None:
    count: bytes | None = await call_redis(client, "HGET", client.key_space.partitions, "count")
    return count


@pytest.mark.usefixtures("http")
async def test_a_gateway_stores_the_number_of_partitions_again(private_broker: Broker, spread: Client) -> None:
    private_broker.empty()
    async with asyncio.timeout(60):
        while await stored(spread) is None:
            pass
    assert await stored(spread) == b"8"


async def test_a_gateway_queues_nothing_where_no_worker_looks(
    private_broker: Broker, spread: Client, http: httpx2.AsyncClient
) -> None:
    """A service without the setting has stored its own number first."""
    private_broker.empty()
    await call_redis(spread, "HSET", spread.key_space.partitions, "count", 1, "keyed", 1)
    async with asyncio.timeout(60):
        while {await place(http) for _ in range(30)} != {0}:
            pass
