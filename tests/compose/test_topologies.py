"""The overlays for a Sentinel group and for a cluster: a stream goes on while a Redis of the group is gone."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import httpx2
import pytest

from tests.compose.stack import Stack, check_rights, docker, lacking_engine
from tests.compose.viewer import Viewer
from tests.house.tree import ROOT

NODES = {
    "sentinel": ("redis", "redis-2", "sentinel-1", "sentinel-2", "sentinel-3"),
    "cluster": ("redis", *(f"redis-{number}" for number in range(2, 7))),
}
# Twenty seconds: a failover takes some seven of them.
QUESTION = {
    "model": "demo-long",
    "messages": [{"role": "user", "content": "Count the ways"}],
    "simulator": {"chunks": 400, "chunks_per_s": 20, "first_chunk_ms": 100},
}


@pytest.fixture(params=NODES)
def overlaid(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack on one of the overlays, in a project of its own; afterwards nothing is left of it."""
    if reason := lacking_engine():
        pytest.skip(reason)
    overlay = ROOT / f"docker-compose.{request.param}.yml"
    stack = replace(Stack(f"manycast-test-{request.param}"), overlays=(str(overlay),))
    stack.clear()
    try:
        stack.build()
        stack.up(2, 1)
        yield stack
    finally:
        stack.clear()
    assert stack.leftovers() == []


async def test_a_stream_goes_on_when_a_redis_is_killed(overlaid: Stack, request: pytest.FixtureRequest) -> None:
    nodes = NODES[request.node.callspec.params["overlaid"]]
    limits = httpx2.Limits(max_connections=20, max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=overlaid.address(), limits=limits, timeout=30) as web:
        asked = await web.post("/v1/streams", json=QUESTION)
        assert asked.status_code == 201, asked.text
        viewer = Viewer()
        async with asyncio.TaskGroup() as watching:
            watching.create_task(viewer.watch(web, asked.json()["urls"]["events"]))
            async with asyncio.timeout(60):
                await viewer.under_way.wait()
            (killed,) = overlaid.containers("redis")
            await asyncio.to_thread(docker, "kill", killed)
    assert json.loads(viewer.events[-1][2])["status"] == "completed"
    chunks = [event for event in viewer.events if event[1] == "chunk"]
    assert len({event[0] for event in chunks}) == len(chunks) >= 400
    for node in nodes[1:]:
        for container in overlaid.containers(node):
            check_rights(container, is_published=False)
