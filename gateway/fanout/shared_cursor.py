"""Viewers that stand abreast: all have the same events, and all take what comes. One cursor is enough for them.

Of a thousand viewers nearly all are that, nearly always. To look at each one's own cursor, notes and state for each
event costs more than uvloop's part of the write; here an event is taken from the tape once and handed to each
connection. No I/O of its own.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from gateway.fanout.replay_buffer import ReplayBuffer

logger = logging.getLogger(__name__)

ROW_LIMIT_VIEWERS = 500
"""One row is served in one turn of the event loop, so that new requests still get in."""

Write = Callable[[bytes], None]


class Source(Protocol):
    """What is watched."""

    @property
    def buffer(self) -> ReplayBuffer: ...

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""


class Member(Protocol):
    """A viewer in a row."""

    def leave_cursor(self) -> None:
        """It is to leave its row, and to go on alone from where that stands."""


class SharedCursor:
    """Its members leave as soon as anything is different with them."""

    def __init__(self, source: Source, index: int) -> None:
        self.index = index
        self._source = source
        self._writes: dict[Member, Write] = {}

    def __len__(self) -> int:
        return len(self._writes)

    def takes(self, index: int) -> bool:
        """Whether one that stands there may join."""
        return index == self.index and len(self._writes) < ROW_LIMIT_VIEWERS

    def join(self, member: Member, write: Write) -> None:
        self._writes[member] = write

    def leave(self, member: Member) -> None:
        self._writes.pop(member, None)

    def wake(self) -> None:
        """The tape has grown, or the feed is over."""
        buffer = self._source.buffer
        while self._writes and self.index >= buffer.begin:
            due = buffer.take(self.index)
            if due is None:
                if self._source.over:
                    break
                return
            # First, so that one that falls out by being written to knows where it stands.
            self.index, framed = due.end, due.framed
            for write in list(self._writes.values()):
                try:
                    write(framed)
                except Exception:
                    logger.exception("a viewer could not be written to")
        for member in list(self._writes):
            member.leave_cursor()
