"""Jobs: submit, take, claim, renew, release, cancel. The lease is the pending entry of the consumer group.

Time is Redis's alone: a lease is over when Redis has seen no renewal for the lease time. No clock of ours is compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from secrets import token_hex
from typing import Any

from contract.connection import Client, call_redis
from contract.digest import digest_name
from contract.errors import BrokerRefusedError
from contract.event import Kind, Status, encode_json, entry_line
from contract.keys import CONTROL, JOBS, WORKERS_GROUP, StreamKeys, caller_key, once_key
from contract.scripts import Call, run_call, run_calls
from contract.stream_log import WriteStatus

_FORGOTTEN_AFTER_MS = 3_600_000
_READ = ("XREADGROUP", "GROUP", WORKERS_GROUP)


class Submitted(StrEnum):
    """What became of a submission."""

    OK = "ok"
    KNOWN = "known"
    MISMATCH = "mismatch"
    FULL = "full"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Policy:
    """What is to become of a run whose worker is lost (`restart` or `fail`), and of one that nobody has watched for
    `unwatched_ms` (it is cancelled; 0: it goes on)."""

    on_worker_lost: str = "restart"
    unwatched_ms: int = 0


@dataclass(frozen=True, slots=True)
class Submission:
    """A run to make. `request` is the JSON for the provider; `once` and `body` are digests in hex, `once` of the
    idempotency key, where one was given. `caller` is whose run it is ("": nobody known), who may have no more than
    `max_at_once` (0: any number)."""

    stream_id: str
    request: bytes
    model: str
    policy: Policy
    body: str
    once: str | None = None
    caller: str = ""
    max_at_once: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """An entry of the queue, delivered to one worker."""

    entry: str
    stream_id: str


class Verdict(StrEnum):
    """What a worker must do with a job it claimed."""

    RUN = "run"
    CANCELLED = "cancelled"
    LOST = "lost"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease. Events written under it carry `epoch` and begin at `next_seq`."""

    verdict: Verdict
    epoch: int = 0
    next_seq: int = 1
    request: bytes = b""
    queued_ms: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """What is renewed and given back."""

    job: Job
    epoch: int


