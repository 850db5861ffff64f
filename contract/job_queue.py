"""Jobs: submit, take, claim, renew, release, cancel. A lease is a pending entry of the Redis consumer group.

Callers take turns (contract/lua/turns.lua). Only Redis's clock counts: a lease ends when Redis has seen no renewal for
the lease time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from secrets import token_hex
from typing import Any, NamedTuple

from contract.accounts import NOTHING, Reservation, Reserved, Settlement, reserve, try_to_settle
from contract.connection import Client, call_redis
from contract.digest import digest_name
from contract.errors import BrokerError, BrokerFullError
from contract.event import Kind, Status, encode_json, entry_line
from contract.keys import WORKERS_GROUP, Partitions, QueueKeys, StreamKeys
from contract.limits import BATCH_LIMIT_EVENTS, QUESTION_LIMIT_CHARS
from contract.partitions import agree_on_partitions, check_agreement
from contract.position import START, Position
from contract.scripts import Call, run_call, run_calls, run_every_call
from contract.stream_id import partition_of
from contract.stream_log import WriteStatus

_FORGOTTEN_AFTER_MS = 3_600_000
OVERHEAD_BYTES = 2048
"""What a run's record, its log and its account take beside their texts."""
BEGINNING_LIFETIME_MS = 600_000
"""How long the log of a run that is not submitted is kept. To copy and submit it takes seconds."""
MIN_WAITING = 20
"""With several partitions, each may have its share of the waiting runs, and at least so many."""
_ALL = 1_000_000
_READ = ("XREADGROUP", "GROUP", WORKERS_GROUP)


class Submitted(StrEnum):
    """The result of a submission. MEMORY: Redis is nearly full. FULL: too many runs wait. SHARE: the caller has its
    share of the waiting runs. BUSY: the caller has too many runs at once. BYTES: Redis holds too much for it."""

    OK = "ok"
    KNOWN = "known"
    MISMATCH = "mismatch"
    MEMORY = "memory"
    FULL = "full"
    SHARE = "share"
    BUSY = "busy"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Policy:
    """`on_worker_lost` is `restart` or `fail`. A run without viewers ends after `unwatched_ms` (0: never)."""

    on_worker_lost: str = "restart"
    unwatched_ms: int = 0


@dataclass(frozen=True, slots=True)
class StorageLimits:
    """How much Redis may hold for one caller, in bytes, and which part of Redis's own limit new runs leave to the runs
    in progress. 0: no limit."""

    caller_bytes: int = 0
    reserve_percent: int = 0


class OnceUse(StrEnum):
    """How a submission uses its `once`.

    KEY: an idempotency key; equal submissions get the run of the first one. FIRST and RETRY: `once` identifies a
    caller's request body. FIRST always starts a run; RETRY gets the run of the last such submission, unless it was
    cancelled.
    """

    KEY = "key"
    FIRST = "first"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Once:
    """`digest` is a hex digest. Redis forgets it after `lifetime_ms`."""

    digest: str
    use: OnceUse
    lifetime_ms: int


@dataclass(frozen=True, slots=True)
class Beginning:
    """The log of a run that goes on from what another run has done: `lines` are `kind SP json`, its events from the
    position 1-1 on. `fields` are further fields of the run's record."""

    lines: Sequence[bytes] = ()
    fields: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def last(self) -> Position:
        return Position(1, len(self.lines)) if self.lines else START


NO_BEGINNING = Beginning()


@dataclass(frozen=True, slots=True)
class Submission:
    """A run to create.

    `request` is the JSON for the provider, with what else it may get (contract.passed), `body` a hex digest of the
    request body. `caller` starts the run ("" if unknown) and may have `max_at_once` runs (0: any number). `response` is
    what the Responses API keeps of its request (b"" for other runs). `keep_ms` is how long a run is kept after its end,
    if shorter than others (0: as others). `endpoint` is that of a pass-through call, "" for other runs. `question` is
    the last thing the user said, of which at most QUESTION_LIMIT_CHARS are kept. Redis drops `request` when the run
    ends, unless the run `keeps_prompts` (contract.prompts). If it has a `beginning`, its log was begun by
    `copy_record`.
    """

    stream_id: str
    request: bytes
    model: str
    policy: Policy
    body: str
    once: Once | None = None
    caller: str = ""
    max_at_once: int = 0
    response: bytes = b""
    keep_ms: int = 0
    endpoint: str = ""
    question: str = ""
    keeps_prompts: bool = False
    beginning: Beginning = NO_BEGINNING


NO_STORAGE_LIMITS = StorageLimits()


