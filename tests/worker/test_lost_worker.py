"""A worker dies, freezes, or is told to stop: another one takes its runs, or viewers are told why not."""

import asyncio
import json
import re
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from contract.connection import Client, blocking_client, call_redis
from contract.event import Event, Kind
from contract.job_queue import Lease
from contract.keys import WORKERS_GROUP, KeySpace
from contract.log_redaction import abbreviate
from contract.partitions import check_partitions
from contract.stream_log import WriteStatus
from tests.broker import Broker, only_server
from tests.redis_keys import JOBS, stream_keys
from tests.stack import Simulator, Worker, closing_all
from tests.worker.conftest import QUICK
from tests.worker.runs import DEADLINE_S, Caller, counts, done, has_chunks, text, until

# Long enough that a worker on a busy machine renews its lease in time: a run survives only one lost lease.
LEASE_S = 3
SLOW = {"chunks_per_s": 20, "chunks": 40, "seed": 7}


class Pair:
    """Two workers on one broker."""

    def __init__(self, broker: Broker, provider: Simulator, **settings: str) -> None:
        settings = {**QUICK, "MANYCAST_LEASE_S": str(LEASE_S), **settings}
        self.parts = [Worker(broker.url, provider.url, **settings) for _ in range(2)]

    async def owner_of(self, stream_id: str) -> tuple[Worker, Worker]:
        """The one that runs it, and the other."""
        await until(lambda: any(abbreviate(stream_id) in part.output for part in self.parts))
        one, other = self.parts
        return (one, other) if abbreviate(stream_id) in one.output else (other, one)


@pytest.fixture(params=[1, 8], ids=["one partition", "8 partitions"])
def pair(request: pytest.FixtureRequest, fragile_broker: Broker, provider: Simulator) -> Iterator[Pair]:
    partitions = KeySpace(wanted_partitions=request.param)
    check_partitions(fragile_broker.url, partitions)
    pair = Pair(fragile_broker, provider, MANYCAST_PARTITIONS=str(request.param))
    with closing_all(*pair.parts):
        yield pair


def has_start(mark: bytes) -> Callable[[list[Event]], bool]:
    return lambda events: any(event.kind is Kind.START and mark in event.data for event in events)


def restarts(events: list[Event]) -> list[bytes]:
    return [event.data for event in events if event.kind is Kind.RESTART]


async def test_a_killed_workers_run_begins_again_elsewhere(caller: Caller, pair: Pair) -> None:
    stream_id = await caller.submit("demo-long", simulator=SLOW)
    await caller.events_until(stream_id, has_chunks(3))
    assert (await caller.meta(stream_id))["lease_ms"] == str(LEASE_S * 1000), "gateways wait for it"
    owner, _ = await pair.owner_of(stream_id)
    owner.signal(signal.SIGKILL)
    events = await caller.finished(stream_id)
    assert done(events)["status"] == "completed"
    assert restarts(events) == [b'{"epoch":2,"reason":"worker_lost"}']
    assert len(text(events)) > 100


async def test_a_run_without_restarts_fails_with_its_worker(caller: Caller, pair: Pair) -> None:
    stream_id = await caller.submit("demo-long", simulator=SLOW, on_lost="fail")
    before = await caller.events_until(stream_id, has_chunks(3))
    owner, _ = await pair.owner_of(stream_id)
    owner.signal(signal.SIGKILL)
    events = await caller.finished(stream_id)
    assert done(events)["error"]["code"] == "worker_lost"
    assert events[: len(before)] == before
    assert restarts(events) == []


async def test_a_run_whose_workers_keep_dying_ends(caller: Caller, fragile_broker: Broker, provider: Simulator) -> None:
    stream_id = await caller.submit("demo-long", simulator=SLOW)
    for epoch in (1, 2, 3):
        worker = Worker(fragile_broker.url, provider.url, **QUICK)
        with closing_all(worker):
            if epoch == 3:
                break_off = await caller.finished(stream_id)
            else:
                begun = f'"epoch":{epoch}'.encode()
                await caller.events_until(stream_id, has_start(begun))
                worker.signal(signal.SIGKILL)
                await asyncio.to_thread(worker.wait)
    assert done(break_off)["error"]["code"] == "worker_lost"
    assert len(restarts(break_off)) == 1


async def test_a_frozen_worker_writes_nothing_more_and_stops_its_provider(
    caller: Caller, pair: Pair, provider: Simulator
) -> None:
    aborted = counts(provider.url, "demo-long").get("aborted", 0)
    # So long that the provider is still writing when the owner wakes, however busy the machine is.
    stream_id = await caller.submit("demo-long", simulator={"chunks_per_s": 20, "chunks": 10_000, "seed": 7})
    await caller.events_until(stream_id, has_chunks(3))
    owner, other = await pair.owner_of(stream_id)
    owner.signal(signal.SIGSTOP)
    await until(lambda: abbreviate(stream_id) in other.output)
    owner.signal(signal.SIGCONT)
    # More, if a run of the test before was aborted just now.
    await until(lambda: counts(provider.url, "demo-long").get("aborted", 0) > aborted)
    await until(lambda: "epoch 1: given up" in owner.output, lambda: owner.output)
    await caller.queue.cancel(stream_id)
    events = await caller.finished(stream_id)
    assert done(events)["status"] == "cancelled"
    assert len(restarts(events)) == 1
    (at,) = [index for index, event in enumerate(events) if event.kind is Kind.RESTART]
    assert {event.position.epoch for event in events[:at]} == {1}
    assert {event.position.epoch for event in events[at:]} == {2}


