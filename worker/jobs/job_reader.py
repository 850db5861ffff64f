"""Takes jobs while the pool has room: first jobs of lost workers, then new ones. The claim decides whether they run."""

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
"""How much longer than it may block a read may take. After that the connection counts as dead."""
MAX_BLOCK_S = 2.0
FIRST_DELAY_S = 0.05
MAX_DELAY_S = 1.0
# Two of three renewals may fail before another worker takes the job.
OVERDUE_SHARE = 0.9
GIVEN_BACK_MS = 43_200_000
"""release.lua marks a released job with an idle time of a day. No lost worker's lease gets that old."""
POLLS_PER_LEASE = 10


class JobReader:
    """One task of a worker. `blocking` is a client for blocking reads only."""

    def __init__(  # noqa: PLR0917 - created in one place
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
        self._look_asked = asyncio.Event()
        self._outage = Outage(logger, "no jobs can be read")

    def look_now(self) -> None:
        """Looks at once: a job may have been released."""
        self._look_asked.set()

    async def run(self) -> None:
        """Runs until cancelled. Call `collect` afterwards: a delivered job may not have been started."""
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
        """After `run` was cancelled: starts delivered jobs that were not started, so that they end or are released."""
        try:
            await self._recover()
        except (BrokerUnavailableError, BrokerRefusedError, TimeoutError) as error:
            self._outage.record(error)

    async def _recover(self) -> None:
        """After an error: the group may be missing, and replies that held jobs may have been lost."""
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            await self._queue.open()
            self._pool.start(await self._queue.delivered(self._worker))

    async def _look(self) -> None:
        self._look_asked.clear()
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
        """Waits for new jobs. Returns none after `_block_s`, or as soon as `look_now` is called."""
        read = asyncio.create_task(
            self._queue.take(self._blocking, self._worker, self._pool.room, round(self._block_s * 1000))
        )
        asked = asyncio.create_task(self._look_asked.wait())
        try:
            async with asyncio.timeout(self._block_s + REPLY_TIMEOUT_S):
                await asyncio.wait([read, asked], return_when=asyncio.FIRST_COMPLETED)
            if read.done():
                return read.result()
        finally:
            asked.cancel()
            if not read.done():
                read.cancel()
                await asyncio.wait([read])
        # The cancelled read may have lost a reply that held jobs.
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            return await self._queue.delivered(self._worker)
