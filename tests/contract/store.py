"""The job queue and the log on one Redis, for the tests of both: it makes runs and reads all that Redis stores."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from contract.connection import Client, call_redis
from contract.event import Event
from contract.job_queue import Claim, Job, JobQueue, Once, OnceUse, Policy, Submission, Submitted, Verdict
from contract.position import START
from contract.redis_server import Place, PubSubConnection
from contract.stream_log import Batch, StreamLog
from tests.redis_keys import JOBS, KEYS, TURNS, backlog_key, stream_keys

LIFETIME_MS = 600_000
RETENTION_MS = 300_000
MAX_WAITING = 1000
MAX_LOST = 3
MAX_EPOCHS = 50


def chunk_lines(*texts: str) -> list[bytes]:
    return [f'chunk {{"text":"{text}"}}'.encode() for text in texts]


def done_line(status: str = "completed") -> bytes:
    return f'done {{"status":"{status}"}}'.encode()


class ChannelReader:
    """Reads what is published on one channel."""

    def __init__(self, connection: PubSubConnection) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def on(cls, url: str, channel: str) -> "AsyncIterator[ChannelReader]":
        connection = PubSubConnection(Place(url))
        await connection.open()
        await connection.send("SUBSCRIBE", channel)
        assert (await connection.receive())[0] == b"subscribe"
        yield cls(connection)
        await connection.close()

    async def received(self) -> list[bytes]:
        """The payloads since the last call. Redis answers the ping after all that was published before it."""
        await self._connection.send("PING")
        payloads = []
        while (push := await self._connection.receive())[0] != b"pong":
            payloads.append(bytes(push[2]))
        return payloads


@dataclass
class Store:
    """One broker, used as a gateway and its workers do."""

    url: str
    client: Client
    blocking: Client
    queue: JobQueue
    log: StreamLog
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @classmethod
    async def on(cls, url: str, client: Client, blocking: Client) -> "Store":
        store = cls(url, client, blocking, JobQueue(client, LIFETIME_MS), StreamLog(client, RETENTION_MS))
        await store.queue.open()
        return store

    def submission(
        self, *, on_lost: str = "restart", once: str | None = None, use: OnceUse = OnceUse.KEY, body: str = "b"
    ) -> Submission:
        """Of a caller of its own, so that it waits for nobody else's turn."""
        identity = None if once is None else Once(once, use, LIFETIME_MS)
        number = next(self._numbers)
        return Submission(
            f"{number:022d}", b'{"messages":[]}', "demo", Policy(on_lost), body, identity, caller=f"key:{number}"
        )

    async def submit(self, *, on_lost: str = "restart") -> str:
        answer, stream_id = await self.queue.submit(self.submission(on_lost=on_lost), MAX_WAITING)
        assert answer is Submitted.OK
        return stream_id

    async def take(self, worker: str, limit: int = 10) -> list[Job]:
        return await self.queue.take(self.blocking, worker, limit, 1)

    async def take_over(self, worker: str) -> list[Job]:
        """Takes all jobs, as if every lease had expired."""
        return await self.queue.take_over(worker, 0, 100)

    async def claim(self, job: Job, worker: str) -> Claim:
        return await self.queue.claim(job, worker, MAX_LOST, MAX_EPOCHS)

    async def start(self, worker: str = "w1", *, on_lost: str = "restart") -> tuple[Job, Claim]:
        """A new run, claimed by `worker` in epoch 1."""
        await self.submit(on_lost=on_lost)
        (job,) = await self.take(worker)
        claim = await self.claim(job, worker)
        assert claim.verdict is Verdict.RUN
        return job, claim

    async def hand_over(self, job: Job, worker: str) -> Claim:
        """`worker` takes the job over, as if its lease had expired."""
        assert job.entry in [taken.entry for taken in await self.take_over(worker)]
        return await self.claim(job, worker)

    async def write(self, batch: Batch) -> tuple[str, int]:
        (written,) = await self.log.write([batch])
        if isinstance(written, Exception):
            raise written
        return str(written.status), written.seq

    async def events(self, stream_id: str) -> list[Event]:
        return [event async for event in self.log.read(stream_id, START)]

    async def positions(self, stream_id: str) -> list[str]:
        return [str(event.position) for event in await self.events(stream_id)]

    async def kinds(self, stream_id: str) -> list[str]:
        return [str(event.kind) for event in await self.events(stream_id)]

    async def meta(self, stream_id: str) -> dict[str, str]:
        fields = await call_redis(self.client, "HGETALL", stream_keys(stream_id).meta)
        return {name.decode(): value.decode() for name, value in fields.items()}

    async def queued_entries(self) -> list[str]:
        return [name.decode() for name, _ in await call_redis(self.client, "XRANGE", JOBS, "-", "+")]

    async def keys_without_expiry(self) -> list[str]:
        """Apart from the queue."""
        keys = [key.decode() for key in await call_redis(self.client, "KEYS", "*")]
        others = [
            key for key in keys if key not in (JOBS, TURNS, KEYS.partitions) and not key.startswith(backlog_key(""))
        ]
        return [key for key in others if await call_redis(self.client, "PTTL", key) == -1]
