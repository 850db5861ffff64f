"""Clients as they meet a crowd, a deaf server, odd addresses, a call given up half-way."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import uvloop

from contract.connection import blocking_client, call_redis, command_client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.redis_server import COMMAND_TIMEOUT_S, Place, PubSubConnection, ResponseError, translating_errors
from tests.broker import Broker, only_server, valkey_binary

DEADLINE_S = 60.0


def pack(*commands: Sequence[str]) -> bytes:
    """Commands as Redis reads them."""
    return b"".join(
        b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word.encode()) for word in words))
        for words in commands
    )


@pytest.fixture(scope="module")
def own_valkey() -> Iterator[Broker]:
    """For tests that freeze it, and let it go on."""
    broker = Broker(valkey_binary())
    yield broker
    broker.close()


async def test_a_crowd_waits_for_a_free_connection_and_is_not_refused(broker: Broker) -> None:
    client = command_client(broker.url, connections=3)
    echoes = await asyncio.gather(*(call_redis(client, "ECHO", str(number)) for number in range(200)))
    assert echoes == [str(number).encode() for number in range(200)]
    await client.aclose()


async def test_a_connection_to_a_server_that_never_greets_times_out(
    deaf_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contract.redis_server.CONNECT_TIMEOUT_S", 0.05)
    line = PubSubConnection(Place(f"redis://127.0.0.1:{deaf_port}/0"))
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(BrokerUnavailableError):
            await line.open()
    await line.close()


async def test_a_read_from_a_frozen_server_times_out(fragile_broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    client = blocking_client(fragile_broker.url)
    await call_redis(client, "PING")
    monkeypatch.setattr("contract.connection.COMMAND_TIMEOUT_S", 0.05)
    with fragile_broker.frozen():
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(BrokerUnavailableError, match="does not answer in time"):
                await call_redis(client, "BLPOP", "nothing", 1, block_ms=1)
    await client.aclose()


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_call_leaves_its_reply_to_no_other_call(own_valkey: Broker, turns: int) -> None:
    client = command_client(own_valkey.url, connections=1)
    await call_redis(client, "PING")
    with own_valkey.frozen():
        call = asyncio.create_task(call_redis(client, "ECHO", "somebody else's"))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        async with asyncio.timeout(COMMAND_TIMEOUT_S / 2):
            await asyncio.wait([call])
        assert call.cancelled()
    assert [await call_redis(client, "ECHO", str(number)) for number in range(3)] == [b"0", b"1", b"2"]
    await client.aclose()


@pytest.mark.parametrize("turns", [*range(6), None])
async def test_an_exchange_that_is_cancelled_leaves_its_replies_to_no_other_call(
    broker: Broker, turns: int | None
) -> None:
    """After some turns of the loop, or (None) between its first reply and the next."""
    client, other = command_client(broker.url), command_client(broker.url)
    packed = pack(["ECHO", "somebody else's"], ["BLPOP", "nothing", "0"], ["ECHO", "somebody else's"])
    await call_redis(client, "PING")
    exchange = asyncio.create_task(only_server(client).exchange(packed, 3))
    for _ in range(turns or 0):
        await asyncio.sleep(0)
    if turns is None:
        async with asyncio.timeout(DEADLINE_S):
            while b"cmd=blpop" not in await call_redis(other, "CLIENT", "LIST"):
                pass
    exchange.cancel()
    await asyncio.wait([exchange])
    assert exchange.cancelled()
    echoes = [pack(["ECHO", str(number)]) for number in range(3)]
    assert await only_server(client).exchange(b"".join(echoes), 3) == [b"0", b"1", b"2"]
    await client.aclose()
    await other.aclose()


async def test_a_refused_asking_leaves_the_reply_to_its_command_to_no_other_call(broker: Broker) -> None:
    """Only a cluster knows ASKING. The reply to the command comes later than the refusal."""
    client = command_client(broker.url, connections=1)
    with pytest.raises(ResponseError):
        await only_server(client).execute_asking("BLPOP", "nothing", "0.2")
    assert await call_redis(client, "ECHO", "mine") == b"mine"
    await client.aclose()


@pytest.mark.parametrize("first", [b"", b"+OK\r\n", b"-ERR no\r\n"])
async def test_a_connection_whose_replies_cannot_be_read_is_not_used_again(first: bytes) -> None:
    """Whether the nonsense is the first reply or comes with others."""
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        is_first = connections == 1
        while (data := await reader.read(1 << 16)) and b"ECHO" not in data:
            writer.write(b"+OK\r\n" * data.count(b"*"))
        writer.write(first + b"?nonsense\r\n" if is_first else b"$1\r\na\r\n" * data.count(b"*"))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        client = command_client(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", connections=1)
        both = pack(["ECHO", "a"], ["ECHO", "a"])
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(BrokerUnavailableError), translating_errors():
                await only_server(client).exchange(both, 2)
            assert await only_server(client).exchange(both, 2) == [b"a", b"a"]
        await client.aclose()


@pytest.mark.parametrize("first", [b"", b"+OK\r\n"])
async def test_a_server_that_loads_its_data_is_unavailable_wherever_it_says_so(first: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (data := await reader.read(1 << 16)) and b"ECHO" not in data:
            writer.write(b"+OK\r\n" * data.count(b"*"))
        writer.write(first + 2 * b"-LOADING Redis is loading the dataset in memory\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        client = command_client(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(BrokerUnavailableError, match="loading"), translating_errors():
                await only_server(client).exchange(pack(["ECHO", "a"], ["ECHO", "a"]), 2)
        await client.aclose()


async def test_a_cancelled_wait_for_a_connection_harms_no_other(broker: Broker) -> None:
    client = command_client(broker.url, connections=1)
    calls = [asyncio.create_task(call_redis(client, "ECHO", str(number))) for number in range(100)]
    for number in range(0, 100, 2):
        await asyncio.sleep(0)
        calls[number].cancel()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.wait(calls)
    assert [await call for call in calls[1::2]] == [str(number).encode() for number in range(1, 100, 2)]
    await client.aclose()


@pytest.mark.parametrize("url", ["unix:///nowhere/redis.sock", "redis://127.0.0.1:1/0?protocol=3&socket_timeout=9"])
async def test_every_form_of_address_connects(url: str) -> None:
    client = command_client(url)
    with pytest.raises(BrokerUnavailableError):
        await call_redis(client, "PING")
    await client.aclose()
    line = PubSubConnection(Place(url))
    with pytest.raises(BrokerUnavailableError):
        await line.open()


async def test_replies_are_resp2_bytes_whatever_the_address_says(broker: Broker) -> None:
    client = command_client(f"{broker.url}?protocol=3&decode_responses=yes")
    assert await call_redis(client, "ECHO", "x") == b"x"
    assert b"resp=2" in await call_redis(client, "CLIENT", "LIST", "ID", await call_redis(client, "CLIENT", "ID"))
    await client.aclose()


async def test_a_server_that_speaks_no_redis_is_unavailable() -> None:
    async def greet(_: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        line.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await line.drain()
        line.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    client = command_client(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    with pytest.raises(BrokerUnavailableError):
        await call_redis(client, "PING")
    await client.aclose()
    server.close()


async def test_a_refusal_and_an_absence_are_told_apart(fragile_broker: Broker) -> None:
    client = command_client(fragile_broker.url)
    with pytest.raises(BrokerRefusedError, match="syntax"):
        await call_redis(client, "SET", "key", "value", "WRONG")
    fragile_broker.stop()
    with pytest.raises(BrokerUnavailableError):
        await call_redis(client, "PING")
    fragile_broker.start()
    assert await call_redis(client, "PING")
    await client.aclose()


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(KeyError), translating_errors():
        raise KeyError("ours")


def test_a_write_to_a_closed_transport_is_a_lost_connection(broker: Broker) -> None:
    """On uvloop, as in production, it is a RuntimeError, which no caller takes for a loss of Redis."""

    async def scenario() -> None:
        client = command_client(broker.url)
        pool: Any = only_server(client).connection_pool
        connection = await pool.get_connection()
        writer = connection._writer
        writer.transport.abort()
        async with asyncio.timeout(DEADLINE_S):
            while "closed=True" not in repr(writer.transport):
                await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="handler is closed"):
            writer.writelines([b"PING"])
        with pytest.raises(BrokerUnavailableError), translating_errors():
            await connection.send_packed_command(b"PING", check_health=False)
        await pool.release(connection)
        # The connection was dropped: the next calls use a new one.
        assert await call_redis(client, "ECHO", "a") == b"a"
        assert await only_server(client).exchange(b"*1\r\n$4\r\nPING\r\n", 1) == [b"PONG"]
        await client.aclose()

    uvloop.run(scenario())


async def test_other_runtime_errors_stay_runtime_errors(broker: Broker) -> None:
    def fail() -> Iterator[bytes]:
        raise RuntimeError("a mistake")
        yield b""

    client = command_client(broker.url)
    pool: Any = only_server(client).connection_pool
    connection = await pool.get_connection()
    with pytest.raises(RuntimeError, match="a mistake"), translating_errors():
        await connection.send_packed_command(fail(), check_health=False)
    await pool.release(connection)
    await client.aclose()


async def test_replies_come_in_order_whatever_pieces_they_arrive_in_and_refusals_among_them(broker: Broker) -> None:
    client = command_client(broker.url)
    long = "x" * 300_000
    commands = [["ECHO", "a"], ["INCR"], ["ECHO", long], ["NONSENSE"], ["ECHO", "b"], ["ECHO", long], ["PING"]]
    replies = await only_server(client).exchange(pack(*commands), len(commands))
    refused = [isinstance(reply, ResponseError) for reply in replies]
    assert refused == [False, True, False, True, False, False, False]
    assert [reply for reply in replies if not isinstance(reply, ResponseError)] == [
        *(text.encode() for text in ("a", long, "b", long, "PONG"))
    ]
    assert await call_redis(client, "ECHO", "next") == b"next"
    await client.aclose()


async def test_a_server_that_goes_away_among_the_replies_is_unavailable(fragile_broker: Broker) -> None:
    client = command_client(fragile_broker.url)
    packed = b"*1\r\n$4\r\nPING\r\n" * 3 + b"*2\r\n$8\r\nSHUTDOWN\r\n$6\r\nNOSAVE\r\n" + b"*1\r\n$4\r\nPING\r\n"
    with pytest.raises(BrokerUnavailableError), translating_errors():
        await only_server(client).exchange(packed, 5)
    await client.aclose()
