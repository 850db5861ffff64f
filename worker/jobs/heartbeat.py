"""Renews the leases of all generations. Not a clock of leases: Redis alone knows when one is over.

A worker that was frozen, or that Redis forgot, learns it here at the latest, and stops its calls of the provider.
"""

import asyncio
import logging

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.job_queue import JobQueue
from worker.generations.generation import Generation
from worker.generations.pool import GenerationPool
from worker.jobs.connectivity import Connectivity
from worker.outage import Outage

logger = logging.getLogger(__name__)

MIN_TIMEOUT_S = 0.5
RETRY_S = 0.3
"""When Redis is back, all leases look as if they were over: the sooner they are renewed the better."""
SLICE_LEASES = 100
"""Renewed in one round trip. Packing a thousand at once would hold up every chunk meanwhile."""


class Heartbeat:
    """Renews thrice in a lease time, and at once when asked."""

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
        """Something may have been missed: a renewal tells of cancels, too."""
        self._asked.set()

    async def run(self) -> None:
        """Until cancelled."""
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
            # A half-open connection must not cost the leases: the next call gets another one.
            async with asyncio.timeout(max(self._period_s, MIN_TIMEOUT_S)):
                await self._renew(held[start : start + SLICE_LEASES])

    async def _renew(self, generations: list[Generation]) -> None:
        leased = [(one, one.lease) for one in generations if one.lease is not None]
        if not leased:
            return
        answers = await self._queue.renew(self._worker, [lease for _, lease in leased])
        self._connectivity.record(asyncio.get_running_loop().time())
        for (generation, _), answer in zip(leased, answers, strict=True):
            if isinstance(answer, BrokerRefusedError):
                logger.warning("lease of %s not renewed: %s", generation.job.stream_id, answer)
            else:
                generation.on_write_status(answer)
