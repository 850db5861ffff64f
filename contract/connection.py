"""The door to Redis: clients made one way, failures told in our own two words.

Not a pool of our own, and no retries beyond redis-py's: callers decide what may be repeated.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis.exceptions as refusals
from redis.asyncio import Connection, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff

from contract.errors import BrokerRefusedError, BrokerUnavailableError

NoScriptError = refusals.NoScriptError
ResponseError = refusals.ResponseError
Client = Redis
"""A client whose replies are bytes."""

COMMAND_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0

_CONNECTION: dict[str, Any] = {
    # hiredis reads RESP2 a third faster than RESP3, and none of our replies need RESP3's types.
    "protocol": 2,
    "socket_connect_timeout": CONNECT_TIMEOUT_S,
    "socket_keepalive": True,
    "decode_responses": False,
}


def command_client(url: str, *, connections: int = 32) -> Client:
    """For calls that may be repeated without harm: a connection that has gone stale is replaced, once, in silence."""
    return Redis.from_url(
        url,
        socket_timeout=COMMAND_TIMEOUT_S,
        max_connections=connections,
        retry=Retry(ExponentialBackoff(cap=0.1, base=0.01), 1),
        **_CONNECTION,
    )


def blocking_client(url: str) -> Client:
    """For blocking reads. It repeats nothing: after a lost reply, entries may stand delivered."""
    return Redis.from_url(url, socket_timeout=None, retry=Retry(NoBackoff(), 0), **_CONNECTION)


class Line:
    """One connection for pub/sub. Unlike redis-py's PubSub it never reconnects by itself, so no gap goes unnoticed."""

    def __init__(self, url: str) -> None:
        arguments: dict[str, Any] = {**parse_url(url)}
        kind = arguments.pop("connection_class", Connection)
        self._connection = kind(**arguments, socket_timeout=None, retry=Retry(NoBackoff(), 0), **_CONNECTION)

    async def open(self) -> None:
        """Raises: BrokerUnavailableError."""
        with told_in_our_words():
            await self._connection.connect()

    async def send(self, *command: str) -> None:
        """Raises: BrokerUnavailableError."""
        with told_in_our_words():
            await self._connection.send_command(*command, check_health=False)

    async def receive(self) -> Sequence[Any]:
        """The next push, as Redis sent it. Waits without end. Raises: BrokerUnavailableError."""
        with told_in_our_words():
            reply: Sequence[Any] = await self._connection.read_response(disable_decoding=True, timeout=math.inf)
            return reply

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)


async def call_redis(client: Client, *command: str | int) -> Any:
    """One command; its reply as redis-py parses it. Raises: BrokerUnavailableError, BrokerRefusedError."""
    with told_in_our_words():
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]


@contextmanager
def told_in_our_words() -> Iterator[None]:
    """Raises: BrokerUnavailableError or BrokerRefusedError in place of redis-py's and the system's own."""
    try:
        yield
    except (refusals.ConnectionError, refusals.TimeoutError, OSError) as error:
        # BusyLoadingError, "Redis is loading its data", is a ConnectionError of redis-py: it passes, too.
        raise BrokerUnavailableError(str(error) or type(error).__name__) from error
    except refusals.ResponseError as error:
        raise BrokerRefusedError(str(error)) from error
