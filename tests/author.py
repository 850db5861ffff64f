"""Writes a stream as a worker does, through the same scripts, event by event, where a test wants to be in control."""

import secrets
from types import TracebackType
from typing import Self

from contract.connection import blocking_client, command_client
from contract.errors import BrokerRefusedError
from contract.event import Kind, Status, encode_json, entry_line
from contract.job_queue import Job, JobQueue, Policy, Submission, Verdict
from contract.stream_log import Batch, Ending, StreamLog, WriteResult, WriteStatus

RETENTION_MS = 600_000


class Author:
    """Holds the lease of one stream."""

    def __init__(self, redis_url: str) -> None:
        self._client = command_client(redis_url)
        self._blocking = blocking_client(redis_url)
        self._queue = JobQueue(self._client, RETENTION_MS)
        self._log = StreamLog(self._client, RETENTION_MS)
        self._name = f"author-{secrets.token_hex(4)}"
        self._seq = 1
        self.stream_id = secrets.token_urlsafe(16)
        self.lines: list[bytes] = []

    async def __aenter__(self) -> Self:
        await self._queue.submit(Submission(self.stream_id, b"{}", "author", Policy(), ""), 1000)
        self._job = await self._take_own_job()
        claim = await self._queue.claim(self._job, self._name, 2, 10)
        assert claim.verdict is Verdict.RUN
        self.epoch = claim.epoch
        return self

    async def _take_own_job(self) -> Job:
        """Other tests may have left jobs in the queue: they are not this author's."""
        while True:
            (job,) = await self._queue.take(self._blocking, self._name, 1, 5000)
            if job.stream_id == self.stream_id:
                return job

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()
        await self._blocking.aclose()

    async def begin(self) -> None:
        """Writes `start`."""
        await self.write(entry_line(Kind.START, encode_json({"stream": self.stream_id, "epoch": 1, "chunk": {}})))

    async def say(self, text: str) -> None:
        """Writes one chunk."""
        await self.write(entry_line(Kind.CHUNK, encode_json({"choices": [{"index": 0, "delta": {"content": text}}]})))

    async def end(self) -> None:
        """Writes `done`."""
        done = {"status": "completed", "finish_reason": "stop", "usage": None, "error": None, "timing": None}
        ending = Ending(Status.COMPLETED, self._job.entry)
        await self.write(entry_line(Kind.DONE, encode_json(done)), ending=ending)

    async def write(self, *lines: bytes, ending: Ending | None = None) -> None:
        (written,) = await self._log.write([Batch(self.stream_id, self.epoch, self._seq, lines, ending)])
        assert not isinstance(written, BrokerRefusedError), written
        assert written == WriteResult(WriteStatus.OK, self._seq + len(lines) - 1)
        self._seq += len(lines)
        self.lines += lines
