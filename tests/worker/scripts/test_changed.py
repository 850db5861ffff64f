"""A script that was changed during its run begins again, where that is set."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.connection import command_client
from contract.event import Kind
from contract.questions import Answered, Questions
from tests.broker import Broker, valkey_binary
from tests.stack import Simulator, Worker, closing_all
from tests.worker.conftest import QUICK
from tests.worker.runs import Caller, counts, done, text
from tests.worker.scripts.test_scripts import steps

BEFORE = """
from manycast.script import Run, script


@script
async def asking(run: Run):
    await run.say("Old. ")
    await run.generate("Hello", name="old", model="demo-fast")
    answer = await run.input("Old question?")
    await run.input("And then?")
    return f"old {answer}"
"""
AFTER = """
from manycast.script import Run, script


@script
async def asking(run: Run):
    await run.say("New. ")
    await run.generate("Hello", name="new", model="demo-fast")
    number = await run.input("New question?", schema=int)
    return f"new {number + 1}"
"""


@pytest.fixture
def provider() -> Iterator[Simulator]:
    simulator = Simulator(SIMULATOR_FIRST_CHUNK_MS="0")
    yield simulator
    simulator.close()


async def test_a_changed_script_begins_again_and_its_old_answers_do_not_count(
    tmp_path: Path, provider: Simulator
) -> None:
    broker, file = Broker(valkey_binary()), tmp_path / "chain.py"
    settings = {**QUICK, "MANYCAST_SCRIPTS": str(tmp_path), "MANYCAST_SCRIPT_CHANGED": "restart"}
    client = command_client(broker.url)
    caller, questions = Caller(client), Questions(client)

    async def answer(stream_id: str, question: str, value: object) -> None:
        events = await caller.events_until(stream_id, lambda found: any(question.encode() in one.data for one in found))
        asked = next(json.loads(event.data) for event in events if question.encode() in event.data)
        given = {"value": value, "by": None}
        assert await questions.answer(stream_id, asked["id"], given) == (Answered.OK, given)

    file.write_text(BEFORE)
    first = Worker(broker.url, provider.url, **settings)
    with closing_all(first):
        stream_id = await caller.submit("script/asking")
        await answer(stream_id, "Old question?", "no number")
        await caller.events_until(stream_id, lambda found: any(b"And then?" in one.data for one in found))
        first.signal(signal.SIGKILL)
        await asyncio.to_thread(first.wait)
    file.write_text(AFTER)
    second = Worker(broker.url, provider.url, **settings)
    with closing_all(second):
        # The open question wakes the run.
        meta = await caller.meta(stream_id)
        if meta["status"] == "parked":
            await questions.answer(stream_id, "4", {"value": "x", "by": None})
        await answer(stream_id, "New question?", 41)
        events = await caller.finished(stream_id)
    await client.aclose()
    broker.close()
    assert done(events)["status"] == "completed", second.output
    (restart,) = [json.loads(event.data) for event in events if event.kind is Kind.RESTART]
    assert restart["reason"] == "script_changed"
    assert [step["name"] for step in steps(events, "begin")] == ["old", "new"]
    assert counts(provider.url, "demo-fast")["requests"] == 2
    after = [event for event in events if event.position.epoch == events[-1].position.epoch]
    assert b"Old" not in b"".join(event.data for event in after)
    assert "new 42" in text(events)
