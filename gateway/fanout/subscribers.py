"""The subscribers of one feed. Notifies them in turns. No I/O: a subscriber does its own."""

import asyncio
import logging

from gateway.fanout.shared_cursor import CURSOR_LIMIT_VIEWERS, SharedCursor, Source, Write
from gateway.fanout.subscriber import Subscriber

logger = logging.getLogger(__name__)

VIEWERS_PER_TURN = CURSOR_LIMIT_VIEWERS
"""How many viewers are notified in one turn of the event loop, so that new requests are served in between."""


class Subscribers:
    """Notifies all subscribers, in turns of the event loop. Events that arrive meanwhile start another round."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._subscribers: set[Subscriber] = set()
        self._single: set[Subscriber] = set()
        """The subscribers that do not share a cursor."""
        self._cursors: list[SharedCursor] = []
        self._kept_notices: dict[bytes, bytes] = {}
        self._round: list[Subscriber | SharedCursor] = []
        """What the current round has not notified yet."""
        self._again = False

    def __len__(self) -> int:
        return len(self._subscribers)

    def join(self, subscriber: Subscriber) -> None:
        """Notifies `subscriber` from now on, and sends it the notices that are kept."""
        self._subscribers.add(subscriber)
        self._single.add(subscriber)
        for kind, encoded in self._kept_notices.items():
            subscriber.on_notice(kind, encoded)

    def leave(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)
        self._single.discard(subscriber)

    def share_cursor(self, subscriber: Subscriber, write: Write, index: int) -> SharedCursor:
        """From now on `write` gets the events from `index` on, and the subscriber is not woken for each event.

        The subscriber must have every event before `index`.
        """
        self._single.discard(subscriber)
        cursor = next((cursor for cursor in self._cursors if cursor.has_room_at(index)), None)
        if cursor is None:
            cursor = SharedCursor(self._source, index)
            self._cursors = [*filter(len, self._cursors), cursor]
        cursor.join(subscriber, write)
        return cursor

    def leave_shared_cursor(self, subscriber: Subscriber) -> None:
        """Called when `subscriber` has left its shared cursor: wakes it for each event again."""
        if subscriber in self._subscribers:
            self._single.add(subscriber)

    def send_notice(self, kind: bytes, encoded: bytes) -> None:
        """Sends a notice to the current subscribers."""
        for subscriber in self._subscribers:
            subscriber.on_notice(kind, encoded)

    def keep_notice(self, kind: bytes, encoded: bytes) -> None:
        """Sends a notice to the current subscribers, and to later ones until the next notice of its kind."""
        self._kept_notices[kind] = encoded
        self.send_notice(kind, encoded)

    def notify_revoked(self, count: int) -> None:
        for subscriber in list(self._subscribers):
            subscriber.on_revoked(count)

    def announce(self) -> None:
        """Called when the buffer has grown or the feed is over: starts a round of notifications."""
        if self._round:
            # The round has already passed some subscribers, which do not know of the newest events.
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
                logger.exception("cannot notify a viewer")
        if self._round:
            asyncio.get_running_loop().call_soon(self._take_turn)
        elif self._again:
            self._again = False
            self.announce()
