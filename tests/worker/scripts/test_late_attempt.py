"""An attempt whose claim was confirmed late, after another worker had taken the run over."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from contract.connection import Client, call_redis
from contract.prompts import Prompts
from contract.questions import Questions
from contract.stream_log import StreamLog
from manycast.script import Run, script
from tests.author import RETENTION_MS, open_run
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


@pytest.mark.parametrize("epoch", [2, 3])
async def test_it_pays_for_nothing(broker: Broker, client: Client, epoch: int) -> None:
    """The log has an event of epoch 3. An attempt of that epoch goes on."""
    asked.clear()
    calls = ProviderCalls(FunctionSource(answer, "answer"), DefaultModel("demo"), ModelTimeouts(0), False)
    log = StreamLog(client, RETENTION_MS)
    runner = ScriptRunner({"chain": chain}, calls, log, Questions(client), Prompts(client), 10, False)
    request = {"model": "script/chain", "messages": [{"role": "user", "content": "?"}]}

    async with open_run(broker.url) as first:
        await call_redis(client, "HSET", client.key_space.stream(first.stream_id).meta, "model", "script/chain")
        third = await (await first.lose()).lose()
        await third.say("of epoch 3")

        async def attempt() -> None:
            async for _ in runner.run(request, first.stream_id, epoch):
                pass

        before = await count_reads(client)
        attempting = asyncio.create_task(attempt())
        # It reads the log again and again, until its worker learns that the lease is lost and cancels it.
        async with asyncio.timeout(60):
            while await count_reads(client) < before + 3 and not asked:
                pass
        await until(lambda: epoch == 2 or bool(asked))
        assert bool(asked) == (epoch == 3)
        attempting.cancel()
        await asyncio.wait([attempting])


async def count_reads(client: Client) -> int:
    """How often logs have been read from this Redis."""
    stats = await call_redis(client, "INFO", "commandstats")
    return int(stats.get("cmdstat_xrange", {}).get("calls", 0))
