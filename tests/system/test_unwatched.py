"""A run that is not to go on unwatched is cancelled some time after its last viewer has left, and not before."""

import asyncio
from typing import Any

import httpx2

from tests.system.conftest import Stack, start_stream
from tests.viewers import Response, read_events, until

PATIENCE: dict[str, Any] = {"manycast": {"when_unwatched": {"cancel_after_s": 1}}, "simulator": {"chunks_per_s": 20}}


async def status_of(http: httpx2.AsyncClient, stack: Stack, stream_id: str) -> str:
    status: str = (await http.get(f"{stack.gateways[0].url}/v1/streams/{stream_id}")).json()["status"]
    return status


async def test_a_run_goes_on_while_watched_and_is_cancelled_otherwise(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start_stream(http, stack, "demo-long", **PATIENCE)
    seen = Response()
    watching = asyncio.create_task(read_events(http, stack.events_url(stream_id, 1), response=seen))
    # Fifty chunks are two and a half of its seconds.
    await until(lambda: len(seen.logged) > 50)
    assert await status_of(http, stack, stream_id) == "running"
    watching.cancel()
    async with asyncio.timeout(60):
        while await status_of(http, stack, stream_id) == "running":
            await asyncio.sleep(0.05)
    assert (await read_events(http, stack.events_url(stream_id))).done["status"] == "cancelled"


async def test_without_the_wish_it_goes_on(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start_stream(http, stack, "demo")
    async with asyncio.timeout(60):
        while await status_of(http, stack, stream_id) != "completed":
            await asyncio.sleep(0.05)
