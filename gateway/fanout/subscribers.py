"""Those who watch one feed, and how they are told of news. No I/O: a watcher does its own."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from gateway.fanout.shared_cursor import ROW_LIMIT_VIEWERS, Member, SharedCursor, Source, Write

logger = logging.getLogger(__name__)

VIEWERS_PER_TURN = ROW_LIMIT_VIEWERS
"""How many viewers are told in one turn of the event loop, so that new requests still get in."""


class Subscriber(Protocol):
    """What is told. Neither call may wait."""

    @property
    def wake(self) -> Callable[[], None]:
        """Called when the tape has grown, or the feed is over. May be a place to put one's own function: this is the
        one call that there is for every viewer and event."""

    def on_note(self, kind: bytes, encoded: bytes) -> None:
        """Something that is not on the tape; only the newest of each kind matters."""

    def on_revoked(self, count: int) -> None:
        """The stream's tickets have been revoked `count` times by now."""


class Subscribers:
    """Tells all its watchers, in turns of the event loop; news that come meanwhile are told in the next round."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._subscribers: set[Subscriber] = set()
        self._single: set[Subscriber] = set()
        self._cursors: list[SharedCursor] = []
        self._kept: dict[bytes, bytes] = {}
        self._round: list[Subscriber | SharedCursor] = []
        self._again = False

    def __len__(self) -> int:
        return len(self._subscribers)

    def join(self, subscriber: Subscriber) -> None:
        """From now on `watcher` is told; at once, what it could not know."""
        self._subscribers.add(subscriber)
        self._single.add(subscriber)
        for kind, encoded in self._kept.items():
            subscriber.on_note(kind, encoded)

    def leave(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)
        self._single.discard(subscriber)

    def share_cursor(self, subscriber: Subscriber, member: Member, write: Write, index: int) -> SharedCursor:
        """`watcher` has all there is, up to `index`, and takes what comes: from now on it is not told of news, but
        written to with others."""
        self._single.discard(subscriber)
        cursor = next((cursor for cursor in self._cursors if cursor.takes(index)), None)
        if cursor is None:
            cursor = SharedCursor(self._source, index)
            self._cursors = [*filter(len, self._cursors), cursor]
        cursor.join(member, write)
        return cursor

    def leave_shared_cursor(self, subscriber: Subscriber) -> None:
        """It has left its row and is told of news again."""
        if subscriber in self._subscribers:
            self._single.add(subscriber)

    def tell_note(self, kind: bytes, encoded: bytes) -> None:
        """Something passing, for those who are here now."""
        for subscriber in self._subscribers:
            subscriber.on_note(kind, encoded)

    def keep_note(self, kind: bytes, encoded: bytes) -> None:
        """Something that holds until it changes: those who join later are told, too."""
        self._kept[kind] = encoded
        self.tell_note(kind, encoded)

    def tell_revoked(self, count: int) -> None:
        for subscriber in list(self._subscribers):
            subscriber.on_revoked(count)

    def announce(self) -> None:
        if self._round:
            # Those that this round has passed already have not seen the newest.
            self._again = True
        elif self._subscribers:
            self._round = [*self._cursors, *self._single]
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        size = 1 if isinstance(self._round[0], SharedCursor) else VIEWERS_PER_TURN
        turn, self._round = self._round[:size], self._round[size:]
        for subscriber in turn:
            try:
                subscriber.wake()
            except Exception:
                logger.exception("a viewer could not be told")
        if self._round:
            asyncio.get_running_loop().call_soon(self._take_turn)
        elif self._again:
            self._again = False
            self.announce()
