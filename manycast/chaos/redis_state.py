"""Reads logs, statuses and leftover keys from Redis, for the checker.

Uses plain Redis commands only, so that an error in our scripts cannot hide itself. To check for leaked keys, it makes
all streams expire.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from contract.connection import Client, call_redis, call_server
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import Event, Status, parse_entry
from contract.keys import WORKERS_GROUP
from contract.position import Position
from manycast.chaos.evidence import Leftovers

POLL_S = 0.25
VIEWERS_LEAVE_LIMIT_S = 30.0

T = TypeVar("T")


class RedisState:
    """Each method retries while Redis is unavailable."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def wait_until_ended(self, stream_id: str) -> None:
        """Polls, because a subscription could itself be faulty."""
        while not (status := await self._status(stream_id)) or not Status(status).is_final:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)

    async def read(self, stream_id: str) -> tuple[str, list[Event]]:
        """Returns the status of the stream (empty if Redis has none) and its whole log."""
        status = await self._status(stream_id)
        entries = await self._call("XRANGE", self._client.key_space.stream(stream_id).log, "-", "+")
        return status, [parse_entry(Position.parse(name.decode()), fields[b"e"]) for name, fields in entries]

    async def leftovers(self, known: Collection[str]) -> Leftovers:
        """Call this after all viewers have left. It makes all streams expire. `known`: the ids of this run's
        streams."""
        await self._wait_until_no_viewers_counted()
        keys, names = await self._keys(), self._client.key_space
        queues = [key for key in keys if key.endswith(":jobs")]
        endless = {*queues, names.signing, names.partitions}
        without_expiry = [key for key in keys if key not in endless and await self._call("PTTL", key) == -1]
        unknown = {_owner_of(key) for key in keys if ":meta" in key} - set(known)
        await self._expire_all(keys)
        queued = sum([int(await self._call("XLEN", queue)) for queue in queues])
        pending = sum([int((await self._call("XPENDING", queue, WORKERS_GROUP))["pending"]) for queue in queues])
        outlived = [key for key in await self._keys() if key not in endless | {names.workers, names.offers}]
        return Leftovers(tuple(without_expiry), tuple(unknown), tuple(outlived), queued, pending)

    async def _status(self, stream_id: str) -> str:
        return (await self._call("HGET", self._client.key_space.stream(stream_id).meta, "status") or b"").decode()

    async def _keys(self) -> list[str]:
        """All keys of Manycast. KEYS is fast enough: the Redis of a chaos run is small."""

        async def ask() -> list[str]:
            client, pattern = self._client, f"{self._client.key_space.prefix}:*"
            answers = [await call_server(client.server_at(place), "KEYS", pattern) for place in await client.places()]
            return sorted(key.decode() for keys in answers for key in keys)

        return await retry_until_answered(ask)

    async def _wait_until_no_viewers_counted(self) -> None:
        """Viewer counts expire shortly after the last viewer has left. After the limit they count as leaked."""
        deadline = asyncio.get_running_loop().time() + VIEWERS_LEAVE_LIMIT_S
        while any(key.endswith(":viewers") for key in await self._keys()):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(POLL_S)

    async def _expire_all(self, keys: Collection[str]) -> None:
        """Makes every log, every run record and every idempotency key expire now instead of after the retention."""
        for key in keys:
            if key.endswith((":log", ":meta")) or ":once:" in key:
                await self._call("PEXPIRE", key, 1)
        await asyncio.sleep(POLL_S)

    async def _call(self, *command: str | int) -> Any:
        return await retry_until_answered(lambda: call_redis(self._client, *command))


async def retry_until_answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Calls `ask` until Redis answers."""
    while True:
        try:
            return await ask()
        except (BrokerUnavailableError, BrokerRefusedError):
            await asyncio.sleep(POLL_S)


def _owner_of(key: str) -> str:
    """The id in a stream's key."""
    return key.split(":")[-2]
