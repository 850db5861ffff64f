"""Merge a stream's history and its live events into one sequence: every event once, in order. No I/O.

A gateway learns of events in two ways. The log in Redis holds all events; the gateway reads it in pages. Pub/sub
delivers new events at once, in batches, but it may lose batches, and it delivers no event from before the subscription.

Theory of operation:

- Each batch names the position before its first event. A batch *joins* if that is the last merged position.
- A batch that does not join shows that events are missing. The merge then asks for the log (`needs_read`), and the
  caller reads it from `last` on, page by page, and says which page is the end of the log.
- Batches that arrive during a read wait for its end. Events that the read has found by then are dropped.
- A batch that arrived before the read began is in the log. If it still does not join after the read, it does not belong
  to this log (for example, a writer that had lost its lease published it) and is dropped.
- A batch that arrived during the read may follow events that the read did not find. If it does not join, read again.
- A batch that begins a later epoch names the end of the log before it. If the merge has had more than that, a failover
  of Redis has lost events: the merge asks for the log, so that the caller can find out (`Hub`).
- If a read is requested during a read, the current one may already have passed the missing events: read again.

The caller performs all I/O: it passes in batches and pages, sends on the returned events, and reads the log while
`needs_read` is true.
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from contract.event import Event
from contract.live import LiveEvents
from contract.position import START, Position


class LogHoleError(Exception):
    """The log lacks events that it once had: Redis lost data. `last` and `found` are the positions around the hole."""

    def __init__(self, last: Position, found: Position) -> None:
        super().__init__(f"the log has a hole between {last} and {found}")


class State(Enum):
    """What the merge waits for."""

    LIVE = auto()
    """Batches. Everything that was received has been merged."""
    READING = auto()
    """The rest of the log."""
    READING_AGAIN = auto()
    """The rest of the log, and then the log once more."""
    CLOSED = auto()
    """Nothing: the stream has ended, or the caller has given it up."""


class MergedEvent(NamedTuple):
    """The next event of the stream. `text` is its position, encoded."""

    text: bytes
    position: Position
    kind: bytes
    data: bytes


class EventMerge:
    """The state machine of one stream, from its first event on."""

    def __init__(self) -> None:
        self.state = State.LIVE
        self.last = START
        """The position of the last merged event: read the log after it."""
        self._waiting: deque[LiveEvents] = deque()
        self._hole: LogHoleError | None = None
        self._published_before_read = 0
        """How many of the waiting batches, from the first one on, arrived before the current read began."""

    @property
    def needs_read(self) -> bool:
        """Whether the caller must read the log after `last` and pass the pages to `receive_page`."""
        return self.state in (State.READING, State.READING_AGAIN)

    def request_read(self) -> None:
        """Asks for the log, which may hold events that no batch will deliver: the subscription is new, or a message was
        unreadable."""
        if self.state is State.LIVE:
            self._begin_read()
        elif self.state is State.READING:
            self.state = State.READING_AGAIN

    def receive_batch(self, batch: LiveEvents) -> list[MergedEvent]:
        """Merges a batch from pub/sub. Returns the next events, in order; check `needs_read` afterwards."""
        if self.state is State.CLOSED:
            return []
        if self.state is State.LIVE and (events := self._join(batch)) is not None:
            return events
        self._waiting.append(batch)
        if self.state is State.LIVE:
            self._begin_read()
        return []

    def receive_page(self, page: Iterable[Event], *, is_end: bool) -> list[MergedEvent]:
        """Merges a page of the log that begins after `last`. `is_end`: the log has no further events.

        Returns as `receive_batch`. If the log has a hole, returns the events before it: send them on, then call
        `check_hole`.
        """
        if self.state is State.CLOSED:
            return []
        events: list[MergedEvent] = []
        for event in page:
            if event.position.follows(self.last):
                self.last = event.position
                events.append(
                    MergedEvent(str(event.position).encode(), event.position, event.kind.encode(), event.data)
                )
            elif event.position > self.last:
                self._hole = LogHoleError(self.last, event.position)
                return events
        if is_end:
            events += self._end_read()
        return events

    def check_hole(self) -> None:
        """Raises: LogHoleError if a page had a hole. The caller then gives up the stream with `close`."""
        if self._hole is not None:
            raise self._hole

    def close(self) -> None:
        """Ignores everything from now on, because the stream has ended or the caller has given it up."""
        self.state = State.CLOSED
        self._waiting.clear()

    def _begin_read(self) -> None:
        self.state = State.READING
        self._published_before_read = len(self._waiting)

    def _end_read(self) -> list[MergedEvent]:
        events: list[MergedEvent] = []
        if self.state is State.READING_AGAIN:
            self._begin_read()
            return events
        while self._waiting:
            joined = self._join(self._waiting[0])
            if joined is None and self._published_before_read <= 0:
                self._begin_read()
                return events
            self._published_before_read -= 1
            self._waiting.popleft()
            events += joined or ()
        self.state = State.LIVE
        return events

    def _join(self, batch: LiveEvents) -> list[MergedEvent] | None:
        """The new events of the batch; None if events between `last` and the batch are missing, or if a later epoch
        begins before `last`."""
        last = self.last
        if batch.before != b"%d-%d" % last:
            if Position.parse(batch.entries[-1][0].decode()) <= last:
                return []
            before = Position.parse(batch.before.decode())
            if before > last or (before < last and Position.parse(batch.entries[0][0].decode()).epoch > last.epoch):
                return None
        events = []
        for text, kind, data in batch.entries:
            following = Position(last.epoch, last.seq + 1)
            # Nearly every event is the following one, and comparing its text is faster than parsing it.
            position = following if text == b"%d-%d" % following else Position.parse(text.decode())
            if position > last:
                events.append(MergedEvent(text, position, kind, data))
                last = position
        self.last = last
        return events