@dataclass(frozen=True, slots=True)
class Job:
    """An entry of a partition's line, delivered to one worker. `stream_id` is empty if the run is gone."""

    entry: str
    stream_id: str
    partition: int = 0


class Submit(NamedTuple):
    """The arguments of contract/lua/submit.lua, which names them in the same order."""

    id: str
    request: bytes
    model: bytes
    on_lost: str
    """The policy on a lost worker."""
    lifetime_ms: int
    max_waiting: int
    body: str
    """The digest of the request body."""
    unwatched_ms: int
    """How long the run may go on without viewers; 0: for ever."""
    caller: str
    """"" if unknown."""
    response: bytes
    """What the Responses API keeps of its request; b"" for other runs."""
    keep_ms: int
    """How long the run is kept after its end, if shorter than others; 0: as others."""
    endpoint: str
    """Of a pass-through call; "" for other runs."""
    question: bytes
    account: str
    """The digest of the caller."""
    refusal: str
    """Why the account of the caller has no room for a new run; "" if it has."""
    reserved: str
    """What was reserved: "" nothing, "runs" a place, "bytes" a place and bytes."""
    kept_bytes: int
    """What is kept when the run has ended, without its answer."""
    size_bytes: int
    """What is kept until then."""
    reserve_percent: int
    """The part of Redis's memory that new runs leave to the runs in progress; 0: none."""
    once_use: str
    """How the idempotency key is used: see OnceUse; "" if there is none."""
    once_ms: int
    """How long the idempotency key lasts."""
    keeps_prompts: int
    """1: the run keeps its request and the prompts of its steps after its end; else 0."""
    last: str
    """The position of the last event in its log; 0-0 unless `copy_record` has begun it."""
    bell: str
    """The doorbell's message."""


class Look(NamedTuple):
    """What a partition has: jobs that nobody has taken, and jobs whose lease is over."""

    has_jobs: bool
    has_overdue: bool


class Verdict(StrEnum):
    """What a worker must do with a job it claimed."""

    RUN = "run"
    CANCELLED = "cancelled"
    LOST = "lost"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of a claim. Its events carry `epoch` and start at `next_seq`. The job waited `queued_ms`."""

    verdict: Verdict
    epoch: int = 0
    next_seq: int = 1
    request: bytes = b""
    queued_ms: int = 0
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one worker to write the events of one epoch."""

    job: Job
    epoch: int


