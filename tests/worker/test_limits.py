"""A run beyond what is allowed is stopped, at its provider too, and says why. A whole worker, a real provider."""

import pytest

from contract.event import Event, Kind
from tests.broker import Broker
from tests.stack import Simulator, Worker, closing_all
from tests.worker.runs import Caller, counts, done, text, until

LIMIT_BYTES = 8000
SHORT_S = "0.6"
NONE = {"MANYCAST_ANSWER_LIMIT_BYTES": "0", "MANYCAST_RUN_LIMIT_S": "0"}


def stored_bytes(events: list[Event]) -> int:
    return sum(len(event.kind) + 1 + len(event.data) for event in events if event.kind is not Kind.DONE)


async def until_aborted(provider: Simulator, model: str, before: int) -> None:
    await until(lambda: counts(provider.url, model).get("aborted", 0) == before + 1)


async def test_an_oversized_answer_is_stopped_and_keeps_its_beginning(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    aborted = counts(provider.url, "demo-long").get("aborted", 0)
    same = {"chunks_per_s": 0, "seed": 1}
    with closing_all(Worker(fragile_broker.url, provider.url, **NONE)):
        whole = await caller.run("demo-long", simulator={**same, "chunks": 300})
    limits = {**NONE, "MANYCAST_ANSWER_LIMIT_BYTES": str(LIMIT_BYTES)}
    with closing_all(Worker(fragile_broker.url, provider.url, **limits)):
        cut = await caller.run("demo-long", simulator={**same, "chunks": 100_000})
        await until_aborted(provider, "demo-long", aborted)
    assert done(whole)["status"] == "completed"
    assert LIMIT_BYTES - 300 < stored_bytes(cut) <= LIMIT_BYTES < stored_bytes(whole)
    assert len(text(cut)) > 100
    assert text(whole).startswith(text(cut))
    end = done(cut)
    assert (end["status"], end["finish_reason"]) == ("failed", None)
    assert (end["error"]["code"], end["error"]["retryable"]) == ("answer_too_large", False)
    assert str(LIMIT_BYTES) in end["error"]["message"]


async def test_a_chunk_above_the_answer_limit_is_never_stored(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    limits = {**NONE, "MANYCAST_ANSWER_LIMIT_BYTES": str(LIMIT_BYTES)}
    with closing_all(Worker(fragile_broker.url, provider.url, **limits)):
        events = await caller.run("fault-huge")
    assert done(events)["error"]["code"] == "answer_too_large"
    assert stored_bytes(events) <= LIMIT_BYTES


async def test_a_pass_through_call_has_a_limit_of_its_own(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    limits = {"MANYCAST_ANSWER_LIMIT_BYTES": "1", "MANYCAST_PASS_THROUGH_LIMIT_BYTES": "100000"}
    asked = {"input": ["x"] * 20, "encoding_format": "base64"}
    with closing_all(Worker(fragile_broker.url, provider.url, **limits)):
        small = await caller.run("demo", endpoint="embeddings", dimensions=64, **asked)
        large = await caller.run("demo", endpoint="embeddings", dimensions=4096, **asked)
    assert done(small)["status"] == "completed"
    assert done(large)["error"]["code"] == "answer_too_large"
    assert "100000 bytes (MANYCAST_PASS_THROUGH_LIMIT_BYTES)" in done(large)["error"]["message"]
    assert stored_bytes(large) <= 100_000


@pytest.mark.parametrize(
    ("model", "has_text"), [("demo-long", True), ("fault-stall-first", False)], ids=["writing", "waiting"]
)
async def test_a_run_that_takes_too_long_is_stopped_while(
    caller: Caller, fragile_broker: Broker, provider: Simulator, model: str, has_text: bool
) -> None:
    aborted = counts(provider.url, model).get("aborted", 0)
    limits = {**NONE, "MANYCAST_RUN_LIMIT_S": SHORT_S}
    with closing_all(Worker(fragile_broker.url, provider.url, **limits)):
        events = await caller.run(model, simulator={"chunks": 100_000, "chunks_per_s": 20})
        await until_aborted(provider, model, aborted)
    end = done(events)
    assert (end["status"], end["error"]["code"], end["error"]["retryable"]) == ("failed", "run_too_long", False)
    assert bool(text(events)) is has_text
    assert end["timing"]["total_ms"] >= float(SHORT_S) * 1000


async def test_an_answer_that_is_whole_when_it_meets_the_limit_is_complete(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    asked = {"chunks": 50, "chunks_per_s": 0, "seed": 1}
    with closing_all(Worker(fragile_broker.url, provider.url, **NONE)):
        whole = await caller.run("demo-long", simulator=asked)
    # The last chunk, which brings nothing but the usage, does not fit.
    limits = {**NONE, "MANYCAST_ANSWER_LIMIT_BYTES": str(stored_bytes(whole) - 1)}
    with closing_all(Worker(fragile_broker.url, provider.url, **limits)):
        cut = await caller.run("demo-long", simulator=asked)
    assert (done(cut)["status"], done(cut)["finish_reason"], text(cut)) == ("completed", "stop", text(whole))
    assert stored_bytes(cut) < stored_bytes(whole)
