"""Takes jobs of the only partition: new ones, for which Redis lets it wait, and now and then those of lost workers."""

import asyncio
import logging

from contract.connection import Client
from contract.job_queue import Job
from worker.jobs.taker import REPLY_TIMEOUT_S, Intake

logger = logging.getLogger(__name__)

MAX_BLOCK_S = 2.0
POLLS_PER_LEASE = 10


class LineTaker:
    """A Taker. `blocking` is a client for blocking reads only."""

    def __init__(self, intake: Intake, blocking: Client) -> None:
        self._intake = intake
        self._blocking = blocking
        self._block_s = min(MAX_BLOCK_S, intake.lease_s / POLLS_PER_LEASE)
        self._look_asked = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        # When to look for jobs of lost workers again. Not before each read of new jobs: their claims would wait for it.
        self._look_at = 0.0
        self._is_sure = False

    def ring(self, partition: int) -> None:
        """Does nothing: Redis tells the blocking read."""

    def look_now(self, partition: int | None = None) -> None:  # noqa: ARG002 - there is only one
        self._look_asked.set()

    def doubt(self) -> None:
        self._is_sure = False
        self._look_at = 0.0

    async def recover(self) -> None:
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            await self._intake.queue.open()
            self._intake.pool.start(await self._intake.queue.delivered(self._intake.worker))

    async def take(self) -> None:
        if not self._is_sure:
            await self.recover()
            self._is_sure = True
        if self._look_asked.is_set() or self._clock() >= self._look_at:
            await self._take_overdue()
        if self._intake.pool.room:
            self._intake.pool.start(await self._take_new())

    async def _take_overdue(self) -> None:
        self._look_asked.clear()
        self._look_at = self._clock() + self._block_s
        idle_ms = self._intake.overdue_after_ms(self._clock())
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            overdue = await self._intake.queue.take_over(self._intake.worker, idle_ms, self._intake.pool.room)
        self._intake.connectivity.record(self._clock())
        if overdue:
            logger.info("%d jobs taken over", len(overdue))
            self._intake.pool.start(overdue)
            # There may be more than had room.
            self._look_at = 0.0

    async def _take_new(self) -> list[Job]:
        """Waits for new jobs. Returns none when it is time to look for overdue ones, or as soon as `look_now` is
        called."""
        # Redis would wait for ever if it were to wait for 0 ms.
        block_ms = max(1, round((self._look_at - self._clock()) * 1000))
        read = asyncio.create_task(
            self._intake.queue.take(self._blocking, self._intake.worker, self._intake.pool.room, block_ms)
        )
        asked = asyncio.create_task(self._look_asked.wait())
        try:
            async with asyncio.timeout(self._block_s + REPLY_TIMEOUT_S):
                await asyncio.wait([read, asked], return_when=asyncio.FIRST_COMPLETED)
            if read.done():
                return read.result()
        finally:
            asked.cancel()
            read.cancel()
            # Also when it has just failed: nobody looks at its error then, and asyncio logs it as a bug.
            await asyncio.gather(read, return_exceptions=True)
        # The cancelled read may have lost a reply that held jobs.
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            return await self._intake.queue.delivered(self._intake.worker)
