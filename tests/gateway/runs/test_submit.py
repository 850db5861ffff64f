"""Submitting a run while Redis fails."""

import asyncio

import httpx2

from contract.connection import call_redis, command_client
from tests.broker import Broker
from tests.gateway.dialects.test_registry import BODY
from tests.redis_keys import JOBS
from tests.stack import Gateway, closing_all


async def test_a_short_loss_of_redis_neither_loses_a_run_nor_starts_a_second_one(fragile_broker: Broker) -> None:
    with closing_all(gateway := Gateway(fragile_broker.url)):
        async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
            assert (await http.get("/v1/models")).status_code == 200
            await asyncio.to_thread(fragile_broker.stop)
            starting = asyncio.create_task(http.post("/v1/streams", json=BODY))
            await asyncio.to_thread(fragile_broker.start)
            assert (await starting).status_code == 201
        client = command_client(fragile_broker.url)
        assert await call_redis(client, "XLEN", JOBS) == 1
        await client.aclose()


async def test_a_long_loss_of_redis_is_answered_with_an_error_in_time(fragile_broker: Broker) -> None:
    with closing_all(gateway := Gateway(fragile_broker.url)):
        await asyncio.to_thread(fragile_broker.stop)
        async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
            for path in ("/v1/streams", "/v1/chat/completions"):
                refused = await http.post(path, json=BODY)
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "broker_unavailable")
                assert int(refused.headers["retry-after"]) > 0
        fragile_broker.start()
