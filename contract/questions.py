"""The questions that scripts ask people, and their answers. One object serves all runs of a process."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from contract.connection import Client, call_redis
from contract.event import encode_json, parse_json
from contract.job_queue import Lease, bell_of
from contract.partitions import agree_on_partitions
from contract.scripts import Call, run_call, run_every_call
from contract.stream_id import partition_of
from contract.stream_log import WriteStatus

_RINGS_AT_ONCE = 100


class Answered(StrEnum):
    """The result of an answer. See contract/lua/answer.lua for their meaning."""

    OK = "ok"
    ANSWERED = "answered"
    UNKNOWN = "unknown"
    CLOSED = "closed"
    ENDED = "ended"
    GONE = "gone"


class Parked(StrEnum):
    """The result of parking. See contract/lua/park.lua for their meaning."""

    OK = "ok"
    ANSWERED = "answered"
    CANCELLED = "cancelled"
    LOST = "lost"
    GONE = "gone"


class Questions:
    """Asks and answers. All methods raise BrokerUnavailableError and BrokerRefusedError, and may be repeated."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ask(self, stream_id: str, epoch: int, question: dict[str, Any], refused: str) -> tuple[WriteStatus, str]:
        """Opens a question, the data of its `input` event. Returns the answer as JSON, "" if there is none yet.

        `refused`: an answer that did not fit, to be replaced; "" if there is none.
        """
        arguments = (epoch, question["id"], encode_json(question), refused.encode(errors="replace"))
        call = Call("ask", (self._client.key_space.stream(stream_id).meta,), arguments)
        status, answer = await run_call(self._client, call)
        return WriteStatus(status.decode()), answer.decode()

    async def close(self, stream_id: str, epoch: int, question_id: str) -> tuple[WriteStatus, str]:
        """Ends a question whose time is over. Returns the answer as JSON; "" if none came in time."""
        call = Call("close_question", (self._client.key_space.stream(stream_id).meta,), (epoch, question_id))
        status, answer = await run_call(self._client, call)
        return WriteStatus(status.decode()), answer.decode()

    async def forget(self, stream_id: str, epoch: int) -> WriteStatus:
        """Removes all questions and answers of a run whose script begins again."""
        call = Call("forget_questions", (self._client.key_space.stream(stream_id).meta,), (epoch,))
        return WriteStatus((await run_call(self._client, call)).decode())

    async def find(self, stream_id: str, question_id: str) -> dict[str, Any] | None:
        """The question, None if it was not asked."""
        asked = await call_redis(
            self._client, "HGET", self._client.key_space.stream(stream_id).meta, f"asked:{question_id}"
        )
        found: dict[str, Any] | None = None if asked is None else parse_json(asked)
        return found

    async def answer(self, stream_id: str, question_id: str, answer: dict[str, Any]) -> tuple[Answered, Any]:
        """Stores the first answer, and wakes the run. Returns the answer that counts, None if there is none."""
        keys, queue = self._client.key_space.stream(stream_id), self._client.key_space.queue_of(stream_id)
        arguments = (await self._bell_of(stream_id), stream_id, question_id, encode_json(answer))
        call = Call("answer", (keys.meta, queue.jobs), arguments, (keys.live, self._client.key_space.control))
        result, stored = await run_call(self._client, call)
        return Answered(result.decode()), parse_json(stored) if stored else None

    async def park(self, lease: Lease, kept_ms: int, alarm_ms: int, question_ids: Sequence[str]) -> Parked:
        """Ends a lease until one of the questions is answered, or until `alarm_ms` (Unix; 0: never). The run is kept
        for `kept_ms` meanwhile."""
        stream_id = lease.job.stream_id
        keys, queue = self._client.key_space.stream(stream_id), self._client.key_space.queue_of(stream_id)
        arguments: tuple[str | int, ...] = (
            await self._bell_of(stream_id),
            lease.epoch,
            stream_id,
            lease.job.entry,
            kept_ms,
            alarm_ms,
            *question_ids,
        )
        call = Call(
            "park",
            (keys.log, keys.meta, queue.jobs, queue.alarms),
            arguments,
            (keys.live, self._client.key_space.control),
        )
        return Parked((await run_call(self._client, call)).decode())

    async def ring(self) -> None:
        """Queues the runs that have waited for as long as they wanted to."""
        partitions, space = await agree_on_partitions(self._client), self._client.key_space
        calls = []
        for partition in range(partitions.count):
            queue, arguments = space.queue(partition), (bell_of(partitions, partition), _RINGS_AT_ONCE)
            calls.append(Call("ring", (queue.alarms, queue.jobs), arguments, (space.control,)))
        await run_every_call(self._client, calls)

    async def _bell_of(self, stream_id: str) -> str:
        return bell_of(await agree_on_partitions(self._client), partition_of(stream_id))
