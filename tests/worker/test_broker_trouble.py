"""Redis goes, comes back, forgets, or refuses: nothing is lost or told twice, or viewers are told what is."""

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from contract.connection import Client, call_redis
from contract.event import Event
from contract.keys import StreamKeys
from tests.broker import Broker, only_server
from tests.redis_keys import stream_keys
from tests.stack import Simulator, Worker, closing_all
from tests.worker.conftest import QUICK
from tests.worker.runs import Caller, chunks, counts, done, has_chunks, until

STEADY = {"chunks_per_s": 50, "chunks": 150, "seed": 7}


def restart(broker: Broker) -> None:
    broker.stop()
    broker.start()


def crash(broker: Broker) -> None:
    """It loses what it has not synced: up to a second of what it confirmed."""
    broker.kill()
    broker.start()


def freeze(broker: Broker) -> None:
    frozen = ExitStack()
    frozen.enter_context(broker.frozen())
    asyncio.get_running_loop().call_later(1.0, frozen.close)


def demote(broker: Broker) -> None:
    """It refuses to write for a while, as a primary does after a failover."""
    tell(broker, "REPLICAOF 127.0.0.1 1")
    asyncio.get_running_loop().call_later(1.0, tell, broker, "REPLICAOF NO ONE")


def tell(broker: Broker, words: str) -> None:
    with socket.create_connection(("127.0.0.1", broker.port)) as line:
        line.sendall(f"{words}\r\n".encode())
        assert line.recv(64).startswith(b"+OK")


async def whole_run(caller: Caller) -> list[Event]:
    """What the same request leaves where nothing happens."""
    return await caller.run("demo-long", simulator={**STEADY, "chunks_per_s": 0})


@pytest.mark.parametrize("trouble", [restart, crash, freeze, demote], ids=lambda trouble: trouble.__name__)
async def test_a_run_goes_on_where_it_was_when_redis_is_back(
    caller: Caller, worker: Worker, fragile_broker: Broker, trouble: Callable[[Broker], None]
) -> None:
    stream_id = await caller.submit("demo-long", simulator=STEADY)
    await caller.events_until(stream_id, has_chunks(20))
    trouble(fragile_broker)
    events = await caller.finished(stream_id)
    assert done(events)["status"] == "completed"
    contents = [chunk["choices"] for chunk in chunks(events)]
    assert contents == [chunk["choices"] for chunk in chunks(await whole_run(caller))]
    assert "Traceback" not in worker.output


