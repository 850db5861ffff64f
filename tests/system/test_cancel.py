"""Stop works from anywhere, at any time, and reaches the provider."""

import asyncio

import httpx2
import pytest

from tests.system.conftest import Stack, start_stream
from tests.viewers import Response, read_events, until

pytestmark = pytest.mark.each_topology


async def count_calls(http: httpx2.AsyncClient, stack: Stack, kind: str) -> int:
    stats = (await http.get(f"{stack.simulator.url}/simulator/stats")).json()
    count: int = stats[kind]
    return count


@pytest.mark.parametrize(
    ("pace", "chunks_before"),
    [({"first_chunk_ms": 60000}, 0), ({"first_chunk_ms": 0, "chunks_per_s": 20}, 5)],
    ids=["before the first chunk", "in the middle"],
)
async def test_cancel_at_another_gateway_ends_the_stream_for_everyone_and_at_the_provider(
    http: httpx2.AsyncClient, stack: Stack, pace: dict[str, int], chunks_before: int
) -> None:
    asked_before, aborted_before = [await count_calls(http, stack, kind) for kind in ("requests", "aborted")]
    stream_id = await start_stream(http, stack, "demo-long", simulator=pace)
    seen = [Response(), Response()]
    watching = [
        asyncio.create_task(read_events(http, stack.events_url(stream_id, at), response=response))
        for at, response in enumerate(seen)
    ]
    await until(lambda: all("waiting" in response.states or response.logged for response in seen))
    await until(lambda: all(len(response.logged) >= chunks_before for response in seen))
    async with asyncio.timeout(60):
        # Before the provider is asked, there is no call to abort.
        while await count_calls(http, stack, "requests") <= asked_before:
            await asyncio.sleep(0.01)

    answer = await http.post(f"{stack.gateways[1].url}/v1/streams/{stream_id}/cancel")
    await asyncio.gather(*watching)
    # An error says why it ended before it was cancelled.
    assert [response.done["error"] for response in seen] == [None, None], stack.worker.output
    assert answer.json() == {"id": stream_id, "status": "cancelled"}
    assert [response.done["status"] for response in seen] == ["cancelled", "cancelled"]
    assert seen[0].logged == seen[1].logged
    async with asyncio.timeout(60):
        # A call of the test before may have been aborted meanwhile, too.
        while await count_calls(http, stack, "aborted") <= aborted_before:
            await asyncio.sleep(0.01)

    again = await http.post(f"{stack.gateways[0].url}/v1/streams/{stream_id}/cancel")
    assert again.json() == {"id": stream_id, "status": "cancelled"}


async def test_cancelling_a_finished_stream_changes_nothing(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start_stream(http, stack, "demo-fast")
    whole = (await read_events(http, stack.events_url(stream_id))).logged
    answer = await http.post(f"{stack.gateways[1].url}/v1/streams/{stream_id}/cancel")
    assert answer.json()["status"] == "completed"
    assert (await read_events(http, stack.events_url(stream_id))).logged == whole
