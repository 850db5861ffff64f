"""Connections that are no use any more: cut ones, and those to a primary that has become a replica."""

import pytest

from contract.connection import call_redis, command_client
from contract.errors import BrokerRefusedError
from contract.keys import OFFERS, WORKERS
from contract.scripts import Call, run_call
from tests.broker import Broker

ANNOUNCE = Call("announce", (WORKERS, OFFERS), ("w", 60_000, "{}"))


async def test_a_replica_is_left_for_whoever_has_its_name_now(fragile_broker: Broker) -> None:
    client, watcher = command_client(fragile_broker.url), command_client(fragile_broker.url)

    async def connections() -> int:
        told: int = (await call_redis(watcher, "INFO", "stats"))["total_connections_received"]
        return told

    await run_call(client, ANNOUNCE)
    await call_redis(watcher, "REPLICAOF", "127.0.0.1", "1")
    before = await connections()
    for refusals in (1, 2):
        with pytest.raises(BrokerRefusedError):
            await run_call(client, ANNOUNCE)
        assert await connections() == before + refusals - 1
    await client.aclose()
    await watcher.aclose()


async def test_a_step_whose_connection_was_cut_is_taken_on_another(fragile_broker: Broker) -> None:
    client, killer = command_client(fragile_broker.url), command_client(fragile_broker.url)
    await run_call(client, ANNOUNCE)
    await call_redis(killer, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert await run_call(client, ANNOUNCE) == 1
    await client.aclose()
    await killer.aclose()
