"""A viewer has had events that a failover of Redis lost. It comes back to a gateway that knows only the log."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.event import Kind, Status
from contract.sse import FrameReader
from manycast.client.text_frame import TextFrame
from tests.author import Author, Run
from tests.broker import Broker
from tests.gateway.fanout.recording import done
from tests.lost_tail import lose_tail, write_again
from tests.redis_keys import stream_keys
from tests.stack import Gateway, closing_all
from tests.viewers import Response, read_events, until

pytestmark = pytest.mark.usefixtures("emptied")


@pytest.fixture(scope="module")
def fresh(broker: Broker) -> Iterator[Gateway]:
    """A gateway that keeps no stream in memory after its last viewer has left."""
    settings = {"MANYCAST_PING_INTERVAL_S": "0.4", "MANYCAST_LINGER_S": "0"}
    with closing_all(gateway := Gateway(broker.url, **settings)):
        yield gateway


@pytest.fixture
async def at_fresh(fresh: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=fresh.url, timeout=60) as client:
        yield client


@pytest.fixture
async def run(http: httpx2.AsyncClient, client: Client, author: Author) -> Run:
    """Its log ends at 1-4. A viewer has had the events up to 1-6 from the other gateway."""
    run = await author.start()
    await run.begin()
    for at in range(5):
        await run.say(str(at))
    seen = await read_events(http, events_of(run), cut_after=6)
    assert seen.logged[-1].id == "1-6"
    await lose_tail(client, run, 4)
    return run


def events_of(run: Run) -> str:
    return f"/v1/streams/{run.stream_id}/events"


async def come_back(http: httpx2.AsyncClient, run: Run) -> tuple[Response, "asyncio.Task[Response]"]:
    """The viewer at 1-6, after the gateway has told it the state of the run twice: it has looked for its place."""
    seen = Response()
    watching = asyncio.create_task(read_events(http, events_of(run), after="1-6", response=seen))
    await until(lambda: len(seen.states) >= 2 or watching.done())
    assert [frame.event for frame in seen.frames if frame.event not in ("ping", "viewers")] == []
    return seen, watching


def told(response: Response) -> list[tuple[str, str]]:
    """All but the state of the run and the count of viewers."""
    return [(frame.id or "", frame.event) for frame in response.frames if frame.event not in ("ping", "viewers")]


async def test_it_goes_on_when_the_worker_has_written_them_again(at_fresh: httpx2.AsyncClient, run: Run) -> None:
    seen, watching = await come_back(at_fresh, run)
    await write_again(run, 4)
    await run.say("more")
    await until(lambda: len(seen.logged) == 1)
    await run.end()
    assert told(await watching) == [("1-7", "chunk"), ("1-8", "done")]


async def test_it_is_told_the_restart_of_the_next_worker(at_fresh: httpx2.AsyncClient, run: Run) -> None:
    _, watching = await come_back(at_fresh, run)
    again = await run.lose()
    await again.say("more")
    await again.end()
    assert told(await watching) == [("2-1", "restart"), ("2-2", "chunk"), ("2-3", "done")]


async def test_it_is_told_a_restart_that_came_before_it(at_fresh: httpx2.AsyncClient, run: Run) -> None:
    again = await run.lose()
    await again.say("more")
    await again.end()
    seen = await read_events(at_fresh, events_of(run), after="1-6")
    assert told(seen) == [("2-1", "restart"), ("2-2", "chunk"), ("2-3", "done")]


async def test_it_gets_a_gap_if_the_run_ends_before_that(at_fresh: httpx2.AsyncClient, run: Run) -> None:
    _, watching = await come_back(at_fresh, run)
    run.next_seq = 5
    await run.end()
    logged = [("1-1", "start"), *((f"1-{seq}", "chunk") for seq in (2, 3, 4)), ("1-5", "done")]
    assert told(await watching) == [("", "gap"), *logged]


@pytest.mark.parametrize("reason", [None, "step_restarted"])
async def test_it_gets_a_gap_if_the_next_worker_goes_on_without_a_restart_of_all(
    at_fresh: httpx2.AsyncClient, client: Client, run: Run, reason: str | None
) -> None:
    """As scripts do: nothing tells the viewer which of its events are void."""
    await call_redis(client, "HSET", stream_keys(run.stream_id).meta, "model", "script/one")
    _, watching = await come_back(at_fresh, run)
    again = await run.lose()
    step = ("", Kind.STEP, {"id": "2", "state": "restart"})
    first = step if reason is None else ("", Kind.RESTART, {"epoch": 2, "reason": reason})
    await again.write([first])
    await again.write([done()], Status.COMPLETED)
    logged = [("1-1", "start"), *((f"1-{seq}", "chunk") for seq in (2, 3, 4)), ("2-1", first[1]), ("2-2", "done")]
    assert told(await watching) == [("", "gap"), *logged]


async def test_the_other_streams_of_its_response_do_not_wait(
    at_fresh: httpx2.AsyncClient, author: Author, run: Run
) -> None:
    other = await author.start()
    await other.begin()
    seen: list[tuple[str, str]] = []

    async def watch() -> None:
        reader = FrameReader()
        query = f"?stream={run.stream_id}.1-6&stream={other.stream_id}"
        async with at_fresh.stream("GET", "/v1/events" + query) as answer:
            async for piece in answer.aiter_raw():
                frames = [TextFrame.decode(frame) for frame in reader.feed(piece)]
                seen.extend(
                    (frame.id, frame.event) for frame in frames if frame.id and frame.event not in ("ping", "viewers")
                )

    watching = asyncio.create_task(watch())
    ids = f"{other.stream_id} 1-6,1-1", f"{other.stream_id} 1-6,1-2"
    await until(lambda: len(seen) == 1)
    await other.end()
    await until(lambda: len(seen) == 2)
    assert seen == [(ids[0], "start"), (ids[1], "done")]
    await write_again(run, 4)
    await run.end()
    await watching
    assert seen[2:] == [(f"{run.stream_id} 1-7,1-2", "done")]
