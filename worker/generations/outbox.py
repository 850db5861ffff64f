"""The lines of one generation that are not written to its log yet. Pure: no I/O, no clock.

Lines stay here until Redis has confirmed them, and a little longer: after a failover the new primary may lack the last
confirmed writes, and they are then written again.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import islice

from contract.event import Status
from contract.limits import BATCH_LIMIT_BYTES, BATCH_LIMIT_EVENTS
from contract.stream_log import Batch, Ending, WriteResult, WriteStatus
from worker.generations.outcome import Outcome, done_line, stream_lost

TAIL_LIMIT_BYTES = 64 << 10


class State(StrEnum):
    """Whether more can be written."""

    OPEN = "open"
    ENDED = "ended"
    """Its `done` is written."""
    CLOSED = "closed"
    """The run no longer belongs to this worker."""


class Outbox:
    """The lines of one epoch from `next_seq` on. `unsent_bytes` counts those that Redis has not confirmed."""

    def __init__(
        self, stream_id: str, epoch: int, next_seq: int, entry: str, on_write_status: Callable[[WriteStatus], None]
    ) -> None:
        self._stream_id = stream_id
        self._epoch = epoch
        self._entry = entry
        self._on_status = on_write_status
        self._lines: list[bytes] = []
        self._first_seq = next_seq
        self._confirmed = 0
        self._tail_bytes = 0
        self._ending: Ending | None = None
        self._is_held = False
        self.state = State.OPEN
        self.unsent_bytes = 0
        self.refused_since: float | None = None

    @property
    def is_open(self) -> bool:
        return self.state is State.OPEN

    @property
    def has_ended(self) -> bool:
        return self.state is State.ENDED

    @property
    def has_more(self) -> bool:
        """Whether there are lines to write now."""
        return self.is_open and not self._is_held and self._confirmed < len(self._lines)

    @property
    def takes_lines(self) -> bool:
        return self.is_open and self._ending is None

    def put(self, line: bytes) -> None:
        """Adds a line. Does nothing once the run has ended."""
        if self.takes_lines:
            self._lines.append(line)
            self.unsent_bytes += len(line)

    def end(self, status: Status, line: bytes) -> None:
        """Adds the `done` event, the last line."""
        if self.takes_lines:
            self.put(line)
            self._ending = Ending(status, self._entry)
            self._is_held = False

    def close(self) -> None:
        """Drops the lines that are not written."""
        if self.is_open:
            self.state = State.CLOSED
        self._lines = []
        self._confirmed = 0
        self.unsent_bytes = 0

    def next_batch(self) -> Batch | None:
        """The next lines to write, within the limits of a batch. Returns them again until `settle` is called."""
        if not self.has_more:
            return None
        lines = self._lines[self._confirmed : self._confirmed + BATCH_LIMIT_EVENTS]
        size = 0
        for count, line in enumerate(lines):
            size += len(line)
            if size > BATCH_LIMIT_BYTES and count:
                del lines[count:]
                break
        is_last = self._confirmed + len(lines) == len(self._lines)
        return Batch(
            self._stream_id,
            self._epoch,
            self._first_seq + self._confirmed,
            lines,
            self._ending if is_last else None,
        )

    def refuse(self, now_s: float) -> None:
        """Redis refused the last batch. `now_s` comes from a monotonic clock."""
        if self.refused_since is None:
            self.refused_since = now_s

    def settle(self, batch: Batch, written: WriteResult) -> None:
        """Handles the result of `batch`. Tells the generation of every status except OK."""
        if not self.is_open:
            return
        if written.status is WriteStatus.OK:
            self._confirm(batch.lines)
            self.refused_since = None
            if batch.ending is not None:
                self.state = State.ENDED
        elif written.status is WriteStatus.HOLE:
            self._go_back(written.seq)
        elif written.status is WriteStatus.CANCELLED:
            if self._ending is None:
                self._hold()
            else:
                self._end_cancelled(written.seq)
        else:
            self.close()
            self._on_status(written.status)

    def _hold(self) -> None:
        # Redis accepts a cancelled run's lines only in one batch with the `done`, so wait for the `done`.
        self._is_held = True
        self._on_status(WriteStatus.CANCELLED)

    def _end_cancelled(self, last_seq: int) -> None:
        """Drops the unwritten lines, which do not fit into one batch with the `done`. Redis accepts only that batch.

        Keeps the lines that the log already has. If a reply was lost, the log has more lines than were confirmed.
        """
        assert self._ending is not None
        there = max(0, last_seq + 1 - self._first_seq - self._confirmed)
        self._confirm(self._lines[self._confirmed : self._confirmed + there])
        done = self._lines[-1]
        if self._ending.status is not Status.CANCELLED:
            # The original `done` would describe lines that the log does not have.
            done = done_line(Status.CANCELLED, Outcome(1), None, None)
            self._ending = Ending(Status.CANCELLED, self._entry)
        self._lines[self._confirmed :] = [done]
        self.unsent_bytes = len(done)

    def _confirm(self, lines: Sequence[bytes]) -> None:
        size = sum(map(len, lines))
        self._confirmed += len(lines)
        self.unsent_bytes -= size
        self._tail_bytes += size
        if self._tail_bytes > 2 * TAIL_LIMIT_BYTES:
            self._cut_tail()

    def _cut_tail(self) -> None:
        cut = 0
        for line in islice(self._lines, self._confirmed):
            if self._tail_bytes <= TAIL_LIMIT_BYTES:
                break
            self._tail_bytes -= len(line)
            cut += 1
        del self._lines[:cut]
        self._first_seq += cut
        self._confirmed -= cut

    def _go_back(self, last_seq: int) -> None:
        back_to = last_seq + 1 - self._first_seq
        if 0 <= back_to < self._confirmed:
            size = sum(map(len, islice(self._lines, back_to, self._confirmed)))
            self._confirmed = back_to
            self._tail_bytes -= size
            self.unsent_bytes += size
            return
        # The log lacks lines that this outbox has already dropped. End the log with an error.
        line = done_line(Status.FAILED, Outcome(1), stream_lost(), None)
        self._lines = [line]
        self._first_seq = last_seq + 1
        self._confirmed = 0
        self._tail_bytes = 0
        self.unsent_bytes = len(line)
        self._ending = Ending(Status.FAILED, self._entry)
        self._on_status(WriteStatus.HOLE)
