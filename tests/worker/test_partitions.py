"""A worker and many partitions: it finds every job, rung for or not, and passes no partition over."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from contract.connection import Client, call_redis, command_client
from contract.job_queue import Policy, Submission, Submitted
from contract.keys import KeySpace, Partitions
from contract.log_redaction import abbreviate
from contract.stream_id import new_stream_id, partition_of
from tests.broker import Broker
from tests.redis_keys import KEYS
from tests.stack import Simulator, Worker, closing_all
from tests.worker.conftest import QUICK
from tests.worker.runs import Caller, done, until

COUNT = 8


@pytest.fixture
async def fragile_client(fragile_broker: Broker) -> AsyncIterator[Client]:
    client = command_client(fragile_broker.url, KeySpace(wanted_partitions=COUNT))
    yield client
    await client.aclose()


def start(broker: Broker, provider: Simulator, **settings: str) -> Worker:
    return Worker(broker.url, provider.url, MANYCAST_PARTITIONS=str(COUNT), **{**QUICK, **settings})


async def submit_to(caller: Caller, partition: int, name: str) -> str:
    """The id of a short run of the caller `name`."""
    stream_id = new_stream_id(private=False, partition=partition)
    request = b'{"model":"demo-fast","chunks":1,"messages":[{"role":"user","content":"Why?"}]}'
    submission = Submission(stream_id, request, "demo-fast", Policy(), "", caller=name)
    assert (await caller.queue.submit(submission, 10_000))[0] is Submitted.OK
    return stream_id


@pytest.fixture
def worker(fragile_broker: Broker, provider: Simulator) -> Iterator[Worker]:
    worker = start(fragile_broker, provider)
    with closing_all(worker):
        yield worker


async def test_a_worker_with_one_place_runs_the_jobs_of_every_partition(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    ids = [await caller.submit("demo-fast", chunks=3) for _ in range(4 * COUNT)]
    assert len({partition_of(stream_id) for stream_id in ids}) > COUNT / 2
    with closing_all(start(fragile_broker, provider, MANYCAST_WORKER_STREAMS="1")):
        for stream_id in ids:
            assert done(await caller.finished(stream_id))["status"] == "completed"


async def test_a_full_partition_does_not_keep_a_worker_from_the_others(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    """A worker with one place takes one job of each partition in turn, and none of them twice before the others."""
    full = [await submit_to(caller, 0, f"key:{number}") for number in range(5)]
    others = [await submit_to(caller, partition, "key:other") for partition in (1, 2)]
    worker = start(fragile_broker, provider, MANYCAST_WORKER_STREAMS="1", MANYCAST_LEASE_S="30")
    with closing_all(worker):
        await until(lambda: all(abbreviate(one) in worker.output for one in (*full, *others)))
        order = sorted((*full, *others), key=lambda one: worker.output.index(abbreviate(one)))
    # One more for a sweep that comes in between.
    assert set(others) < set(order[:4])


@pytest.mark.usefixtures("worker")
async def test_a_job_whose_doorbell_was_lost_is_found(caller: Caller, fragile_client: Client) -> None:
    # The worker is up and waits.
    await caller.run("demo-fast", chunks=1)
    # Who believes in one partition rings no doorbell.
    fragile_client.partitions = Partitions(1, 1)
    stream_id = await submit_to(caller, 5, "key:a")
    assert await call_redis(fragile_client, "HGET", KEYS.stream(stream_id).meta, "status") is not None
    assert done(await caller.finished(stream_id))["status"] == "completed"


@pytest.mark.usefixtures("worker")
async def test_a_busy_worker_hears_the_doorbell_and_takes_the_job_when_it_has_room(caller: Caller) -> None:
    ids = await asyncio.gather(*(caller.submit("demo-fast", chunks=5) for _ in range(20)))
    for stream_id in ids:
        assert done(await caller.finished(stream_id))["status"] == "completed"


async def test_a_worker_with_another_number_of_partitions_says_so_and_does_not_start(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    await caller.queue.count_partitions()
    wrong = Worker(fragile_broker.url, provider.url, MANYCAST_PARTITIONS="3", **QUICK)
    with closing_all(wrong):
        assert wrong.wait() == 1
        assert "Redis has 8 partitions, and MANYCAST_PARTITIONS is 3" in wrong.output
        assert "Traceback" not in wrong.output


async def test_a_worker_that_comes_after_a_restart_of_redis_opens_all_partitions_again(
    caller: Caller, fragile_broker: Broker, worker: Worker
) -> None:
    await caller.run("demo-fast", chunks=1)
    fragile_broker.stop()
    fragile_broker.wipe()
    fragile_broker.start()
    for _ in range(COUNT):
        events = await caller.run("demo-fast", chunks=1)
        assert done(events)["status"] == "completed"
    assert worker.process.poll() is None
    assert await call_redis(caller.client, "HGET", caller.client.key_space.partitions, "count") == b"8"
