"""Connections to Redis: every call has a deadline, and every failure is one of two errors of contract/errors.py.

It uses redis-py's pool and adds no retries: only the caller knows whether a call may be repeated.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import redis.exceptions as refusals
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.keys import USUAL_KEYS, KeySpace

NoScriptError = refusals.NoScriptError
ReadOnlyError = refusals.ReadOnlyError
ResponseError = refusals.ResponseError

COMMAND_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
TRUSTED_IDLE_S = 10.0
"""A connection that was idle for longer is checked before its next use: a firewall may have forgotten it silently."""
CHECK_TIMEOUT_S = 0.5


class _OnUvloop:
    """A redis-py connection that may be closed before redis-py notices.

    uvloop raises a plain RuntimeError for a write to a closed transport. Nothing was sent, so it is a lost connection.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Raises: redis-py's errors."""
        try:
            await super().send_packed_command(command, check_health)  # type: ignore[misc]
        except RuntimeError as error:
            if "handler is closed" not in str(error):
                raise
            raise refusals.ConnectionError(str(error)) from error


class _TcpConnection(_OnUvloop, Connection):
    pass


class _TlsConnection(_OnUvloop, SSLConnection):
    pass


class _UnixConnection(_OnUvloop, UnixDomainSocketConnection):
    pass


_CONNECTIONS = {SSLConnection: _TlsConnection, UnixDomainSocketConnection: _UnixConnection}
"""redis-py's class for a URL -> ours."""


