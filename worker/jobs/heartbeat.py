"""Renews the leases of all generations. Only Redis decides when a lease is over.

A worker that has lost a lease, for example because it was frozen, notices it here and stops the provider call.
"""

import asyncio
import logging

from contract.errors import BrokerError, BrokerUnavailableError
from contract.job_queue import JobQueue
from worker.generations.generation import Generation
from worker.generations.pool import GenerationPool
from worker.jobs.connectivity import Connectivity
from worker.outage import Outage

logger = logging.getLogger(__name__)

MIN_TIMEOUT_S = 0.5
RETRY_S = 0.3
"""After an outage all leases look expired, so they must be renewed soon."""
SLICE_LEASES = 100
"""Leases in one round trip. Packing a thousand at once would delay all chunks."""


class Heartbeat:
    """Renews three times in each lease time, and at once on request."""

    def __init__(
        self, queue: JobQueue, pool: GenerationPool, connectivity: Connectivity, worker: str, lease_s: float
    ) -> None:
        self._queue = queue
        self._pool = pool
        self._connectivity = connectivity
        self._worker = worker
        self._period_s = lease_s / 3
        self._asked = asyncio.Event()
        self._outage = Outage(logger, "leases are not renewed")

    def renew_now(self) -> None:
        """Renews at once. The replies also report cancellations that this worker missed."""
        self._asked.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            next_at = clock() + self._period_s
            self._asked.clear()
            try:
                await self._renew_all()
                self._outage.end()
            except (BrokerUnavailableError, TimeoutError) as error:
                self._outage.record(error)
                next_at = clock() + min(self._period_s, RETRY_S)
            try:
                async with asyncio.timeout(max(0.0, next_at - clock())):
                    await self._asked.wait()
            except TimeoutError:
                pass

    async def _renew_all(self) -> None:
        held = self._pool.generations
        for start in range(0, len(held), SLICE_LEASES):
            # Do not lose leases to a half-open connection: the next call gets another connection.
            async with asyncio.timeout(max(self._period_s, MIN_TIMEOUT_S)):
                await self._renew(held[start : start + SLICE_LEASES])

    async def _renew(self, generations: list[Generation]) -> None:
        leased = [(one, one.lease) for one in generations if one.lease is not None]
        if not leased:
            return
        answers = await self._queue.renew(self._worker, [lease for _, lease in leased])
        unavailable: BrokerUnavailableError | None = None
        for (generation, _), answer in zip(leased, answers, strict=True):
            if isinstance(answer, BrokerUnavailableError):
                unavailable = answer
            elif isinstance(answer, BrokerError):
                logger.warning("lease of %s not renewed: %s", generation.job.stream_id, answer)
            else:
                generation.on_write_status(answer)
        if unavailable is not None:
            # One of several servers: its leases are tried again soon.
            raise unavailable
        self._connectivity.record(asyncio.get_running_loop().time())
