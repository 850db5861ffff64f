"""`GET /v1/events`: what it says of streams that end, are missing or full, and what it refuses."""

import asyncio
import signal
from collections.abc import Iterator

import httpx2
import pytest

from contract.stream_id import new_stream_id
from gateway.app import Gateway as GatewayApp
from gateway.routes.joint_events import STREAMS_LIMIT
from gateway.settings import Settings
from tests.author import Author
from tests.broker import Broker
from tests.gateway.joint import Joint, query, read_joint
from tests.stack import Gateway, closing_all
from tests.viewers import read_events, until


@pytest.fixture(params=["direct", "httptools", "h11"])
def served(request: pytest.FixtureRequest, broker: Broker) -> Iterator[Gateway]:
    """On each protocol: responses are written in two ways. It never lingers on what nobody watches."""
    settings = {"MANYCAST_HTTP_PROTOCOL": request.param, "MANYCAST_PING_INTERVAL_S": "0.4", "MANYCAST_LINGER_S": "0"}
    with closing_all(gateway := Gateway(broker.url, **settings)):
        yield gateway


@pytest.fixture(params=["MANYCAST_VIEWER_LIMIT", "MANYCAST_STREAM_VIEWER_LIMIT"])
def narrow(request: pytest.FixtureRequest, broker: Broker) -> Iterator[Gateway]:
    """Room for one."""
    with closing_all(gateway := Gateway(broker.url, **{request.param: "1"})):
        yield gateway


def text_of(joint: Joint, stream_id: str) -> str:
    return "".join(chunk["choices"][0]["delta"]["content"] for chunk in joint.of(stream_id, "chunk"))


async def test_streams_end_one_by_one_and_the_response_with_the_last(
    http: httpx2.AsyncClient, author: Author, served: Gateway
) -> None:
    one, two = [await author.start() for _ in range(2)]
    seen = Joint([one.stream_id, two.stream_id])
    reading = asyncio.create_task(read_joint(http, served.url, seen))
    await until(lambda: seen.of(two.stream_id, "viewers") == [{"viewers": 1}])
    await one.begin()
    await one.say("first")
    await two.begin()
    await one.end()
    await until(lambda: seen.of(one.stream_id, "done"))
    metrics = f"{served.url}/metrics"
    async with asyncio.timeout(60):  # what has ended is not kept for the sake of the others
        while "manycast_viewers 1.0" not in (await http.get(metrics)).text:
            await asyncio.sleep(0.01)
    assert not reading.done()
    await two.say("second")
    await two.end()
    await reading
    assert seen.frames[0].event == "watching"
    assert seen.frames[0].data == f'{{"streams":["{one.stream_id}","{two.stream_id}"]}}'
    assert [text_of(seen, run.stream_id) for run in (one, two)] == ["first", "second"]
    assert (await read_joint(http, served.url, seen)).status == 204


async def test_a_stream_that_does_not_exist_is_told_and_harms_no_other(
    http: httpx2.AsyncClient, author: Author
) -> None:
    run, missing = await author.start(), new_stream_id(private=False)
    await run.begin()
    await run.say("there")
    await run.end()
    seen = await read_joint(http, "", Joint([missing, run.stream_id]))
    alone = await http.get(f"/v1/streams/{missing}/events")
    assert seen.of(missing, "closed") == [{"status": 404, "error": alone.json()["error"]}]
    assert text_of(seen, run.stream_id) == "there"
    # A client that reconnects by itself must find the end, or it would ask for ever.
    assert (await read_joint(http, "", seen)).status == 204
    only = await read_joint(http, "", Joint([missing]))
    assert (only.status, len(only.of(missing, "closed"))) == (200, 1)
    assert (await read_joint(http, "", only)).status == 204


async def test_each_stream_counts_its_viewers(http: httpx2.AsyncClient, author: Author) -> None:
    one, two = [await author.start() for _ in range(2)]
    joint = Joint([one.stream_id, two.stream_id])
    alone = Joint([two.stream_id])
    reading = [asyncio.create_task(read_joint(http, "", seen)) for seen in (joint, alone)]
    await until(lambda: {"viewers": 2} in joint.of(two.stream_id, "viewers"))
    assert joint.of(one.stream_id, "viewers")[-1] == {"viewers": 1}
    for run in (one, two):
        await run.begin()
        await run.end()
    await asyncio.gather(*reading)


async def test_a_full_stream_is_told_and_is_there_on_the_next_connection(
    http: httpx2.AsyncClient, author: Author, narrow: Gateway
) -> None:
    full, other = [await author.start() for _ in range(2)]
    for run in (full, other):
        await run.begin()
    watcher = Joint([full.stream_id])
    watching = asyncio.create_task(read_joint(http, narrow.url, watcher))
    await until(lambda: watcher.logged)
    alone = await read_joint(http, narrow.url, Joint([full.stream_id]))
    assert [frame.data for frame in alone.frames] == ['{"state":"full"}']
    assert alone.retry_ms is not None
    assert 5_000 <= alone.retry_ms <= 15_000
    await full.end()
    await watching
    seen = Joint([full.stream_id, other.stream_id])
    async with asyncio.timeout(60):
        while not seen.logged:  # until the gateway has noticed that the other viewer is gone
            await read_joint(http, narrow.url, seen, cut_after=1)
    await other.end()
    while seen.status != 204:
        await read_joint(http, narrow.url, seen)
    assert [len(seen.of(run.stream_id, "done")) for run in (full, other)] == [1, 1]


