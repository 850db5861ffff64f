"""What is left in memory of a run that has ended. A worker looks for garbage seldom, so no request must become it."""

import asyncio
import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from contract.connection import Client
from contract.job_queue import Submitted
from contract.prompts import Prompts
from contract.questions import Questions
from contract.run_record import read_run
from contract.stream_id import new_stream_id
from tests.broker import Broker
from tests.contract.store import MAX_WAITING, Store
from tests.worker.raw_provider import Answer, drops, raw_provider, refuses, sends
from worker.default_model import DefaultModel
from worker.generations.generation import Generation, GenerationOptions
from worker.generations.publisher import Publisher
from worker.model_timeouts import ModelTimeouts
from worker.providers.openai_source import OpenAISource
from worker.providers.provider_table import CallOptions, Provider
from worker.scripts.provider_calls import ProviderCalls
from worker.scripts.script_runner import ScriptRunner

DEADLINE_S = 60.0
LARGE_BYTES = 1 << 19
"""Above 1 MiB aiohttp warns, and a warning is an error in tests."""
REQUEST = {"model": "m", "messages": [{"role": "user", "content": LARGE_BYTES * "x"}]}
OPTIONS = GenerationOptions(
    worker="w1",
    attempts=3,
    max_epochs=50,
    answer_limit_bytes=0,
    body_limit_bytes=0,
    run_limit_s=0,
    chunk_timeouts=ModelTimeouts(60),
    broker_patience_s=60,
    default_model=DefaultModel("m"),
    needs_finish_reason=False,
    parked_ms=0,
    lease_ms=0,
)


def frame(text: str, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "1", "choices": [choice]}).encode() + b"\n\n"


@contextmanager
def large_garbage() -> Iterator[list[str]]:
    """The list is filled at the end: the owners of all large texts that nobody uses and that are not freed."""
    found: list[str] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += [
            f"{type(part).__name__} of {type(owner).__name__}: {str(owner)[:200]}"
            for owner in gc.garbage
            for part in gc.get_referents(owner)
            if isinstance(part, str | bytes | bytearray) and len(part) >= LARGE_BYTES
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


ANSWERS = {
    "completed": sends(*(frame(text) for text in "abcdef"), frame("", "stop"), b"data: [DONE]\n\n"),
    "refused": refuses("400 Bad Request", b'{"error":{"message":"no"}}'),
    "cut": drops(*(frame(text) for text in "abcdef")),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_large_request_is_freed_when_its_run_ends(broker: Broker, client: Client, answer: Answer) -> None:
    store = await Store.on(broker.url, client, client)
    publisher = Publisher(store.log, 1 << 24)
    publishing = asyncio.create_task(publisher.run())
    async with raw_provider(answer) as provider:
        source: Any = OpenAISource(
            Provider(base_url=provider.base_url, models=("*",), breaker_failures=0),
            default_options=lambda _: CallOptions(first_chunk_timeout_s=60),
            connect_timeout_s=60,
            retries=0,
            retries_timeouts=False,
            uses_proxy_for_private=False,
        )
        questions = Questions(client)
        calls = ProviderCalls(source, OPTIONS.default_model, OPTIONS.chunk_timeouts, False)
        scripts = ScriptRunner({}, calls, store.log, questions, Prompts(client), 10, False)

        async def run_one() -> None:
            stream_id = new_stream_id(private=False, partition=0)
            submission = replace(store.submission(), stream_id=stream_id, request=json.dumps(REQUEST).encode())
            assert await store.queue.submit(submission, MAX_WAITING) == (Submitted.OK, submission.stream_id)
            async with asyncio.timeout(DEADLINE_S):
                # Other tests may have left jobs in the queue.
                while not (jobs := [job for job in await store.take("w1") if job.stream_id == stream_id]):
                    pass
            (job,) = jobs
            generation = Generation(job, store.queue, publisher, source, scripts, questions, OPTIONS)
            assert await generation.claim(0)
            await generation.run()
            record = await read_run(client, submission.stream_id)
            assert record is not None
            assert record.status.is_final

        # The first one also loads modules.
        await asyncio.create_task(run_one())
        with large_garbage() as found:
            await asyncio.create_task(run_one())
            for _ in range(20):
                # What was cancelled ends.
                await asyncio.sleep(0)
        assert found == []
        publishing.cancel()
        await asyncio.wait([publishing])
        await source.close()
