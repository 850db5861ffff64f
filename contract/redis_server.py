"""Connections to one Redis server. Each call has a deadline; each failure is one of two errors of contract/errors.py.

It uses redis-py's pool and adds no retries: only the caller knows whether a call may be repeated. It does not use
redis-py's clients for Sentinel and clusters: their connections lack what `_CheckingPool` and `_OnUvloop` add, and the
pipeline of the one for clusters costs several times what `Server.exchange` does.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import redis.exceptions as refusals
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff

from contract.errors import BrokerFullError, BrokerRefusedError, BrokerUnavailableError
from contract.topology import Address, address_text

logger = logging.getLogger(__name__)

NoScriptError = refusals.NoScriptError
ReadOnlyError = refusals.ReadOnlyError
ResponseError = refusals.ResponseError

COMMAND_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
ASK_TIMEOUT_S = 1.0
"""For one question about where things are. Then another server is asked."""
TRUSTED_IDLE_S = 10.0
"""A connection that was idle for longer is checked before its next use: a firewall may have forgotten it silently."""
CHECK_TIMEOUT_S = 0.5
LATE_S = 1.0
"""A reply that took longer may come from a primary that was frozen, and was replaced before it woke up."""
REPLACEABLE_IDLE_S = 1.0
"""The longest TRUSTED_IDLE_S for servers that may be replaced. Shorter than any failover takes."""

REPLICA_PATIENCE_MS = 500
"""How long a replica may take to confirm what was written."""
SHORT_REPLICA_PATIENCE_MS = 20
"""The same while all are away."""
TAKEOVER_S = 4.0
"""When a replica takes over, the sentinels or the other nodes know it at the latest after this time."""
ASK_AGAIN_S = 0.25

_TEMPORARY = (refusals.ReadOnlyError, refusals.ClusterDownError, refusals.TryAgainError)
_TEMPORARY_WORDS = ("UNBLOCKED ", "NOREPLICAS ", "LOADING ")
"""A server answers so while it changes its role, loads its data, or has too few replicas."""


_TLS_HINTS = {
    "CERTIFICATE_VERIFY_FAILED": "ssl_ca_certs in REDIS_URL names the file with the authority of Redis's certificate",
    "CERTIFICATE_REQUIRED": "Redis demands a certificate of its clients: ssl_certfile and ssl_keyfile in REDIS_URL",
}
"""Words of OpenSSL's errors -> what they mean for REDIS_URL."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server to connect to: that of a plain URL, or the primary of a Sentinel group.

    The primary is looked up for each connection; the host in `url` does not count then.
    """

    url: str = field(repr=False)
    sentinel_urls: tuple[str, ...] = field(default=(), repr=False)
    group: str = ""

    def __str__(self) -> str:
        return f"the primary of {self.group}" if self.group else address_text(self.url)


class RedirectedError(BrokerUnavailableError):
    """A node of a cluster does not have the slot of a call, or not all of its keys.

    `address` says who has it (None: try again here); `asking`: only for this call, after ASKING. `slot` is None if
    Redis does not name it.
    """

    def __init__(
        self, refusal: Exception, address: Address | None, *, slot: int | None = None, asking: bool = False
    ) -> None:
        super().__init__(
            f"{refusal}: this Redis is a node of a cluster, whose slots move or whose REDIS_URL is not redis+cluster://"
        )
        self.address = address
        self.slot = slot
        self.asking = asking


class _OnUvloop:
    """A redis-py connection that may be closed before redis-py notices.

    uvloop raises a plain RuntimeError for a write to a closed transport. Nothing was sent, so it is a lost connection.
    `find_address` says where to connect, each time.
    """

    def __init__(self, *, find_address: Callable[[], Awaitable[Address]] | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._find_address = find_address

    async def _connect(self) -> None:
        if self._find_address is not None:
            self.host, self.port = await self._find_address()
        await super()._connect()  # type: ignore[misc]

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


class _PrimaryFinder:
    """Asks the sentinels of a group for its primary. `address` is the last answer. It is the primary's `Standing`."""

    def __init__(self, place: Place) -> None:
        self._group = place.group
        # A sentinel that does not answer goes to the end.
        self._urls = list(place.sentinel_urls)
        self.address: Address | None = None
        self._asking: asyncio.Task[Address] | None = None

    def known(self) -> Address | None:
        return self.address

    async def ask(self) -> Address:
        """Raises: BrokerUnavailableError if no sentinel knows the primary."""
        if self._asking is not None and not self._asking.done():
            # That answer may be from before this call.
            await asyncio.wait([self._asking])
        return await self._ask_together()

    async def find(self) -> Address:
        """Where to connect. Raises: redis-py's ConnectionError, as redis-py expects it while it connects."""
        try:
            return await self._ask_together()
        except BrokerUnavailableError as error:
            raise refusals.ConnectionError(str(error)) from error

    async def _ask_together(self) -> Address:
        """Concurrent calls ask once: after a failover, all connections are made at the same time."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
            # Whoever waits for it may be cancelled, and then nobody looks at its exception.
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Address:
        reasons = []
        for url in list(self._urls):
            try:
                answer = await ask_server(Place(url), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._group)
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                reasons.append(f"{address_text(url)}: {error}")
            else:
                if answer:
                    host, port = answer
                    self.address = Address(host.decode(), int(port))
                    return self.address
                reasons.append(f"{address_text(url)} knows no group {self._group!r}")
            self._urls.append(self._urls.pop(self._urls.index(url)))
        raise BrokerUnavailableError(f"no sentinel names the primary: {'; '.join(reasons)}")


class _CheckingPool(ConnectionPool):
    """A pool that replaces connections which no longer reach Redis, although nothing has closed them.

    A firewall or a load balancer drops the packets of a connection that was idle for too long. A write then succeeds,
    and the reply never comes. TCP keepalive prevents most of these cases; the check finds the rest. A connection to a
    server that is no longer the primary of its Sentinel group is replaced as well.
    """

    def __init__(self, finder: _PrimaryFinder | None, trusted_idle_s: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._finder = finder
        self._trusted_idle_s = trusted_idle_s
        # When each connection was last known to reach Redis, in seconds of the loop's clock.
        self._used_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    async def get_connection(self, *_: Any, **__: Any) -> Any:
        """As redis-py's method. That one and its `release` also count connections, in metrics that we do not have. They
        take longer than a small write."""
        connection = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def ensure_connection(self, connection: Any) -> None:
        used_at = self._used_at.get(connection)
        if used_at is not None and connection.is_connected:
            idle_s = asyncio.get_running_loop().time() - used_at
            if self._is_elsewhere(connection) or (
                idle_s >= self._trusted_idle_s and not await _reaches_redis(connection)
            ):
                await connection.disconnect(nowait=True)
        await super().ensure_connection(connection)

    def _is_elsewhere(self, connection: Any) -> bool:
        return self._finder is not None and (connection.host, connection.port) != self._finder.address

    async def release(self, connection: Any) -> None:
        self._used_at[connection] = asyncio.get_running_loop().time()
        self._in_use_connections.remove(connection)
        self._available_connections.append(connection)


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


class Standing(Protocol):
    """Tells which server has the place of one that may be replaced."""

    def known(self) -> object:
        """The server that has it, as far as is known. None: no server has been asked yet."""

    async def ask(self) -> object:
        """Asks others than the server itself. Raises: BrokerUnavailableError, BrokerRefusedError if none answers."""


class Server(Redis):
    """Replies in bytes. When all `slots` are taken, a call waits for one instead of failing.

    `standing`: None for a server that nothing replaces.
    """

    slots: asyncio.Semaphore
    standing: Standing | None = None
    _alone_since: float | None = None
    """When no replica confirmed a write for the first time; None if one has confirmed the last write."""
    _has_warned = False

    async def exchange(self, packed: bytes, replies: int) -> list[Any]:
        """Sends packed commands and returns their replies in order. The reply to a refused command is its error.

        redis-py's own pipeline takes 1.5 times as long. Replaces a stale connection once. Raises: redis-py's errors.
        """
        pool = self.connection_pool
        for is_last in (False, True):
            connection = await pool.get_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.send_packed_command(packed, check_health=False)
                return await _read_replies(connection, replies)
            except BaseException as error:
                # The replies that are left belong to no other call.
                await connection.disconnect(nowait=True)
                if is_last or not isinstance(error, (refusals.ConnectionError, OSError)):
                    raise
            finally:
                await pool.release(connection)
        raise AssertionError("the last try returns or raises")

    async def exchange_lasting(self, packed: bytes, replies: int) -> tuple[list[Any], bool]:
        """As `exchange`, for commands whose effect must outlive the server: waits until a replica has it.

        Also returns whether the replies can be believed. If not, call `outlast` before.
        """
        now = asyncio.get_running_loop().time()
        has_replicas = self._alone_since is None or now < self._alone_since + TAKEOVER_S
        patience = REPLICA_PATIENCE_MS if has_replicas else SHORT_REPLICA_PATIENCE_MS
        wait = b"*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$%d\r\n%d\r\n" % (len(str(patience)), patience)
        *answers, copies = await self.exchange(packed + wait, replies + 1)
        if isinstance(copies, Exception):
            # Most likely its user may not use WAIT, which does not change with the next run.
            if not self._has_warned:
                self._has_warned = True
                logger.warning("Redis does not say whether its replicas have what it confirms: %s", copies)
        elif copies:
            self._alone_since = None
        elif not all(isinstance(answer, Exception) for answer in answers):
            if self._alone_since is None:
                self._alone_since = asyncio.get_running_loop().time()
            return answers, False
        return answers, True

    async def outlast(self, before: object) -> None:
        """Waits until it is known why no replica confirmed: all are away, or one has just taken over.

        Others know soon which it is. `before` is who had the place when the commands were sent. Holds no connection, so
        that other calls go on. Raises: BrokerUnavailableError if the server was replaced.
        """
        assert self.standing is not None
        clock = asyncio.get_running_loop().time
        while self._alone_since is not None and clock() < self._alone_since + TAKEOVER_S:
            await asyncio.sleep(ASK_AGAIN_S)
            await _check_standing(self, self.standing, before)

    async def execute_asking(self, *command: str | int) -> Any:
        """Runs one command after ASKING. Raises: redis-py's errors."""
        connection = await self.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_packed_command(connection.pack_commands([("ASKING",), command]), check_health=False)
            try:
                await connection.read_response()
            except refusals.ResponseError:
                # The reply to the command, which is still to come, belongs to no other call.
                await connection.disconnect(nowait=True)
                raise
            return await self.parse_response(connection, str(command[0]))
        finally:
            await self.connection_pool.release(connection)

    async def drop_idle_connections(self) -> None:
        """The next calls connect again, to where the name of the server leads then."""
        await self.connection_pool.disconnect(inuse_connections=False)


