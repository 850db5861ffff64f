"""Several processes of one gateway, as real ones."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.broker import Broker
from tests.stack import DEADLINE_S, Gateway

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks for child processes in /proc")


@pytest.fixture
def gateway(broker: Broker) -> Iterator[Gateway]:
    gateway = Gateway(broker.url, MANYCAST_PROCESSES="2")
    yield gateway
    gateway.close()


def children(gateway: Gateway) -> set[int]:
    pid = gateway.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


async def answers(gateway: Gateway) -> bool:
    async with httpx2.AsyncClient(timeout=2) as http:
        try:
            return (await http.get(f"{gateway.url}/healthz")).status_code == 200
        except httpx2.HTTPError:
            return False


async def until_both_listen(gateway: Gateway) -> None:
    """A process that is begun takes a moment to listen; what comes meanwhile goes to the other one."""
    async with asyncio.timeout(DEADLINE_S):
        while gateway.output.count("Application startup complete") < 2:
            await asyncio.sleep(0.02)


async def test_a_process_that_dies_is_replaced_and_the_others_go_on(gateway: Gateway) -> None:
    await until_both_listen(gateway)
    first = children(gateway)
    assert len(first) == 2
    victim = min(first)
    os.kill(victim, signal.SIGKILL)
    async with asyncio.timeout(DEADLINE_S):
        while victim in (now := children(gateway)) or len(now) < 2:
            await asyncio.sleep(0.02)
    assert len(first & now) == 1
    assert await answers(gateway)


async def test_all_end_in_order_at_one_signal(gateway: Gateway) -> None:
    await until_both_listen(gateway)
    gateway.signal(signal.SIGTERM)
    assert await asyncio.to_thread(gateway.wait) == 0
    assert "Traceback" not in gateway.output
    assert not await answers(gateway)


async def test_none_outlives_a_parent_that_was_killed(gateway: Gateway) -> None:
    await until_both_listen(gateway)
    orphans = children(gateway)
    gateway.signal(signal.SIGKILL)
    deadline = time.monotonic() + DEADLINE_S
    while any(_is_alive(pid) for pid in orphans):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert not await answers(gateway)


async def test_a_second_gateway_on_the_same_port_is_refused(gateway: Gateway, broker: Broker) -> None:
    await until_both_listen(gateway)
    port = gateway.url.rpartition(":")[2]
    argv = [sys.executable, "-m", "gateway"]
    environment = {**os.environ, "MANYCAST_PORT": port, "MANYCAST_PROCESSES": "2", "REDIS_URL": broker.url}
    second = await asyncio.create_subprocess_exec(*argv, env=environment, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(second.communicate(), DEADLINE_S)
    assert second.returncode == 1
    assert b"cannot listen" in said


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
