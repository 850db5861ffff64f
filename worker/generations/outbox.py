"""The lines of one generation that are not written to its log yet. Pure: no I/O, no clock.

Lines stay here until Redis has confirmed them, and a little longer: after a failover the new primary may lack the last
confirmed writes, and they are then written again.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice

from contract.event import Status
from contract.limits import BATCH_LIMIT_BYTES, BATCH_LIMIT_EVENTS
from contract.stream_log import Batch, Ending, WriteResult, WriteStatus
from worker.generations.outcome import Outcome, done_line, stream_lost

TAIL_LIMIT_BYTES = 64 << 10
"""How much a failover may lose of one run. One more line is kept, so that a line of any size can be written again."""


class Outbox:
    """The lines of one epoch from `next_seq` on. `unsent_bytes` counts those that Redis has not confirmed.

    Confirmed lines go from `_unsent` to the end of `_tail`, from where a failover brings them back.
    """

    def __init__(
        self, stream_id: str, epoch: int, next_seq: int, entry: str, on_write_status: Callable[[WriteStatus], None]
    ) -> None:
        self.stream_id = stream_id
        self._epoch = epoch
        self._entry = entry
        self._on_status = on_write_status
        self._unsent: deque[bytes] = deque()
        self._unsent_seq = next_seq
        """The seq of the first unsent line."""
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._ending: Ending | None = None
        self._is_held = False
        self._is_cut = False
        """Whether the lines that are left go in one batch, whatever its size."""
        self._sent_until = next_seq
        """The seq after the last line that was in a batch: viewers may have had everything before it."""
        self.is_open = True
        """Whether more can be written: its `done` is not, and the run belongs to this worker."""
        self.has_ended = False
        self.unsent_bytes = 0
        self.refused_since: float | None = None

    @property
    def has_more(self) -> bool:
        """Whether there are lines to write now."""
        return self.is_open and not self._is_held and bool(self._unsent)

    @property
    def takes_lines(self) -> bool:
        return self.is_open and self._ending is None

    def put(self, line: bytes) -> None:
        """Adds a line. Does nothing once the run has ended."""
        if self.takes_lines:
            self._unsent.append(line)
            self.unsent_bytes += len(line)

    def end(self, status: Status, line: bytes) -> None:
        """Adds the `done` event, the last line."""
        if self.takes_lines:
            self.put(line)
            self._ending = Ending(status, self._entry)
            self._is_held = False

    def close(self) -> None:
        """Drops the lines that are not written."""
        self.is_open = False
        self._replace_unsent()
        self._tail.clear()
        self._tail_bytes = 0

    def next_batch(self) -> Batch | None:
        """The next lines to write, within the limits of a batch. Returns them again until `settle` is called."""
        if not self.has_more:
            return None
        lines = list(self._unsent) if self._is_cut else self._lines_within_limits()
        self._sent_until = max(self._sent_until, self._unsent_seq + len(lines))
        ending = self._ending if len(lines) == len(self._unsent) else None
        return Batch(self.stream_id, self._epoch, self._unsent_seq, lines, ending)

    def _lines_within_limits(self) -> list[bytes]:
        lines = list(islice(self._unsent, BATCH_LIMIT_EVENTS))
        size = 0
        for count, line in enumerate(lines):
            size += len(line)
            if size > BATCH_LIMIT_BYTES and count:
                del lines[count:]
                break
        return lines

    def refuse(self, now_s: float) -> None:
        """Redis refused the last batch. `now_s` comes from a monotonic clock."""
        if self.refused_since is None:
            self.refused_since = now_s

    def settle(self, batch: Batch, written: WriteResult) -> None:
        """Handles the result of `batch`. Tells the generation of every status except OK."""
        if not self.is_open:
            return
        if written.status is WriteStatus.OK:
            self._confirm(len(batch.lines))
            self.refused_since = None
            if batch.ending is not None:
                self.is_open = False
                self.has_ended = True
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
        """Drops lines, so that the rest fits into one batch with the `done`. Redis accepts only that batch.

        Keeps the lines that the log already has: if a reply was lost, it has more than were confirmed. Keeps those that
        were sent before, too: viewers may have had them although a failover has lost them, and the seq of another line
        must not be the `done`'s.
        """
        assert self._ending is not None
        done = self._unsent[-1]
        self._confirm(min(max(0, last_seq + 1 - self._unsent_seq), len(self._unsent)))
        if self._ending.status is not Status.CANCELLED:
            # The original `done` would describe lines that the log does not have.
            done = done_line(Status.CANCELLED, Outcome(1), None, None)
            self._ending = Ending(Status.CANCELLED, self._entry)
        sent = min(max(0, self._sent_until - self._unsent_seq), len(self._unsent) - 1)
        self._replace_unsent(*islice(self._unsent, sent), done)
        self._is_cut = True

    def _replace_unsent(self, *lines: bytes) -> None:
        self._unsent = deque(lines)
        self.unsent_bytes = sum(map(len, lines))

    def _confirm(self, count: int) -> None:
        """Moves the first `count` unsent lines to the tail, which keeps TAIL_LIMIT_BYTES and the line before."""
        for _ in range(count):
            line = self._unsent.popleft()
            self._tail.append(line)
            self.unsent_bytes -= len(line)
            self._tail_bytes += len(line)
        self._unsent_seq += count
        while self._tail and self._tail_bytes - len(self._tail[0]) >= TAIL_LIMIT_BYTES:
            self._tail_bytes -= len(self._tail.popleft())

    def _go_back(self, last_seq: int) -> None:
        """Makes the confirmed lines after `last_seq`, which the log has lost, unsent again."""
        lost = self._unsent_seq - (last_seq + 1)
        if 0 < lost <= len(self._tail):
            for _ in range(lost):
                line = self._tail.pop()
                self._unsent.appendleft(line)
                self._tail_bytes -= len(line)
                self.unsent_bytes += len(line)
            self._unsent_seq -= lost
            return
        # The log lacks lines that this outbox has already dropped. End the log with an error.
        self._replace_unsent(done_line(Status.FAILED, Outcome(1), stream_lost(), None))
        self._unsent_seq = last_seq + 1
        self._tail.clear()
        self._tail_bytes = 0
        self._ending = Ending(Status.FAILED, self._entry)
        self._on_status(WriteStatus.HOLE)