async def test_cut_connections_cost_nothing(caller: Caller, worker: Worker, fragile_client: Client) -> None:
    stream_id = await caller.submit("demo-long", simulator=STEADY)
    for count in (10, 40, 70, 100):
        await caller.events_until(stream_id, has_chunks(count))
        await call_redis(fragile_client, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await call_redis(fragile_client, "CLIENT", "KILL", "TYPE", "pubsub")
    events = await caller.finished(stream_id)
    assert done(events)["status"] == "completed"
    assert len(chunks(events)) == len(chunks(await whole_run(caller)))


async def test_a_wiped_redis_stops_the_provider(
    caller: Caller, worker: Worker, fragile_broker: Broker, provider: Simulator
) -> None:
    aborted = counts(provider.url, "demo-long").get("aborted", 0)
    stream_id = await caller.submit("demo-long", simulator={"chunks_per_s": 20})
    await caller.events_until(stream_id, has_chunks(3))
    fragile_broker.stop()
    fragile_broker.wipe()
    fragile_broker.start()
    await until(lambda: counts(provider.url, "demo-long").get("aborted", 0) == aborted + 1)
    assert await caller.events(stream_id) == []
    assert done(await caller.run("demo-fast"))["status"] == "completed"


async def snapshot(client: Client, keys: StreamKeys) -> tuple[bytes, bytes]:
    """Log and meta, as they are at one moment."""
    pipeline = only_server(client).pipeline(transaction=True)
    for key in (keys.log, keys.meta):
        pipeline.dump(key)
    log, meta = await pipeline.execute()
    return log, meta


async def put_back(client: Client, dumps: dict[str, bytes]) -> None:
    """What a failover does that lost the writes since."""
    pipeline = only_server(client).pipeline(transaction=True)
    for key, dump in dumps.items():
        pipeline.restore(key, 60_000, dump, replace=True)
    await pipeline.execute()


async def test_lost_writes_of_a_failover_are_written_again(
    caller: Caller, worker: Worker, fragile_client: Client
) -> None:
    stream_id = await caller.submit("demo-long", simulator=STEADY)
    await caller.events_until(stream_id, has_chunks(20))
    keys = stream_keys(stream_id)
    log, meta = await snapshot(fragile_client, keys)
    await caller.events_until(stream_id, has_chunks(40))
    await put_back(fragile_client, {keys.log: log, keys.meta: meta})
    events = await caller.finished(stream_id)
    assert done(events)["status"] == "completed"
    assert len(chunks(events)) == len(chunks(await whole_run(caller)))


async def test_a_hole_that_cannot_be_filled_ends_the_stream_as_lost(
    caller: Caller, worker: Worker, fragile_client: Client, provider: Simulator
) -> None:
    aborted = counts(provider.url, "fault-huge").get("aborted", 0)
    # Megabytes push the first chunks out of the worker's memory.
    stream_id = await caller.submit("fault-huge", simulator={"chunks_per_s": 5, "chunks": 100})
    await caller.events_until(stream_id, has_chunks(1))
    keys = stream_keys(stream_id)
    log, meta = await snapshot(fragile_client, keys)
    kept = await caller.events(stream_id)
    await caller.events_until(stream_id, has_chunks(len(kept) + 4))
    await put_back(fragile_client, {keys.log: log, keys.meta: meta})
    end = done(await caller.finished(stream_id))
    assert (end["status"], end["error"]["code"]) == ("failed", "stream_lost")
    await until(lambda: counts(provider.url, "fault-huge").get("aborted", 0) == aborted + 1)


async def test_a_full_redis_that_gets_room_again_loses_nothing(
    caller: Caller, worker: Worker, fragile_client: Client
) -> None:
    stream_id = await caller.submit("demo-long", simulator=STEADY)
    await caller.events_until(stream_id, has_chunks(10))
    await call_redis(fragile_client, "CONFIG", "SET", "maxmemory", "1")
    await until(lambda: "events wait in memory" in worker.output, lambda: worker.output)
    await call_redis(fragile_client, "CONFIG", "SET", "maxmemory", "0")
    events = await caller.finished(stream_id)
    assert done(events)["status"] == "completed"
    assert len(chunks(events)) == len(chunks(await whole_run(caller)))


async def test_a_redis_that_refuses_for_too_long_ends_the_run_and_keeps_what_came(
    caller: Caller, fragile_broker: Broker, fragile_client: Client, provider: Simulator
) -> None:
    worker = Worker(fragile_broker.url, provider.url, **QUICK, MANYCAST_BROKER_PATIENCE_S="0.5")
    with closing_all(worker):
        aborted = counts(provider.url, "demo-long").get("aborted", 0)
        stream_id = await caller.submit("demo-long", simulator={"chunks_per_s": 20})
        await caller.events_until(stream_id, has_chunks(3))
        await call_redis(fragile_client, "CONFIG", "SET", "maxmemory", "1")
        await until(lambda: counts(provider.url, "demo-long").get("aborted", 0) == aborted + 1)
        await call_redis(fragile_client, "CONFIG", "SET", "maxmemory", "0")
        events = await caller.finished(stream_id)
        end = done(events)
        assert (end["status"], end["error"]["code"]) == ("failed", "broker_unavailable")
        assert len(chunks(events)) > 10


async def test_a_generator_is_held_back_while_too_much_waits_for_redis(
    caller: Caller, fragile_broker: Broker, fragile_client: Client, provider: Simulator
) -> None:
    tight = {"MANYCAST_UNSENT_LIMIT_BYTES": str(1 << 20), "MANYCAST_CHUNK_TIMEOUT_S": "0.5"}
    tight["MANYCAST_ANSWER_LIMIT_BYTES"] = "0"  # it is 60 MB
    worker = Worker(fragile_broker.url, provider.url, **{**QUICK, **tight, "MANYCAST_LEASE_S": "60"})
    with closing_all(worker):
        await caller.run("demo-fast")
        await call_redis(fragile_client, "CONFIG", "SET", "maxmemory", "100mb")
        stream_id = await caller.submit("fault-huge", simulator={"chunks_per_s": 0, "chunks": 60})
        await caller.events_until(stream_id, has_chunks(5))
        await call_redis(fragile_client, "CONFIG", "SET", "maxmemory", "1")
        await until(lambda: "events wait in memory" in worker.output)
        # Its next word to Redis comes after longer than a provider's silence is suffered.
        await until(lambda: "not registered" in worker.output)
        assert counts(provider.url, "fault-huge")["open"] == 1
        await call_redis(fragile_client, "CONFIG", "SET", "maxmemory", "0")
        events = await caller.finished(stream_id)
        assert done(events)["status"] == "completed"
        assert len(chunks(events)) >= 60


async def test_a_run_that_ended_while_redis_was_away_is_written_when_it_is_back(
    caller: Caller, worker: Worker, fragile_broker: Broker, provider: Simulator
) -> None:
    completed = counts(provider.url, "demo-long").get("completed", 0)
    stream_id = await caller.submit("demo-long", simulator=STEADY)
    await caller.events_until(stream_id, has_chunks(10))
    fragile_broker.stop()
    await until(lambda: counts(provider.url, "demo-long").get("completed", 0) == completed + 1)
    fragile_broker.start()
    events = await caller.finished(stream_id)
    assert done(events)["status"] == "completed"
    assert len(chunks(events)) == len(chunks(await whole_run(caller)))


@pytest.mark.parametrize("held_by", ["no answer", "no memory"])
async def test_events_that_wait_in_the_worker_survive_the_death_of_redis(
    caller: Caller, worker: Worker, fragile_broker: Broker, provider: Simulator, held_by: str
) -> None:
    """One run has all of its events from the 10th on in the worker's outbox, `done` too; another one is under way."""
    completed = counts(provider.url, "demo-long").get("completed", 0)
    ending = await caller.submit("demo-long", simulator=STEADY)
    under_way = await caller.submit("demo-long", simulator={**STEADY, "chunks": 400})
    for stream_id in (ending, under_way):
        await caller.events_until(stream_id, has_chunks(10))
    with ExitStack() as held:
        if held_by == "no answer":
            held.enter_context(fragile_broker.frozen())
        else:
            fragile_broker.call_each("CONFIG", "SET", "maxmemory", "1")
        await until(lambda: counts(provider.url, "demo-long")["completed"] == completed + 1)
        fragile_broker.kill()
    fragile_broker.start()
    for stream_id, fields in ((ending, STEADY), (under_way, {**STEADY, "chunks": 400})):
        events = await caller.finished(stream_id)
        assert done(events)["status"] == "completed"
        assert {event.position.epoch for event in events} == {1}
        whole = await caller.run("demo-long", simulator={**fields, "chunks_per_s": 0})
        assert [chunk["choices"] for chunk in chunks(events)] == [chunk["choices"] for chunk in chunks(whole)]
    assert "Traceback" not in worker.output


async def test_a_worker_stops_cleanly_while_redis_is_away(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    worker = Worker(fragile_broker.url, provider.url, **{**QUICK, "MANYCAST_GRACE_S": "0.5"})
    with closing_all(worker):
        stream_id = await caller.submit("demo-long", simulator={"chunks_per_s": 20})
        await caller.events_until(stream_id, has_chunks(3))
        fragile_broker.stop()
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.wait) == 0
        assert "Traceback" not in worker.output, worker.output


async def test_a_worker_waits_for_a_redis_that_is_not_there_yet(
    caller: Caller, fragile_broker: Broker, provider: Simulator
) -> None:
    fragile_broker.stop()
    worker = Worker(fragile_broker.url, provider.url, **QUICK)
    with closing_all(worker):
        await until(lambda: "no jobs can be read" in worker.output, lambda: worker.output)
        fragile_broker.start()
        assert done(await caller.run("demo-fast"))["status"] == "completed"
        assert "Traceback" not in worker.output
