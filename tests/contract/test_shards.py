"""Several servers as shards, and which key a command has."""

from collections.abc import Iterator

import pytest

from contract.cluster_slots import hash_tag, key_of
from contract.connection import call_redis, call_server, command_client
from contract.redis_server import Place
from contract.scripts import run_calls
from tests.broker import Broker, valkey_binary
from tests.contract.test_subscription import subscribed
from tests.contract.topology import announce_call


@pytest.fixture(scope="module")
def shards() -> Iterator[list[Broker]]:
    shards = [Broker(valkey_binary()) for _ in range(3)]
    yield shards
    for shard in shards:
        shard.close()


async def test_a_partition_selects_the_shard_of_its_keys_and_channels(shards: list[Broker]) -> None:
    url = ",".join(shard.url for shard in shards)
    client = command_client(url)
    tags = [f"p{number:02x}" for number in range(12)]
    assert await run_calls(client, [announce_call(tag) for tag in [*tags, "other"]]) == [1] * 13
    for number, shard in enumerate(shards):
        held = await call_server(client.server_at(Place(shard.url)), "KEYS", "test:{p*:workers")
        assert sorted(held) == [f"test:{{{tag}}}:workers".encode() for tag in tags[number::3]]
    async with subscribed(url, *(f"test:{{{tag}}}:live" for tag in tags)) as (_, listener):
        for number in range(12):
            server = client.server_at(Place(shards[number % 3].url))
            assert await call_server(server, "PUBLISH", f"test:{{{tags[number]}}}:live", "x") == 1
        await listener.until(lambda: listener.count("payload") == 12)
    assert await call_redis(client, "PING")
    await client.aclose()


async def test_a_channel_of_the_deployment_is_heard_from_every_shard(shards: list[Broker]) -> None:
    url = ",".join(shard.url for shard in shards)
    client = command_client(url)
    async with subscribed(url) as (kept, listener):
        kept.want_everywhere("test:control")
        await listener.until(lambda: listener.count("confirmed") == 3)
        for number, shard in enumerate(shards):
            await call_server(client.server_at(Place(shard.url)), "PUBLISH", "test:control", str(number))
        await listener.until(lambda: listener.count("payload") == 3)
        # A line that comes back subscribes to it again.
        await call_server(client.server_at(Place(shards[1].url)), "CLIENT", "KILL", "TYPE", "pubsub")
        await listener.until(lambda: listener.count("confirmed") == 4)
        await call_server(client.server_at(Place(shards[1].url)), "PUBLISH", "test:control", "again")
        await listener.until(lambda: ("payload", "test:control again") in listener.told)
    await client.aclose()


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "k"), "k"),
        (("XRANGE", "k", "-", "+"), "k"),
        (("XGROUP", "CREATE", "k", "g", "0"), "k"),
        (("XREADGROUP", "GROUP", "g", "w", "COUNT", 1, "BLOCK", 5, "STREAMS", "k", ">"), "k"),
        (("MEMORY", "USAGE", "k"), "k"),
        (("EVAL", "return 1", 1, "k"), "k"),
        (("EVAL", "return 1", 0), None),
        (("SPUBLISH", "k", "x"), "k"),
        (("PUBLISH", "k", "x"), None),
        (("INFO",), None),
    ],
)
def test_a_command_has_its_key_where_redis_looks_for_it(command: tuple[str | int, ...], key: str | None) -> None:
    assert key_of(command) == key


@pytest.mark.parametrize(
    ("key", "tag"), [("a", "a"), ("a{b}c", "b"), ("{}a", "{}a"), ("a{b", "a{b"), ("a{b}{c}", "b"), ("}a{b}", "b")]
)
def test_the_first_braces_hold_the_tag(key: str, tag: str) -> None:
    assert hash_tag(key) == tag
