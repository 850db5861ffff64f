"""A folder of scripts, mounted into the workers: one of the tests', and the examples of docs/scripts.md."""

import asyncio
import json
from typing import Any

import httpx2

from manycast.chaos.examples import TEXTS
from tests.compose.conftest import GATEWAYS, WORKERS
from tests.compose.stack import Stack, docker
from tests.compose.viewer import Viewer

DEADLINE_S = 240
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


async def test_the_examples_of_the_page_end_although_all_workers_are_killed(
    stack: Stack, web: httpx2.AsyncClient
) -> None:
    paths = {name: await begin(web, name, text) for name, text in TEXTS.items()}
    viewers = {name: Viewer(deadline_s=DEADLINE_S) for name in TEXTS}
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        for name, viewer in viewers.items():
            group.create_task(viewer.watch(web, f"{paths[name]}/events"))
            group.create_task(answer_all(web, paths[name], viewer))
        while not all(steps(viewer, "begin") or viewer.ended for viewer in viewers.values()):
            await asyncio.sleep(0.05)
        await asyncio.to_thread(docker, "kill", *stack.containers("worker"))
        await asyncio.to_thread(stack.up, GATEWAYS, WORKERS)
    for name, viewer in viewers.items():
        check(name, viewer)
    assert any(position.startswith("2-") for position, _, _ in viewers["haiku"].events), "no worker took it over"
    answers = {name: (await web.get(f"{path}/completion")).json() for name, path in paths.items()}
    texts = {name: answer["choices"][0]["message"]["content"] for name, answer in answers.items()}
    assert texts["quiz"].endswith(" of 3 points.")
    assert "`sent`" in texts["secretary"]
    assert all(len(text) > 100 for name, text in texts.items() if name != "quiz")


async def begin(web: httpx2.AsyncClient, name: str, text: str) -> str:
    """The path of a new run of a script."""
    body = {"model": f"script/{name}", "messages": [{"role": "user", "content": text}]}
    return f"/v1/streams/{(await web.post('/v1/streams', json=body)).raise_for_status().json()['id']}"


async def answer_all(web: httpx2.AsyncClient, path: str, viewer: Viewer) -> None:
    """Answers each question that the viewer sees with its first choice, until the run ends."""
    answered = set()
    while not viewer.ended:
        for question in events(viewer, "input"):
            if question["state"] == "asked" and question["id"] not in answered:
                value = (question["choices"] or ["Rivers"])[0]
                (await web.post(f"{path}/input", json={"id": question["id"], "value": value})).raise_for_status()
                answered.add(question["id"])
        await asyncio.sleep(0.1)


def check(name: str, viewer: Viewer) -> None:
    """A run was completed, and each of its steps ended once."""
    done = json.loads(viewer.events[-1][2])
    assert done["status"] == "completed", (name, done)
    begun, ended = (sorted(step["id"] for step in steps(viewer, state)) for state in ("begin", "end"))
    assert begun == ended == sorted(set(begun)), name


def steps(viewer: Viewer, state: str) -> list[dict[str, Any]]:
    return [data for data in events(viewer, "step") if data["state"] == state]


def events(viewer: Viewer, kind: str) -> list[dict[str, Any]]:
    return [json.loads(data) for _, event, data in viewer.events if event == kind]
