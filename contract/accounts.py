"""What a caller has in Redis: its current runs, and the bytes that are kept for it. For callers with a limit.

The account of a caller lives apart from its runs, which may be on other nodes of a cluster. A start first reserves what
it needs. After its end, a run is settled: it gives its place back, and counts with what is kept of it. If a process
dies in between, the reservation stays until the caller's next start is refused: runs that have ended are settled then.
Bytes of a run that is gone are forgotten when their lifetime is over. No run is lost by it, and none starts beyond the
limits.
"""

import asyncio
import logging
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.scripts import Call, run_call, run_every_call

logger = logging.getLogger(__name__)

UNSUBMITTED_MS = 60_000
"""A reservation without a run is that of a submission in progress, for this long. It is freed afterwards."""
_CURRENT = (b"queued", b"running", b"parked")


class Reserved(StrEnum):
    """The result of a reservation. See contract/lua/reserve.lua for their meaning."""

    OK = "ok"
    BUSY = "busy"
    BYTES = "bytes"


class Reservation(NamedTuple):
    """What a run needs at most: `size` bytes. Limits of 0 are none."""

    stream_id: str
    size: int
    lifetime_ms: int
    max_at_once: int
    max_bytes: int


class Settlement(NamedTuple):
    """What is kept of an `item`, a run or a chat, of a caller: `size` bytes, in decimal; b"" if they are not counted.
    `account` is the digest of the caller."""

    account: str
    item: str
    size: bytes
    lifetime_ms: int


NOTHING = b"0"


async def reserve(client: Client, account: str, reservation: Reservation) -> Reserved:
    """May be repeated. Raises: BrokerUnavailableError, BrokerRefusedError."""
    call = Call("reserve", client.key_space.account(account), reservation)
    result = Reserved((await run_call(client, call)).decode())
    if result is not Reserved.OK and await _settle_ended(client, account):
        result = Reserved((await run_call(client, call)).decode())
    return result


async def settle(client: Client, settlements: Sequence[Settlement]) -> None:
    """May be repeated. Raises: BrokerUnavailableError, BrokerRefusedError."""
    calls = [Call("settle", client.key_space.account(one.account), one[1:]) for one in settlements]
    await run_every_call(client, calls)


async def try_to_settle(client: Client, settlements: Sequence[Settlement]) -> None:
    """As `settle`, for callers that have nothing better to do if it fails: the next refused start makes up for it."""
    try:
        await settle(client, settlements)
    except (BrokerUnavailableError, BrokerRefusedError) as error:
        logger.info("accounts are not up to date: %s", error)


async def _settle_ended(client: Client, account: str) -> bool:
    """Settles the runs whose end nobody has settled. Returns whether there were any."""
    found: list[Any] = await run_call(client, Call("read_open", client.key_space.account(account)[:1], ()))
    ages_ms = {stream_id.decode(): age_ms for stream_id, age_ms in zip(found[::2], found[1::2], strict=True)}
    reads = [Call("read_kept", (client.key_space.stream(stream_id).meta,), ()) for stream_id in ages_ms]
    ended = []
    for (stream_id, age_ms), kept in zip(ages_ms.items(), await run_every_call(client, reads), strict=True):
        status, size, lifetime_ms = kept
        if status in _CURRENT or (not status and age_ms < UNSUBMITTED_MS):
            continue
        ended.append(Settlement(account, stream_id, size if status else NOTHING, lifetime_ms))
    await settle(client, ended)
    return bool(ended)


class Settler:
    """Settles in the background, so that no chunk waits for the account of another run."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    def settle_soon(self, settlements: Sequence[Settlement]) -> None:
        task = asyncio.create_task(try_to_settle(self._client, settlements))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Waits until all is settled, or could not be."""
        await asyncio.gather(*self._tasks)
