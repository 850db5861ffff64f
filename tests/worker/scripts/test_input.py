"""Scripts that wait for people: without a slot, over the death of their worker, and with one answer that counts."""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from contract.connection import command_client
from contract.event import Event, Kind
from contract.questions import Answered, Questions
from tests.broker import Broker, valkey_binary
from tests.stack import Simulator, Worker
from tests.worker.conftest import QUICK
from tests.worker.runs import Caller, counts, done, text
from tests.worker.scripts.test_scripts import CHAINS, steps


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("scripts")
    shutil.copy(CHAINS, folder)
    # One slot: a run that waits for a person must leave it to others.
    return {**QUICK, "MANYCAST_SCRIPTS": str(folder), "MANYCAST_WORKER_STREAMS": "1"}


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Broker]:
    broker = Broker(valkey_binary())
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def workers(own_broker: Broker, provider: Simulator, settings: dict[str, str]) -> Iterator[list[Worker]]:
    """One worker at a time. A test may replace it."""
    workers = [Worker(own_broker.url, provider.url, **settings)]
    yield workers
    for worker in workers:
        worker.close()


@pytest.fixture
async def caller(own_broker: Broker, workers: list[Worker]) -> AsyncIterator[Caller]:
    client = command_client(own_broker.url)
    yield Caller(client)
    await client.aclose()