async def test_a_redis_outage_longer_than_a_lease_loses_no_worker(
    caller: Caller, pair: Pair, fragile_broker: Broker
) -> None:
    stream_ids = [await caller.submit("demo-long", simulator={**SLOW, "chunks": 80}) for _ in range(6)]
    for stream_id in stream_ids:
        await caller.events_until(stream_id, has_chunks(30))
    outage = ExitStack()
    outage.enter_context(fragile_broker.frozen())
    asyncio.get_running_loop().call_later(2 * LEASE_S, outage.close)
    for stream_id in stream_ids:
        events = await caller.finished(stream_id)
        assert done(events)["status"] == "completed"
        assert restarts(events) == []


async def test_a_worker_that_has_just_found_redis_waits_for_owners_to_renew(
    caller: Caller, fragile_client: Client, fragile_broker: Broker, provider: Simulator
) -> None:
    """A lease that is over: its owner could not reach Redis either, and is back as soon as the newcomer."""
    stream_id = await caller.submit("demo-fast")
    await caller.queue.open()
    blocking = blocking_client(fragile_broker.url)
    (job,) = await caller.queue.take(blocking, "owner", 1, 1000)
    await blocking.aclose()
    lease = Lease(job, (await caller.queue.claim(job, "owner", 2, 10)).epoch)
    patient_s = 4
    while not await only_server(fragile_client).xpending_range(JOBS, WORKERS_GROUP, "-", "+", 1, idle=1000 * patient_s):
        await asyncio.sleep(0.01)
    newcomer = Worker(fragile_broker.url, provider.url, **{**QUICK, "MANYCAST_LEASE_S": str(patient_s)})
    with closing_all(newcomer):
        # Its first job is its first word with the queue.
        first = await caller.submit("demo-fast")
        await caller.finished(first)
        assert await caller.queue.renew("owner", [lease]) == [WriteStatus.OK]
        await until(lambda: abbreviate(stream_id) in newcomer.output)
    assert (await caller.meta(stream_id))["epoch"] == "2"


async def test_a_run_that_ends_within_the_grace_is_not_given_back(caller: Caller, worker: Worker) -> None:
    stream_id = await caller.submit("demo-long", simulator=SLOW)
    await caller.events_until(stream_id, has_chunks(3))
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait) == 0
    events = await caller.events(stream_id)
    assert done(events)["status"] == "completed"
    assert restarts(events) == []


async def test_a_worker_that_drains_takes_no_new_job(caller: Caller, worker: Worker) -> None:
    first = await caller.submit("demo-long", simulator=SLOW)
    await caller.events_until(first, has_chunks(3))
    worker.signal(signal.SIGTERM)
    await until(lambda: "takes no more jobs" in worker.output)
    second = await caller.submit("demo-fast")
    assert await asyncio.to_thread(worker.wait) == 0
    assert await caller.events(second) == []
    assert (await caller.meta(second))["status"] == "queued"


async def test_a_second_signal_gives_everything_back_at_once(caller: Caller, worker: Worker) -> None:
    stream_id = await caller.submit("demo-long", simulator={"chunks_per_s": 1})
    await caller.events_until(stream_id, has_chunks(2))
    worker.signal(signal.SIGINT)
    await until(lambda: "takes no more jobs" in worker.output)
    worker.signal(signal.SIGINT)
    assert await asyncio.to_thread(worker.wait) == 0
    assert (await caller.meta(stream_id))["released"] == "1"
    assert "Traceback" not in worker.output


async def deliver_behind_its_back(caller: Caller, worker: Worker) -> str:
    """A job that Redis delivered to `worker` in a reply that it never got."""
    await until(lambda: "started" in worker.output)
    (name,) = re.findall(r"worker (\S+) started", worker.output)
    pipeline = only_server(caller.client).pipeline(transaction=True)
    stream_id = secrets.token_urlsafe(16)
    body = json.dumps({"model": "demo-fast", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    await caller.queue.open()
    # Both in one step: the worker waits for new jobs all the time.
    fields: dict[Any, Any] = {
        "status": "queued",
        "epoch": 0,
        "last": "0-0",
        "request": body,
        "on_lost": "restart",
        "lost": 0,
        "job": "1-1",
        "created_ms": 1,
    }
    pipeline.xadd(JOBS, {"id": stream_id}, id="1-1")
    pipeline.hset(stream_keys(stream_id).meta, mapping=fields)
    pipeline.xreadgroup(WORKERS_GROUP, name, {JOBS: ">"})
    await pipeline.execute()
    return stream_id


@pytest.fixture
def lone_worker(fragile_broker: Broker, provider: Simulator) -> Iterator[Worker]:
    """Nothing is overdue within the deadline of a test."""
    worker = Worker(fragile_broker.url, provider.url, MANYCAST_LEASE_S="600")
    with closing_all(worker):
        yield worker


async def test_a_job_whose_delivery_was_lost_on_the_way_is_found(caller: Caller, lone_worker: Worker) -> None:
    stream_id = await deliver_behind_its_back(caller, lone_worker)
    async with asyncio.timeout(DEADLINE_S):
        # Between two reads a cut would go unnoticed, and nothing could be lost by it.
        while "no jobs can be read" not in lone_worker.output:
            await call_redis(caller.client, "CLIENT", "KILL", "TYPE", "normal")
    assert done(await caller.finished(stream_id))["status"] == "completed"


async def test_a_job_that_comes_as_the_drain_begins_is_not_left_behind(caller: Caller, lone_worker: Worker) -> None:
    stream_id = await deliver_behind_its_back(caller, lone_worker)
    lone_worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(lone_worker.wait) == 0
    assert done(await caller.events(stream_id))["status"] == "completed"
