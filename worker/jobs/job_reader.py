"""Takes jobs while there is room: first those whose worker was lost, then new ones.

Not a judge of jobs: the claim is.
"""

import asyncio
import logging

from contract.backoff import Backoff
from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.job_queue import Job, JobQueue
from worker.generations.pool import GenerationPool
from worker.jobs.connectivity import Connectivity
from worker.outage import Outage

logger = logging.getLogger(__name__)

REPLY_TIMEOUT_S = 3.0
"""Beyond the time a read may block: after this the connection counts as dead."""
MAX_BLOCK_S = 2.0
FIRST_DELAY_S = 0.05
MAX_DELAY_S = 1.0
# Two renewals of three may come late before another worker takes the job.
OVERDUE_SHARE = 0.9
GIVEN_BACK_MS = 43_200_000
"""A lease that seems to be over for half a day is one that was given back: Redis is told so then."""
POLLS_PER_LEASE = 10


class JobReader:
    """One task of one worker. `blocking` is a client of its own: its connection waits most of the time."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        queue: JobQueue,
        blocking: Client,
        pool: GenerationPool,
        connectivity: Connectivity,
        worker: str,
        lease_s: float,
    ) -> None:
        self._queue = queue
        self._blocking = blocking
        self._pool = pool
        self._connectivity = connectivity
        self._worker = worker
        self._lease_s = lease_s
        self._overdue_ms = max(1, round(lease_s * 1000 * OVERDUE_SHARE))
        self._block_s = min(MAX_BLOCK_S, lease_s / POLLS_PER_LEASE)
        self._rung = asyncio.Event()
        self._outage = Outage(logger, "no jobs can be read")

    def look_now(self) -> None:
        """A job may have been given back."""
        self._rung.set()

    async def run(self) -> None:
        """Until cancelled; a job may then stand delivered that was never started: see JobQueue.delivered."""
        backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S)
        is_sure = False
        while True:
            await self._pool.wait_for_room()
            try:
                if not is_sure:
                    await self._recover()
                    is_sure = True
                await self._look()
                backoff.reset()
                self._outage.end()
            except (BrokerUnavailableError, BrokerRefusedError, TimeoutError) as error:
                self._outage.record(error)
                is_sure = False
                await asyncio.sleep(backoff.next_delay_s())

    async def collect(self) -> None:
        """After `run` was cancelled: starts what it left delivered, so that it ends or is given back like the rest."""
        try:
            await self._recover()
        except (BrokerUnavailableError, BrokerRefusedError, TimeoutError) as error:
            self._outage.record(error)

    async def _recover(self) -> None:
        """After any trouble: the group may be gone, and replies with jobs in them may have been lost."""
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            await self._queue.open()
            self._pool.start(await self._queue.delivered(self._worker))

    async def _look(self) -> None:
        self._rung.clear()
        clock = asyncio.get_running_loop().time
        is_steady = self._connectivity.lasted_s(clock()) >= self._lease_s
        idle_ms = self._overdue_ms if is_steady else GIVEN_BACK_MS
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            overdue = await self._queue.take_over(self._worker, idle_ms, self._pool.room)
        self._connectivity.record(clock())
        if overdue:
            logger.info("%d jobs taken over", len(overdue))
            self._pool.start(overdue)
        if self._pool.room:
            self._pool.start(await self._take())

    async def _take(self) -> list[Job]:
        """New jobs, or none after a while, or as soon as the bell rings."""
        read = asyncio.create_task(
            self._queue.take(self._blocking, self._worker, self._pool.room, round(self._block_s * 1000))
        )
        bell = asyncio.create_task(self._rung.wait())
        try:
            async with asyncio.timeout(self._block_s + REPLY_TIMEOUT_S):
                await asyncio.wait([read, bell], return_when=asyncio.FIRST_COMPLETED)
            if read.done():
                return read.result()
        finally:
            bell.cancel()
            if not read.done():
                read.cancel()
                await asyncio.wait([read])
        # Cutting the read short may have lost a reply with jobs in it.
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            return await self._queue.delivered(self._worker)
