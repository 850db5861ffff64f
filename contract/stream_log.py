"""The log of a stream: append to it, end it, read it. One object serves all streams of a process."""

from collections.abc import AsyncIterator, Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from contract.accounts import Settlement, Settler
from contract.connection import Client, call_redis
from contract.errors import BrokerError
from contract.event import Event, MalformedEventError, Status, parse_entry
from contract.limits import PAGE_LIMIT_EVENTS
from contract.position import START, MalformedPositionError, Position
from contract.scripts import Call, run_calls
from contract.topology import may_be_replaced


class WriteStatus(StrEnum):
    """The result of a write, a renewal or a release. See contract/lua/append.lua for their meaning."""

    OK = "ok"
    LOST = "lost"
    CANCELLED = "cancelled"
    GONE = "gone"
    HOLE = "hole"


_STATUSES = {status.encode(): status for status in WriteStatus}


@dataclass(frozen=True, slots=True)
class Ending:
    """Marks the last batch of a run: the final status, and the queue entry of the job, which the same step removes."""

    status: Status
    entry: str


class Batch(NamedTuple):
    """Events of one stream, written in one step. `lines` are `kind SP json`; the first one gets `first_seq`.

    With an `ending`, the last line is the `done` event.
    """

    stream_id: str
    epoch: int
    first_seq: int
    lines: Sequence[bytes]
    ending: Ending | None = None


class WriteResult(NamedTuple):
    """The result of a write. For OK, HOLE and CANCELLED, `seq` is the last one of the batch's epoch in the log."""

    status: WriteStatus
    seq: int


class LogLostError(Exception):
    """Redis has lost the log of a run, or a part of it."""


class StreamLog:
    """Writes and reads logs. A log expires `retention_ms` after its creation, last renewal or end, and that of a failed
    run `failed_ms` after its end, if that is shorter (None: as others)."""

    def __init__(self, client: Client, retention_ms: int, failed_ms: int | None = None) -> None:
        self._client = client
        self._settler = Settler(client)
        self._retention_ms = retention_ms
        self._failed_ms = retention_ms if failed_ms is None else min(failed_ms, retention_ms)

    def lane_of(self, stream_id: str) -> Hashable:
        """Equal for streams on the same server, as far as is known: their batches may share a round trip."""
        return self._client.known_place(self._client.key_space.stream(stream_id).log)

    @property
    def waits_at_endings(self) -> bool:
        """Whether a batch with an ending may wait some seconds for a replica."""
        return may_be_replaced(self._client.topology)

    async def write(self, batches: Sequence[Batch]) -> list[WriteResult | BrokerError]:
        """Writes all batches in one round trip, each atomically. May be repeated with the same batches.

        Raises: BrokerUnavailableError if no batch was answered.
        """
        replies = await run_calls(self._client, [self._write_call(batch) for batch in batches])
        results: list[WriteResult | BrokerError] = []
        ended = []
        for batch, reply in zip(batches, replies, strict=True):
            if isinstance(reply, BrokerError):
                results.append(reply)
                continue
            results.append(WriteResult(_STATUSES[reply[0]], reply[1]))
            if len(reply) > 2:
                account, size, lifetime_ms = reply[2:]
                ended.append(Settlement(account.decode(), batch.stream_id, size, lifetime_ms))
        if ended:
            self._settler.settle_soon(ended)
        return results

    async def settled(self) -> None:
        """Waits until the accounts of callers know of the ends written so far. Never raises."""
        await self._settler.settled()

    def _write_call(self, batch: Batch) -> Call:
        keys = self._client.key_space.stream(batch.stream_id)
        if batch.ending is None:
            head = (batch.epoch, batch.first_seq, self._retention_ms)
            return Call("append", (keys.log, keys.meta), (*head, *batch.lines), (keys.live,))
        kept_ms = self._failed_ms if batch.ending.status is Status.FAILED else self._retention_ms
        ending = (batch.epoch, batch.first_seq, kept_ms, batch.ending.status, batch.ending.entry)
        jobs = self._client.key_space.queue_of(batch.stream_id).jobs
        return Call("finish", (keys.log, keys.meta, jobs), (*ending, *batch.lines), (keys.live,))

    async def is_open_for(self, stream_id: str, epoch: int) -> bool:
        """Whether an attempt of this epoch may write now, as contract/lua/append.lua decides it.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        meta = self._client.key_space.stream(stream_id).meta
        found: list[bytes | None] = await call_redis(self._client, "HMGET", meta, "epoch", "status")
        return found == [b"%d" % epoch, b"running"]

    async def read_page(self, stream_id: str, after: Position, limit_events: int = PAGE_LIMIT_EVENTS) -> list[Event]:
        """Up to `limit_events` events after a position. Fewer mean that the log has no more yet.

        Raises: BrokerUnavailableError, BrokerRefusedError, MalformedEventError.
        """
        log = self._client.key_space.stream(stream_id).log
        entries = await call_redis(self._client, "XRANGE", log, f"({after}", "+", "COUNT", limit_events)
        return [_parse(entry) for entry in entries]

    async def has(self, stream_id: str, position: Position) -> bool:
        """Whether the log has this event. Raises: BrokerUnavailableError, BrokerRefusedError."""
        log = self._client.key_space.stream(stream_id).log
        return bool(await call_redis(self._client, "XRANGE", log, str(position), str(position)))

    async def read(self, stream_id: str, after: Position) -> AsyncIterator[Event]:
        """All events of the log after a position, read page by page. Raises: as `read_page`."""
        while True:
            page = await self.read_page(stream_id, after)
            for event in page:
                yield event
            if len(page) < PAGE_LIMIT_EVENTS:
                return
            after = page[-1].position

    async def read_ended(self, stream_id: str, end: Position) -> AsyncIterator[Event]:
        """All events of a run that has ended; `end` is the position of its `done`.

        Raises: LogLostError if there is anything else in the log; BrokerUnavailableError, BrokerRefusedError.
        """
        last = START
        try:
            async for event in self.read(stream_id, START):
                if not event.position.follows(last):
                    raise LogLostError(f"the log has a hole between {last} and {event.position}")
                last = event.position
                yield event
        except MalformedEventError as error:
            raise LogLostError(str(error)) from error
        if last != end:
            raise LogLostError(f"the log ends at {last} instead of {end}")


def _parse(entry: tuple[bytes, dict[bytes, bytes]]) -> Event:
    name, fields = entry
    try:
        position = Position.parse(name.decode())
    except MalformedPositionError as error:
        raise MalformedEventError(str(error)) from error
    return parse_entry(position, fields.get(b"e", b""))
