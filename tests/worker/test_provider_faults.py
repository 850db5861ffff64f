"""Each way a provider fails ends in a `done` that tells the truth. A whole worker, a real provider, a real broker."""

from collections.abc import AsyncIterator, Iterator

import pytest

from contract.connection import call_redis, command_client
from contract.event import Kind
from tests.broker import Broker, valkey_binary
from tests.redis_keys import stream_keys
from tests.stack import Simulator, Worker, closing_all
from tests.worker.runs import Caller, chunks, counts, done, text

IMPATIENT = {
    "MANYCAST_FIRST_CHUNK_TIMEOUT_S": "1.5",
    "MANYCAST_CHUNK_TIMEOUT_S": "1.5",
    "MANYCAST_PROVIDER_RETRIES": "1",
    "MANYCAST_FAILED_RETENTION_S": "300",
}


@pytest.fixture(scope="module")
def place(provider: Simulator) -> Iterator[Broker]:
    broker = Broker(valkey_binary())
    worker = Worker(broker.url, provider.url, **IMPATIENT)
    yield broker
    words = worker.output
    worker.close()
    broker.close()
    assert "Traceback" not in words


@pytest.fixture
async def caller(place: Broker) -> AsyncIterator[Caller]:
    client = command_client(place.url)
    yield Caller(client)
    await client.aclose()


@pytest.mark.parametrize(
    ("model", "expected", "has_text"),
    [
        ("fault-401", ("invalid_api_key", 401, False), False),
        ("fault-500", ("server_error", 500, True), False),
        ("fault-stall-first", ("upstream_timeout", None, True), False),
        ("fault-stall-middle", ("upstream_timeout", None, True), True),
        ("fault-drop", ("upstream_disconnected", None, True), True),
        ("fault-truncated", ("upstream_truncated", None, True), True),
        ("fault-error-frame", ("server_error", None, True), True),
        ("fault-garbage", ("upstream_invalid", None, True), True),
        ("no-such-model", ("model_not_found", 404, False), False),
    ],
)
async def test_a_run_fails_with_the_reason_and_keeps_its_text(
    caller: Caller, model: str, expected: tuple[str, int | None, bool], has_text: bool
) -> None:
    stream_id = await caller.submit(model)
    events = await caller.finished(stream_id)
    end = done(events)
    assert end["status"] == "failed"
    error = end["error"]
    assert (error["code"], error["http_status"], error["retryable"]) == expected
    assert 0 < await call_redis(caller.client, "PTTL", stream_keys(stream_id).log) <= 300_000
    assert error["message"]
    assert bool(text(events)) is has_text


async def test_a_temporary_refusal_is_retried(caller: Caller, provider: Simulator) -> None:
    before = counts(provider.url, "fault-429").get("refused", 0)
    events = await caller.run("fault-429")
    assert done(events)["status"] == "completed"
    assert counts(provider.url, "fault-429")["refused"] == before + 1


async def test_a_refusal_is_reported_when_no_retry_is_left(caller: Caller) -> None:
    error = done(await caller.run("fault-429", simulator={"failures": 2}))["error"]
    assert (error["code"], error["http_status"], error["retryable"]) == ("rate_limit_exceeded", 429, True)


async def test_half_a_surrogate_pair_reaches_the_log_whole(caller: Caller) -> None:
    events = await caller.run("fault-surrogate")
    assert done(events)["status"] == "completed"
    joined = text(events).encode("utf-16", "surrogatepass").decode("utf-16")
    assert joined.isprintable() or "\n" in joined
    assert any(ord(character) > 0xFFFF for character in joined)


async def test_a_chunk_of_a_megabyte_passes(caller: Caller) -> None:
    events = await caller.run("fault-huge")
    assert done(events)["status"] == "completed"
    assert max(len(event.data) for event in events) > 1_000_000


@pytest.mark.parametrize("model", ["demo-tools", "demo-reasoning", "demo-choices", "demo-long"])
async def test_every_shape_of_chunk_passes(caller: Caller, model: str) -> None:
    events = await caller.run(model, simulator={"chunks_per_s": 0})
    end = done(events)
    assert end["status"] == "completed"
    assert end["usage"]["total_tokens"] > 0
    shared = chunks(events)[0]
    assert all(chunk["id"] == shared["id"] and chunk["model"] == model for chunk in chunks(events))
    assert sum(event.kind is Kind.START for event in events) == 1


async def test_timeouts_may_depend_on_the_model(fragile_broker: Broker, provider: Simulator) -> None:
    settings = {
        "MANYCAST_FIRST_CHUNK_TIMEOUT_S": "0",
        "MANYCAST_FIRST_CHUNK_TIMEOUTS": "demo*=600, fault-stall-f*=0.25",
        "MANYCAST_CHUNK_TIMEOUTS": "fault-*=0.5",
    }
    worker = Worker(fragile_broker.url, provider.url, **settings)
    client = command_client(fragile_broker.url)
    with closing_all(worker):
        errors = [
            done(await Caller(client).run(model))["error"] for model in ("fault-stall-first", "fault-stall-middle")
        ]
    await client.aclose()
    assert [error["message"] for error in errors] == [
        "The provider sent nothing for 0.25 seconds.",
        "The provider sent nothing for 0.5 seconds.",
    ]