class People:
    """Answer the questions of runs."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.questions = Questions(caller.client)

    async def read(self, stream_id: str, question: str, state: str = "asked") -> dict[str, Any]:
        """The question, as soon as the run is in that state."""
        events = await self.caller.events_until(stream_id, lambda events: bool(inputs(events, question, state)))
        return inputs(events, question, "asked")[0]

    async def answer(self, stream_id: str, question: str, value: Any, by: str | None = None) -> None:
        asked = await self.read(stream_id, question)
        given = {"value": value, "by": by}
        assert await self.questions.answer(stream_id, asked["id"], given) == (Answered.OK, given)

    async def until_parked(self, stream_id: str) -> None:
        async with asyncio.timeout(60):
            while (await self.caller.meta(stream_id))["status"] != "parked":
                await asyncio.sleep(0.01)


def inputs(events: list[Event], question: str, state: str) -> list[dict[str, Any]]:
    told = [json.loads(event.data) for event in events if event.kind is Kind.INPUT]
    places = {data["id"] for data in told if data.get("question") == question}
    return [data for data in told if data["id"] in places and data["state"] == state]


@pytest.fixture
def people(caller: Caller) -> People:
    return People(caller)


async def test_a_run_waits_without_a_slot_and_goes_on_with_the_answers(
    caller: Caller, people: People, provider: Simulator
) -> None:
    paid = counts(provider.url, "demo-fast").get("requests", 0)
    stream_id = await caller.submit("script/guest")
    await people.until_parked(stream_id)
    assert done(await caller.run("demo-echo"))["status"] == "completed"
    await people.answer(stream_id, "Your name?", "Ada", "user:ada")
    await people.answer(stream_id, "What would you like?", {"article": "tea", "count": 2})
    await people.answer(stream_id, "Are you sure?", "yes")
    events = await caller.finished(stream_id)
    assert text(events) == "Ada: 2 TEA, yes"
    (answered,) = inputs(events, "Your name?", "answered")
    assert (answered["value"], answered["by"]) == ("Ada", "user:ada")
    assert counts(provider.url, "demo-fast")["requests"] == paid + 1
    assert not [event for event in events if event.kind is Kind.RESTART]


async def test_an_answer_that_the_scripts_own_type_refuses_is_asked_again(caller: Caller, people: People) -> None:
    stream_id = await caller.submit("script/guest")
    await people.answer(stream_id, "Your name?", "Ada")
    await people.answer(stream_id, "What would you like?", {"article": "tea", "count": 3})
    await people.read(stream_id, "What would you like?", "refused")
    await people.until_parked(stream_id)
    await people.answer(stream_id, "What would you like?", {"article": "tea", "count": 4})
    await people.answer(stream_id, "Are you sure?", "no")
    events = await caller.finished(stream_id)
    assert text(events) == "Ada: 4 TEA, no"
    (refused,) = inputs(events, "What would you like?", "refused")
    assert "tea is sold in pairs" in refused["problem"]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "drained"])
@pytest.mark.parametrize("answers_after", [True, False], ids=["before the answer", "after the answer"])
async def test_a_waiting_run_survives_its_worker(  # noqa: PLR0917 - fixtures
    caller: Caller,
    people: People,
    workers: list[Worker],
    own_broker: Broker,
    provider: Simulator,
    settings: dict[str, str],
    end: signal.Signals,
    answers_after: bool,
) -> None:
    """`answers_after`: whether the new worker is there before the person answers."""
    paid = counts(provider.url, "demo-fast").get("requests", 0)
    stream_id = await caller.submit("script/guest")
    await people.answer(stream_id, "Your name?", "Ada")
    await people.read(stream_id, "What would you like?")
    await people.until_parked(stream_id)
    workers[-1].signal(end)
    assert await asyncio.to_thread(workers[-1].wait) == (0 if end is signal.SIGTERM else -end)
    if answers_after:
        workers.append(Worker(own_broker.url, provider.url, **settings))
        # It works: it would take the run now if the run were in the queue.
        assert done(await caller.run("demo-echo"))["status"] == "completed"
        assert (await caller.meta(stream_id))["status"] == "parked"
    await people.answer(stream_id, "What would you like?", {"article": "tea", "count": 2})
    if not answers_after:
        workers.append(Worker(own_broker.url, provider.url, **settings))
    await people.answer(stream_id, "Are you sure?", "yes")
    events = await caller.finished(stream_id)
    assert text(events) == "Ada: 2 TEA, yes"
    for question in ("Your name?", "What would you like?", "Are you sure?"):
        assert len(inputs(events, question, "asked")) == len(inputs(events, question, "answered")) == 1
    assert len(steps(events, "begin")) == len(steps(events, "end")) == 1
    assert counts(provider.url, "demo-fast")["requests"] == paid + 1


async def test_a_question_that_nobody_answers_in_time_ends(caller: Caller, people: People) -> None:
    stream_id = await caller.submit("script/patient")
    late = await people.read(stream_id, "Anybody?", "timed_out")
    result, _ = await people.questions.answer(stream_id, late["id"], {"value": "me", "by": None})
    assert result in (Answered.CLOSED, Answered.ENDED)
    events = await caller.finished(stream_id)
    assert text(events) == "Nobody has answered in time: Anybody?"
    assert [json.loads(event.data)["state"] for event in events if event.kind is Kind.INPUT] == ["asked", "timed_out"]


@pytest.mark.parametrize("answers_early", [True, False])
async def test_a_run_with_a_step_under_way_is_not_parked_before_its_end(
    caller: Caller, people: People, answers_early: bool
) -> None:
    stream_id = await caller.submit("script/busy")
    await people.read(stream_id, "Meanwhile?")
    if not answers_early:
        await people.until_parked(stream_id)
    await people.answer(stream_id, "Meanwhile?", "here")
    events = await caller.finished(stream_id)
    assert text(events) == "here, True"
    assert steps(events, "restart") == []
    epochs = {event.position.epoch for event in events}
    assert epochs == ({1} if answers_early else {1, 2})


async def test_a_waiting_run_can_be_cancelled(caller: Caller, people: People) -> None:
    stream_id = await caller.submit("script/guest")
    await people.until_parked(stream_id)
    assert await caller.queue.cancel(stream_id) == "cancelled"
    assert done(await caller.finished(stream_id))["status"] == "cancelled"


@pytest.mark.parametrize(("answer", "result"), [("yes", "deleted"), ("no", "The user does not allow it.")])
async def test_a_person_approves_the_call_of_a_tool(caller: Caller, people: People, answer: str, result: str) -> None:
    stream_id = await caller.submit("script/approving")
    question = await first_question(caller, stream_id)
    await people.answer(stream_id, question, answer)
    events = await caller.events_until(stream_id, lambda events: any("result" in step for step in steps(events, "end")))
    (tool,) = [step for step in steps(events, "end") if "result" in step]
    assert tool["result"] == result
    await caller.queue.cancel(stream_id)


async def first_question(caller: Caller, stream_id: str) -> str:
    events = await caller.events_until(stream_id, lambda events: events != [] and events[-1].kind is Kind.INPUT)
    question: str = json.loads(events[-1].data)["question"]
    return question
