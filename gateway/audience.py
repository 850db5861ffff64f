"""Those who watch one feed, and how they are told of news. No I/O: a watcher does its own."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)

VIEWERS_PER_TURN = 500
"""How many viewers are told in one turn of the event loop, so that new requests still get in."""


class Watcher(Protocol):
    """What is told. Neither call may wait."""

    @property
    def wake(self) -> Callable[[], None]:
        """Called when the tape has grown, or the feed is over. May be a place to put one's own function: this is the
        one call that there is for every viewer and event."""

    def on_note(self, kind: bytes, encoded: bytes) -> None:
        """Something that is not on the tape; only the newest of each kind matters."""


class Audience:
    """Tells all its watchers, in turns of the event loop; news that come meanwhile are told in the next round."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self._kept: dict[bytes, bytes] = {}
        self._round: list[Watcher] = []
        self._again = False

    def __len__(self) -> int:
        return len(self._watchers)

    def join(self, watcher: Watcher) -> None:
        """From now on `watcher` is told; at once, what it could not know."""
        self._watchers.add(watcher)
        for kind, encoded in self._kept.items():
            watcher.on_note(kind, encoded)

    def leave(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def tell_note(self, kind: bytes, encoded: bytes) -> None:
        """Something passing, for those who are here now."""
        for watcher in self._watchers:
            watcher.on_note(kind, encoded)

    def keep_note(self, kind: bytes, encoded: bytes) -> None:
        """Something that holds until it changes: those who join later are told, too."""
        self._kept[kind] = encoded
        self.tell_note(kind, encoded)

    def tell_news(self) -> None:
        if self._round:
            # Those that this round has passed already have not seen the newest.
            self._again = True
        elif self._watchers:
            self._round = list(self._watchers)
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        turn, self._round = self._round[:VIEWERS_PER_TURN], self._round[VIEWERS_PER_TURN:]
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
