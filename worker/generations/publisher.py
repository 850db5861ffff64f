"""Writes the events of all generations of the process, many in one round trip.

To each server of Redis, one write is in flight at a time, and the next one takes all events that came meanwhile. So a
lone first chunk is sent at once, and a busy process sends large batches; a server that does not answer delays no event
of the others. Where a run's end must be on a replica, the ends have round trips of their own: if the replicas are away,
an end waits for seconds. The outboxes handle the results.
"""

import asyncio
import logging
from collections.abc import Hashable

from contract.backoff import Backoff
from contract.errors import BrokerError, BrokerUnavailableError
from contract.limits import BATCH_LIMIT_BYTES
from contract.stream_log import Batch, StreamLog
from worker.generations.outbox import Outbox
from worker.outage import Outage

logger = logging.getLogger(__name__)

WRITE_LIMIT_BYTES = 4 * BATCH_LIMIT_BYTES
WRITE_LIMIT_BATCHES = 1024
FIRST_DELAY_S = 0.02
MAX_DELAY_S = 0.5


class _Lane:
    """The outboxes that share round trips. `endings`: the lane for their last batches, if these may wait."""

    def __init__(self, endings: "_Lane | None" = None) -> None:
        self.endings = endings
        self.waiting: dict[Outbox, None] = {}
        self.wake = asyncio.Event()
        self.outage = Outage(logger, "events wait in memory")


class Publisher:
    """Call `send` when an outbox has something to write. `unsent_limit_bytes` is the limit of all outboxes together."""

    def __init__(self, log: StreamLog, unsent_limit_bytes: int) -> None:
        self._log = log
        self._unsent_limit_bytes = unsent_limit_bytes
        self._lanes: dict[Hashable, _Lane] = {}
        # An outbox keeps its lane: two lanes must not write the same lines, although its stream may move.
        self._lane_of: dict[Outbox, _Lane] = {}
        self._lane_added = asyncio.Event()
        self._unsent: dict[Outbox, int] = {}
        self._unsent_bytes = 0
        self._settled = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether generations must await `room` before they put more."""
        return self._unsent_bytes > self._unsent_limit_bytes

    def send(self, outbox: Outbox) -> None:
        """Writes `outbox` soon: it has new lines."""
        if not outbox.is_open:
            return
        self._account(outbox)
        lane = self._lane_of.get(outbox) or self._assign(outbox)
        lane.waiting[outbox] = None
        lane.wake.set()

    def _assign(self, outbox: Outbox) -> _Lane:
        name = self._log.lane_of(outbox.stream_id)
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane(_Lane() if self._log.waits_at_endings else None)
            self._lane_added.set()
        self._lane_of[outbox] = lane
        return lane

    def forget(self, outbox: Outbox) -> None:
        """Stops writing `outbox`: it has ended or is closed."""
        if lane := self._lane_of.pop(outbox, None):
            lane.waiting.pop(outbox, None)
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
        tasks: dict[_Lane, asyncio.Task[None]] = {}
        try:
            while True:
                self._lane_added.clear()
                for first in self._lanes.values():
                    for lane in (first, first.endings):
                        if lane is not None and lane not in tasks:
                            tasks[lane] = asyncio.create_task(self._serve(lane))
                adding = asyncio.create_task(self._lane_added.wait())
                done, _ = await asyncio.wait([adding, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
                adding.cancel()
                for task in tasks.values():
                    if task in done:
                        task.result()
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _serve(self, lane: _Lane) -> None:
        backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S)
        while True:
            await lane.wake.wait()
            lane.wake.clear()
            if await self._write(lane):
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next_delay_s())

    async def _write(self, lane: _Lane) -> bool:
        """One round trip. Returns whether Redis accepted everything. The rest waits for the next round trip."""
        round_trip = self._gather(lane)
        if not round_trip:
            return True
        try:
            answers = await self._log.write([batch for _, batch in round_trip])
        except BrokerUnavailableError as error:
            lane.outage.record(error)
            for outbox, _ in round_trip:
                self.send(outbox)
            return False
        is_taken = True
        for (outbox, batch), answer in zip(round_trip, answers, strict=True):
            if isinstance(answer, BrokerError):
                is_taken = False
                lane.outage.record(answer)
                if not isinstance(answer, BrokerUnavailableError):
                    outbox.refuse(asyncio.get_running_loop().time())
            else:
                outbox.settle(batch, answer)
            if outbox.has_more:
                self.send(outbox)
            elif outbox in self._unsent:
                self._account(outbox)
        if is_taken:
            lane.outage.end()
        self._turn()
        return is_taken

    def _gather(self, lane: _Lane) -> list[tuple[Outbox, Batch]]:
        round_trip: list[tuple[Outbox, Batch]] = []
        size = 0
        for outbox in list(lane.waiting):
            if size > WRITE_LIMIT_BYTES or len(round_trip) == WRITE_LIMIT_BATCHES:
                lane.wake.set()
                break
            del lane.waiting[outbox]
            batch = outbox.next_batch()
            if batch is None:
                continue
            if batch.ending is not None and lane.endings is not None:
                # Nothing of it is in flight now, so it may change its lane.
                self._lane_of[outbox] = lane.endings
                lane.endings.waiting[outbox] = None
                lane.endings.wake.set()
                continue
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
