"""A folder of scripts, mounted into the workers."""

import asyncio
import json

import httpx2

from tests.compose.conftest import WORKERS
from tests.compose.stack import Stack, docker

QUESTION = {"model": "script/greeting", "messages": [{"role": "user", "content": "Hello"}]}


async def test_a_script_waits_for_a_person_while_the_workers_are_replaced(
    stack: Stack, web: httpx2.AsyncClient
) -> None:
    models = (await web.get("/v1/models")).json()["data"]
    assert "script/greeting" in [model["id"] for model in models]
    started = (await web.post("/v1/streams", json=QUESTION)).raise_for_status().json()
    async with asyncio.timeout(60):
        while (await web.get(started["urls"]["status"])).json()["status"] != "parked":
            await asyncio.sleep(0.1)
    workers = stack.containers("worker")
    assert len(workers) == WORKERS
    await asyncio.to_thread(docker, "restart", "--time", "40", *workers)
    url = f"/v1/streams/{started['id']}/input"
    (await web.post(url, json={"id": "1", "value": "Ada"})).raise_for_status()
    events = (await web.get(started["urls"]["events"])).text
    assert "event: done" in events
    done = json.loads(events.rpartition("event: done\ndata: ")[2].partition("\n")[0])
    assert done["status"] == "completed", done
    answer = (await web.get(started["urls"]["completion"])).json()["choices"][0]["message"]["content"]
    assert "Greet Ada again" in answer
