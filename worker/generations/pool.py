"""The generations of this process: starts, finds, counts and releases them. JobReader brings the jobs."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from contract.errors import BrokerUnavailableError
from contract.job_queue import Job, JobQueue
from worker.generations.generation import Generation, Stop

logger = logging.getLogger(__name__)

GIVING_BACK_TIMEOUT_S = 3.0


MAX_CLAIMS = 32
"""The limit on claims in flight. More would delay Redis's replies to the current runs."""


class GenerationPool:
    """Runs up to `streams` generations at once. `make` creates one for a job."""

    def __init__(self, streams: int, make: Callable[[Job], Generation]) -> None:
        self.streams = streams
        self._make = make
        self._by_entry: dict[tuple[int, str], Generation] = {}
        self._by_stream: dict[str, Generation] = {}
        self._tasks: dict[asyncio.Task[None], Generation] = {}
        self._claims = 0
        self._changed = asyncio.Event()

    @property
    def room(self) -> int:
        """How many more generations may start now."""
        return max(0, min(self.streams - len(self._tasks), MAX_CLAIMS - self._claims))

    @property
    def generations(self) -> list[Generation]:
        return list(self._tasks.values())

    async def wait_for_room(self) -> None:
        while not self.room:
            await self._changed.wait()

    def start(self, jobs: Sequence[Job]) -> None:
        """Starts the jobs that this process does not run yet. Redis delivers a job again if a reply was lost."""
        for job in jobs:
            # Two partitions may have the same entry.
            entry = (job.partition, job.entry)
            if entry in self._by_entry:
                continue
            generation = self._make(job)
            self._by_entry[entry] = generation
            self._by_stream[job.stream_id] = generation
            task = asyncio.create_task(self._run(generation))
            self._tasks[task] = generation
            task.add_done_callback(self._forget)

    async def _run(self, generation: Generation) -> None:
        self._claims += 1
        try:
            is_ours = await generation.claim(self.room)
        finally:
            self._claims -= 1
            self._tell()
        if is_ours:
            await generation.run()

    def cancel(self, stream_id: str) -> None:
        """Cancels the run if this process runs it."""
        generation = self._by_stream.get(stream_id)
        if generation is not None:
            generation.stop(Stop.CANCELLED)

    async def finish(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Waits until all generations have ended, `grace_s` have passed or `hurry` is set."""
        if not self._tasks:
            return
        hurried = asyncio.create_task(hurry.wait())
        ended = asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            waited: list[asyncio.Future[Any]] = [hurried, ended]
            await asyncio.wait(waited, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()

    async def give_back(self, queue: JobQueue, worker: str) -> None:
        """Stops the remaining generations and releases their jobs, so that other workers can claim them at once."""
        tasks = dict(self._tasks)
        for generation in tasks.values():
            generation.stop(Stop.LEFT)
        if tasks:
            await asyncio.wait(tasks, timeout=GIVING_BACK_TIMEOUT_S)
        leases = [generation.lease for generation in tasks.values() if generation.lease is not None]
        if not leases:
            return
        try:
            async with asyncio.timeout(GIVING_BACK_TIMEOUT_S):
                answers = await queue.release(worker, leases)
            logger.info("%d runs released: %s", len(leases), ", ".join(sorted({str(one) for one in answers})))
        except (BrokerUnavailableError, TimeoutError):
            logger.warning(
                "%d runs not released, because Redis is unavailable: they wait until their leases end", len(leases)
            )

    def _forget(self, task: asyncio.Task[None]) -> None:
        generation = self._tasks.pop(task)
        self._by_entry.pop((generation.job.partition, generation.job.entry), None)
        if self._by_stream.get(generation.job.stream_id) is generation:
            del self._by_stream[generation.job.stream_id]
        self._tell()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("run %s was dropped because of a bug", generation.job.stream_id, exc_info=error)

    def _tell(self) -> None:
        self._changed.set()
        self._changed.clear()
