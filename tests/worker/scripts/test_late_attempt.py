"""An attempt whose claim was confirmed late, after another worker had taken the run over."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from contract.connection import Client, call_redis
from contract.prompts import Prompts
from contract.questions import Questions
from contract.stream_log import StreamLog
from manycast.script import Run, script
from tests.author import RETENTION_MS, open_run
from tests.author import Run as OpenRun
from tests.broker import Broker
from tests.viewers import until
from worker.default_model import DefaultModel
from worker.model_timeouts import ModelTimeouts
from worker.providers.plug_in import FunctionSource
from worker.scripts.provider_calls import ProviderCalls
from worker.scripts.script_runner import ScriptRunner

asked: list[dict[str, Any]] = []


async def answer(request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    asked.append(request)
    yield "paid"


@script
async def chain(run: Run) -> str:
    """One step that costs something."""
    return (await run.generate("?", name="final", model="demo")).text


@pytest.fixture(autouse=True)
def empty_queue(broker: Broker) -> None:
    """Other tests may have left a job that a worker took and never claimed. The next run of its caller waits for it."""
    broker.empty()


@pytest.mark.parametrize("has_written", [True, False], ids=["it has written", "it has written nothing"])
@pytest.mark.parametrize("epoch", [1, 2])
async def test_it_pays_for_nothing(broker: Broker, client: Client, epoch: int, has_written: bool) -> None:
    """The third attempt has the run."""
    async with open_run(broker.url) as first:
        await mark_as_script(client, first)
        await first.say("of epoch 1")
        third = await (await first.lose()).lose()
        if has_written:
            await third.say("of epoch 3")
        async with attempting(client, first.stream_id, epoch):
            await look_often(client)
        assert not asked


async def test_an_attempt_whose_run_has_ended_pays_for_nothing(broker: Broker, client: Client) -> None:
    async with open_run(broker.url) as first:
        await mark_as_script(client, first)
        await first.end()
        async with attempting(client, first.stream_id, 1):
            await look_often(client)
        assert not asked


@pytest.mark.parametrize("has_written", [True, False])
async def test_the_last_attempt_goes_on(broker: Broker, client: Client, has_written: bool) -> None:
    async with open_run(broker.url) as first:
        await mark_as_script(client, first)
        third = await (await first.lose()).lose()
        if has_written:
            await third.say("of epoch 3")
        async with attempting(client, first.stream_id, 3):
            await until(lambda: bool(asked))


async def mark_as_script(client: Client, run: OpenRun) -> None:
    await call_redis(client, "HSET", client.key_space.stream(run.stream_id).meta, "model", "script/chain")


@asynccontextmanager
async def attempting(client: Client, stream_id: str, epoch: int) -> AsyncIterator[None]:
    """Meanwhile, a worker runs the script as this epoch."""
    asked.clear()
    calls = ProviderCalls(FunctionSource(answer, "answer"), DefaultModel("demo"), ModelTimeouts(0), False)
    log = StreamLog(client, RETENTION_MS)
    runner = ScriptRunner({"chain": chain}, calls, log, Questions(client), Prompts(client), 10, False)
    request = {"model": "script/chain", "messages": [{"role": "user", "content": "?"}]}

    async def attempt() -> None:
        async for _ in runner.run(request, stream_id, epoch):
            pass

    task = asyncio.create_task(attempt())
    yield
    task.cancel()
    await asyncio.wait([task])


async def look_often(client: Client) -> None:
    """It reads the run again and again, until its worker learns that the lease is lost and cancels it."""
    before = await count_reads(client)
    async with asyncio.timeout(60):
        while await count_reads(client) < before + 3 and not asked:
            pass


async def count_reads(client: Client) -> int:
    """How often records of runs have been read from this Redis."""
    stats = await call_redis(client, "INFO", "commandstats")
    return int(stats.get("cmdstat_hmget", {}).get("calls", 0))