async def _read_replies(connection: Any, count: int) -> list[Any]:
    """The next replies in order; a refusal is its error. After an exception, replies may be left.

    redis-py reads only those that have not arrived yet: it takes several times as long as hiredis for each of them.
    """
    replies: list[Any] = []
    arrived = connection._parser._reader.gets
    while len(replies) < count:
        try:
            replies.append(await connection.read_response())
        except refusals.ResponseError as refusal:
            replies.append(refusal)
        while len(replies) < count and (reply := arrived()) is not NOT_ENOUGH_DATA:
            if isinstance(reply, refusals.ConnectionError):
                raise reply
            replies.append(reply)
    return replies


def command_server(place: Place, connections: int, trusted_idle_s: float) -> Server:
    """For calls that may be repeated. A stale connection is replaced once, and the call is sent again.

    A connection that was idle for `trusted_idle_s` is checked before its next use.
    """
    return _server(place, connections, Retry(ExponentialBackoff(cap=0.1, base=0.01), 1), trusted_idle_s)


def blocking_server(place: Place, connections: int) -> Server:
    """For blocking reads. It repeats nothing: a lost reply may have delivered entries that a second read skips."""
    return _server(place, connections, Retry(NoBackoff(), 0), TRUSTED_IDLE_S)


def _server(place: Place, connections: int, retry: Retry, trusted_idle_s: float) -> Server:
    finder = _PrimaryFinder(place) if place.group else None
    arguments = _arguments(place.url, retry, finder)
    # The slots limit the connections. A limit of the pool itself would raise an error instead of waiting.
    server = Server.from_pool(_CheckingPool(finder, trusted_idle_s, max_connections=1 << 20, **arguments))
    assert isinstance(server, Server)
    server.slots = asyncio.Semaphore(connections)
    server.standing = finder
    return server


