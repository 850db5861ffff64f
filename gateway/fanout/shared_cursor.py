"""Viewers that have the same events and wait for the next one share a cursor.

Nearly all of a thousand viewers are in that position nearly always. Looking at each viewer's own cursor, notices and
state for each event would cost more than uvloop's part of the write. Here an event is taken from the buffer once and
handed to each connection. No I/O of its own.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from gateway.fanout.replay_buffer import ReplayBuffer

logger = logging.getLogger(__name__)

CURSOR_LIMIT_VIEWERS = 500
"""One cursor is served in one turn of the event loop, so that new requests are served in between."""

Write = Callable[[bytes], None]


class Source(Protocol):
    """The feed that is read."""

    @property
    def buffer(self) -> ReplayBuffer: ...

    @property
    def over(self) -> bool:
        """Whether no event follows."""


class Member(Protocol):
    """A viewer that shares the cursor."""

    @property
    def wake(self) -> Callable[[], None]:
        """Called when the viewer needs more than the next event: it must leave the cursor and continue by itself."""


class SharedCursor:
    """`index` is the next event of every member. A member leaves as soon as it differs from the others."""

    def __init__(self, source: Source, index: int) -> None:
        self.index = index
        self._source = source
        self._writes: dict[Member, Write] = {}

    def __len__(self) -> int:
        return len(self._writes)

    def has_room_at(self, index: int) -> bool:
        """Whether a viewer whose next event is `index` may join."""
        return index == self.index and len(self._writes) < CURSOR_LIMIT_VIEWERS

    def join(self, member: Member, write: Write) -> None:
        self._writes[member] = write

    def leave(self, member: Member) -> None:
        self._writes.pop(member, None)

    def wake(self) -> None:
        """The buffer has grown, or the feed is over."""
        buffer = self._source.buffer
        while self._writes and self.index >= buffer.begin:
            due = buffer.take(self.index)
            if due is None:
                if self._source.over:
                    break
                return
            # Before the writes: a viewer that leaves during its write must know its position.
            self.index, framed = due.end, due.framed
            for write in list(self._writes.values()):
                try:
                    write(framed)
                except Exception:
                    logger.exception("a viewer could not be written to")
        for member in list(self._writes):
            member.wake()
