"""A developer reads what a script has asked, and runs it again from one of its steps."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from contract.connection import Client, call_server, command_client
from tests.stack import Gateway, Simulator, Worker, closing_all
from tests.topologies import new_broker
from tests.worker.conftest import QUICK
from tests.worker.runs import counts
from tests.worker.scripts.test_scripts import CHAINS

FINAL = frozenset({"completed", "cancelled", "failed"})


class Stack:
    """A gateway that lists runs, one that does not, and a worker with scripts."""

    def __init__(self, folder: Path) -> None:
        shutil.copy(CHAINS, folder)
        self.broker = new_broker()
        self.provider = Simulator(SIMULATOR_FIRST_CHUNK_MS="0")
        self.worker = Worker(self.broker.url, self.provider.url, **QUICK, MANYCAST_SCRIPTS=str(folder))
        self.gateway = Gateway(self.broker.url, MANYCAST_LIST_RUNS="1")
        self.other = Gateway(self.broker.url)

    def paid(self, model: str) -> int:
        return counts(self.provider.url, model).get("requests", 0)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("scripts"))
    with closing_all(stack.gateway, stack.other, stack.worker, stack.provider):
        yield stack
    stack.broker.close()


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=stack.gateway.url, timeout=60) as http:
        yield http


async def start(http: httpx2.AsyncClient, script: str, text: str, **fields: Any) -> str:
    body = {"model": f"script/{script}", "messages": [{"role": "user", "content": text}], **fields}
    stream_id: str = (await http.post("/v1/streams", json=body)).json()["id"]
    return stream_id


async def reach(http: httpx2.AsyncClient, stream_id: str, *states: str) -> str:
    """Waits until the run has one of the states."""
    async with asyncio.timeout(60):
        while True:
            status: str = (await http.get(f"/v1/streams/{stream_id}")).json()["status"]
            if status in states:
                return status
            await asyncio.sleep(0.02)


async def steps_of(http: httpx2.AsyncClient, stream_id: str) -> dict[str, str]:
    """The texts of the generations, by the names of their steps."""
    answer = await http.get(f"/v1/streams/{stream_id}/events")
    names: dict[str, str] = {}
    texts: dict[str, str] = {}
    for block in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if lines.get("event") == "step":
            data = json.loads(lines["data"])
            names.setdefault(data["id"], data.get("name"))
            if data["state"] == "end" and data.get("message"):
                texts[names[data["id"]]] = data["message"]["content"]
    return texts


async def text_of(http: httpx2.AsyncClient, stream_id: str) -> str:
    completion = (await http.get(f"/v1/streams/{stream_id}/completion")).json()
    text: str = completion["choices"][0]["message"]["content"]
    return text


async def again(http: httpx2.AsyncClient, stream_id: str, **body: Any) -> httpx2.Response:
    return await http.post(f"/v1/streams/{stream_id}/again", json=body)


async def test_the_prompts_of_a_script_are_for_developers(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start(http, "three", "autumn")
    await reach(http, stream_id, "completed")
    kept = (await http.get(f"/v1/streams/{stream_id}/prompts")).json()
    assert (kept["id"], kept["kept"], kept["again"]) == (stream_id, True, None)
    assert [prompt["messages"][-1]["content"] for prompt in kept["prompts"].values()] == [
        "A haiku about autumn",
        "Find its weakest line",
        "Write it again",
    ]
    assert kept["prompts"]["1"]["messages"][0] == {"role": "system", "content": "You write haiku."}
    elsewhere = await http.get(f"{stack.other.url}/v1/streams/{stream_id}/prompts")
    assert (elsewhere.status_code, elsewhere.json()["error"]["code"]) == (403, "runs_not_listed")
    events = await http.get(f"/v1/streams/{stream_id}/events")
    assert "weakest" not in events.text


async def test_a_script_runs_again_from_a_step_with_another_prompt_and_pays_only_for_what_follows(
    http: httpx2.AsyncClient, stack: Stack
) -> None:
    first = await start(http, "three", "autumn")
    await reach(http, first, "completed")
    echoed, others = stack.paid("demo-echo"), stack.paid("demo-fast")
    answer = await again(http, first, step="3", prompt="Find its best line")
    assert answer.status_code == 201, answer.text
    second = answer.json()["id"]
    assert await reach(http, second, *FINAL) == "completed"
    assert (stack.paid("demo-echo"), stack.paid("demo-fast")) == (echoed, others + 2)
    assert (await steps_of(http, second))["draft"] == (await steps_of(http, first))["draft"]
    kept = (await http.get(f"/v1/streams/{second}/prompts")).json()
    assert kept["again"] == {"run": first, "step": "3"}
    asked = [prompt["messages"][-1]["content"] for prompt in kept["prompts"].values()]
    assert asked == ["A haiku about autumn", "Find its best line", "Write it again"]
    assert kept["prompts"]["4"]["messages"][-3]["content"] == "Find its best line"
    # What was changed before the step stays changed.
    third = (await again(http, second, step="4")).json()["id"]
    assert await reach(http, third, *FINAL) == "completed"
    assert stack.paid("demo-fast") == others + 3
    kept = (await http.get(f"/v1/streams/{third}/prompts")).json()
    assert kept["prompts"]["4"]["messages"][-3]["content"] == "Find its best line"


async def test_a_script_runs_again_from_its_first_step(http: httpx2.AsyncClient, stack: Stack) -> None:
    first = await start(http, "three", "autumn")
    await reach(http, first, "completed")
    second = (await again(http, first, step="1", prompt="A haiku about spring")).json()["id"]
    assert await reach(http, second, *FINAL) == "completed"
    assert "spring" in (await steps_of(http, second))["draft"]


async def test_a_question_gets_another_answer(http: httpx2.AsyncClient, stack: Stack) -> None:
    first = await start(http, "guest", "")
    await reach(http, first, "parked")
    for place, value in (("1", "Ada"), ("3", {"article": "tea", "count": 2}), ("4", "yes")):
        async with asyncio.timeout(60):
            while (await http.post(f"/v1/streams/{first}/input", json={"id": place, "value": value})).is_error:
                await asyncio.sleep(0.02)
    await reach(http, first, "completed")
    paid = stack.paid("demo-fast")
    assert (await again(http, first, step="4", value="maybe")).json()["error"]["code"] == "invalid_input"
    second = (await again(http, first, step="4", value="no")).json()["id"]
    assert await reach(http, second, *FINAL) == "completed"
    assert await text_of(http, second) == "Ada: 2 TEA, no"
    assert stack.paid("demo-fast") == paid
    # Without an answer, it is asked again.
    third = (await again(http, first, step="4")).json()["id"]
    assert await reach(http, third, "parked", *FINAL) == "parked"
    await http.post(f"/v1/streams/{third}/cancel")


async def test_a_run_is_repeated_while_the_first_one_waits(http: httpx2.AsyncClient, stack: Stack) -> None:
    first = await start(http, "guest", "")
    await reach(http, first, "parked")
    second = (await again(http, first, step="1", value="Grace")).json()["id"]
    await reach(http, second, "parked")
    assert (await http.get(f"/v1/streams/{first}")).json()["status"] == "parked"
    for stream_id in (first, second):
        await http.post(f"/v1/streams/{stream_id}/cancel")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"step": "9"}, (404, "no_such_step")),
        ({"step": "x.1"}, (404, "no_such_step")),
        ({}, (400, "invalid_value")),
        ({"step": "1", "value": "x"}, (400, "invalid_value")),
        ({"step": "1", "prompt": 5}, (400, "invalid_value")),
        ({"step": "1", "more": 5}, (400, "unknown_parameter")),
    ],
)
async def test_what_cannot_be_repeated_is_refused_by_name(
    http: httpx2.AsyncClient, stack: Stack, body: dict[str, Any], error: tuple[int, str]
) -> None:
    stream_id = await start(http, "three", "autumn")
    await reach(http, stream_id, "completed")
    answer = await again(http, stream_id, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == error


async def test_a_run_without_a_script_and_an_unknown_one_cannot_be_repeated(
    http: httpx2.AsyncClient, stack: Stack
) -> None:
    body = {"model": "demo-fast", "messages": [{"role": "user", "content": "Hello"}]}
    stream_id = (await http.post("/v1/streams", json=body)).json()["id"]
    answer = await again(http, stream_id, step="1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_repeatable")
    assert (await again(http, "s_" + "0" * 22, step="1")).status_code == 404


async def test_the_same_key_starts_one_run(http: httpx2.AsyncClient, stack: Stack) -> None:
    first = await start(http, "three", "autumn")
    await reach(http, first, "completed")
    ids = {
        (await http.post(f"/v1/streams/{first}/again", json={"step": "3"}, headers={"Idempotency-Key": "k"})).json()[
            "id"
        ]
        for _ in range(2)
    }
    assert len(ids) == 1
    assert await reach(http, ids.pop(), *FINAL) == "completed"


async def ask_all(client: Client, *command: str) -> list[Any]:
    return [await call_server(client.server_at(place), *command) for place in await client.places()]


async def test_a_run_that_is_refused_leaves_nothing_behind(http: httpx2.AsyncClient, stack: Stack) -> None:
    first = await start(http, "three", "autumn")
    await reach(http, first, "completed")
    client = command_client(stack.broker.url)
    before = await ask_all(client, "KEYS", "*:log")
    await ask_all(client, "CONFIG", "SET", "maxmemory", "1")
    try:
        answer = await again(http, first, step="3")
    finally:
        await ask_all(client, "CONFIG", "SET", "maxmemory", "0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage_full")
    assert list(map(set, await ask_all(client, "KEYS", "*:log"))) == list(map(set, before))
    await client.aclose()


async def test_many_runs_go_on_from_one_step_at_once(http: httpx2.AsyncClient, stack: Stack) -> None:
    first = await start(http, "three", "autumn")
    await reach(http, first, "completed")
    answers = await asyncio.gather(*(again(http, first, step="3", prompt=f"In {number} words") for number in range(8)))
    assert [answer.status_code for answer in answers] == [201] * 8
    for answer in answers:
        assert await reach(http, answer.json()["id"], *FINAL) == "completed"
        assert list(await steps_of(http, answer.json()["id"])) == ["draft", "critique", "final"]
