"""The door to Redis: clients made one way, deadlines on everything, failures told in our own two words.

Not a pool of our own, and no retries beyond redis-py's: callers decide what may be repeated.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import redis.exceptions as refusals
from redis.asyncio import Connection, ConnectionPool, Redis, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff

from contract.errors import BrokerRefusedError, BrokerUnavailableError

NoScriptError = refusals.NoScriptError
ReadOnlyError = refusals.ReadOnlyError
ResponseError = refusals.ResponseError

COMMAND_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0


class Client(Redis):
    """A client whose replies are bytes. A call beyond its `turns` waits: a crowd of viewers is no failure of Redis."""

    slots: asyncio.Semaphore

    async def exchange(self, packed: bytes, replies: int) -> list[Any]:
        """Sends commands that are packed already, and hears their replies; a refusal stands among them as its error.

        redis-py's own pipeline costs half as much again: it packs by itself, and asks much that is never so here. A
        connection that has gone stale is replaced, once. Raises: what redis-py raises.
        """
        pool = self.connection_pool
        for is_last in (False, True):
            connection = await pool.get_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.send_packed_command(packed, check_health=False)
                return [await _read_reply(connection) for _ in range(replies)]
            except (refusals.ConnectionError, OSError):
                if is_last:
                    raise
            finally:
                await pool.release(connection)
        raise AssertionError("the last try returns or raises")


async def _read_reply(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except refusals.ResponseError as refusal:
        return refusal


def command_client(url: str, *, connections: int = 32) -> Client:
    """For calls that may be repeated without harm: a connection that has gone stale is replaced, once, in silence."""
    return _client(url, connections, Retry(ExponentialBackoff(cap=0.1, base=0.01), 1))


def blocking_client(url: str) -> Client:
    """For blocking reads. It repeats nothing: after a lost reply, entries may stand delivered."""
    return _client(url, 8, Retry(NoBackoff(), 0))


def _client(url: str, connections: int, retry: Retry) -> Client:
    # Its turns bound the connections: a pool of redis-py that is empty would refuse.
    client = Client.from_pool(ConnectionPool(max_connections=1 << 20, **_arguments(url, retry)))
    assert isinstance(client, Client)
    client.slots = asyncio.Semaphore(connections)
    return client


def _arguments(url: str, retry: Retry) -> dict[str, Any]:
    """What the URL says, and what it cannot overrule. Raises: ValueError for a URL that is none of Redis's."""
    arguments: dict[str, Any] = {**parse_url(url)}
    for name in ("max_connections", "timeout"):
        arguments.pop(name, None)
    arguments |= {
        # hiredis reads RESP2 a third faster than RESP3, and none of our replies need RESP3's types.
        "protocol": 2,
        "decode_responses": False,
        "retry": retry,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        # With a number here redis-py sends by asyncio.wait_for, which on Python 3.11 swallows a cancellation that comes
        # as the send ends: a task that is cancelled then goes on for ever. The deadline is `connection_slot`'s instead.
        "socket_timeout": None,
    }
    if arguments.get("connection_class") is not UnixDomainSocketConnection:
        arguments["socket_keepalive"] = True
    return arguments


def check_url(url: str) -> None:
    """Makes a connection object from `url` without connecting.

    Raises: an exception of redis-py or of Python for a URL that cannot be used. Its text may quote the URL.
    """
    (parse_url(url).get("host") or "").encode("idna")
    PubSubConnection(url)


class PubSubConnection:
    """One connection for pub/sub. Unlike redis-py's PubSub it never reconnects by itself, so no gap goes unnoticed."""

    def __init__(self, url: str) -> None:
        arguments = _arguments(url, Retry(NoBackoff(), 0))
        kind = arguments.pop("connection_class", Connection)
        self._connection = kind(**arguments)

    async def open(self) -> None:
        """Raises: BrokerUnavailableError."""
        with translating_errors():
            # redis-py bounds the connecting, not the greeting: what accepts and says nothing would be waited for.
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connection.connect()

    async def send(self, *command: str) -> None:
        """Raises: BrokerUnavailableError."""
        with translating_errors():
            await self._connection.send_command(*command, check_health=False)

    async def receive(self) -> Sequence[Any]:
        """The next push, as Redis sent it. Waits without end. Raises: BrokerUnavailableError, BrokerRefusedError."""
        with translating_errors():
            reply: Sequence[Any] = await self._connection.read_response(disable_decoding=True, timeout=math.inf)
            return reply

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)


async def call_redis(client: Client, *command: str | int, block_ms: int = 0) -> Any:
    """One command, which may block for `block_ms`; its reply as redis-py parses it.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    async with connection_slot(client, COMMAND_TIMEOUT_S + block_ms / 1000):
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]


@asynccontextmanager
async def connection_slot(client: Client, within_s: float) -> AsyncIterator[None]:
    """The right to use one connection, for `within_s` with the wait for it. Raises: as `translating_errors`.

    What is still under way then, or is cancelled, loses its connection, so that its reply reaches nobody else.
    """
    with translating_errors():
        async with asyncio.timeout(within_s), client.slots:
            yield


@contextmanager
def translating_errors() -> Iterator[None]:
    """Raises: BrokerUnavailableError or BrokerRefusedError in place of redis-py's and the system's own."""
    try:
        yield
    except TimeoutError as error:
        raise BrokerUnavailableError("Redis does not answer in time") from error
    except (refusals.ConnectionError, refusals.TimeoutError, refusals.InvalidResponse, OSError) as error:
        # BusyLoadingError, "Redis is loading its data", is a ConnectionError of redis-py: it passes, too.
        raise BrokerUnavailableError(str(error) or type(error).__name__) from error
    except refusals.ResponseError as error:
        raise BrokerRefusedError(str(error)) from error
