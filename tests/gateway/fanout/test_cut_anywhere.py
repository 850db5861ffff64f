"""A viewer may be cut off after any event and go on at another gateway: it has the whole, each event once."""

import asyncio
from collections.abc import Iterator

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.event import Status
from contract.sse import FrameReader
from manycast.client.text_frame import TextFrame
from tests.author import Author, Entry, Run
from tests.broker import Broker
from tests.gateway.fanout.recording import attempt, chunk_of, done
from tests.redis_keys import stream_keys
from tests.stack import Gateway
from tests.viewers import Response, read_events, until

ONE = attempt([chunk_of({"content": f"{number} " + "x" * 900}) for number in range(30)])
TWO = attempt([chunk_of({"content": f"{number} \u2028\ud83d"}) for number in range(12)], epoch=2, seq=2)


@pytest.fixture(scope="module")
def other_gateway(broker: Broker) -> Iterator[Gateway]:
    """It keeps so little in memory that nearly all who come back read pages of the log."""
    gateway = Gateway(broker.url, MANYCAST_TAPE_LIMIT_BYTES="2000", MANYCAST_PING_INTERVAL_S="60")
    yield gateway
    gateway.close()


@pytest.fixture
def gateways(gateway: Gateway, other_gateway: Gateway) -> list[str]:
    return [gateway.url, other_gateway.url]


async def submit(http: httpx2.AsyncClient, author: Author) -> Run:
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
    answer = await http.post("/v1/streams", json=body)
    run = await author.take()
    assert run.stream_id == answer.json()["id"]
    return run


def expected(entries: list[Entry]) -> list[tuple[str, str]]:
    return [(at, str(kind)) for at, kind, _ in entries]


def told(frames: list[TextFrame]) -> list[tuple[str, str]]:
    return [(str(frame.id), frame.event) for frame in frames]


async def test_a_finished_stream_with_a_restart_resumes_at_every_position(
    http: httpx2.AsyncClient, author: Author, gateways: list[str]
) -> None:
    run = await submit(http, author)
    await run.write(ONE)
    again = await run.lose()
    await again.write([*TWO, done()], Status.COMPLETED)
    urls = [f"{gateway}/v1/streams/{run.stream_id}/events" for gateway in gateways]
    whole = (await read_events(http, urls[0])).logged
    count = len(ONE) + 1 + len(TWO) + 1
    assert len(whole) == count
    assert [frame.event for frame in whole].count("restart") == 1
    assert (await read_events(http, urls[1])).logged == whole
    for url in urls:
        rest = await asyncio.gather(*(read_events(http, url, after=frame.id) for frame in whole))
        assert [response.logged for response in rest] == [whole[place:] for place in range(1, count + 1)]
        assert [response.status for response in rest] == [200] * (count - 1) + [204]


@pytest.mark.parametrize(
    ("query", "headers", "position"),
    [
        ("lastEventId=1-2", {}, "1-2"),
        # A native EventSource that reconnecting-eventsource has made: the URL is as old as the object.
        ("lastEventId=1-2", {"Last-Event-ID": "1-4"}, "1-4"),
        # The same after a `gap`: positions have begun again.
        ("lastEventId=1-4", {"Last-Event-ID": "1-2"}, "1-2"),
        ("after=1-1", {"Last-Event-ID": "1-4"}, "1-4"),
        # A polyfill adds its parameter to a URL that the page has made.
        ("after=1-4&lastEventId=1-2", {}, "1-2"),
        ("lastEventId=1-4&lastEventId=1-2", {}, "1-2"),
        ("lastEventId=", {}, "0-0"),
        ("lastEventId=&after=1-2", {"Last-Event-ID": ""}, "1-2"),
        ("lastEventId=nonsense", {"Last-Event-ID": "1-2"}, "1-2"),
    ],
)
async def test_the_newest_position_of_a_request_counts(
    http: httpx2.AsyncClient, author: Author, query: str, headers: dict[str, str], position: str
) -> None:
    run = await submit(http, author)
    await run.write([*ONE[:5], done()], Status.COMPLETED)
    url = f"/v1/streams/{run.stream_id}/events"
    answer = await http.get(f"{url}?{query}", headers=headers)
    rest = [f"1-{seq}" for seq in range(int(position[2:]) + 1, 7)]
    assert [frame.id.decode() for frame in FrameReader().feed(answer.content) if frame.id] == rest


async def test_a_running_stream_resumes_at_every_cut_while_it_is_written(
    http: httpx2.AsyncClient, author: Author, gateways: list[str]
) -> None:
    run = await submit(http, author)
    urls = [f"{gateway}/v1/streams/{run.stream_id}/events" for gateway in gateways]
    count = len(ONE) + 1 + len(TWO) + 1

    async def watch(cut: int) -> list[TextFrame]:
        """Is cut off after that many events, and goes on at the other gateway to the end."""
        first = await read_events(http, urls[cut % 2], cut_after=cut)
        rest = await read_events(http, urls[1 - cut % 2], after=first.logged[-1].id)
        return [*first.logged, *rest.logged]

    whole = Response()
    watching_whole = asyncio.create_task(read_events(http, urls[0], response=whole))
    watching = [asyncio.create_task(watch(cut)) for cut in range(1, count)]
    for place in range(0, len(ONE), 3):
        await run.write(ONE[place : place + 3])
        await until(lambda place=place: len(whole.logged) >= min(place + 3, len(ONE)))
    again = await run.lose()
    for place in range(0, len(TWO), 4):
        await again.write(TWO[place : place + 4])
        await until(lambda place=place: len(whole.logged) >= len(ONE) + 1 + min(place + 4, len(TWO)))
    await again.write([done()], Status.COMPLETED)
    await watching_whole
    assert told(whole.logged)[:-1] == [*expected(ONE), ("2-1", "restart"), *expected(TWO)]
    for seen in await asyncio.gather(*watching):
        assert seen == whole.logged


@pytest.mark.parametrize(
    "garbage",
    ["", "!\nping x", "!\nping []", "!\nlater {}", "x\ny", "9-9\n9-10 chunk {}", "0-0\n0-1 chunk {}", "1-1\n1-2"],
)
async def test_garbage_on_the_live_channel_holds_nobody_up(
    http: httpx2.AsyncClient, author: Author, client: Client, gateways: list[str], garbage: str
) -> None:
    run = await submit(http, author)
    seen = Response()
    watching = asyncio.create_task(read_events(http, f"{gateways[0]}/v1/streams/{run.stream_id}/events", response=seen))
    await run.write(ONE[:2])
    await until(lambda: len(seen.logged) == 2)
    await call_redis(client, "PUBLISH", stream_keys(run.stream_id).live, garbage)
    await run.write(ONE[2:4])
    await run.write([done()], Status.COMPLETED)
    await watching
    assert [at for at, _ in told(seen.logged)] == ["1-1", "1-2", "1-3", "1-4", "1-5"]
