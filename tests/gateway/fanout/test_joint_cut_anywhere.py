"""Several streams on one connection: it may be cut after any byte, and goes on at another gateway without a loss."""

import asyncio
import copy
from collections.abc import Iterator

import httpx2
import pytest

from contract.event import Status
from contract.sse import FrameReader
from gateway.fanout.feed import PAGE_LIMIT_BYTES
from manycast.client.text_frame import TextFrame
from tests.author import Author, Run
from tests.broker import Broker
from tests.gateway.fanout.recording import attempt, chunk_of, done
from tests.gateway.joint import LOGGED, Joint, query, read_joint
from tests.stack import Gateway
from tests.viewers import Response, read_events, until

LONG = attempt([chunk_of({"content": f"{number} " + "x" * 900}) for number in range(30)])
SHORT = attempt([chunk_of({"content": f"{number} \u2028\ud83d"}) for number in range(5)])
AGAIN = attempt([chunk_of({"content": "again"})], epoch=2, seq=2)


@pytest.fixture(scope="module")
def other_gateway(broker: Broker) -> Iterator[Gateway]:
    """It keeps so little in memory that nearly all who come back read pages of the log."""
    gateway = Gateway(broker.url, MANYCAST_TAPE_LIMIT_BYTES="2000", MANYCAST_PING_INTERVAL_S="60")
    yield gateway
    gateway.close()


@pytest.fixture
def urls(gateway: Gateway, other_gateway: Gateway) -> list[str]:
    return [gateway.url, other_gateway.url]


async def write_three(author: Author) -> list[str]:
    """One long, one that begins again, one that fails: all ended."""
    long, twice, failed = [await author.start() for _ in range(3)]
    await long.write([*LONG, done()], Status.COMPLETED)
    await twice.write(SHORT)
    again = await twice.lose()
    await again.write([*AGAIN, done()], Status.COMPLETED)
    await failed.write([*SHORT, done("failed")], Status.FAILED)
    return [run.stream_id for run in (long, twice, failed)]


async def singly(http: httpx2.AsyncClient, stream_ids: list[str]) -> dict[str, list[TextFrame]]:
    """What a viewer of each stream alone gets."""
    return {each: (await read_events(http, f"/v1/streams/{each}/events")).logged for each in stream_ids}


async def test_a_cut_after_any_byte_loses_nothing_and_repeats_nothing(
    http: httpx2.AsyncClient, author: Author, urls: list[str]
) -> None:
    stream_ids = await write_three(author)
    truth = await singly(http, stream_ids)
    body = (await http.get(query(stream_ids))).content
    reader, seen = FrameReader(), Joint(stream_ids)
    states = [copy.deepcopy(seen)]  # one for each event; a cut inside an event leaves the state before it
    for place in range(len(body)):
        for frame in reader.feed(body[place : place + 1]):
            seen.take(TextFrame.decode(frame))
            states.append(copy.deepcopy(seen))
    assert seen.logged == truth
    assert len(states) == len(seen.frames) + 1 > sum(map(len, truth.values()))
    rest = await asyncio.gather(*(read_joint(http, urls[number % 2], state) for number, state in enumerate(states)))
    for state in rest:
        assert state.logged == truth
    assert [state.status for state in rest] == [200] * (len(states) - 1) + [204]


async def test_positions_in_the_url_resume_each_stream_by_itself(
    http: httpx2.AsyncClient, author: Author, urls: list[str]
) -> None:
    stream_ids = await write_three(author)
    truth = await singly(http, stream_ids)
    places = {stream_ids[0]: 20, stream_ids[1]: len(truth[stream_ids[1]]), stream_ids[2]: 1}
    after = {each: str(truth[each][count - 1].id) for each, count in places.items()}
    for url in urls:
        seen = Joint(stream_ids)
        for frame in FrameReader().feed((await http.get(url + query(stream_ids, **after))).content):
            seen.take(TextFrame.decode(frame))
        assert [seen.logged.get(each, []) for each in stream_ids] == [
            truth[each][places[each] :] for each in stream_ids
        ]
        assert seen.of(stream_ids[1], "closed") == [{"status": 204, "error": None}]


async def test_running_streams_are_cut_at_every_event_while_they_are_written(
    http: httpx2.AsyncClient, author: Author, urls: list[str]
) -> None:
    runs = [await author.start() for _ in range(3)]
    stream_ids = [run.stream_id for run in runs]

    async def watch(every: int) -> Joint:
        """Is cut off after that many events, each time, and goes on at the other gateway."""
        seen, number = Joint(stream_ids), every
        while seen.status != 204 and len([frame for frame in seen.frames if frame.event == "done"]) < len(runs):
            await read_joint(http, urls[number % 2], seen, cut_after=every)
            number += 1
        return seen

    whole = [Response() for _ in runs]
    watching = [asyncio.create_task(watch(every)) for every in range(1, 10)]
    reading = [
        asyncio.create_task(read_events(http, f"/v1/streams/{each}/events", response=response))
        for each, response in zip(stream_ids, whole, strict=True)
    ]

    async def write(run: Run, number: int) -> None:
        for place in range(0, len(LONG), 3):
            await run.write(LONG[place : place + 3])
            await until(lambda place=place: len(whole[number].logged) >= min(place + 3, len(LONG)))
        await run.write([done()], Status.COMPLETED)

    await asyncio.gather(*(write(run, number) for number, run in enumerate(runs)))
    await asyncio.gather(*reading)
    for seen in await asyncio.gather(*watching):
        assert seen.logged == {each: one.logged for each, one in zip(stream_ids, whole, strict=True)}


async def test_a_stream_that_lost_data_begins_again_without_the_others(
    http: httpx2.AsyncClient, author: Author, urls: list[str]
) -> None:
    stream_ids = await write_three(author)
    truth = await singly(http, stream_ids)
    ends = {each: str(truth[each][-1].id) for each in stream_ids}
    seen = Joint(stream_ids)
    ahead = {**ends, stream_ids[0]: "1-99"}  # more than Redis has
    for frame in FrameReader().feed((await http.get(urls[0] + query(stream_ids, **ahead))).content):
        seen.take(TextFrame.decode(frame))
    assert seen.of(stream_ids[0], "gap") == [{"asked": "1-99", "last": ends[stream_ids[0]]}]
    assert seen.logged == {stream_ids[0]: truth[stream_ids[0]]}
    assert {frame.event for frame in seen.frames} - LOGGED - {"viewers"} == {"watching", "gap", "closed"}


async def test_a_long_history_does_not_hold_up_the_other_streams(
    http: httpx2.AsyncClient, author: Author, urls: list[str]
) -> None:
    long, short = [await author.start() for _ in range(2)]
    pages = 3 * PAGE_LIMIT_BYTES // 900
    await long.write([*attempt([chunk_of({"content": "x" * 900}) for _ in range(pages)]), done()], Status.COMPLETED)
    await short.write([*SHORT, done()], Status.COMPLETED)
    for url in urls:
        seen = await read_joint(http, url, Joint([long.stream_id, short.stream_id]))
        ends = [frame.id.split(" ")[0] for frame in seen.frames if frame.event == "done" and frame.id]
        assert ends == [short.stream_id, long.stream_id]
