"""The number of partitions is another one after a restart: no run is lost, and each id and key finds its run."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from contract.connection import call_redis, command_client
from contract.keys import USUAL_KEYS
from contract.stream_id import partition_of
from tests.broker import Broker, valkey_binary
from tests.stack import Gateway, Part, Simulator, Worker
from tests.topologies import redis_cluster
from tests.viewers import DEADLINE_S, Response, question, read_events
from tests.worker.conftest import QUICK
from tests.worker.scripts.test_scripts import CHAINS

pytestmark = pytest.mark.one_server("it starts topologies of its own")

BEFORE, MORE, FEWER = 4, 16, 2
SLOW = {"chunks_per_s": 20, "chunks": 60, "seed": 7}
KEYED = {
    "ended": question("demo-fast", simulator={"chunks": 3, "seed": 7}),
    "running": question("demo-long", simulator=SLOW),
    "queued": question("demo-fast", "And why is it red?", simulator={"chunks": 5, "seed": 7}),
}


@dataclass
class Deployment:
    """A gateway and a worker with one place, which `start` replaces."""

    redis_url: str
    simulator: Simulator
    scripts: Path
    http: httpx2.AsyncClient
    parts: ExitStack
    gateway: Gateway | None = None
    worker: Worker | None = None

    def start(self, partitions: int) -> None:
        count = {"MANYCAST_PARTITIONS": str(partitions)}
        own = {**QUICK, **count, "MANYCAST_WORKER_STREAMS": "1", "MANYCAST_SCRIPTS": str(self.scripts)}
        self.worker = Worker(self.redis_url, self.simulator.url, **{**own, "MANYCAST_GRACE_S": "0"})
        self.parts.callback(self.worker.close)
        self.gateway = Gateway(self.redis_url, **count)
        self.parts.callback(self.gateway.close)

    def check_refused(self, partitions: int) -> None:
        """Each service says that Redis has another number, and does not start."""
        count = {"MANYCAST_PARTITIONS": str(partitions)}
        worker = Worker(self.redis_url, self.simulator.url, **count)
        self.parts.callback(worker.close)
        gateway = Part("gateway", REDIS_URL=self.redis_url, **count)
        self.parts.callback(gateway.close)
        for part in (worker, gateway):
            assert part.wait() == 1
            assert f"Redis has {BEFORE} partitions, and MANYCAST_PARTITIONS is {partitions}" in part.output

    def stop(self) -> None:
        for part in (self.gateway, self.worker):
            assert part is not None
            part.signal(signal.SIGTERM)
            assert part.wait() == 0, part.output

    async def change(self, *command: str | int) -> None:
        """One command for the key that holds the number."""
        client = command_client(self.redis_url)
        await call_redis(client, command[0], USUAL_KEYS.partitions, *command[1:])
        await client.aclose()

    @property
    def url(self) -> str:
        assert self.gateway is not None
        return f"{self.gateway.url}/v1/streams"

    async def submit(self, body: dict[str, Any], key: str = "") -> str:
        answer = await self.http.post(self.url, json=body, headers={"Idempotency-Key": key} if key else {})
        assert answer.status_code in (200, 201), answer.text
        stream_id: str = answer.json()["id"]
        return stream_id

    async def reach(self, stream_id: str, status: str) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while (await self.http.get(f"{self.url}/{stream_id}")).json()["status"] != status:
                await asyncio.sleep(0.02)

    async def watch(self, stream_id: str, **options: Any) -> Response:
        return await read_events(self.http, f"{self.url}/{stream_id}/events", **options)

    async def answer(self, stream_id: str) -> int:
        """Answers the question at which the run is parked."""
        given = {"id": "1", "value": "Ada"}
        return (await self.http.post(f"{self.url}/{stream_id}/input", json=given)).status_code


@pytest.fixture(scope="module", params=["one server", "cluster"])
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "cluster":
        with redis_cluster() as cluster:
            yield cluster.url
    else:
        broker = Broker(valkey_binary())
        yield broker.url
        broker.close()


@pytest.fixture
async def deployment(redis_url: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    shutil.copy(CHAINS, tmp_path)
    with ExitStack() as parts:
        simulator = Simulator(SIMULATOR_FIRST_CHUNK_MS="0")
        parts.callback(simulator.close)
        async with httpx2.AsyncClient(timeout=DEADLINE_S) as http:
            deployment = Deployment(redis_url, simulator, tmp_path, http, parts)
            await deployment.change("DEL")
            deployment.start(BEFORE)
            yield deployment


async def park(deployment: Deployment, partitions: range) -> str:
    """A run in one of these partitions whose script waits for a person."""
    while True:
        stream_id = await deployment.submit(question("script/greets"))
        await deployment.reach(stream_id, "parked")
        if partition_of(stream_id) in partitions:
            return stream_id


async def leave_one_of_each(deployment: Deployment) -> tuple[dict[str, str], Response]:
    """The ids of runs in each state, and all events of the ended one. The services are stopped."""
    ids = {"ended": await deployment.submit(KEYED["ended"], "ended")}
    ended = await deployment.watch(ids["ended"])
    ids["parked"] = await park(deployment, range(BEFORE))
    ids["running"] = await deployment.submit(KEYED["running"], "running")
    await deployment.watch(ids["running"], cut_after=5)
    ids["queued"] = await deployment.submit(KEYED["queued"], "queued")
    deployment.stop()
    return ids, ended


async def check_all_go_on(deployment: Deployment, ids: dict[str, str], ended: Response) -> None:
    for key, body in KEYED.items():
        assert await deployment.submit(body, key) == ids[key]
    assert await deployment.answer(ids["parked"]) == 200
    seen = {name: await deployment.watch(stream_id) for name, stream_id in ids.items()}
    assert [response.done["status"] for response in seen.values()] == ["completed"] * len(ids)
    assert seen["ended"].logged == ended.logged
    assert seen["parked"].text == "Hello, Ada"
    for name in ("running", "queued"):
        whole = await deployment.watch(await deployment.submit(KEYED[name]))
        assert seen[name].text == whole.text


async def test_more_partitions_lose_no_run_and_no_key(deployment: Deployment) -> None:
    ids, ended = await leave_one_of_each(deployment)
    await deployment.change("HSET", "count", MORE)
    deployment.start(MORE)
    await check_all_go_on(deployment, ids, ended)
    await park(deployment, range(BEFORE, MORE))


async def test_services_with_fewer_partitions_do_not_start_and_harm_nothing(deployment: Deployment) -> None:
    ids, ended = await leave_one_of_each(deployment)
    deployment.check_refused(FEWER)
    deployment.start(BEFORE)
    await check_all_go_on(deployment, ids, ended)


async def test_ended_runs_keep_their_ids_when_the_number_was_lowered(deployment: Deployment) -> None:
    """A run that waits for a person is not lost either: it goes on as soon as there are enough partitions again."""
    parked = await park(deployment, range(FEWER, BEFORE))
    ids = [await deployment.submit(KEYED["ended"]) for _ in range(8)]
    before = [await deployment.watch(stream_id) for stream_id in ids]
    deployment.stop()
    await deployment.change("DEL")
    deployment.start(FEWER)
    assert [(await deployment.watch(stream_id)).logged for stream_id in ids] == [one.logged for one in before]
    new = [await deployment.submit(KEYED["ended"]) for _ in range(8)]
    assert {partition_of(stream_id) for stream_id in new} <= set(range(FEWER))
    assert [(await deployment.watch(stream_id)).done["status"] for stream_id in new] == ["completed"] * len(new)
    assert await deployment.answer(parked) == 200
    deployment.stop()
    await deployment.change("HSET", "count", BEFORE)
    deployment.start(BEFORE)
    assert (await deployment.watch(parked)).text == "Hello, Ada"