class JobQueue:
    """The queue, as both sides use it. `lifetime_ms` is how long the keys of a stream outlive its last sign of life."""

    def __init__(self, client: Client, lifetime_ms: int) -> None:
        self._client = client
        self._lifetime_ms = lifetime_ms

    async def submit(self, submission: Submission, max_waiting: int) -> tuple[Submitted, str]:
        """The outcome and the id of the stream to watch, which is an older one where the idempotency key is known.

        May be repeated with the same submission. Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        keys = [StreamKeys.of(submission.stream_id).meta, JOBS, caller_key(digest_name(submission.caller))]
        if submission.once is not None:
            keys.append(once_key(submission.once))
        # A caller's text may hold half a surrogate pair, which is no UTF-8.
        model = submission.model.encode(errors="replace")
        what = (submission.stream_id, submission.request, model, submission.policy.on_worker_lost)
        how = (self._lifetime_ms, max_waiting, submission.body, submission.policy.unwatched_ms)
        whose = (submission.caller, submission.max_at_once)
        answer, stream_id = await run_call(self._client, Call("submit", keys, (*what, *how, *whose)))
        return Submitted(answer.decode()), stream_id.decode()

    async def open(self) -> None:
        """Makes the consumer group, if there is none. Raises: BrokerUnavailableError, BrokerRefusedError."""
        try:
            await call_redis(self._client, "XGROUP", "CREATE", JOBS, WORKERS_GROUP, "0", "MKSTREAM")
        except BrokerRefusedError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def take(self, blocking: Client, worker: str, limit: int, block_ms: int) -> list[Job]:
        """Waits up to `block_ms` for new jobs and has them delivered to `worker`.

        Raises: BrokerUnavailableError; entries may then have been delivered: see `delivered`. BrokerRefusedError, also
        where the group is gone: see `open`.
        """
        what = ("COUNT", limit, "BLOCK", block_ms, "STREAMS", JOBS, ">")
        return _jobs(await call_redis(blocking, *_READ, worker, *what, block_ms=block_ms))

    async def delivered(self, worker: str) -> list[Job]:
        """Every job that stands delivered to `worker`, whether it knows of it or not. Raises: as `take`.

        To ask is a sign of life: it renews these leases, and takes back what was released and not claimed yet.
        """
        return _jobs(await call_redis(self._client, *_READ, worker, "STREAMS", JOBS, "0"))

    async def take_over(self, worker: str, idle_ms: int, limit: int) -> list[Job]:
        """Has up to `limit` jobs whose lease was not renewed for `idle_ms` delivered to `worker`.

        A job of its own may be among them. Raises: as `take`.
        """
        reply = await run_call(self._client, Call("take_over", (JOBS,), (worker, idle_ms, limit)))
        return [
            Job(entry.decode(), stream_id.decode()) for entry, stream_id in zip(reply[::2], reply[1::2], strict=True)
        ]

    async def claim(self, job: Job, worker: str, max_lost: int, max_epochs: int) -> Claim:
        """Another lease with each call. Raises: BrokerUnavailableError, BrokerRefusedError."""
        keys = StreamKeys.of(job.stream_id)
        # redis-py repeats a call whose reply was lost: the name makes it the same call to the script.
        arguments = (worker, job.entry, max_lost, max_epochs, self._lifetime_ms, token_hex(8))
        call = Call("claim", (keys.log, keys.meta, keys.live, JOBS), arguments)
        verdict, *lease = await run_call(self._client, call)
        if Verdict(verdict.decode()) is Verdict.GONE:
            return Claim(Verdict.GONE)
        epoch, next_seq, request, queued_ms = lease
        return Claim(Verdict(verdict.decode()), int(epoch), int(next_seq), request, int(queued_ms))

    async def renew(self, worker: str, leases: Sequence[Lease]) -> list[WriteStatus | BrokerRefusedError]:
        """Renews all leases in one round trip; answers in their order. Raises: BrokerUnavailableError."""
        calls = []
        for lease in leases:
            keys = StreamKeys.of(lease.job.stream_id)
            arguments = (lease.epoch, worker, lease.job.entry, self._lifetime_ms)
            calls.append(Call("renew", (keys.log, keys.meta, JOBS, keys.viewers), arguments))
        return _answers(await run_calls(self._client, calls))

    async def release(self, worker: str, leases: Sequence[Lease]) -> list[WriteStatus | BrokerRefusedError]:
        """Gives jobs back; another worker may claim them at once. Raises: BrokerUnavailableError."""
        calls = []
        for lease in leases:
            keys = StreamKeys.of(lease.job.stream_id)
            arguments = (lease.epoch, worker, lease.job.entry)
            calls.append(Call("release", (keys.meta, keys.live, JOBS, CONTROL), arguments))
        return _answers(await run_calls(self._client, calls))

    async def cancel(self, stream_id: str) -> str | None:
        """The final status, `cancelling`, or None where there is no such stream. May be repeated.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        keys = StreamKeys.of(stream_id)
        done = {
            "status": Status.CANCELLED,
            "finish_reason": None,
            "usage": None,
            "error": None,
            "timing": None,
        }
        arguments = (stream_id, self._lifetime_ms, entry_line(Kind.DONE, encode_json(done)))
        call = Call("cancel", (keys.log, keys.meta, keys.live, JOBS, CONTROL), arguments)
        answer: str = (await run_call(self._client, call)).decode()
        return None if answer == WriteStatus.GONE else answer

    async def forget_worker(self, worker: str) -> None:
        """Removes a worker that leaves from the group, unless a job stands delivered to it: that would be lost with it.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        await run_call(self._client, Call("forget_worker", (JOBS,), (worker, _FORGOTTEN_AFTER_MS)))


def _jobs(reply: Any) -> list[Job]:
    return [_job(entry) for _, entries in reply or () for entry in entries]


def _job(entry: tuple[bytes, dict[bytes, bytes]]) -> Job:
    name, fields = entry
    # An entry that was deleted while it stood delivered comes without fields: claiming it retires it.
    return Job(name.decode(), (fields or {}).get(b"id", b"").decode())


def _answers(replies: Sequence[Any]) -> list[WriteStatus | BrokerRefusedError]:
    return [reply if isinstance(reply, BrokerRefusedError) else WriteStatus(reply.decode()) for reply in replies]
