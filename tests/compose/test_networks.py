"""Cables are pulled: a gateway's, a worker's; and Redis is restarted. Those who watch see all of it, once, in order."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from contract.log_redaction import abbreviate
from tests.compose.conftest import GATEWAYS, WORKERS
from tests.compose.stack import Stack, docker
from tests.compose.viewer import Viewer

VIEWERS = 30
# A line on which nothing comes for so long is dead. Events come all the time here, and pings in between.
SILENCE_LIMIT_S = 8.0
SILENCE_LIMIT_WITHOUT_WORKER_S = 25.0


def question(chunks: int) -> dict[str, Any]:
    return {
        "model": "demo-long",
        "messages": [{"role": "user", "content": "Count the ways"}],
        "simulator": {"chunks": chunks, "chunks_per_s": 40, "first_chunk_ms": 100},
    }


def client_of(stack: Stack, silence_limit_s: float) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=0)
    return httpx2.AsyncClient(base_url=stack.address(), limits=limits, timeout=silence_limit_s)


@asynccontextmanager
async def cut_off(stack: Stack, container: str, network: str, service: str) -> AsyncIterator[None]:
    """The container has no way into that network; afterwards it has, under the name of its service."""
    name = f"{stack.project}_{network}"
    await asyncio.to_thread(docker, "network", "disconnect", name, container)
    try:
        yield
    finally:
        await asyncio.to_thread(docker, "network", "connect", "--alias", service, name, container)


async def begin(web: httpx2.AsyncClient, chunks: int) -> tuple[str, str]:
    """The stream's id, and the path of its events."""
    response = await web.post("/v1/streams", json=question(chunks))
    assert response.status_code == 201, response.text
    body = response.json()
    return body["id"], body["urls"]["events"]


async def all_under_way(viewers: list[Viewer]) -> None:
    async with asyncio.timeout(60):
        await asyncio.gather(*(viewer.under_way.wait() for viewer in viewers))


def has_moved(viewers: list[Viewer]) -> bool:
    return any(viewer.connections > 1 for viewer in viewers)


def check_the_same_and_whole(viewers: list[Viewer]) -> list[tuple[str, str, str]]:
    """What everyone saw: each epoch counted from 1 without a hole, and one end."""
    whole = viewers[0].events
    assert [viewer.events for viewer in viewers] == [whole] * len(viewers)
    last = (0, 0)
    for position, _, _ in whole:
        epoch, _, seq = position.partition("-")
        here = (int(epoch), int(seq))
        assert here == (last[0], last[1] + 1) or (here[0] > last[0] and here[1] == 1), f"{here} after {last}"
        last = here
    assert [event for _, event, _ in whole].count("done") == 1
    assert json.loads(whole[-1][2])["status"] == "completed"
    return whole


async def test_a_gateway_without_viewers_and_a_restarted_redis_cost_nobody_an_event(
    stack: Stack,
) -> None:
    await asyncio.to_thread(stack.up, GATEWAYS, WORKERS)
    from_viewers = stack.containers("gateway")[0]
    (redis,) = stack.containers("redis")
    viewers = [Viewer() for _ in range(VIEWERS)]
    async with client_of(stack, SILENCE_LIMIT_S) as web:
        _, path = await begin(web, 600)
        async with asyncio.TaskGroup() as watching:
            for viewer in viewers:
                watching.create_task(viewer.watch(web, path))
            await all_under_way(viewers)
            async with cut_off(stack, from_viewers, "edge", "gateway"):
                await asyncio.to_thread(docker, "restart", redis)
                seen = max(len(viewer.events) for viewer in viewers)
                async with asyncio.timeout(60):
                    while max(len(viewer.events) for viewer in viewers) < seen + 50:
                        await asyncio.sleep(0.1)
    whole = check_the_same_and_whole(viewers)
    assert len(whole) > 600
    assert {position.partition("-")[0] for position, _, _ in whole} == {"1"}, "the run went on all the time"


async def test_a_worker_that_is_cut_off_from_redis_is_replaced_and_writes_nothing_more(stack: Stack) -> None:
    await asyncio.to_thread(stack.up, GATEWAYS, WORKERS)
    viewers = [Viewer() for _ in range(VIEWERS)]
    async with client_of(stack, SILENCE_LIMIT_WITHOUT_WORKER_S) as web:
        stream_id, path = await begin(web, 400)
        async with asyncio.TaskGroup() as watching:
            for viewer in viewers:
                watching.create_task(viewer.watch(web, path))
            await all_under_way(viewers)
            its_run = f"run {abbreviate(stream_id)}"
            (worker,) = [each for each in stack.containers("worker") if f"{its_run} " in logs_of(each)]
            async with cut_off(stack, worker, "broker", "worker"):
                async with asyncio.timeout(60):
                    while not any(event == "restart" for _, event, _ in viewers[0].events):
                        await asyncio.sleep(0.1)
        whole = check_the_same_and_whole(viewers)
        (restart,) = [data for _, event, data in whole if event == "restart"]
        assert json.loads(restart) == {"epoch": 2, "reason": "worker_lost"}
        # The one that was cut off is back, and learns that the run is not its own any more.
        async with asyncio.timeout(60):
            while f"{its_run} epoch 1: given up" not in logs_of(worker):
                await asyncio.sleep(0.2)
        late = Viewer()
        await late.watch(web, path)
        assert late.events == whole


def logs_of(container: str) -> str:
    done = subprocess.run(
        ["docker", "logs", container], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout
