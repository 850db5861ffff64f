"""A finished run whose log Redis has lost, wholly or in part: every call that reads it says so."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from secrets import token_hex

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.event import Status
from tests.author import Author
from tests.broker import Broker
from tests.gateway.dialects.test_openai import read_frames
from tests.gateway.fanout.recording import attempt, chunk_of, done
from tests.redis_keys import stream_keys
from tests.stack import Gateway, closing_all

pytestmark = pytest.mark.usefixtures("emptied")

MESSAGES = [{"id": "1", "role": "user", "content": "Why?", "parts": [{"type": "text", "text": "Why?"}]}]
ANSWER = [chunk_of({"content": "Hel"}), chunk_of({"content": "lo"}), chunk_of({"content": "!"}, "stop")]

# Which entries are deleted: `start` is 1-1, the chunks 1-2 to 1-4, `done` is 1-5.
LOSSES = {
    "all": ["1-1", "1-2", "1-3", "1-4", "1-5"],
    "the start": ["1-1", "1-2"],
    "the middle": ["1-3"],
    "the end": ["1-4", "1-5"],
    "only done": ["1-5"],
    "all but done": ["1-1", "1-2", "1-3", "1-4"],
}


@pytest.fixture(scope="module")
def forgetful(broker: Broker) -> Iterator[Gateway]:
    """A gateway that keeps no stream in memory after its last viewer has left."""
    with closing_all(gateway := Gateway(broker.url, MANYCAST_LINGER_S="0")):
        yield gateway


@pytest.fixture
async def http(forgetful: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=forgetful.url, timeout=60) as client:
        yield client


@pytest.fixture
def chat() -> str:
    return token_hex(8)


@pytest.fixture(params=LOSSES)
async def lost(
    request: pytest.FixtureRequest, http: httpx2.AsyncClient, client: Client, author: Author, chat: str
) -> str:
    """The id of a completed run of a chat, without a part of its log."""
    async with http.stream("POST", "/api/chat", json={"id": chat, "messages": MESSAGES}) as response:
        run = await author.take()
        await run.write([*attempt(ANSWER), done()], Status.COMPLETED)
        await response.aread()
    log = stream_keys(run.stream_id).log
    assert await call_redis(client, "XDEL", log, *LOSSES[request.param]) == len(LOSSES[request.param])
    if request.param == "all":
        await call_redis(client, "DEL", log)
    return run.stream_id


async def test_its_completion_is_an_error_of_its_own(http: httpx2.AsyncClient, lost: str) -> None:
    for _ in range(2):
        response = await http.get(f"/v1/streams/{lost}/completion")
        assert (response.status_code, response.json()["error"]["code"]) == (500, "stream_lost")
        assert response.headers["x-should-retry"] == "false"
        assert "immutable" not in response.headers.get("cache-control", "")
        assert "etag" not in response.headers


async def test_its_status_is_that_of_the_run(http: httpx2.AsyncClient, lost: str) -> None:
    assert (await http.get(f"/v1/streams/{lost}")).json()["status"] == "completed"


async def test_its_events_end_as_lost(http: httpx2.AsyncClient, lost: str) -> None:
    response = await http.get(f"/v1/streams/{lost}/events")
    assert '"code":"stream_lost"' in response.text.split("event: done\n")[1]
    assert '"status":"completed"' not in response.text


@pytest.mark.parametrize("dialect", ["openai", "openai-usage", "ui", "text"])
async def test_each_dialect_says_so(http: httpx2.AsyncClient, lost: str, dialect: str) -> None:
    response = await http.get(f"/v1/streams/{lost}/events?dialect={dialect}")
    assert "has lost this stream" in response.text, (response.status_code, response.text)
    assert "[DONE]" not in response.text or dialect == "ui"
    assert '"type":"finish"' not in response.text


async def test_the_chat_says_so(http: httpx2.AsyncClient, lost: str, chat: str) -> None:
    response = await http.get(f"/api/chat/{chat}/stream")
    assert response.status_code == 200
    parts = read_frames(response.content)
    assert parts[-1] == "[DONE]"
    assert parts[-2]["type"] == "error" and "lost this stream" in parts[-2]["errorText"], parts


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_repeated_call_says_so(
    http: httpx2.AsyncClient, client: Client, author: Author, stream: bool, loss: str
) -> None:
    ask = partial(
        http.post,
        "/v1/chat/completions",
        json={"messages": [{"role": "user", "content": "Why?"}], "stream": stream},
        headers={"Idempotency-Key": token_hex(8)},
    )
    first = asyncio.create_task(ask())
    run = await author.take()
    await run.write([*attempt(ANSWER), done()], Status.COMPLETED)
    assert (await first).status_code == 200
    await call_redis(client, "XDEL", stream_keys(run.stream_id).log, *LOSSES[loss])
    again = await ask()
    assert again.headers["x-stream-id"] == run.stream_id
    assert '"code":"stream_lost"' in again.text
    assert "[DONE]" not in again.text
    # What is left may have been sent before the loss was found.
    assert again.status_code == (200 if stream and loss in ("the middle", "the end", "only done") else 500)


async def test_a_gateway_that_has_the_stream_in_memory_makes_no_answer_of_a_part(
    gateway: Gateway, client: Client, author: Author
) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
        body = {"messages": [{"role": "user", "content": "Why?"}]}
        ask = partial(http.post, "/v1/chat/completions", json=body, headers={"Idempotency-Key": token_hex(8)})
        first = asyncio.create_task(ask())
        run = await author.take()
        await run.write([*attempt(ANSWER), done()], Status.COMPLETED)
        assert (await first).status_code == 200
        await call_redis(client, "XDEL", stream_keys(run.stream_id).log, "1-3")
        again = await ask()
        assert (again.status_code, again.json()["error"]["code"]) == (500, "stream_lost")


@pytest.mark.parametrize("loss", LOSSES)
async def test_the_responses_api_says_so(http: httpx2.AsyncClient, client: Client, author: Author, loss: str) -> None:
    first = asyncio.create_task(http.post("/v1/responses", json={"input": "Why?"}))
    run = await author.take()
    await run.write([*attempt(ANSWER), done()], Status.COMPLETED)
    response = (await first).json()
    await call_redis(client, "XDEL", stream_keys(run.stream_id).log, *LOSSES[loss])
    read = await http.get(f"/v1/responses/{response['id']}")
    assert (read.status_code, read.json()["error"]["code"]) == (500, "stream_lost")
    continued = await http.post("/v1/responses", json={"input": "And?", "previous_response_id": response["id"]})
    assert (continued.status_code, continued.json()["error"]["code"]) == (500, "stream_lost")
