"""A gateway that is full asks viewers to come back, and starts nothing that nobody could watch."""

import asyncio
from collections.abc import Iterator

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.event import Status
from gateway.access.api_keys import make_key
from tests.author import Author
from tests.broker import Broker
from tests.crowd import NewCrowd
from tests.gateway.access.conftest import bearer
from tests.gateway.dialects.test_registry import BODY, start
from tests.gateway.fanout.recording import attempt, chunk_of, done
from tests.redis_keys import JOBS
from tests.stack import Gateway, closing_all
from tests.viewers import read_events

pytestmark = pytest.mark.usefixtures("emptied")

UI_BODY = {"id": "c", "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}


@pytest.fixture(params=["MANYCAST_VIEWER_LIMIT", "MANYCAST_STREAM_VIEWER_LIMIT"])
def narrow(request: pytest.FixtureRequest, broker: Broker) -> Iterator[Gateway]:
    """Room for three."""
    with closing_all(gateway := Gateway(broker.url, **{request.param: "3"})):
        yield gateway


@pytest.fixture
def narrow_altogether(broker: Broker) -> Iterator[Gateway]:
    with closing_all(gateway := Gateway(broker.url, MANYCAST_VIEWER_LIMIT="3")):
        yield gateway


async def test_the_fourth_viewer_is_asked_to_come_back_and_misses_nothing(
    narrow: Gateway, author: Author, crowd_of: NewCrowd
) -> None:
    async with httpx2.AsyncClient(base_url=narrow.url, timeout=60) as http:
        run = await start(http, author)
        events = f"{narrow.url}/v1/streams/{run.stream_id}/events"
        crowd = crowd_of(events, 3)
        crowd.read_until(lambda: crowd.everyone_has(b"event: ping"))
        full = await read_events(http, events)
        assert (full.status, full.states, full.logged) == (200, ["full"], [])
        assert full.retry_ms is not None
        assert 5_000 <= full.retry_ms <= 15_000
        for dialect in ("openai", "text", "ui"):
            refused = await http.get(events, params={"dialect": dialect})
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_many_viewers")
            assert int(refused.headers["retry-after"]) > 0
        await run.write([*attempt([chunk_of({"content": "all"})]), done()], Status.COMPLETED)
        crowd.read_until(lambda: crowd.everyone_is_through)
        async with asyncio.timeout(60):
            while (back := await read_events(http, events)).states == ["full"]:
                pass
        assert back.text == "all"
        assert (await read_events(http, events, after=back.logged[-1].id)).status == 204


@pytest.mark.parametrize("joint", [False, True])
async def test_strangers_do_not_take_the_last_places_from_callers(
    broker: Broker, author: Author, crowd_of: NewCrowd, joint: bool
) -> None:
    secret, key = make_key("team")
    settings = {"MANYCAST_VIEWER_LIMIT": "10", "MANYCAST_KEYS": key.model_dump_json()}
    with closing_all(gateway := Gateway(broker.url, **settings)):
        run = await author.start()
        own = f"{gateway.url}/v1/streams/{run.stream_id}/events"
        events = f"{gateway.url}/v1/events?stream={run.stream_id}" if joint else own
        crowd = crowd_of(own, 9)
        crowd.read_until(lambda: crowd.everyone_has(b"event: ping"))
        async with httpx2.AsyncClient(timeout=60) as http:
            refused = [await beginning(http, events), await beginning(http, events, "mc-wrong")]
            assert all(b'"full"' in text for text in refused)
            async with http.stream("GET", events, headers=bearer(secret)) as admitted:
                pieces = admitted.aiter_bytes()
                assert b'"full"' not in await anext(pieces)
                # Now the callers' place is taken, too.
                assert b'"full"' in await beginning(http, events, secret)


async def beginning(http: httpx2.AsyncClient, url: str, secret: str = "") -> bytes:
    """The first bytes of a response that may go on for ever."""
    async with http.stream("GET", url, headers=bearer(secret) if secret else {}) as answer:
        return await anext(answer.aiter_bytes())


async def test_a_run_whose_caller_could_not_watch_it_is_not_started(
    narrow_altogether: Gateway, author: Author, client: Client, crowd_of: NewCrowd
) -> None:
    async with httpx2.AsyncClient(base_url=narrow_altogether.url, timeout=60) as http:
        run = await start(http, author)
        crowd = crowd_of(f"{narrow_altogether.url}/v1/streams/{run.stream_id}/events", 3)
        crowd.read_until(lambda: crowd.everyone_has(b"event: ping"))
        for path, body in (("/v1/chat/completions", BODY), ("/api/chat", UI_BODY)):
            refused = await http.post(path, json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_many_viewers")
        assert await call_redis(client, "XLEN", JOBS) == 1
        # Without a viewer it needs no room.
        assert (await http.post("/v1/streams", json=BODY)).status_code == 201
