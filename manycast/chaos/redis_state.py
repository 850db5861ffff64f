"""The contents of Redis: logs, statuses, and leftovers. Everything else is compared with them.

Reads as plainly as can be; only to see that streams leave nothing behind, it has them expire.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from contract.connection import Client, call_redis
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import Event, Status, parse_entry
from contract.keys import JOBS, SIGNING, WORKERS_GROUP, StreamKeys
from contract.position import Position
from manycast.chaos.evidence import Leftovers

LOOK_S = 0.25
VIEWERS_GO_LIMIT_S = 30.0
ALL = "mc:*"
LASTING = frozenset({JOBS, SIGNING, "mc:workers", "mc:offers"})

T = TypeVar("T")


class RedisState:
    """Retries while Redis is unavailable."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def until_ended(self, stream_id: str) -> None:
        """Polls: a subscription would be one more thing to trust."""
        while not (status := await self._status(stream_id)) or not Status(status).is_final:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)

    async def read(self, stream_id: str) -> tuple[str, list[Event]]:
        """The stream's status (empty if there is none) and its whole log."""
        status = await self._status(stream_id)
        entries = await self._ask("XRANGE", StreamKeys.of(stream_id).log, "-", "+")
        return status, [parse_entry(Position.parse(name.decode()), fields[b"e"]) for name, fields in entries]

    async def leftovers(self, known: Collection[str]) -> Leftovers:
        """Call it after all viewers have left. It expires the streams `known`."""
        await self._until_nobody_is_counted()
        keys = await self._keys()
        immortal = [key for key in keys if key not in (JOBS, SIGNING) and await self._ask("PTTL", key) == -1]
        unknown = {_owner_of(key) for key in keys if ":meta" in key} - set(known)
        await self._expire_all(keys)
        queued = int(await self._ask("XLEN", JOBS))
        pending = int((await self._ask("XPENDING", JOBS, WORKERS_GROUP))["pending"])
        beyond = [key for key in await self._keys() if key not in LASTING]
        return Leftovers(tuple(immortal), tuple(unknown), tuple(beyond), queued, pending)

    async def _status(self, stream_id: str) -> str:
        return (await self._ask("HGET", StreamKeys.of(stream_id).meta, "status") or b"").decode()

    async def _keys(self) -> list[str]:
        """All keys of Manycast. KEYS is fine: the Redis of a chaos run is small."""
        return sorted(key.decode() for key in await self._ask("KEYS", ALL))

    async def _until_nobody_is_counted(self) -> None:
        """Viewer counts expire shortly after the last viewer has left; if not, they have leaked."""
        deadline = asyncio.get_running_loop().time() + VIEWERS_GO_LIMIT_S
        while any(key.endswith(":viewers") for key in await self._keys()):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(LOOK_S)

    async def _expire_all(self, keys: Collection[str]) -> None:
        """Expires, as time would, every stream's log and meta, and the idempotency keys."""
        for key in keys:
            if key.endswith((":log", ":meta")) or key.startswith("mc:once:"):
                await self._ask("PEXPIRE", key, 1)
        await asyncio.sleep(LOOK_S)

    async def _ask(self, *command: str | int) -> Any:
        return await patiently(lambda: call_redis(self._client, *command))


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Retries until Redis answers."""
    while True:
        try:
            return await ask()
        except (BrokerUnavailableError, BrokerRefusedError):
            await asyncio.sleep(LOOK_S)


def _owner_of(key: str) -> str:
    return key.partition("{")[2].partition("}")[0]
