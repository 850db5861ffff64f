"""A gateway that forgets streams at once leaves nobody behind who was just on the way in."""

import asyncio

import httpx2

from tests.author import open_run
from tests.broker import Broker
from tests.stack import Gateway, closing_all
from tests.viewers import Response, read_events, until


async def test_a_viewer_gets_all_although_the_stream_was_let_go_while_it_came(
    http: httpx2.AsyncClient, workerless_broker: Broker
) -> None:
    with closing_all(gateway := Gateway(workerless_broker.url, MANYCAST_LINGER_S="0")):
        async with open_run(workerless_broker.url) as run:
            await run.begin()
            response = Response()
            url = f"{gateway.url}/v1/streams/{run.stream_id}/events"
            watching = asyncio.create_task(read_events(http, url, response=response))
            await until(lambda: len(response.logged) == 1)
            await run.say("still there?")
            await until(lambda: len(response.logged) == 2)
            await run.end()
            await watching
            assert response.done["status"] == "completed"
