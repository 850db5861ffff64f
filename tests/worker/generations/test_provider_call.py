"""How long a source is silent, as the run's timeout sees it. The publisher is real; it has nothing to write to."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from contract.connection import command_client
from contract.event import Chunk, Kind
from contract.stream_log import StreamLog
from worker.generations.outbox import Outbox
from worker.generations.provider_call import ProviderCall
from worker.generations.publisher import Publisher
from worker.model_timeouts import ModelTimeouts
from worker.providers.plug_in import FunctionSource
from worker.providers.source import Answer, ChunkTimeout, LogEntry

DEADLINE_S = 60.0
CHUNK: Chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
END: Chunk = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


Item = Chunk | ChunkTimeout | LogEntry | None


class Running:
    """A call whose source yields what the test gives it."""

    def __init__(self, call: ProviderCall) -> None:
        self.call = call
        self._items = asyncio.Queue[Item]()

    async def generate(self, _: dict[str, Any]) -> Answer:
        while True:
            yield await self._items.get()
            self._items.task_done()

    async def take(self, item: Item) -> None:
        """Returns once the call has dealt with `item`."""
        self._items.put_nowait(item)
        async with asyncio.timeout(DEADLINE_S):
            await self._items.join()


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    client = command_client("redis://127.0.0.1:1/0")
    yield Publisher(StreamLog(client, 1000), 1 << 20)
    await client.aclose()


@pytest.fixture
async def call(publisher: Publisher) -> ProviderCall:
    timeouts = ModelTimeouts(60)
    return ProviderCall("s", publisher, 0, chunk_timeouts=timeouts, body_limit_bytes=0, needs_finish_reason=False)


@pytest.fixture
def epoch() -> int:
    return 1


@pytest.fixture
def outbox(epoch: int) -> Outbox:
    return Outbox("s", epoch, next_seq=1, entry="5-0", on_write_status=lambda _: None)


@pytest.fixture
async def running(call: ProviderCall, outbox: Outbox) -> AsyncIterator[Running]:
    running = Running(call)
    task = asyncio.create_task(call.run(FunctionSource(running.generate, "tests:generate"), {}, 1, outbox))
    yield running
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture
async def running_script(call: ProviderCall, outbox: Outbox, epoch: int) -> AsyncIterator[Running]:
    running = Running(call)
    task = asyncio.create_task(call.run_script(running.generate({}), {}, epoch, outbox))
    yield running
    task.cancel()
    await asyncio.wait([task])


def later() -> float:
    """A time far away. A call that is less silent at it than before has heard something since."""
    return asyncio.get_running_loop().time() + 1000


async def test_a_sign_of_life_ends_the_silence(running: Running) -> None:
    then = later()
    await running.take(CHUNK)
    silence_s = running.call.quiet_s(then)
    await running.take(None)
    assert 0 < running.call.quiet_s(then) < silence_s


async def test_a_sign_of_life_is_no_first_chunk(running: Running) -> None:
    await running.take(None)
    assert running.call.first_chunk_at is None
    assert running.call.quiet_s(later()) == 0


async def test_a_complete_answer_does_not_wait_for_signs_of_life(running: Running) -> None:
    then = later()
    await running.take(CHUNK)
    await running.take(END)
    silence_s = running.call.quiet_s(then)
    await running.take(None)
    assert running.call.quiet_s(then) == silence_s


async def test_a_source_may_set_the_timeout_of_its_run(running: Running) -> None:
    await running.take(ChunkTimeout(7))
    assert running.call.chunk_timeout_s == 7
    assert running.call.first_chunk_at is None


OPENING: Chunk = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
STEP_BEGINS = LogEntry(Kind.STEP, {"id": "1", "state": "begin", "kind": "generate", "name": "draft"}, False)
STEP_SPEAKS = LogEntry(Kind.STEP, {"id": "1", "state": "chunk", **CHUNK}, False)
STEP_OPENS = LogEntry(Kind.STEP, {"id": "1", "state": "chunk", **OPENING}, False)


@pytest.mark.parametrize("words", [CHUNK, STEP_SPEAKS], ids=["its answer", "a step"])
async def test_the_first_words_of_a_script_are_those_of(running_script: Running, words: Chunk | LogEntry) -> None:
    for item in (OPENING, STEP_BEGINS, STEP_OPENS):
        await running_script.take(item)
        assert running_script.call.first_words_at is None
    await running_script.take(words)
    first = running_script.call.first_words_at
    assert first is not None
    await running_script.take(CHUNK)
    assert running_script.call.first_words_at == first


@pytest.mark.parametrize("epoch", [2])
async def test_a_later_attempt_does_not_know_when_the_first_words_of_a_script_came(running_script: Running) -> None:
    for item in (STEP_SPEAKS, CHUNK):
        await running_script.take(item)
    assert running_script.call.first_words_at is None


async def test_the_first_words_of_a_model_are_its_first_chunk(running: Running) -> None:
    await running.take(OPENING)
    assert running.call.first_words_at is not None
