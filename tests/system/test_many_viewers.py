"""Many viewers, several gateways, one stream: all see the same, whenever they came and however often they left."""

import asyncio
from typing import Any

import httpx2
import pytest

from contract.event import Kind
from tests.system.conftest import Stack, start_stream
from tests.viewers import Response, read_events, until

pytestmark = pytest.mark.each_topology

SLOW: dict[str, Any] = {"simulator": {"first_chunk_ms": 100, "chunks_per_s": 200}}


async def test_every_viewer_sees_the_same_events_whenever_it_came(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start_stream(http, stack, "demo", **SLOW)
    urls = [stack.events_url(stream_id, gateway) for gateway in (0, 1)]
    first = Response()
    early = [asyncio.create_task(read_events(http, urls[0], response=first))]
    early += [asyncio.create_task(read_events(http, url)) for url in urls for _ in range(10)][1:]
    await until(lambda: len(first.logged) > 40)
    assert not any(task.done() for task in early), "the stream ended before the late viewers came"
    late = [asyncio.create_task(read_events(http, url)) for url in urls for _ in range(3)]
    everyone = await asyncio.gather(*early, *late)
    afterwards = [await read_events(http, url) for url in urls]

    whole = everyone[0].logged
    assert [frame.event for frame in whole[:2]] == [Kind.START, Kind.CHUNK]
    assert whole[-1].event == Kind.DONE
    assert [frame.id for frame in whole] == [f"1-{seq}" for seq in range(1, len(whole) + 1)]
    for response in (*everyone, *afterwards):
        assert response.logged == whole
    assert everyone[0].done["status"] == "completed"
    assert everyone[0].done["usage"]["total_tokens"] > 0


async def test_a_finished_stream_resumes_at_every_cut_at_another_gateway(
    http: httpx2.AsyncClient, stack: Stack
) -> None:
    stream_id = await start_stream(http, stack, "demo-fast", "short")
    whole = (await read_events(http, stack.events_url(stream_id))).logged
    for cut, resumed in enumerate(
        await asyncio.gather(*(read_events(http, stack.events_url(stream_id, 1), after=at.id) for at in whole))
    ):
        assert whole[: cut + 1] + resumed.logged == whole
    assert resumed.status == 204


async def test_a_running_stream_resumes_at_every_cut_at_another_gateway(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start_stream(http, stack, "demo", **SLOW)

    async def watch_with_cuts(step: int) -> list[object]:
        """Reads `step` events, drops off, comes back at the other gateway, until there is nothing more."""
        seen: list[object] = []
        after, gateway = None, 0
        while True:
            response = await read_events(http, stack.events_url(stream_id, gateway), after=after, cut_after=step)
            seen += response.logged
            if response.status == 204 or (response.frames and response.frames[-1].event == Kind.DONE):
                return seen
            after, gateway = response.logged[-1].id if response.logged else after, 1 - gateway

    everyone = await asyncio.gather(*(watch_with_cuts(step) for step in (1, 2, 3, 5, 8, 13, 21, 34)))
    whole = (await read_events(http, stack.events_url(stream_id))).logged
    for seen in everyone:
        assert seen == whole


async def test_a_position_beyond_the_log_gets_a_gap_and_then_the_whole_stream(
    http: httpx2.AsyncClient, stack: Stack
) -> None:
    stream_id = await start_stream(http, stack, "demo", **SLOW)
    response = await read_events(http, stack.events_url(stream_id), after="1-900000")
    # While the run goes on, its worker may still write that far: after a failover, it writes its last events again.
    (place,) = [place for place, frame in enumerate(response.frames) if frame.event == "gap"]
    assert not any(frame.id for frame in response.frames[:place])
    assert response.logged == (await read_events(http, stack.events_url(stream_id, 1))).logged


async def test_a_position_beyond_a_finished_log_gets_a_gap_too(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start_stream(http, stack, "demo-fast", "short")
    whole = (await read_events(http, stack.events_url(stream_id))).logged
    response = await read_events(http, stack.events_url(stream_id), after="1-900000")
    assert (response.frames[0].event, response.logged) == ("gap", whole)


async def test_viewers_are_counted_over_all_gateways(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start_stream(http, stack, "demo", simulator={"chunks_per_s": 5})
    seen = [Response() for _ in range(6)]
    watching = [
        asyncio.create_task(read_events(http, stack.events_url(stream_id, at % 2), response=response))
        for at, response in enumerate(seen)
    ]
    await until(lambda: all(frames_say(response, 6) for response in seen))
    watching[0].cancel()
    watching[1].cancel()
    await until(lambda: all(frames_say(response, 4) for response in seen[2:]))
    status = (await http.get(f"{stack.gateways[1].url}/v1/streams/{stream_id}")).json()
    assert status["viewers"] == 4
    await http.post(f"{stack.gateways[0].url}/v1/streams/{stream_id}/cancel")
    await asyncio.gather(*watching, return_exceptions=True)


def frames_say(response: Response, viewers: int) -> bool:
    """Whether the newest count it was told is this one."""
    counts = [frame.data for frame in response.frames if frame.event == "viewers"]
    return bool(counts) and counts[-1] == f'{{"viewers":{viewers}}}'