def _arguments(url: str, retry: Retry, finder: _PrimaryFinder | None) -> dict[str, Any]:
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
    if finder is not None:
        arguments["find_address"] = finder.find
    return arguments


def check_url(url: str) -> None:
    """Makes a connection object from a plain URL without connecting.

    Raises: an exception of redis-py or of Python for a URL that cannot be used. Its text may quote the URL.
    """
    (parse_url(url).get("host") or "").encode("idna")
    PubSubConnection(Place(url))


class PubSubConnection:
    """One pub/sub connection. Unlike redis-py's PubSub it never reconnects by itself, which would hide a gap."""

    def __init__(self, place: Place) -> None:
        finder = _PrimaryFinder(place) if place.group else None
        arguments = _arguments(place.url, Retry(NoBackoff(), 0), finder)
        self._connection = arguments.pop("connection_class")(**arguments)

    async def open(self) -> None:
        """Raises: BrokerUnavailableError, BrokerRefusedError."""
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


async def ask_server(place: Place, *command: str) -> Any:
    """Runs one command on a connection of its own. Raises: BrokerUnavailableError, BrokerRefusedError."""
    line = PubSubConnection(place)
    try:
        with translating_errors():
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await line.open()
                await line.send(*command)
                return await line.receive()
    finally:
        await line.close()