class JobQueue:
    """The queue, for gateways and workers. Submitting, claiming or renewing keeps a run's keys for `lifetime_ms`."""

    def __init__(self, client: Client, lifetime_ms: int) -> None:
        self._client = client
        self._lifetime_ms = lifetime_ms

    async def submit(
        self, submission: Submission, max_waiting: int, storage: StorageLimits = NO_STORAGE_LIMITS
    ) -> tuple[Submitted, str]:
        """Returns the result and the id of the stream to watch: that of an earlier run, if `once` finds it.

        May be repeated with the same submission. Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        partitions = await agree_on_partitions(self._client)
        # A caller's text may hold a lone surrogate, which UTF-8 cannot encode.
        question = submission.question[:QUESTION_LIMIT_CHARS].encode(errors="replace")
        account, once, beginning = digest_name(submission.caller), submission.once, submission.beginning
        kept_bytes, size_bytes = _measure(submission, question)
        reserved = "bytes" if storage.caller_bytes else "runs" if submission.max_at_once else ""
        limits = (submission.max_at_once, storage.caller_bytes)
        reservation = Reservation(submission.stream_id, size_bytes, self._lifetime_ms, *limits)
        refusal = await self._reserve(account, reservation) if reserved else ""
        arguments = Submit(
            id=submission.stream_id,
            request=submission.request,
            model=submission.model.encode(errors="replace"),
            on_lost=submission.policy.on_worker_lost,
            lifetime_ms=self._lifetime_ms,
            max_waiting=_share_of(max_waiting, partitions),
            body=submission.body,
            unwatched_ms=submission.policy.unwatched_ms,
            caller=submission.caller,
            response=submission.response,
            keep_ms=submission.keep_ms,
            endpoint=submission.endpoint,
            question=question,
            account=account,
            refusal=refusal,
            reserved=reserved,
            kept_bytes=kept_bytes,
            size_bytes=size_bytes,
            reserve_percent=storage.reserve_percent,
            once_use="" if once is None else once.use,
            once_ms=0 if once is None else once.lifetime_ms,
            keeps_prompts=int(submission.keeps_prompts),
            last=str(beginning.last),
            bell=bell_of(partitions, partition_of(submission.stream_id)),
        )
        channels = (self._client.key_space.control,)
        fields = tuple(part for named in beginning.fields.items() for part in named)
        keys, queue = self._keys_of(submission.stream_id)
        names = [keys.meta, queue.jobs, queue.turns]
        if once is not None:
            names.append(queue.once(once.digest))
        answer, stream_id = await run_call(self._client, Call("submit", tuple(names), (*arguments, *fields), channels))
        result = Submitted(answer.decode())
        if reserved and not refusal and result is not Submitted.OK:
            unused = Settlement(account, submission.stream_id, NOTHING, self._lifetime_ms)
            await try_to_settle(self._client, [unused])
        return result, stream_id.decode()

    async def _reserve(self, account: str, reservation: Reservation) -> str:
        """Returns why it was refused, "" if it was not. The script finds the run of an idempotency key even then."""
        try:
            reserved = await reserve(self._client, account, reservation)
        except BrokerFullError:
            # The script, which would write more, is refused as well.
            return Submitted.MEMORY
        return "" if reserved is Reserved.OK else reserved

    async def copy_record(self, stream_id: str, beginning: Beginning) -> None:
        """Begins the log of a run that is to be submitted with this `beginning`. May be repeated. If it is not
        submitted, call `delete`; where that fails too, the log expires soon.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        log, lines = self._client.key_space.stream(stream_id).log, beginning.lines
        for start in range(0, len(lines), BATCH_LIMIT_EVENTS):
            arguments: tuple[int | bytes, ...] = (
                min(BEGINNING_LIFETIME_MS, self._lifetime_ms),
                start + 1,
                *lines[start : start + BATCH_LIMIT_EVENTS],
            )
            await run_call(self._client, Call("copy_record", (log,), arguments))

    async def choose_partition(self, once: Once | None) -> int:
        """The partition for a new run. Raises: BrokerUnavailableError, BrokerRefusedError."""
        partitions = await agree_on_partitions(self._client)
        return partitions.choose() if once is None else partitions.choose_by(once.digest)

    async def count_partitions(self) -> int:
        """Raises: BrokerUnavailableError, BrokerRefusedError."""
        return (await agree_on_partitions(self._client)).count

    async def open(self) -> None:
        """Creates the consumer groups that are missing. Raises: BrokerUnavailableError, BrokerRefusedError."""
        await self._run_everywhere("open_line", ())

    async def take(self, blocking: Client, worker: str, limit: int, block_ms: int) -> list[Job]:
        """Waits up to `block_ms` for new jobs of partition 0, delivers them to `worker` and returns them.

        Raises: BrokerUnavailableError, after which call `delivered`: Redis may have delivered jobs. BrokerRefusedError,
        also if the group is missing: call `open`.
        """
        options = ("COUNT", limit, "BLOCK", block_ms, "STREAMS", self._client.key_space.queue(0).jobs, ">")
        return _jobs(await call_redis(blocking, *_READ, worker, *options, block_ms=block_ms))

    async def take_now(self, worker: str, limits: Mapping[int, int]) -> dict[int, list[Job]]:
        """Delivers new jobs to `worker` and returns them, by partition. `limits`: the partitions to take from, and how
        many jobs. Partitions that fail are missing in the result.

        Raises: as `take`, if all fail.
        """
        replies = await self._run_in(limits, [("take", (worker, limit, ">")) for limit in limits.values()])
        return {partition: _pairs(partition, reply) for partition, (reply,) in replies.items()}

    async def recover(self, worker: str, partitions: Sequence[int]) -> dict[int, list[Job]]:
        """`open` and `delivered` for some partitions. Those that fail are missing in the result.

        If Redis has lost the number of partitions, it is stored again.

        Raises: as `take`, if all fail.
        """
        await check_agreement(self._client)
        steps = [("open_line", ()), ("take", (worker, _ALL, 0))]
        replies = await self._run_in([at for at in partitions for _ in steps], steps * len(partitions))
        return {partition: _pairs(partition, jobs) for partition, (_, jobs) in replies.items()}

    async def look(self, partitions: Sequence[int], idle_ms: int) -> dict[int, Look]:
        """What partitions have for a worker. Those that fail are missing in the result.

        Raises: as `take`, if all fail.
        """
        replies = await self._run_in(partitions, [("look", (idle_ms,))] * len(partitions))
        return {partition: Look(waiting > 0, over == 1) for partition, ((waiting, over),) in replies.items()}

    async def _run_in(
        self, partitions: Iterable[int], steps: Sequence[tuple[str, tuple[str | int, ...]]]
    ) -> dict[int, list[Any]]:
        """Runs each script in its partition's line. Returns the replies of the partitions where none failed.

        Raises: BrokerUnavailableError, BrokerRefusedError if there is no such partition.
        """
        places = list(partitions)
        queues = [self._client.key_space.queue(partition) for partition in places]
        calls = [Call(name, (queue.jobs,), given) for queue, (name, given) in zip(queues, steps, strict=True)]
        found: dict[int, list[Any]] = {}
        failed: dict[int, BrokerError] = {}
        for partition, reply in zip(places, await run_calls(self._client, calls), strict=True):
            if isinstance(reply, BrokerError):
                failed[partition] = reply
            found.setdefault(partition, []).append(reply)
        if failed and len(failed) == len(found):
            raise next(iter(failed.values()))
        return {partition: replies for partition, replies in found.items() if partition not in failed}

    async def delivered(self, worker: str) -> list[Job]:
        """All jobs that Redis has delivered to `worker`, even if a reply was lost. Raises: as `take`.

        The read renews these leases, and takes back jobs that were released and are not yet claimed.
        """
        replies = await self._run_everywhere("take", (worker, _ALL, 0))
        return [job for partition, reply in enumerate(replies) for job in _pairs(partition, reply)]

    async def take_over(self, worker: str, idle_ms: int, limit: int, partition: int = 0) -> list[Job]:
        """Delivers up to `limit` jobs to `worker` whose leases were not renewed for `idle_ms`, and returns them.

        Some of them may be jobs of `worker` itself. Raises: as `take`.
        """
        jobs = self._client.key_space.queue(partition).jobs
        return _pairs(partition, await run_call(self._client, Call("take_over", (jobs,), (worker, idle_ms, limit))))

    async def claim(
        self, job: Job, worker: str, max_lost: int, max_epochs: int, *, room: int = 0, lease_ms: int = 0
    ) -> Claim:
        """Each call creates a new lease. `room`: how many more runs the worker could take now. Gateways that wait for
        the run read `lease_ms`, the time after which the lease expires without renewal; with 0 the usual time counts.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        space = self._client.key_space
        keys, queue = space.stream_of(job.partition, job.stream_id), space.queue(job.partition)
        bell = bell_of(await agree_on_partitions(self._client), job.partition)
        # redis-py repeats a call whose reply was lost. The random name lets the script recognise the repetition.
        arguments = (bell, worker, job.entry, max_lost, max_epochs, self._lifetime_ms, token_hex(8), room, lease_ms)
        channels = (keys.live, space.control)
        call = Call("claim", (keys.log, keys.meta, queue.jobs, queue.turns), arguments, channels)
        verdict, *lease = await run_call(self._client, call)
        if Verdict(verdict.decode()) is Verdict.GONE:
            return Claim(Verdict.GONE)
        epoch, next_seq, request, queued_ms, endpoint = lease
        numbers = int(epoch), int(next_seq)
        return Claim(Verdict(verdict.decode()), *numbers, request, int(queued_ms), endpoint.decode())

    async def renew(self, worker: str, leases: Sequence[Lease]) -> list[WriteStatus | BrokerError]:
        """Renews all leases in one round trip. Returns one status each, in order. Raises: BrokerUnavailableError."""
        calls = []
        for lease in leases:
            keys, queue = self._keys_of(lease.job.stream_id)
            arguments = (lease.epoch, worker, lease.job.entry, self._lifetime_ms)
            calls.append(Call("renew", (keys.log, keys.meta, queue.jobs, keys.viewers), arguments))
        return _answers(await run_calls(self._client, calls))

    async def release(self, worker: str, leases: Sequence[Lease]) -> list[WriteStatus | BrokerError]:
        """Releases jobs, so that another worker may claim them at once. Raises: BrokerUnavailableError."""
        calls = []
        for lease in leases:
            keys, queue = self._keys_of(lease.job.stream_id)
            message = f"released {partition_of(lease.job.stream_id):02x}"
            arguments = (message, lease.epoch, worker, lease.job.entry)
            channels = (keys.live, self._client.key_space.control)
            calls.append(Call("release", (keys.meta, queue.jobs), arguments, channels))
        return _answers(await run_calls(self._client, calls))

    async def cancel(self, stream_id: str) -> str | None:
        """Returns the final status, `cancelling`, or None if the stream does not exist. May be repeated.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        keys, queue = self._keys_of(stream_id)
        done = {
            "status": Status.CANCELLED,
            "finish_reason": None,
            "usage": None,
            "error": None,
            "timing": None,
        }
        bell = await self._bell_of(stream_id)
        arguments = (bell, stream_id, self._lifetime_ms, entry_line(Kind.DONE, encode_json(done)))
        channels = (keys.live, self._client.key_space.control)
        call = Call("cancel", (keys.log, keys.meta, queue.jobs, queue.turns), arguments, channels)
        status, *account = await run_call(self._client, call)
        if account:
            await try_to_settle(self._client, [Settlement(account[0].decode(), stream_id, *account[1:])])
        answer: str = status.decode()
        return None if answer == WriteStatus.GONE else answer

    async def delete(self, stream_id: str) -> None:
        """Removes a run and everything that is kept of it, its chat included, and tells its viewers. A running one
        stops: its worker can write no more.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        keys, queue = self._keys_of(stream_id)
        # First, because afterwards nobody knows them.
        reserved, account, chat = (
            None if value is None else value.decode()
            for value in await call_redis(self._client, "HMGET", keys.meta, "reserved", "account", "chat")
        )
        items = [stream_id] if reserved else []
        if chat and await run_call(
            self._client, Call("forget_chat", (self._client.key_space.chat(chat),), (stream_id,))
        ):
            items.append(chat)
        names = (keys.log, keys.meta, keys.viewers, queue.jobs, queue.recent, queue.turns)
        channels = (keys.live, self._client.key_space.control)
        bell = await self._bell_of(stream_id)
        await run_call(self._client, Call("delete_run", names, (bell, stream_id), channels))
        if account and items:
            gone = [Settlement(account, item, NOTHING, self._lifetime_ms) for item in items]
            await try_to_settle(self._client, gone)

    async def leave(self, stream_id: str, after_ms: int) -> None:
        """Stops the run if nobody watches it `after_ms` from now. May be repeated; the last call counts.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        await run_call(self._client, Call("leave", (self._client.key_space.stream(stream_id).meta,), (after_ms,)))

    async def forget_worker(self, worker: str) -> None:
        """Removes a leaving worker from the group, unless it still has jobs: they would be lost too.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        await self._run_everywhere("forget_worker", (worker, _FORGOTTEN_AFTER_MS))

    async def _run_everywhere(self, name: str, arguments: tuple[str | int, ...]) -> list[Any]:
        """Runs a script in each partition. Returns the replies, in order. Raises: as `take`."""
        queues = map(self._client.key_space.queue, range(await self.count_partitions()))
        return await run_every_call(self._client, [Call(name, (queue.jobs,), arguments) for queue in queues])

    async def _bell_of(self, stream_id: str) -> str:
        return bell_of(await agree_on_partitions(self._client), partition_of(stream_id))

    def _keys_of(self, stream_id: str) -> tuple[StreamKeys, QueueKeys]:
        return self._client.key_space.stream(stream_id), self._client.key_space.queue_of(stream_id)


def _measure(submission: Submission, question: bytes) -> tuple[int, int]:
    """The bytes that are kept when the run has ended, without its answer; and those that are kept until then."""
    beginning = submission.beginning
    texts = (submission.response, question, *beginning.lines, *beginning.fields.values())
    kept, request = OVERHEAD_BYTES + sum(map(len, texts)), len(submission.request)
    return kept + (request if submission.keeps_prompts else 0), kept + request


def bell_of(partitions: Partitions, partition: int) -> str:
    """The message that tells workers of a new job; "" if they wait at the only partition."""
    return f"jobs {partition:02x}" if partitions.count > 1 else ""


def _share_of(max_waiting: int, partitions: Partitions) -> int:
    """How many runs may wait in one partition."""
    if partitions.count == 1:
        return max_waiting
    return min(max_waiting, max(MIN_WAITING, -(-max_waiting // partitions.count)))


def _pairs(partition: int, reply: Sequence[bytes]) -> list[Job]:
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return [Job(entry.decode(), stream_id.decode(), partition) for entry, stream_id in pairs]


def _jobs(reply: Any) -> list[Job]:
    return [_job(entry) for _, entries in reply or () for entry in entries]


def _job(entry: tuple[bytes, dict[bytes, bytes]]) -> Job:
    name, fields = entry
    # A delivered entry that was deleted comes without fields. Claiming it removes it from the group.
    return Job(name.decode(), (fields or {}).get(b"id", b"").decode())


def _answers(replies: Sequence[Any]) -> list[WriteStatus | BrokerError]:
    return [reply if isinstance(reply, BrokerError) else WriteStatus(reply.decode()) for reply in replies]
