"""Takes jobs of several partitions. No blocking read can wait at all of them, so a doorbell says where a job is.

The doorbell only saves time. A sweep over all partitions finds what a lost one has left behind, and the jobs of lost
workers.
"""

import asyncio
import logging
from contextlib import suppress

from worker.jobs.taker import REPLY_TIMEOUT_S, Intake

logger = logging.getLogger(__name__)

MAX_SWEEP_S = 2.0
SWEEPS_PER_LEASE = 5
PARTITIONS_AT_ONCE = 16
"""How many partitions one round trip takes jobs from."""


class PartitionsTaker:
    """A Taker. A partition that may have jobs waits in `_due` for its turn: none is passed over for others."""

    def __init__(self, intake: Intake, count: int) -> None:
        self._intake = intake
        self._count = count
        self._sweep_every_s = min(MAX_SWEEP_S, intake.lease_s / SWEEPS_PER_LEASE)
        self._sweep_at = 0.0
        self._rung = asyncio.Event()
        # Dictionaries without values: sets that keep their order.
        self._due: dict[int, None] = {}
        self._overdue: dict[int, None] = {}
        self._unsure = set(range(count))

    def ring(self, partition: int) -> None:
        if partition < self._count:
            self._due.setdefault(partition)
            self._rung.set()

    def look_now(self, partition: int | None = None) -> None:
        if partition is None:
            self._sweep_at = 0.0
        elif partition < self._count:
            self._overdue.setdefault(partition)
        self._rung.set()

    def doubt(self) -> None:
        self._unsure = set(range(self._count))
        self._sweep_at = 0.0

    async def recover(self) -> None:
        self._unsure = set(range(self._count))
        await self._recover()

    async def take(self) -> None:
        self._rung.clear()
        if asyncio.get_running_loop().time() >= self._sweep_at:
            await self._sweep()
        await self._take_overdue()
        await self._take_new()
        if self._intake.pool.room and not self._due:
            await self._wait()

    async def _recover(self) -> None:
        """Partitions on a server that does not answer stay unsure. Nothing is taken from them."""
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            found = await self._intake.queue.recover(self._intake.worker, sorted(self._unsure))
        for partition, jobs in found.items():
            self._unsure.discard(partition)
            self._intake.pool.start(jobs)

    async def _sweep(self) -> None:
        clock = asyncio.get_running_loop().time
        if self._unsure:
            await self._recover()
        idle_ms = self._intake.overdue_after_ms(clock())
        sure = [partition for partition in range(self._count) if partition not in self._unsure]
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            looks = await self._intake.queue.look(sure, idle_ms)
        now = clock()
        self._sweep_at = now + self._sweep_every_s
        self._unsure.update(set(sure) - looks.keys())
        if not self._unsure:
            # While one of several servers is away, its leases are not renewed. When it is back, they only look overdue.
            self._intake.connectivity.record(now)
        for partition, look in looks.items():
            if look.has_jobs:
                self._due.setdefault(partition)
            if look.has_overdue:
                self._overdue.setdefault(partition)

    async def _take_overdue(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._overdue and self._intake.pool.room:
            partition = self._pop(self._overdue)
            if partition in self._unsure:
                continue
            idle_ms = self._intake.overdue_after_ms(clock())
            room = self._intake.pool.room
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                jobs = await self._intake.queue.take_over(self._intake.worker, idle_ms, room, partition)
            if jobs:
                logger.info("%d jobs taken over", len(jobs))
                self._intake.pool.start(jobs)
            if len(jobs) >= room:
                self._overdue.setdefault(partition)

    async def _take_new(self) -> None:
        while self._due and (room := self._intake.pool.room):
            # Before the call: a doorbell during it counts.
            chosen = [self._pop(self._due) for _ in range(min(room, len(self._due), PARTITIONS_AT_ONCE))]
            limits = {partition: room // len(chosen) for partition in chosen if partition not in self._unsure}
            if not limits:
                continue
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                taken = await self._intake.queue.take_now(self._intake.worker, limits)
            for partition, limit in limits.items():
                jobs = taken.get(partition)
                if jobs is None:
                    self._unsure.add(partition)
                    continue
                self._intake.pool.start(jobs)
                if len(jobs) >= limit:
                    # It may have more. The others come first.
                    self._due.setdefault(partition)

    async def _wait(self) -> None:
        """Until the doorbell rings, or the next sweep is due."""
        left_s = self._sweep_at - asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left_s)):
                await self._rung.wait()

    @staticmethod
    def _pop(partitions: dict[int, None]) -> int:
        first = next(iter(partitions))
        del partitions[first]
        return first