class _CheckingPool(ConnectionPool):
    """A pool that replaces connections which no longer reach Redis, although nothing has closed them.

    A firewall or a load balancer drops the packets of a connection that was idle for too long. A write then succeeds,
    and the reply never comes. TCP keepalive prevents most of these cases; the check finds the rest.
    """

    def __init__(self, trusted_idle_s: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._trusted_idle_s = trusted_idle_s
        # When each connection was last known to reach Redis, in seconds of the loop's clock.
        self._used_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    async def ensure_connection(self, connection: Any) -> None:
        used_at = self._used_at.get(connection)
        if used_at is not None and connection.is_connected:
            idle_s = asyncio.get_running_loop().time() - used_at
            if idle_s >= self._trusted_idle_s and not await _reaches_redis(connection):
                await connection.disconnect(nowait=True)
        await super().ensure_connection(connection)

    async def release(self, connection: Any) -> None:
        self._used_at[connection] = asyncio.get_running_loop().time()
        await super().release(connection)


async def _reaches_redis(connection: Any) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await connection.send_command("PING", check_health=False)
            await connection.read_response()
    except refusals.ResponseError:
        # Redis answered: it is loading, or this user may not use PING.
        return True
    except (refusals.RedisError, OSError):
        return False
    return True


class Client(Redis):
    """A client that replies in bytes. When all `slots` are taken, a call waits for one instead of failing.

    `key_space` has the keys of the deployment that the client belongs to.
    """

    slots: asyncio.Semaphore
    key_space: KeySpace

    async def exchange(self, packed: bytes, replies: int) -> list[Any]:
        """Sends packed commands and returns their replies in order. The reply to a refused command is its error.

        redis-py's own pipeline takes 1.5 times as long. Replaces a stale connection once. Raises: redis-py's errors.
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


def command_client(
    url: str, keys: KeySpace = USUAL_KEYS, *, connections: int = 32, trusted_idle_s: float = TRUSTED_IDLE_S
) -> Client:
    """For calls that may be repeated. A stale connection is replaced once, and the call is sent again.

    A connection that was idle for `trusted_idle_s` is checked before its next use.
    """
    return _client(url, keys, connections, Retry(ExponentialBackoff(cap=0.1, base=0.01), 1), trusted_idle_s)


def blocking_client(url: str, keys: KeySpace = USUAL_KEYS) -> Client:
    """For blocking reads. It repeats nothing: a lost reply may have delivered entries that a second read skips."""
    return _client(url, keys, 8, Retry(NoBackoff(), 0), TRUSTED_IDLE_S)


def _client(url: str, keys: KeySpace, connections: int, retry: Retry, trusted_idle_s: float) -> Client:
    # The slots limit the connections. A limit of the pool itself would raise an error instead of waiting.
    client = Client.from_pool(_CheckingPool(trusted_idle_s, max_connections=1 << 20, **_arguments(url, retry)))
    assert isinstance(client, Client)
    client.slots = asyncio.Semaphore(connections)
    client.key_space = keys
    return client


def _arguments(url: str, retry: Retry) -> dict[str, Any]:
    """The URL's options, with our own on top. Raises: ValueError for a URL that does not belong to Redis."""
    arguments: dict[str, Any] = {**parse_url(url)}
    for name in ("max_connections", "timeout"):
        arguments.pop(name, None)
    arguments |= {
        # hiredis parses RESP2 a third faster than RESP3, and no reply of ours needs a type of RESP3.
        "protocol": 2,
        "decode_responses": False,
        "retry": retry,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        # With a timeout redis-py sends through asyncio.wait_for, which on Python 3.11 can swallow a cancellation. The
        # cancelled task would then run forever. `connection_slot` sets the deadline instead.
        "socket_timeout": None,
    }
    if isinstance(demand := arguments.get("ssl_cert_reqs"), str):
        # Celery's spelling: CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED.
        arguments["ssl_cert_reqs"] = demand.lower().removeprefix("cert_")
    arguments["connection_class"] = _CONNECTIONS.get(arguments.get("connection_class", Connection), _TcpConnection)
    if arguments["connection_class"] is not _UnixConnection:
        arguments["socket_keepalive"] = True
    return arguments


def check_url(url: str) -> None:
    """Makes a connection object from `url` without connecting.

    Raises: an exception of redis-py or of Python for a URL that cannot be used. Its text may quote the URL.
    """
    (parse_url(url).get("host") or "").encode("idna")
    PubSubConnection(url)


class PubSubConnection:
    """One pub/sub connection. Unlike redis-py's PubSub it never reconnects by itself, which would hide a gap."""

    def __init__(self, url: str) -> None:
        arguments = _arguments(url, Retry(NoBackoff(), 0))
        self._connection = arguments.pop("connection_class")(**arguments)

    async def open(self) -> None:
        """Raises: BrokerUnavailableError."""
        with translating_errors():
            # redis-py limits the time to connect, but not the handshake: a silent server would block us forever.
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connection.connect()

    async def send(self, *command: str) -> None:
        """Raises: BrokerUnavailableError."""
        with translating_errors():
            await self._connection.send_command(*command, check_health=False)

    async def receive(self) -> Sequence[Any]:
        """The next message from Redis. Waits without a limit. Raises: BrokerUnavailableError, BrokerRefusedError."""
        with translating_errors():
            reply: Sequence[Any] = await self._connection.read_response(disable_decoding=True, timeout=math.inf)
            return reply

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)


async def call_redis(client: Client, *command: str | int, block_ms: int = 0) -> Any:
    """Runs one command, which may block for `block_ms`. Returns the reply as redis-py parses it.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    async with connection_slot(client, COMMAND_TIMEOUT_S + block_ms / 1000):
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]


@asynccontextmanager
async def connection_slot(client: Client, within_s: float) -> AsyncIterator[None]:
    """Waits for a free slot. Waiting and using may together take `within_s` seconds. Raises: as `translating_errors`.

    A call that is too slow or cancelled loses its connection, so that no other call reads its late reply.
    """
    with translating_errors():
        async with asyncio.timeout(within_s), client.slots:
            yield


@contextmanager
def translating_errors() -> Iterator[None]:
    """Raises: BrokerUnavailableError or BrokerRefusedError instead of the errors of redis-py and the system."""
    try:
        yield
    except TimeoutError as error:
        raise BrokerUnavailableError("Redis does not answer in time") from error
    except (refusals.ConnectionError, refusals.TimeoutError, refusals.InvalidResponse, OSError) as error:
        # This includes BusyLoadingError ("Redis is loading the dataset"), which is temporary too.
        raise BrokerUnavailableError(str(error) or type(error).__name__) from error
    except refusals.ResponseError as error:
        raise BrokerRefusedError(str(error)) from error