async def test_a_response_that_lacks_a_full_stream_ends_by_itself_and_its_client_asks_again(
    http: httpx2.AsyncClient, author: Author, broker: Broker
) -> None:
    full, other = [await author.start() for _ in range(2)]
    for run in (full, other):
        await run.begin()
    watcher, seen = Joint([full.stream_id]), Joint([full.stream_id, other.stream_id])
    with closing_all(gateway := Gateway(broker.url, MANYCAST_STREAM_VIEWER_LIMIT="1")):
        watching = asyncio.create_task(read_joint(http, gateway.url, watcher))
        await until(lambda: watcher.logged)
        await read_joint(http, gateway.url, seen)
        assert [told["status"] for told in seen.of(full.stream_id, "closed")] == [503]
        assert seen.retry_ms is not None
        assert seen.retry_ms <= 1_000
        for run in (full, other):
            await run.end()
        await watching
        while seen.status != 204:
            await read_joint(http, gateway.url, seen)
    assert [len(seen.of(run.stream_id, "done")) for run in (full, other)] == [1, 1]


async def test_a_gateway_that_drains_sends_everyone_elsewhere_with_all_places(
    http: httpx2.AsyncClient, author: Author, broker: Broker
) -> None:
    runs = [await author.start() for _ in range(3)]
    seen = Joint([run.stream_id for run in runs])
    with closing_all(leaving := Gateway(broker.url)):
        reading = asyncio.create_task(read_joint(http, leaving.url, seen))
        for run in runs:
            await run.begin()
            await run.say("before, ")
        await until(lambda: sum(map(len, seen.logged.values())) == 6)
        leaving.signal(signal.SIGTERM)
        await reading
        assert leaving.wait() == 0
    assert seen.retry_ms is not None
    assert 300 <= seen.retry_ms <= 3000
    for run in runs:
        await run.say("after")
        await run.end()
    await read_joint(http, "", seen)
    assert [text_of(seen, run.stream_id) for run in runs] == ["before, after"] * 3
    for run in runs:
        assert seen.logged[run.stream_id] == (await read_events(http, f"/v1/streams/{run.stream_id}/events")).logged


async def test_a_stopping_gateway_sends_new_viewers_elsewhere() -> None:
    gateway = GatewayApp(Settings())
    gateway.drain()
    transport = httpx2.ASGITransport(app=gateway.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        answer = await http.get(query([new_stream_id(private=False)]))
        assert (answer.status_code, answer.text) == (200, "retry: 1000\n")


ID = "s_" + "a" * 22


@pytest.mark.parametrize(
    ("asked", "last_event_id", "code", "param"),
    [
        ("", "", "invalid_value", "stream"),
        ("stream=", "", "invalid_stream_id", "id"),
        ("stream=short", "", "invalid_stream_id", "id"),
        (f"stream={ID}&stream=%0Aid:%20x", "", "invalid_stream_id", "id"),
        (f"stream={ID}.1-01", "", "invalid_position", "stream"),
        (f"stream={ID}.x", "", "invalid_position", "stream"),
        (f"stream={ID}&stream={ID}.1-1", "", "repeated_stream", "stream"),
        (f"stream={ID}", "nonsense", "invalid_position", "Last-Event-ID"),
        (f"stream={ID}", f"{ID} 1-1,1-2", "invalid_position", "Last-Event-ID"),
        (f"stream={ID}&lastEventId={ID}%20", "", "invalid_position", "Last-Event-ID"),
        ("&".join(f"stream={ID}{number}" for number in range(STREAMS_LIMIT + 1)), "", "too_many_streams", "stream"),
    ],
)
async def test_a_malformed_request_is_refused_as_a_whole(
    http: httpx2.AsyncClient, asked: str, last_event_id: str, code: str, param: str
) -> None:
    answer = await http.get(f"/v1/events?{asked}", headers={"Last-Event-ID": last_event_id} if last_event_id else {})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"], error["type"]) == (code, param, "invalid_request_error")


async def test_the_largest_set_fits_into_a_url_and_all_its_streams_arrive(
    http: httpx2.AsyncClient, author: Author
) -> None:
    runs = [await author.start() for _ in range(STREAMS_LIMIT)]
    seen = Joint([run.stream_id for run in runs])
    reading = asyncio.create_task(read_joint(http, "", seen))
    for number, run in enumerate(runs):
        await run.begin()
        await run.say(str(number))
        await run.end()
    await reading
    assert [text_of(seen, run.stream_id) for run in runs] == [str(number) for number in range(STREAMS_LIMIT)]
