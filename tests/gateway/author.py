"""Writes runs by hand, as a worker would, so that a test decides when each event comes and who is lost."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from contract.connection import Client
from contract.event import Status, encode_json, entry_line
from contract.job_queue import Claim, Job, JobQueue, Verdict
from contract.stream_log import Batch, Ending, StreamLog, WriteStatus
from tests.gateway.fanout.recording import Entry

LIFETIME_MS = 600_000
DEADLINE_S = 10.0


@dataclass
class Run:
    """A job under a lease. What is written names its own positions, but the seq of the next event counts."""

    author: "Author"
    job: Job
    claim: Claim
    next_seq: int

    @property
    def stream_id(self) -> str:
        return self.job.stream_id

    async def write(self, entries: Iterable[Entry], status: Status | None = None) -> None:
        """Appends; with a status, the last entry is the `done` of it."""
        lines = [entry_line(kind, encode_json(data)) for _, kind, data in entries]
        ending = None if status is None else Ending(status, self.job.entry)
        batch = Batch(self.stream_id, self.claim.epoch, self.next_seq, lines, ending)
        (written,) = await self.author.log.write([batch])
        assert not isinstance(written, Exception)
        assert written.status is WriteStatus.OK
        self.next_seq += len(lines)

    async def lose(self) -> "Run":
        """The worker is gone, and another one takes the job; the log then has its `restart`."""
        other = f"{self.author.name}-{self.claim.epoch + 1}"
        jobs = await self.author.queue.take_over(other, 0, 100)
        (job,) = [job for job in jobs if job.entry == self.job.entry]
        return await self.author.claim(job, other)


class Author:
    """All workers of a test."""

    name = "author"

    def __init__(self, client: Client) -> None:
        self.queue = JobQueue(client, LIFETIME_MS)
        self.log = StreamLog(client, LIFETIME_MS)
        self._client = client

    async def take(self) -> Run:
        """The next job that waits. Raises: AssertionError after the deadline."""
        await self.queue.open()
        deadline = time.monotonic() + DEADLINE_S
        while not (jobs := await self.queue.take(self._client, self.name, 1, 100)):
            assert time.monotonic() < deadline, "no job was submitted"
            await asyncio.sleep(0)
        return await self.claim(jobs[0], self.name)

    async def claim(self, job: Job, worker: str) -> Run:
        claim = await self.queue.claim(job, worker, 5, 50)
        assert claim.verdict is Verdict.RUN
        return Run(self, job, claim, claim.next_seq)
