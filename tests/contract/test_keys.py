"""Two deployments on one database share nothing, and no script names a key that it was not given."""

from collections.abc import AsyncIterator
from dataclasses import replace
from importlib.resources import files

import pytest

from contract.connection import Client, call_redis, command_client
from contract.ended_sessions import end_session, has_ended
from contract.job_queue import Lease, Submitted
from contract.keys import KeySpace, check_prefix
from contract.presence import Count, count_viewers, read_viewers
from contract.questions import Questions
from contract.rate_limit import RateLimit, take_token
from contract.recent_runs import RecentRun, add_recent_run, read_recent_runs
from contract.redis_server import Place, PubSubConnection
from contract.run_record import read_run
from contract.stream_id import new_stream_id, partition_of
from contract.tickets import revoke_tickets, share_secret
from contract.worker_registry import WorkerOffer, announce, read_offers, read_silent_workers, read_workers
from tests.broker import Broker
from tests.contract.store import MAX_WAITING, ChannelReader, Store

PREFIXES = ("one", "one:two")


@pytest.fixture
async def stores(any_broker: Broker, any_client: Client) -> AsyncIterator[list[Store]]:
    """Two deployments on the same database."""
    clients = [command_client(any_broker.url, KeySpace(prefix)) for prefix in PREFIXES]
    yield [await Store.on(any_broker.url, client, client) for client in clients]
    for client in clients:
        await client.aclose()


async def use_everything(store: Store, stream_id: str) -> None:
    """Writes every kind of key and publishes on every kind of channel."""
    client, limit = store.client, RateLimit("key:a", 1)
    await announce(client, "w1", 60_000, WorkerOffer((), "demo"))
    await share_secret(client, "k:secret")
    await end_session(client, "session", 60)
    assert (await take_token(client, limit)).granted
    submission = replace(store.submission(once="k"), stream_id=stream_id)
    assert (await store.queue.submit(submission, MAX_WAITING))[0] is Submitted.OK
    await store.queue.submit(store.submission(), MAX_WAITING)
    await add_recent_run(client, RecentRun(stream_id, "Why?"), 60_000)
    await count_viewers(client, "g1", [Count(stream_id, 3)], 60_000, 0)
    await revoke_tickets(client, stream_id)


async def test_all_keys_and_channels_of_a_deployment_begin_with_its_prefix(stores: list[Store]) -> None:
    for store, prefix in zip(stores, PREFIXES, strict=True):
        before = set(await call_redis(store.client, "KEYS", "*"))
        everything = PubSubConnection(Place(store.url))
        await everything.open()
        await everything.send("PSUBSCRIBE", "*")
        assert (await everything.receive())[0] == b"psubscribe"
        await use_everything(store, new_stream_id(private=False))
        for job in await store.take("w1"):
            claim = await store.claim(job, "w1")
            await store.queue.cancel(job.stream_id)
            await store.queue.release("w1", [Lease(job, claim.epoch)])
        await everything.send("PING")
        channels = set()
        while (push := await everything.receive())[0] != b"pong":
            channels.add(push[2].decode())
        await everything.close()
        assert len(channels) == 3
        assert [channel for channel in channels if not channel.startswith(f"{prefix}:{{")] == []
        new = {key.decode() for key in set(await call_redis(store.client, "KEYS", "*")) - before}
        assert len(new) >= 10
        assert [key for key in new if not key.startswith(f"{prefix}:{{")] == []


async def test_what_one_deployment_does_the_other_does_not_see(stores: list[Store]) -> None:
    first, second = stores
    stream_id, client = new_stream_id(private=False), second.client
    await use_everything(first, stream_id)
    assert await second.queue.take(client, "w2", 10, 1) == []
    assert await second.queue.take_over("w2", 0, 10) == []
    assert await read_run(client, stream_id) is None
    assert await second.queue.cancel(stream_id) is None
    assert await read_workers(client) == []
    assert await read_offers(client) == []
    assert await read_silent_workers(client, 0) == set()
    assert await read_viewers(client, stream_id) == 0
    assert await read_recent_runs(client, 10) == []
    assert await share_secret(client, "k:another") == "k:another"
    assert await revoke_tickets(client, stream_id) is None
    assert not await has_ended(client, "session")
    assert (await take_token(client, RateLimit("key:a", 1))).granted
    await Questions(client).ring()
    # The same idempotency key starts a run of its own.
    other = new_stream_id(private=False)
    again = await second.queue.submit(replace(second.submission(once="k"), stream_id=other), MAX_WAITING)
    assert again == (Submitted.OK, other)
    await second.queue.delete(stream_id)
    assert await read_run(first.client, stream_id) is not None


async def test_a_message_to_the_workers_of_one_deployment_reaches_no_other(stores: list[Store]) -> None:
    first, second = stores
    job, _ = await first.start()
    async with ChannelReader.on(first.url, second.client.key_space.control) as reader:
        assert await first.queue.cancel(job.stream_id) == "cancelling"
        assert await reader.received() == []


@pytest.mark.parametrize("prefix", ["mc", "a:b", "team-1.prod_2", "x" * 64])
def test_a_prefix_may_have_parts(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize(
    "prefix", ["", "a b", "a{b", "a}b", ":a", "a:", "a::b", "a*", "a?", "[a]", "é", "a\n", "x" * 65]
)
def test_a_prefix_that_a_pattern_or_a_hash_tag_would_misread_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="letters"):
        check_prefix(prefix)


def test_an_id_names_its_partition() -> None:
    for partition in (0, 7, 127, 255):
        for private in (False, True):
            assert partition_of(new_stream_id(private=private, partition=partition)) == partition


def test_whatever_a_client_takes_for_an_id_has_a_partition() -> None:
    assert {partition_of(text) for text in ("", "s_", "s_7", "s_zz0", "x" * 22, "s_7F" + "x" * 22)} == {0}


@pytest.mark.parametrize("name", sorted(path.name for path in (files("contract") / "lua").iterdir()))
def test_no_script_contains_the_prefix(name: str) -> None:
    assert "mc:" not in (files("contract") / "lua" / name).read_text(encoding="utf-8")
