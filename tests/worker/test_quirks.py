"""A whole worker at the simulator's quirks: what it writes, and what it says in its log."""

from collections.abc import AsyncIterator, Iterator

import pytest

from contract.connection import command_client
from simulator.quirks import QUIRKS, Quirk
from tests.broker import Broker, valkey_binary
from tests.quirks import EXPECTED
from tests.stack import Simulator, Worker, closing_all
from tests.worker.runs import Caller, done, text, until

WARNING = "the provider ended the answer without a finish_reason"
UNFINISHED = ["no-finish-reason", "only-empty-finish-reasons", "no-finish-reason-tools"]


@pytest.fixture(scope="module")
def place(provider: Simulator) -> Iterator[tuple[Broker, Worker]]:
    broker = Broker(valkey_binary())
    worker = Worker(broker.url, provider.url)
    with closing_all(worker):
        yield broker, worker
    broker.close()


@pytest.fixture
async def caller(place: tuple[Broker, Worker]) -> AsyncIterator[Caller]:
    client = command_client(place[0].url)
    yield Caller(client)
    await client.aclose()


@pytest.mark.parametrize("quirk", QUIRKS.values(), ids=QUIRKS)
async def test_an_odd_stream_is_a_complete_answer(caller: Caller, quirk: Quirk) -> None:
    events = await caller.run(quirk.model)
    end, expected = done(events), EXPECTED[quirk.name]
    assert (end["status"], end["finish_reason"], end["usage"]) == ("completed", expected.finish_reason, expected.usage)
    assert text(events) == expected.content


@pytest.mark.parametrize("model", ["quirk-refuses-stream", "quirk-refuses-stream-options"])
async def test_models_that_refuse_a_field_still_answer(caller: Caller, model: str) -> None:
    for _ in range(2):
        events = await caller.run(model, simulator={"chunks_per_s": 0})
        end = done(events)
        assert (end["status"], end["finish_reason"]) == ("completed", "stop")
        assert (end["usage"] is not None) == (model == "quirk-refuses-stream")
        assert len(text(events)) > 100


@pytest.mark.parametrize("name", UNFINISHED)
async def test_an_answer_without_a_finish_reason_is_mentioned_in_the_log(
    caller: Caller, place: tuple[Broker, Worker], name: str
) -> None:
    before = place[1].output.count(WARNING)
    await caller.run(QUIRKS[name].model)
    await until(lambda: place[1].output.count(WARNING) == before + 1, lambda: place[1].output)


@pytest.mark.parametrize("name", UNFINISHED)
async def test_a_strict_worker_treats_it_as_truncated(fragile_broker: Broker, provider: Simulator, name: str) -> None:
    worker = Worker(fragile_broker.url, provider.url, MANYCAST_STRICT_FINISH="1")
    client = command_client(fragile_broker.url)
    with closing_all(worker):
        events = await Caller(client).run(QUIRKS[name].model)
        end = done(events)
        assert (end["status"], end["error"]["code"], end["finish_reason"]) == ("failed", "upstream_truncated", None)
        assert text(events) == EXPECTED[name].content
        assert done(await Caller(client).run(QUIRKS["crlf"].model))["status"] == "completed"
        assert WARNING not in worker.output
    await client.aclose()
