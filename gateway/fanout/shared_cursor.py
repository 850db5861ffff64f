"""Viewers that have the same events and wait for the next one share a cursor.

Most viewers wait for the next event most of the time. To check each viewer's own cursor, notices and state for each
event would cost more than uvloop's write. A shared cursor takes an event from the buffer once and writes it to every
connection. This module does no I/O.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from gateway.fanout.replay_buffer import ReplayBuffer
from gateway.fanout.subscriber import Subscriber

logger = logging.getLogger(__name__)

CURSOR_LIMIT_VIEWERS = 500
"""A cursor writes to all its viewers in one turn of the event loop. The limit leaves time for new requests."""

Write = Callable[[bytes], None]


class Source(Protocol):
    """The feed that the cursor reads."""

    @property
    def buffer(self) -> ReplayBuffer: ...

    @property
    def over(self) -> bool:
        """Whether no event follows."""


class SharedCursor:
    """`index` is the next event of every member. A member leaves as soon as it differs from the others."""

    def __init__(self, source: Source, index: int) -> None:
        self.index = index
        self._source = source
        self._writes: dict[Subscriber, Write] = {}

    def __len__(self) -> int:
        return len(self._writes)

    def has_room_at(self, index: int) -> bool:
        """Whether a viewer whose next event is `index` may join."""
        return index == self.index and len(self._writes) < CURSOR_LIMIT_VIEWERS

    def join(self, member: Subscriber, write: Write) -> None:
        self._writes[member] = write

    def leave(self, member: Subscriber) -> None:
        self._writes.pop(member, None)

    def wake(self) -> None:
        """Called when the buffer has grown or the feed is over."""
        buffer = self._source.buffer
        while self._writes and self.index >= buffer.begin:
            due = buffer.take(self.index)
            if due is None:
                if self._source.over:
                    break
                return
            # Advance before the writes: a viewer that leaves during its write takes its position from `index`.
            self.index, framed = due.end, due.framed
            for write in list(self._writes.values()):
                try:
                    write(framed)
                except Exception:
                    logger.exception("cannot write to a viewer")
        for member in list(self._writes):
            member.wake()
