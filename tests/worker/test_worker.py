"""A whole worker, `python -m worker`, beside a real provider and a real broker."""

import asyncio
import signal

from contract.connection import Client, call_redis
from contract.event import Kind
from contract.log_redaction import abbreviate
from contract.worker_registry import read_offers
from tests.broker import Broker
from tests.redis_keys import stream_keys
from tests.stack import DEADLINE_S, Simulator, Worker, closing_all
from tests.worker.conftest import QUICK
from tests.worker.runs import Caller, chunks, counts, done, has_chunks, text, until


async def test_a_run_is_published_whole(caller: Caller, worker: Worker) -> None:
    events = await caller.run("demo-fast")
    assert [event.kind for event in events[:2]] == [Kind.START, Kind.CHUNK]
    end = done(events)
    assert (end["status"], end["finish_reason"], end["error"]) == ("completed", "stop", None)
    assert end["usage"]["completion_tokens"] > 0
    assert end["timing"]["first_chunk_ms"] <= end["timing"]["total_ms"]
    assert sum(end["timing"]["pace"]) == sum(event.kind is Kind.CHUNK for event in events)
    assert len(text(events)) > 100


async def test_a_request_without_a_model_gets_the_default_one(caller: Caller, worker: Worker) -> None:
    assert chunks(await caller.run(""))[0]["model"] == "demo"


async def test_half_a_character_in_a_prompt_is_replaced(caller: Caller, worker: Worker) -> None:
    events = await caller.run("demo-echo", prompt="A client has cut this \ud83d")
    assert done(events)["status"] == "completed"
    assert text(events) == "A client has cut this \ufffd"


async def test_a_worker_with_room_takes_all_runs_of_a_caller_at_once(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    runs = [await caller.submit("demo-fast") for _ in range(20)]
    with closing_all(Worker(fragile_broker.url, provider.url, **QUICK)):
        for run in runs:
            assert done(await caller.finished(run))["status"] == "completed"
    # The first run was in the line alone. Its claim let the others in, in one step: their entries have the same time.
    entries = [(await caller.meta(run))["job"] for run in runs]
    assert len({entry.partition("-")[0] for entry in entries[1:]}) == 1


async def test_a_worker_announces_how_many_runs_it_has_and_could_have(
    caller: Caller, worker: Worker, fragile_client: Client
) -> None:
    async def until_announced(*counts: tuple[int, int]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while [(offer.runs, offer.slots) for offer in await read_offers(fragile_client)] != [*counts]:
                await asyncio.sleep(0.05)

    await until_announced((0, 100))
    stream_id = await caller.submit("demo-long", simulator={"chunks_per_s": 20})
    await until_announced((1, 100))
    await caller.queue.cancel(stream_id)
    await until_announced((0, 100))


async def test_a_cancel_reaches_the_provider_and_ends_the_stream(
    caller: Caller, worker: Worker, provider: Simulator
) -> None:
    stream_id = await caller.submit("demo-long", simulator={"chunks_per_s": 20})
    await caller.events_until(stream_id, has_chunks(3))
    aborted = counts(provider.url, "demo-long").get("aborted", 0)
    assert await caller.queue.cancel(stream_id) == "cancelling"
    assert done(await caller.finished(stream_id))["status"] == "cancelled"
    await until(lambda: counts(provider.url, "demo-long").get("aborted", 0) == aborted + 1)


async def test_a_cancel_is_heard_while_the_provider_has_sent_nothing(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    # No renewal tells of the cancel within the deadline of this test.
    worker = Worker(fragile_broker.url, provider.url, MANYCAST_LEASE_S="600")
    with closing_all(worker):
        aborted = counts(provider.url, "fault-stall-first").get("aborted", 0)
        stream_id = await caller.submit("fault-stall-first")
        await until(lambda: counts(provider.url, "fault-stall-first").get("open", 0) == 1)
        assert await caller.queue.cancel(stream_id) == "cancelling"
        end = done(await caller.finished(stream_id))
        assert (end["status"], end["timing"]["first_chunk_ms"]) == ("cancelled", None)
        await until(lambda: counts(provider.url, "fault-stall-first").get("aborted", 0) == aborted + 1)


async def test_a_cancel_whose_doorbell_nobody_heard_is_found_at_the_renewal(
    caller: Caller, worker: Worker, fragile_client: Client, provider: Simulator
) -> None:
    stream_id = await caller.submit("fault-stall-first")
    await until(lambda: counts(provider.url, "fault-stall-first").get("open", 0) == 1)
    await call_redis(fragile_client, "HSET", stream_keys(stream_id).meta, "cancel", "1")
    assert done(await caller.finished(stream_id))["status"] == "cancelled"


async def test_sigterm_gives_back_at_once_what_outlasts_the_grace(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    # Nothing can be taken over within the deadline of this test but what was given back.
    patient = {"MANYCAST_LEASE_S": "600", "MANYCAST_GRACE_S": "0.2"}
    first, second = (Worker(fragile_broker.url, provider.url, **patient) for _ in range(2))
    with closing_all(first, second):
        stream_id = await caller.submit("demo-long", simulator={"chunks_per_s": 20, "chunks": 60})
        await caller.events_until(stream_id, has_chunks(3))
        (owner, other) = (first, second) if abbreviate(stream_id) in first.output else (second, first)
        owner.signal(signal.SIGTERM)
        assert await asyncio.to_thread(owner.wait) == 0
        assert "Traceback" not in owner.output, owner.output
        events = await caller.finished(stream_id)
        assert abbreviate(stream_id) in other.output
    assert done(events)["status"] == "completed"
    (restart,) = [event for event in events if event.kind is Kind.RESTART]
    assert b"worker_stopped" in restart.data
