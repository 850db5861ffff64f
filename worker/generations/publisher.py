"""Writes what all generations of the process have to say, many to a round trip.

One write is in flight at a time; what is put meanwhile goes together in the next. So a lone first chunk leaves at once,
and a busy process coalesces by itself. Not a judge of answers: the outlet is.
"""

import asyncio
import logging

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.limits import BATCH_LIMIT_BYTES
from contract.stream_log import Batch, StreamLog
from worker.generations.outbox import Outlet
from worker.outage import Outage

logger = logging.getLogger(__name__)

WRITE_LIMIT_BYTES = 4 * BATCH_LIMIT_BYTES
WRITE_LIMIT_BATCHES = 1024
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.5


class Publisher:
    """Outlets are told to it when they have something to write. `unsent_limit_bytes` is for all of them together."""

    def __init__(self, log: StreamLog, unsent_limit_bytes: int) -> None:
        self._log = log
        self._unsent_limit_bytes = unsent_limit_bytes
        self._waiting: dict[Outlet, None] = {}
        self._unsent: dict[Outlet, int] = {}
        self._unsent_bytes = 0
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._outage = Outage(logger, "events wait in memory")

    @property
    def is_full(self) -> bool:
        """Whether generations must wait, with `room`, before they put more."""
        return self._unsent_bytes > self._unsent_limit_bytes

    def send(self, outlet: Outlet) -> None:
        """Something new is in `outlet`."""
        if not outlet.is_open:
            return
        self._account(outlet)
        self._waiting[outlet] = None
        self._wake.set()

    def forget(self, outlet: Outlet) -> None:
        """`outlet` has ended or is not ours any more."""
        self._waiting.pop(outlet, None)
        self._unsent_bytes -= self._unsent.pop(outlet, 0)
        self._turn()

    async def room(self) -> None:
        """Until there is room for more."""
        while self.is_full:
            await self._settled.wait()

    async def settled(self, outlet: Outlet) -> None:
        """Until `outlet` has ended or is closed."""
        while outlet.is_open:
            await self._settled.wait()

    async def run(self) -> None:
        """Until cancelled."""
        pause_s = 0.0
        while True:
            await self._wake.wait()
            self._wake.clear()
            if await self._write():
                pause_s = 0.0
                continue
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2 or FIRST_PAUSE_S)
            await asyncio.sleep(pause_s)

    async def _write(self) -> bool:
        """One round trip; whether Redis took it. What it did not take waits for the next one, unchanged."""
        round_trip = self._gather()
        if not round_trip:
            return True
        try:
            answers = await self._log.write([batch for _, batch in round_trip])
        except BrokerUnavailableError as error:
            self._outage.note(error)
            for outlet, _ in round_trip:
                self.send(outlet)
            return False
        is_taken = True
        for (outlet, batch), answer in zip(round_trip, answers, strict=True):
            if isinstance(answer, BrokerRefusedError):
                is_taken = False
                self._outage.note(answer)
                outlet.refuse(asyncio.get_running_loop().time())
            else:
                outlet.settle(batch, answer)
            if outlet.has_more:
                self.send(outlet)
            elif outlet in self._unsent:
                self._account(outlet)
        if is_taken:
            self._outage.end()
        self._turn()
        return is_taken

    def _gather(self) -> list[tuple[Outlet, Batch]]:
        round_trip: list[tuple[Outlet, Batch]] = []
        size = 0
        for outlet in list(self._waiting):
            if size > WRITE_LIMIT_BYTES or len(round_trip) == WRITE_LIMIT_BATCHES:
                self._wake.set()
                break
            del self._waiting[outlet]
            batch = outlet.next_batch()
            if batch is not None:
                round_trip.append((outlet, batch))
                size += sum(map(len, batch.lines))
        return round_trip

    def _account(self, outlet: Outlet) -> None:
        unsent = outlet.unsent_bytes
        self._unsent_bytes += unsent - self._unsent.get(outlet, 0)
        self._unsent[outlet] = unsent

    def _turn(self) -> None:
        """Wakes all that wait for a change. Each looks for itself whether it is the one it waits for."""
        self._settled.set()
        self._settled.clear()
