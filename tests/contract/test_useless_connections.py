"""Connections that are no use any more: cut ones, forgotten ones, and those to a primary that has become a replica."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from contract.connection import call_redis, command_client
from contract.errors import BrokerUnavailableError
from contract.scripts import Call, run_call
from tests.broker import Broker
from tests.redis_keys import OFFERS, WORKERS

ANNOUNCE = Call("announce", (WORKERS, OFFERS), ("w", 60_000, "{}"))


async def test_a_client_leaves_a_replica_for_the_new_primary_of_that_name(fragile_broker: Broker) -> None:
    client, watcher = command_client(fragile_broker.url), command_client(fragile_broker.url)

    async def connections() -> int:
        told: int = (await call_redis(watcher, "INFO", "stats"))["total_connections_received"]
        return told

    await run_call(client, ANNOUNCE)
    await call_redis(watcher, "REPLICAOF", "127.0.0.1", "1")
    before = await connections()
    for refusals in (1, 2):
        with pytest.raises(BrokerUnavailableError):
            await run_call(client, ANNOUNCE)
        assert await connections() == before + refusals - 1
    await client.aclose()
    await watcher.aclose()


async def test_a_script_whose_connection_was_cut_runs_on_another(fragile_broker: Broker) -> None:
    client, killer = command_client(fragile_broker.url), command_client(fragile_broker.url)
    await run_call(client, ANNOUNCE)
    await call_redis(killer, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert await run_call(client, ANNOUNCE) == 1
    await client.aclose()
    await killer.aclose()


class Firewall:
    """Forwards connections to Redis until it forgets them; then their bytes vanish, and nothing closes them."""

    def __init__(self) -> None:
        self.connections = 0
        self._open: list[asyncio.Task[None]] = []
        self._held: list[asyncio.StreamWriter] = []

    async def serve(self, client: tuple[asyncio.StreamReader, asyncio.StreamWriter], url: str) -> None:
        parts = urlsplit(url)
        server = await asyncio.open_connection(parts.hostname, parts.port)
        self.connections += 1
        self._held += (client[1], server[1])
        for source, target in ((client, server), (server, client)):
            self._open.append(asyncio.create_task(_forward(source[0], target[1])))

    def forget_connections(self) -> None:
        for task in self._open:
            task.cancel()

    def close(self) -> None:
        self.forget_connections()
        for writer in self._held:
            writer.close()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def firewall_before(url: str) -> AsyncIterator[tuple[Firewall, str]]:
    """A firewall, and the address of Redis behind it."""
    firewall = Firewall()
    server = await asyncio.start_server(lambda *client: firewall.serve(client, url), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield firewall, f"redis://127.0.0.1:{port}/0"
    finally:
        firewall.close()
        server.close()


async def test_an_idle_connection_that_the_network_forgot_is_replaced(broker: Broker) -> None:
    async with firewall_before(broker.url) as (firewall, url):
        client = command_client(url, trusted_idle_s=0)
        await asyncio.gather(*(call_redis(client, "PING") for _ in range(4)))
        made = firewall.connections
        firewall.forget_connections()
        for _ in range(12):
            assert await call_redis(client, "ECHO", "again") == b"again"
        assert await run_call(client, ANNOUNCE) == 1
        assert firewall.connections == made + 1
        await client.aclose()


async def test_a_connection_that_still_reaches_redis_is_kept(broker: Broker) -> None:
    async with firewall_before(broker.url) as (firewall, url):
        client = command_client(url, trusted_idle_s=0)
        for _ in range(12):
            await call_redis(client, "PING")
        assert firewall.connections == 1
        await client.aclose()
