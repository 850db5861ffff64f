"""Writes runs as a worker does, through the same scripts: the test decides when each event comes and who is lost."""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from contract.connection import Client, blocking_client, command_client
from contract.event import Kind, Status, encode_json, entry_line
from contract.job_queue import Claim, Job, JobQueue, Policy, Submission, Submitted, Verdict
from contract.stream_id import new_stream_id
from contract.stream_log import Batch, Ending, StreamLog, WriteResult, WriteStatus

Entry = tuple[str, Kind, dict[str, Any]]
"""An event of a log: position, kind, data."""

RETENTION_MS = 600_000
BLOCK_MS = 100
DEADLINE_S = 60.0
MAX_WAITING = 1000
MAX_LOST = 5
MAX_EPOCHS = 50


@dataclass
class Run:
    """A run under a lease. `lines` are all that this epoch has written, as `kind SP json`."""

    author: "Author"
    job: Job
    claim: Claim
    next_seq: int
    lines: list[bytes] = field(default_factory=list)

    @property
    def stream_id(self) -> str:
        return self.job.stream_id

    async def write(self, entries: Iterable[Entry], status: Status | None = None) -> None:
        """Appends; with a status, the last entry is the `done` of it. The entries' positions are ignored."""
        lines = [entry_line(kind, encode_json(data)) for _, kind, data in entries]
        ending = None if status is None else Ending(status, self.job.entry)
        await self.author.write(Batch(self.stream_id, self.claim.epoch, self.next_seq, lines, ending))
        self.next_seq += len(lines)
        self.lines += lines

    async def begin(self) -> None:
        """Writes `start`."""
        await self.write([("", Kind.START, {"stream": self.stream_id, "epoch": self.claim.epoch, "chunk": {}})])

    async def say(self, text: str) -> None:
        """Writes one chunk."""
        await self.write([("", Kind.CHUNK, {"choices": [{"index": 0, "delta": {"content": text}}]})])

    async def end(self) -> None:
        """Writes `done`, completed."""
        done = {"status": "completed", "finish_reason": "stop", "usage": None, "error": None, "timing": None}
        await self.write([("", Kind.DONE, done)], Status.COMPLETED)

    async def lose(self) -> "Run":
        """The worker is lost, and another one takes the job over; the log then has its `restart`."""
        return await self.author.take_over(self)


class Author:
    """All workers of a test. `blocking` may be `client` where no other command waits for it."""

    name = "author"

    def __init__(self, client: Client, blocking: Client) -> None:
        self._queue = JobQueue(client, RETENTION_MS)
        self._log = StreamLog(client, RETENTION_MS)
        self._blocking = blocking

    async def start(self) -> Run:
        """Submits a run and takes it."""
        stream_id = new_stream_id(private=False)
        answer, _ = await self._queue.submit(Submission(stream_id, b"{}", "demo", Policy(), ""), MAX_WAITING)
        assert answer is Submitted.OK
        return await self.take(stream_id)

    async def take(self, stream_id: str | None = None, within_s: float = DEADLINE_S) -> Run:
        """The next job, or that of the stream: other tests may have left jobs in the queue.

        Raises: AssertionError after the deadline.
        """
        await self._queue.open()
        deadline = time.monotonic() + within_s
        while True:
            for job in await self._queue.take(self._blocking, self.name, 1, BLOCK_MS):
                if stream_id in (None, job.stream_id):
                    return await self._claim(job, self.name)
                # The caller's next run waits until this one is claimed.
                await self._queue.claim(job, self.name, MAX_LOST, MAX_EPOCHS)
            assert time.monotonic() < deadline, "no job was submitted"

    async def take_over(self, run: Run) -> Run:
        """Takes the job of a lost worker as another worker."""
        other = f"{self.name}-{run.claim.epoch + 1}"
        (job,) = [job for job in await self._queue.take_over(other, 0, 100) if job.entry == run.job.entry]
        return await self._claim(job, other)

    async def write(self, batch: Batch) -> None:
        (written,) = await self._log.write([batch])
        assert written == WriteResult(WriteStatus.OK, batch.first_seq + len(batch.lines) - 1)

    async def _claim(self, job: Job, worker: str) -> Run:
        claim = await self._queue.claim(job, worker, MAX_LOST, MAX_EPOCHS)
        assert claim.verdict is Verdict.RUN
        return Run(self, job, claim, claim.next_seq)


@asynccontextmanager
async def open_run(redis_url: str) -> AsyncIterator[Run]:
    """A run that nobody else takes, on connections of its own."""
    client, blocking = command_client(redis_url), blocking_client(redis_url)
    try:
        yield await Author(client, blocking).start()
    finally:
        await client.aclose()
        await blocking.aclose()
