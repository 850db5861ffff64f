"""What the ways to take jobs have in common."""

from dataclasses import dataclass
from typing import Protocol

from contract.job_queue import JobQueue
from worker.generations.pool import GenerationPool
from worker.jobs.connectivity import Connectivity

REPLY_TIMEOUT_S = 3.0
"""How much longer than it may block a read may take. After that the connection counts as dead."""
# Two of three renewals may fail before another worker takes the job.
_OVERDUE_SHARE = 0.9
_GIVEN_BACK_MS = 43_200_000
"""release.lua marks a released job with an idle time of a day. No lost worker's lease gets that old."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Where jobs come from and go to, and whose lease they get: that of the worker with this name."""

    queue: JobQueue
    pool: GenerationPool
    connectivity: Connectivity
    worker: str
    lease_s: float

    def overdue_after_ms(self, now: float) -> int:
        """How long a lease must have been without renewal for its job to be taken over. Shortly after an outage of
        Redis, only released jobs are: their workers do not renew."""
        if self.connectivity.lasted_s(now) < self.lease_s:
            return _GIVEN_BACK_MS
        return max(1, round(self.lease_s * 1000 * _OVERDUE_SHARE))


class Taker(Protocol):
    """Brings jobs to the pool. Its coroutines raise BrokerUnavailableError, BrokerRefusedError and TimeoutError."""

    def ring(self, partition: int) -> None:
        """A job was submitted."""

    def look_now(self, partition: int | None = None) -> None:
        """A job of this partition may have been released, or of any. Looks at once."""

    def doubt(self) -> None:
        """After an error: a group may be missing, and replies that held jobs may have been lost."""

    async def recover(self) -> None:
        """Starts the jobs that Redis has delivered to this worker and that it does not run yet."""

    async def take(self) -> None:
        """Starts jobs while the pool has room, or waits for some. Call it again and again."""
