"""Those who watch one feed, and how they are told of news. No I/O: a watcher does its own."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from gateway.fanout.shared_cursor import ROW_LIMIT_VIEWERS, Member, Row, Source, Write

logger = logging.getLogger(__name__)

VIEWERS_PER_TURN = ROW_LIMIT_VIEWERS
"""How many viewers are told in one turn of the event loop, so that new requests still get in."""


class Watcher(Protocol):
    """What is told. Neither call may wait."""

    @property
    def wake(self) -> Callable[[], None]:
        """Called when the tape has grown, or the feed is over. May be a place to put one's own function: this is the
        one call that there is for every viewer and event."""

    def on_note(self, kind: bytes, encoded: bytes) -> None:
        """Something that is not on the tape; only the newest of each kind matters."""

    def on_revoked(self, count: int) -> None:
        """The stream's tickets have been revoked `count` times by now."""


class Audience:
    """Tells all its watchers, in turns of the event loop; news that come meanwhile are told in the next round."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._watchers: set[Watcher] = set()
        self._alone: set[Watcher] = set()
        self._rows: list[Row] = []
        self._kept: dict[bytes, bytes] = {}
        self._round: list[Watcher | Row] = []
        self._again = False

    def __len__(self) -> int:
        return len(self._watchers)

    def join(self, watcher: Watcher) -> None:
        """From now on `watcher` is told; at once, what it could not know."""
        self._watchers.add(watcher)
        self._alone.add(watcher)
        for kind, encoded in self._kept.items():
            watcher.on_note(kind, encoded)

    def leave(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)
        self._alone.discard(watcher)

    def line_up(self, watcher: Watcher, member: Member, write: Write, index: int) -> Row:
        """`watcher` has all there is, up to `index`, and takes what comes: from now on it is not told of news, but
        written to with others."""
        self._alone.discard(watcher)
        row = next((row for row in self._rows if row.takes(index)), None)
        if row is None:
            row = Row(self._source, index)
            self._rows = [*filter(len, self._rows), row]
        row.join(member, write)
        return row

    def stand_alone(self, watcher: Watcher) -> None:
        """It has left its row and is told of news again."""
        if watcher in self._watchers:
            self._alone.add(watcher)

    def tell_note(self, kind: bytes, encoded: bytes) -> None:
        """Something passing, for those who are here now."""
        for watcher in self._watchers:
            watcher.on_note(kind, encoded)

    def keep_note(self, kind: bytes, encoded: bytes) -> None:
        """Something that holds until it changes: those who join later are told, too."""
        self._kept[kind] = encoded
        self.tell_note(kind, encoded)

    def tell_revoked(self, count: int) -> None:
        for watcher in list(self._watchers):
            watcher.on_revoked(count)

    def tell_news(self) -> None:
        if self._round:
            # Those that this round has passed already have not seen the newest.
            self._again = True
        elif self._watchers:
            self._round = [*self._rows, *self._alone]
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        size = 1 if isinstance(self._round[0], Row) else VIEWERS_PER_TURN
        turn, self._round = self._round[:size], self._round[size:]
        for watcher in turn:
            try:
                watcher.wake()
            except Exception:
                logger.exception("a viewer could not be told")
        if self._round:
            asyncio.get_running_loop().call_soon(self._take_turn)
        elif self._again:
            self._again = False
            self.tell_news()