@asynccontextmanager
async def connection_slot(server: Server, within_s: float, late_s: float = LATE_S) -> AsyncIterator[None]:
    """Waits for a free slot. Waiting and using may together take `within_s` seconds. Raises: as `translating_errors`.

    A call that is too slow or cancelled loses its connection, so that no other call reads its late reply. A call that
    took longer than `late_s` counts as unavailable if its server is no longer the primary: what it confirmed is lost.
    """
    clock, standing = asyncio.get_running_loop().time, server.standing
    with translating_errors():
        try:
            async with asyncio.timeout(within_s), server.slots:
                began_at, before = clock(), standing and standing.known()
                yield
        except (TimeoutError, refusals.ReadOnlyError):
            # It is frozen or a replica now. New connections ask again where the primary is, and resolve its name.
            await server.drop_idle_connections()
            raise
    if standing is not None and clock() - began_at > late_s:
        await _check_standing(server, standing, before)


async def _check_standing(server: Server, standing: Standing, before: object) -> None:
    """Raises: BrokerUnavailableError if another server has the place that this one had."""
    try:
        now = await standing.ask()
    except (BrokerUnavailableError, BrokerRefusedError):
        # No other server can say which one has the place, so believe this one.
        return
    # Without `before`, the call made the first connection: nothing was sent before the server answered.
    if before not in (None, now):
        await server.drop_idle_connections()
        raise BrokerUnavailableError("the reply came late, from a server that is no longer the primary")


@contextmanager
def translating_errors() -> Iterator[None]:
    """Raises: BrokerUnavailableError or BrokerRefusedError instead of the errors of redis-py and the system."""
    try:
        yield
    except TimeoutError as error:
        raise BrokerUnavailableError("Redis does not answer in time") from error
    except (refusals.ConnectionError, refusals.TimeoutError, refusals.InvalidResponse, OSError) as error:
        # This includes BusyLoadingError ("Redis is loading the dataset"), which is temporary too.
        raise BrokerUnavailableError(_explain(str(error) or type(error).__name__)) from error
    except refusals.ResponseError as error:
        raise translate(error) from error


def _explain(reason: str) -> str:
    """The reason, with what to do about the options of TLS, if OpenSSL names one of the usual mistakes."""
    return "; ".join([reason, *(hint for word, hint in _TLS_HINTS.items() if word in reason)])


def translate(refusal: ResponseError) -> BrokerUnavailableError | BrokerRefusedError:
    """What a refusal by Redis means: whether it is temporary by its nature."""
    match refusal:
        case refusals.MovedError():
            return RedirectedError(refusal, Address(refusal.host, refusal.port), slot=refusal.slot_id)
        case refusals.AskError():
            return RedirectedError(refusal, Address(refusal.host, refusal.port), slot=refusal.slot_id, asking=True)
        case refusals.TryAgainError():
            return RedirectedError(refusal, None)
    if isinstance(refusal, _TEMPORARY) or str(refusal).startswith(_TEMPORARY_WORDS):
        return BrokerUnavailableError(str(refusal))
    if isinstance(refusal, refusals.OutOfMemoryError):
        return BrokerFullError(str(refusal))
    return BrokerRefusedError(str(refusal))
