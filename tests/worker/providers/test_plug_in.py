"""A generator of one's own: a whole worker runs it, and every way it may end is told."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from contract.connection import command_client
from tests.broker import Broker, valkey_binary
from tests.stack import Worker, closing_all
from tests.worker.plug_ins import EXITS, ODD
from tests.worker.runs import Caller, chunks, done, has_chunks, text
from worker.providers.plug_in import FunctionSource
from worker.providers.source import END, Answer

SETTINGS = {"MANYCAST_GENERATOR": "tests.worker.plug_ins:count", "MANYCAST_CHUNK_TIMEOUT_S": "0.5"}


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Broker, Worker]]:
    broker = Broker(valkey_binary())
    worker = Worker(broker.url, "http://127.0.0.1:1", **SETTINGS)
    yield broker, worker
    worker.close()
    broker.close()


@pytest.fixture
async def caller(place: tuple[Broker, Worker]) -> AsyncIterator[Caller]:
    client = command_client(place[0].url)
    yield Caller(client)
    await client.aclose()


async def test_its_chunks_are_published_and_the_default_model_stands_in_the_request(caller: Caller) -> None:
    events = await caller.run("")
    assert (done(events)["status"], text(events)) == ("completed", "012")
    assert chunks(events)[0]["id"] == "own"


@pytest.mark.parametrize(
    ("prompt", "code"),
    [("fail", "own_code"), ("crash", "worker_error"), ("hang", "upstream_timeout"), ("infinity", "upstream_invalid")],
)
async def test_its_failure_is_told_and_its_text_kept(caller: Caller, prompt: str, code: str) -> None:
    events = await caller.run("", prompt=prompt)
    end = done(events)
    assert (end["status"], end["error"]["code"], text(events)) == ("failed", code, "012")
    assert "secret" not in end["error"]["message"]


@pytest.mark.parametrize("error", EXITS)
async def test_what_is_no_exception_ends_its_run_and_not_the_worker(caller: Caller, error: str) -> None:
    events = await caller.run("", prompt=error)
    assert (done(events)["error"]["code"], text(events)) == ("worker_error", "012")
    assert {event.position.epoch for event in events} == {1}


async def test_the_reason_of_an_unforeseen_failure_is_in_the_log(caller: Caller, place: tuple[Broker, Worker]) -> None:
    await caller.run("", prompt="crash")
    assert "ZeroDivisionError: a secret of the plug-in" in place[1].output


async def test_viewers_do_not_wait_for_a_generator_that_ignores_its_cancellation(fragile_broker: Broker) -> None:
    patient = Worker(fragile_broker.url, "http://127.0.0.1:1", **{**SETTINGS, "MANYCAST_CHUNK_TIMEOUT_S": "600"})
    client = command_client(fragile_broker.url)
    with closing_all(patient):
        caller = Caller(client)
        stream_id = await caller.submit("", prompt="linger")
        await caller.events_until(stream_id, has_chunks(3))
        await caller.queue.cancel(stream_id)
        assert done(await caller.finished(stream_id))["status"] == "cancelled"
        assert "does not end" in patient.output
    await client.aclose()


@pytest.mark.parametrize("prompt", ["finish, then break", "finish, then hang"])
async def test_a_failure_after_the_whole_answer_does_no_harm(caller: Caller, prompt: str) -> None:
    end = done(await caller.run("", prompt=prompt))
    assert (end["status"], end["finish_reason"], end["error"]) == ("completed", "stop", None)


async def test_a_whole_answer_does_not_wait_long_for_its_usage(fragile_broker: Broker) -> None:
    patient = Worker(fragile_broker.url, "http://127.0.0.1:1", **{**SETTINGS, "MANYCAST_CHUNK_TIMEOUT_S": "600"})
    client = command_client(fragile_broker.url)
    with closing_all(patient):
        assert done(await Caller(client).run("", prompt="finish, then hang"))["status"] == "completed"
    await client.aclose()


async def test_it_gets_the_body_of_the_caller_alone() -> None:
    seen = []

    async def generate(request: dict[str, Any]) -> Answer:
        seen.append(request)
        yield END

    async for _ in FunctionSource(generate, "tests:generate").generate(
        {"model": "m", "manycast": {"headers": {}, "query": {}}}
    ):
        pass
    assert seen == [{"model": "m"}]


SAY = "tests.worker.plug_ins:say"


@pytest.fixture(scope="module")
def speaking() -> Iterator[Broker]:
    """A broker whose worker runs a generator of texts, and demands a finish reason."""
    broker = Broker(valkey_binary())
    settings = {"MANYCAST_GENERATOR": SAY, "MANYCAST_STRICT_FINISH": "true"}
    with closing_all(Worker(broker.url, "http://127.0.0.1:1", **settings)):
        yield broker
    broker.close()


@pytest.fixture
async def listener(speaking: Broker) -> AsyncIterator[Caller]:
    client = command_client(speaking.url)
    yield Caller(client)
    await client.aclose()


@pytest.mark.parametrize(("prompt", "reason"), [("", "stop"), ("stop with a dict", "length")])
async def test_a_yielded_string_is_text(listener: Caller, prompt: str, reason: str) -> None:
    events = await listener.run("", prompt=prompt)
    end = done(events)
    assert (end["status"], end["finish_reason"], text(events)) == ("completed", reason, "Hello world")
    assert chunks(events)[0]["choices"][0]["delta"]["content"] == "Hello"


async def test_texts_before_a_failure_are_no_complete_answer(listener: Caller) -> None:
    events = await listener.run("", prompt="crash")
    assert (done(events)["error"]["code"], text(events)) == ("worker_error", "Hello world")


@pytest.mark.parametrize("odd", ODD)
async def test_anything_else_is_an_error_that_names_the_generator_and_what_is_allowed(
    listener: Caller, odd: str
) -> None:
    end = done(await listener.run("", prompt=odd))
    assert (end["status"], end["error"]["code"]) == ("failed", "upstream_invalid")
    message = end["error"]["message"]
    assert f"The generator {SAY} yielded" in message
    kind = type(ODD[odd]).__name__
    assert kind in message
    assert "Allowed is a chat.completion.chunk as a dict" in message
