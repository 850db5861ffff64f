"""The whole stack on a Sentinel group and on a cluster, whose nodes are lost and replaced while answers are written."""

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from contract.cluster_slots import slot_of
from contract.keys import USUAL_KEYS
from contract.log_redaction import abbreviate
from manycast.chaos.redis_cluster import RedisCluster
from manycast.chaos.redis_node import RedisNode
from manycast.chaos.sentinel_group import SentinelGroup
from tests.stack import Gateway, Simulator, Worker, closing_all
from tests.topologies import redis_cluster, sentinel_group
from tests.viewers import Response, question, read_events, until

pytestmark = pytest.mark.one_server("it starts topologies of its own")

CHUNKS = 160
SLOW = {"chunks_per_s": 20, "chunks": CHUNKS, "seed": 7}
LEASE_S = "5"


@dataclass
class Moving:
    """The stack on a topology."""

    redis: RedisCluster | SentinelGroup
    gateways: list[Gateway]
    simulator: Simulator

    def new_worker(self) -> Worker:
        return Worker(self.redis.url, self.simulator.url, MANYCAST_LEASE_S=LEASE_S)

    def primary_of(self, stream_id: str) -> RedisNode:
        if isinstance(self.redis, SentinelGroup):
            return self.redis.primary()
        return self.redis.owner_of(slot_of(USUAL_KEYS.stream(stream_id).log))

    def fail_over(self, stream_id: str) -> None:
        """Asks for it, as operators do."""
        if isinstance(self.redis, SentinelGroup):
            self.redis.fail_over()
        else:
            self.redis.fail_over(self.redis.replica_of(self.primary_of(stream_id)))

    async def start(self, http: httpx2.AsyncClient, **headers: str) -> str:
        """The id of a slow answer's stream."""
        body = question("demo-long", simulator=SLOW)
        answer = await http.post(f"{self.gateways[0].url}/v1/streams", json=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text
        stream_id: str = answer.json()["id"]
        return stream_id


@pytest.fixture(scope="module", params=["sentinel", "cluster"])
def moving(request: pytest.FixtureRequest) -> Iterator[Moving]:
    topology = sentinel_group() if request.param == "sentinel" else redis_cluster()
    with topology as redis:
        simulator = Simulator()
        gateways = [Gateway(redis.url, MANYCAST_WATCHDOG_S="0.5") for _ in range(2)]
        with closing_all(*gateways, simulator):
            yield Moving(redis, gateways, simulator)


@pytest.fixture
def worker(moving: Moving) -> Iterator[Worker]:
    worker = moving.new_worker()
    with closing_all(worker):
        yield worker


@pytest.fixture
async def well(moving: Moving, worker: Worker) -> Moving:
    """With a worker, and all nodes."""
    await asyncio.to_thread(moving.redis.wait_until_well)
    return moving


class Viewers:
    """One at each gateway."""

    def __init__(self, http: httpx2.AsyncClient, moving: Moving, stream_id: str) -> None:
        self.seen = [Response() for _ in moving.gateways]
        self._tasks = [
            asyncio.create_task(read_events(http, f"{gateway.url}/v1/streams/{stream_id}/events", response=response))
            for gateway, response in zip(moving.gateways, self.seen, strict=True)
        ]

    async def have(self, events: int) -> None:
        await until(lambda: all(len(response.logged) >= events for response in self.seen))

    async def end(self) -> None:
        await asyncio.gather(*self._tasks)


@pytest.mark.parametrize(
    ("moving", "what"),
    [
        *((kind, what) for kind in ("sentinel", "cluster") for what in ("kill", "freeze", "failover")),
        ("cluster", "move"),
    ],
    indirect=["moving"],
    scope="module",
)
async def test_a_viewer_sees_every_event_once_while_redis_moves(
    http: httpx2.AsyncClient, well: Moving, what: str
) -> None:
    stream_id = await well.start(http)
    viewers = Viewers(http, well, stream_id)
    await viewers.have(20)
    lost: RedisNode | None = None
    if what == "failover":
        await asyncio.to_thread(well.fail_over, stream_id)
    elif what == "move":
        assert isinstance(well.redis, RedisCluster)
        owner = await asyncio.to_thread(well.primary_of, stream_id)
        target = next(node for node in well.redis.primaries() if node is not owner)
        await asyncio.to_thread(well.redis.move_slot, slot_of(USUAL_KEYS.stream(stream_id).log), target)
    else:
        lost = await asyncio.to_thread(well.primary_of, stream_id)
        getattr(lost, what)()
        await asyncio.to_thread(well.redis.wait_for_takeover, lost)
    try:
        await viewers.end()
    finally:
        if lost is not None:
            lost.start() if what == "kill" else lost.resume()
    first, second = viewers.seen
    assert first.done["status"] == "completed", first.done
    assert [frame.id for frame in first.logged] == [f"1-{seq}" for seq in range(1, len(first.logged) + 1)]
    assert [(frame.id, frame.data) for frame in first.logged] == [(frame.id, frame.data) for frame in second.logged]
    again = await read_events(http, f"{well.gateways[0].url}/v1/streams/{stream_id}/events")
    assert [frame.data for frame in again.logged] == [frame.data for frame in first.logged]


async def test_an_idempotency_key_and_a_stop_outlive_a_failover(http: httpx2.AsyncClient, well: Moving) -> None:
    key = {"Idempotency-Key": f"key-{id(well)}"}
    stream_id = await well.start(http, **key)
    viewers = Viewers(http, well, stream_id)
    await viewers.have(10)
    await asyncio.to_thread(well.fail_over, stream_id)
    assert await well.start(http, **key) == stream_id
    answer = await http.post(f"{well.gateways[1].url}/v1/streams/{stream_id}/cancel")
    assert answer.status_code == 200, answer.text
    await viewers.end()
    assert [response.done["status"] for response in viewers.seen] == ["cancelled"] * 2


async def test_a_stopped_worker_and_a_drained_gateway_hand_over(
    http: httpx2.AsyncClient, well: Moving, worker: Worker
) -> None:
    stream_id = await well.start(http)
    viewers = Viewers(http, well, stream_id)
    await viewers.have(10)
    successor, leaving = well.new_worker(), Gateway(well.redis.url)
    with closing_all(successor, leaving):
        left = asyncio.create_task(read_events(http, f"{leaving.url}/v1/streams/{stream_id}/events"))
        # The second signal ends its grace.
        worker.signal(signal.SIGTERM)
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.wait) == 0
        leaving.signal(signal.SIGTERM)
        assert await asyncio.to_thread(leaving.wait) == 0
        before = await left
        await viewers.end()
        assert viewers.seen[0].done["status"] == "completed"
        assert viewers.seen[0].text == viewers.seen[1].text
        url = f"{well.gateways[0].url}/v1/streams/{stream_id}/events"
        rest = await read_events(http, url, after=before.logged[-1].id if before.logged else None)
        ids = [frame.id for frame in (*before.logged, *rest.logged)]
        assert ids == [frame.id for frame in viewers.seen[0].logged]


async def test_a_killed_workers_run_goes_to_another(http: httpx2.AsyncClient, well: Moving, worker: Worker) -> None:
    stream_id = await well.start(http)
    viewers = Viewers(http, well, stream_id)
    await viewers.have(10)
    with closing_all(well.new_worker()):
        await until(lambda: abbreviate(stream_id) in worker.output)
        worker.signal(signal.SIGKILL)
        await viewers.end()
    for response in viewers.seen:
        assert response.done["status"] == "completed"
        assert [frame.event for frame in response.logged].count("restart") == 1
    assert viewers.seen[0].text == viewers.seen[1].text
