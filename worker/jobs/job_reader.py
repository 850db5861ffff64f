"""Takes jobs while the pool has room. The claim decides whether they run."""

import asyncio
import logging

from contract.backoff import Backoff
from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from worker.jobs.line_taker import LineTaker
from worker.jobs.partitions_taker import PartitionsTaker
from worker.jobs.taker import REPLY_TIMEOUT_S, Intake, Taker
from worker.outage import Outage

logger = logging.getLogger(__name__)

FIRST_DELAY_S = 0.05
MAX_DELAY_S = 1.0


class JobReader:
    """One task of a worker. `blocking` is a client for blocking reads only."""

    def __init__(self, intake: Intake, blocking: Client) -> None:
        self._intake = intake
        self._blocking = blocking
        # Chosen when Redis has said how many partitions there are.
        self._taker: Taker | None = None
        self._outage = Outage(logger, "no jobs can be read")

    def ring(self, partition: int) -> None:
        """A job was submitted."""
        if self._taker is not None:
            self._taker.ring(partition)

    def look_now(self, partition: int | None = None) -> None:
        """Looks at once: a job of this partition, or of any, may have been released."""
        if self._taker is not None:
            self._taker.look_now(partition)

    async def run(self) -> None:
        """Runs until cancelled. Call `collect` afterwards: a delivered job may not have been started."""
        backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S)
        while True:
            await self._intake.pool.wait_for_room()
            try:
                if self._taker is None:
                    self._taker = await self._choose_taker()
                await self._taker.take()
                backoff.reset()
                self._outage.end()
            except (BrokerUnavailableError, BrokerRefusedError, TimeoutError) as error:
                self._outage.record(error)
                if self._taker is not None:
                    self._taker.doubt()
                await asyncio.sleep(backoff.next_delay_s())

    async def collect(self) -> None:
        """After `run` was cancelled: starts delivered jobs that were not started, so that they end or are released."""
        try:
            await (self._taker or await self._choose_taker()).recover()
        except (BrokerUnavailableError, BrokerRefusedError, TimeoutError) as error:
            self._outage.record(error)

    async def _choose_taker(self) -> Taker:
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            count = await self._intake.queue.count_partitions()
        return LineTaker(self._intake, self._blocking) if count == 1 else PartitionsTaker(self._intake, count)
