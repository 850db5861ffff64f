"""Writes the events of all generations of the process, many in one round trip.

One write is in flight at a time, and the next one takes all events that came meanwhile. So a lone first chunk is sent
at once, and a busy process sends large batches. The outboxes handle the results.
"""

import asyncio
import logging

from contract.backoff import Backoff
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.limits import BATCH_LIMIT_BYTES
from contract.stream_log import Batch, StreamLog
from worker.generations.outbox import Outbox
from worker.outage import Outage

logger = logging.getLogger(__name__)

WRITE_LIMIT_BYTES = 4 * BATCH_LIMIT_BYTES
WRITE_LIMIT_BATCHES = 1024
FIRST_DELAY_S = 0.02
MAX_DELAY_S = 0.5


class Publisher:
    """Call `send` when an outbox has something to write. `unsent_limit_bytes` is the limit of all outboxes together."""

    def __init__(self, log: StreamLog, unsent_limit_bytes: int) -> None:
        self._log = log
        self._unsent_limit_bytes = unsent_limit_bytes
        self._waiting: dict[Outbox, None] = {}
        self._unsent: dict[Outbox, int] = {}
        self._unsent_bytes = 0
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._outage = Outage(logger, "events wait in memory")

    @property
    def is_full(self) -> bool:
        """Whether generations must await `room` before they put more."""
        return self._unsent_bytes > self._unsent_limit_bytes

    def send(self, outbox: Outbox) -> None:
        """Writes `outbox` soon: it has new lines."""
        if not outbox.is_open:
            return
        self._account(outbox)
        self._waiting[outbox] = None
        self._wake.set()

    def forget(self, outbox: Outbox) -> None:
        """Stops writing `outbox`: it has ended or is closed."""
        self._waiting.pop(outbox, None)
        self._unsent_bytes -= self._unsent.pop(outbox, 0)
        self._turn()

    async def room(self) -> None:
        """Returns once there is room for more."""
        while self.is_full:
            await self._settled.wait()

    async def settled(self, outbox: Outbox) -> None:
        """Returns once `outbox` has ended or is closed."""
        while outbox.is_open:
            await self._settled.wait()

    async def confirmed(self, outbox: Outbox) -> None:
        """Returns once Redis has all lines of `outbox`, or it takes no more."""
        while outbox.takes_lines and outbox.unsent_bytes:
            await self._settled.wait()

    async def run(self) -> None:
        """Runs until cancelled."""
        backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S)
        while True:
            await self._wake.wait()
            self._wake.clear()
            if await self._write():
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next_delay_s())

    async def _write(self) -> bool:
        """One round trip. Returns whether Redis accepted everything. The rest waits for the next round trip."""
        round_trip = self._gather()
        if not round_trip:
            return True
        try:
            answers = await self._log.write([batch for _, batch in round_trip])
        except BrokerUnavailableError as error:
            self._outage.record(error)
            for outbox, _ in round_trip:
                self.send(outbox)
            return False
        is_taken = True
        for (outbox, batch), answer in zip(round_trip, answers, strict=True):
            if isinstance(answer, BrokerRefusedError):
                is_taken = False
                self._outage.record(answer)
                outbox.refuse(asyncio.get_running_loop().time())
            else:
                outbox.settle(batch, answer)
            if outbox.has_more:
                self.send(outbox)
            elif outbox in self._unsent:
                self._account(outbox)
        if is_taken:
            self._outage.end()
        self._turn()
        return is_taken

    def _gather(self) -> list[tuple[Outbox, Batch]]:
        round_trip: list[tuple[Outbox, Batch]] = []
        size = 0
        for outbox in list(self._waiting):
            if size > WRITE_LIMIT_BYTES or len(round_trip) == WRITE_LIMIT_BATCHES:
                self._wake.set()
                break
            del self._waiting[outbox]
            batch = outbox.next_batch()
            if batch is not None:
                round_trip.append((outbox, batch))
                size += sum(map(len, batch.lines))
        return round_trip

    def _account(self, outbox: Outbox) -> None:
        unsent = outbox.unsent_bytes
        self._unsent_bytes += unsent - self._unsent.get(outbox, 0)
        self._unsent[outbox] = unsent

    def _turn(self) -> None:
        """Wakes all waiting tasks. Each checks its own condition."""
        self._settled.set()
        self._settled.clear()
