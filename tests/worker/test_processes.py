"""Several processes of one worker, as real ones."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.connection import Client
from contract.event import Event, Kind
from contract.worker_registry import read_workers
from tests.broker import Broker
from tests.stack import Simulator, Worker, closing_all
from tests.worker.conftest import QUICK
from tests.worker.runs import DEADLINE_S, Caller, done, has_chunks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks for child processes in /proc")

SLOW = {"chunks_per_s": 20, "chunks": 40, "seed": 7}


@pytest.fixture
def worker(fragile_broker: Broker, provider: Simulator) -> Iterator[Worker]:
    worker = Worker(fragile_broker.url, provider.url, **{**QUICK, "MANYCAST_WORKER_PROCESSES": "2"})
    with closing_all(worker):
        yield worker


async def until_registered(client: Client, count: int, *, without: int = 0) -> set[int]:
    """The process ids of the registered workers, once there are `count`, and `without` is not one of them."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            pids = {int(name.split(":")[-2]) for name in await read_workers(client)}
            if len(pids) == count and without not in pids:
                return pids
            await asyncio.sleep(0.02)


async def test_each_process_is_a_worker(fragile_client: Client, caller: Caller, worker: Worker) -> None:
    pids = await until_registered(fragile_client, 2)
    assert worker.process.pid not in pids
    assert done(await caller.run("demo-fast"))["status"] == "completed"


async def test_a_process_that_dies_is_replaced_and_its_runs_begin_again(
    fragile_client: Client, caller: Caller, worker: Worker
) -> None:
    first = await until_registered(fragile_client, 2)
    streams = [await caller.submit("demo-long", simulator=SLOW) for _ in range(4)]
    for stream_id in streams:
        await caller.events_until(stream_id, has_chunks(3))
    victim = min(first)
    os.kill(victim, signal.SIGKILL)
    ends = [await caller.finished(stream_id) for stream_id in streams]
    assert {done(events)["status"] for events in ends} == {"completed"}
    assert len(await until_registered(fragile_client, 2, without=victim)) == 2


async def test_all_end_in_order_at_one_signal(fragile_client: Client, worker: Worker) -> None:
    await until_registered(fragile_client, 2)
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait) == 0
    assert worker.output.count("has ended") == 2
    assert "Traceback" not in worker.output
    assert await read_workers(fragile_client) == []


async def test_ctrl_c_is_one_signal_for_each_and_lets_runs_end(
    fragile_client: Client, caller: Caller, worker: Worker
) -> None:
    pids = await until_registered(fragile_client, 2)
    stream_id = await caller.submit("demo-long", simulator={**SLOW, "chunks": 20})
    await caller.events_until(stream_id, has_chunks(3))
    # A terminal sends it to every process of its group.
    for pid in (worker.process.pid, *pids):
        os.kill(pid, signal.SIGINT)
    assert await asyncio.to_thread(worker.wait) == 0
    events = await caller.finished(stream_id)
    assert (done(events)["status"], restarts(events)) == ("completed", [])


async def test_none_outlives_a_parent_that_was_killed(fragile_client: Client, worker: Worker) -> None:
    pids = await until_registered(fragile_client, 2)
    worker.signal(signal.SIGKILL)
    async with asyncio.timeout(DEADLINE_S):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.02)


async def test_a_setting_that_no_process_can_use_is_told_once(fragile_broker: Broker, provider: Simulator) -> None:
    settings = {**QUICK, "MANYCAST_WORKER_PROCESSES": "2", "MANYCAST_GENERATOR": "nowhere:at_all"}
    worker = Worker(fragile_broker.url, provider.url, **settings)
    with closing_all(worker):
        assert await asyncio.to_thread(worker.wait) == 1
        assert worker.output.count("cannot be imported") == 1


def restarts(events: list[Event]) -> list[Event]:
    return [event for event in events if event.kind is Kind.RESTART]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
