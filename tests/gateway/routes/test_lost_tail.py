"""A viewer has had events that a failover of Redis lost. It comes back to a gateway that knows only the log."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.errors import Code, RunError
from contract.event import Kind, Status
from contract.sse import FrameReader
from gateway.fanout.viewer import VOID
from manycast.client.text_frame import TextFrame
from tests.author import Author, Entry, Run
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


STEP = ("", Kind.STEP, {"id": "2", "state": "restart"})
STEP_RESTARTED = ("", Kind.RESTART, {"epoch": 2, "reason": "step_restarted"})
NO_ATTEMPT_IS_LEFT = done("failed", RunError(Code.WORKER_LOST, "lost"))
KEPT = [("1-1", "start"), *((f"1-{seq}", "chunk") for seq in (2, 3, 4))]
SEEN = [*KEPT, ("1-5", "chunk"), ("1-6", "chunk")]


async def begin_script(client: Client, author: Author) -> Run:
    """The next worker goes on in its log without a restart of all."""
    run = await author.start()
    await call_redis(client, "HSET", stream_keys(run.stream_id).meta, "model", "script/one")
    await run.begin()
    for at in range(5):
        await run.say(str(at))
    return run


async def watch_until_six(http: httpx2.AsyncClient, run: Run) -> asyncio.Task[Response]:
    """A viewer who has the six events so far, and goes on watching."""
    seen = Response()
    watching = asyncio.create_task(read_events(http, events_of(run), response=seen))
    await until(lambda: len(seen.logged) == 6)
    return watching


async def go_on_without_tail(client: Client, run: Run, first: Entry) -> None:
    """A failover loses the events after 1-4 and, at the same time, the worker; then the next one writes."""
    await lose_tail(client, run, 4)
    again = await run.lose()
    await again.write([first], Status.FAILED if first[1] is Kind.DONE else None)
    if first[1] is not Kind.DONE:
        await again.write([done()], Status.COMPLETED)


@pytest.mark.parametrize("first", [STEP, STEP_RESTARTED, NO_ATTEMPT_IS_LEFT])
async def test_a_connected_viewer_is_sent_back_for_a_gap(
    http: httpx2.AsyncClient, client: Client, author: Author, first: Entry
) -> None:
    run = await begin_script(client, author)
    watching = await watch_until_six(http, run)
    await go_on_without_tail(client, run, first)
    assert told(await watching) == SEEN
    rest = [("2-1", "done")] if first[1] is Kind.DONE else [("2-1", first[1]), ("2-2", "done")]
    assert told(await read_events(http, events_of(run), after="1-6")) == [("", "gap"), *KEPT, *rest]
    assert told(await read_events(http, events_of(run))) == [*KEPT, *rest]


async def test_a_connected_viewer_stays_if_a_restart_takes_everything_back(
    http: httpx2.AsyncClient, client: Client, author: Author
) -> None:
    run = await author.start()
    await run.begin()
    for at in range(5):
        await run.say(str(at))
    watching = await watch_until_six(http, run)
    await lose_tail(client, run, 4)
    await (await run.lose()).end()
    assert told(await watching) == [*SEEN, ("2-1", "restart"), ("2-2", "done")]


async def test_a_connected_viewer_stays_if_nothing_was_lost(
    http: httpx2.AsyncClient, client: Client, author: Author
) -> None:
    run = await begin_script(client, author)
    watching = await watch_until_six(http, run)
    again = await run.lose()
    await again.write([STEP])
    await again.write([done()], Status.COMPLETED)
    assert told(await watching) == [*SEEN, ("2-1", "step"), ("2-2", "done")]


async def test_a_client_that_cannot_come_back_is_told(http: httpx2.AsyncClient, client: Client, author: Author) -> None:
    run = await begin_script(client, author)
    text = bytearray()

    async def watch() -> None:
        async with http.stream("GET", events_of(run) + "?dialect=text") as answer:
            async for piece in answer.aiter_raw():
                text.extend(piece)

    watching = asyncio.create_task(watch())
    await until(lambda: b"4" in text)
    await go_on_without_tail(client, run, STEP)
    await watching
    assert text.decode().splitlines() == ["01234", f"[interrupted: {VOID}]"]


async def test_a_whole_answer_is_read_from_what_the_log_has(
    http: httpx2.AsyncClient, client: Client, author: Author
) -> None:
    body = {"model": "demo", "messages": [{"role": "user", "content": "?"}]}
    answering = asyncio.create_task(http.post("/v1/chat/completions", json=body))
    run = await author.take()
    await call_redis(client, "HSET", stream_keys(run.stream_id).meta, "model", "script/one")
    await run.begin()
    for at in range(5):
        await run.say(str(at))
    # Now its gateway has had all of them.
    watching = await watch_until_six(http, run)
    await go_on_without_tail(client, run, STEP)
    await watching
    answer = await answering
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "012"


async def test_a_streamed_answer_that_has_no_chunk_yet_goes_on_with_what_the_log_has(
    http: httpx2.AsyncClient, client: Client, author: Author
) -> None:
    """The caller has had nothing, so it need not hear of what was lost."""
    body = {"model": "demo", "messages": [{"role": "user", "content": "?"}], "stream": True}
    answering = asyncio.create_task(http.post("/v1/chat/completions", json=body))
    run = await author.take()
    await call_redis(client, "HSET", stream_keys(run.stream_id).meta, "model", "script/one")
    await run.begin()
    await run.write([("", Kind.STEP, {"id": str(at), "state": "begin"}) for at in range(5)])
    # Now its gateway has had all of them.
    watching = await watch_until_six(http, run)
    await lose_tail(client, run, 4)
    again = await run.lose()
    await again.say("all")
    await again.end()
    await watching
    answer = await answering
    assert answer.status_code == 200
    assert '"content":"all"' in answer.text
    assert "error" not in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_a_response_of_several_streams_ends_so_that_its_client_is_told(
    http: httpx2.AsyncClient, client: Client, author: Author
) -> None:
    run, other = await begin_script(client, author), await author.start()
    await other.begin()
    seen: list[TextFrame] = []
    watching = asyncio.create_task(watch_joint(http, f"?stream={run.stream_id}&stream={other.stream_id}", seen))
    await until(lambda: len(seen) == 7)
    await go_on_without_tail(client, run, STEP)
    await watching
    await other.end()
    query = f"?stream={run.stream_id}.1-6&stream={other.stream_id}.1-1"
    again: list[TextFrame] = []
    await watch_joint(http, query, again)
    assert [frame.event for frame in again if frame.id and frame.id.startswith(run.stream_id)] == [
        *("gap", "start", "chunk", "chunk", "chunk", "step", "done")
    ]


async def watch_joint(http: httpx2.AsyncClient, query: str, seen: list[TextFrame]) -> None:
    """Puts the events of several streams into `seen` until the response ends."""
    reader = FrameReader()
    async with http.stream("GET", "/v1/events" + query) as answer:
        async for piece in answer.aiter_raw():
            frames = [TextFrame.decode(frame) for frame in reader.feed(piece)]
            seen.extend(frame for frame in frames if frame.id and frame.event not in ("ping", "viewers"))


async def test_the_other_streams_of_its_response_do_not_wait(
    at_fresh: httpx2.AsyncClient, author: Author, run: Run
) -> None:
    other = await author.start()
    await other.begin()
    seen: list[TextFrame] = []
    query = f"?stream={run.stream_id}.1-6&stream={other.stream_id}"
    watching = asyncio.create_task(watch_joint(at_fresh, query, seen))
    await until(lambda: len(seen) == 1)
    await other.end()
    await until(lambda: len(seen) == 2)
    told = [(f"{other.stream_id} 1-6,1-1", "start"), (f"{other.stream_id} 1-6,1-2", "done")]
    assert [(frame.id, frame.event) for frame in seen] == told
    await write_again(run, 4)
    await run.end()
    await watching
    assert [(frame.id, frame.event) for frame in seen[2:]] == [(f"{run.stream_id} 1-7,1-2", "done")]
