"""A viewer: a cursor on a tape, and what it is owed beside it. No I/O: a response asks it what to send.

Bounded: however slow it is, it costs one integer and the newest note of each kind.
"""

import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from contract.errors import BrokerRefusedError, BrokerUnavailableError, Code
from contract.event import MalformedEventError
from gateway.fanout.feed import Feed
from gateway.fanout.replay_buffer import Slice

STOPPING_CODE = "gateway_stopping"
STOPPING = "This gateway is being stopped. The run goes on and can be watched from another one."
REVOKED_RETRY_MS = 1_000
UNREADABLE = "The rest of the answer cannot be read just now. The run is not affected."

ReadPage = Callable[[Feed, int], Awaitable[Slice]]
"""(feed, index) -> events from there on, for what memory no longer holds."""


class Dismissal(NamedTuple):
    """Why a viewer is sent away before the end: for those that come back, when; for the others, in words."""

    retry_window_ms: int
    code: str
    text: str


class Viewer:
    """Watches one feed from an index on. Its response sets `wake`, and sends what `take` gives until `finished`."""

    __slots__ = (
        "_leave",
        "_notes",
        "_read_page",
        "_told_lost",
        "feed",
        "finished",
        "index",
        "ticket_round",
        "wake",
        "when_gone",
    )

    def __init__(self, feed: Feed, index: int, prologue: bytes, read_page: ReadPage) -> None:
        self.feed = feed
        self.finished = False
        self.ticket_round: int | None = None
        """How often tickets had been revoked when the one was made that let it in; None: none did."""
        self.wake: Callable[[], None] = _nobody_listens_yet
        self.when_gone: Callable[[], None] | None = None
        self.index = index
        """Of the next event that it has not had. In a row, the row's is true, and not this one."""
        self._notes: dict[bytes, bytes] = {b"": prologue}
        self._read_page = read_page
        self._leave: Dismissal | None = None
        self._told_lost = False

    @property
    def stream_id(self) -> str:
        return self.feed.stream_id

    @property
    def resumes(self) -> bool:
        return self.feed.dialect.resumes

    def on_note(self, kind: bytes, encoded: bytes) -> None:
        self._notes[kind] = encoded
        self.wake()

    def on_left(self) -> None:
        """Its response is over. `when_gone` is called where that was neither the stream's end nor our own doing."""
        if self.when_gone is not None and not (self.finished or self._leave or self.feed.over):
            self.when_gone()

    def dismiss(self, retry_window_ms: int) -> None:
        """The gateway drains: the response ends after what it is sending now. The viewer is to come back, to another
        gateway, after a delay of its own, so that a thousand do not come at once."""
        self._leave = Dismissal(retry_window_ms, STOPPING_CODE, STOPPING)
        self.wake()

    def on_revoked(self, count: int) -> None:
        """A watcher's. Where its ticket is void, the response ends. Whether it may come in again is asked then."""
        if self.ticket_round is None or self.ticket_round >= count:
            return
        self._leave = Dismissal(REVOKED_RETRY_MS, "ticket_revoked", "The ticket was revoked.")
        self.wake()

    @property
    def is_behind(self) -> bool:
        """Whether memory no longer holds what comes next: `take_page` then, not `take`."""
        return self.index < self.feed.buffer.begin and not self._leave and not self.finished

    def take(self) -> Slice | None:
        """What is to be sent now; None while there is nothing, and for good once `finished`."""
        if self.finished:
            return None
        if self._leave is not None:
            return self._take_leave(self._leave)
        events = self.feed.buffer.take(self.index)
        if events is not None:
            self.index = events.end
        if self._notes:
            notes = self._take_notes()
            return Slice(notes + events.body, events.end) if events else Slice(notes, self.index)
        if events is None and self.feed.over:
            return self._take_end()
        return events

    def _take_notes(self) -> bytes:
        notes = b"".join(self._notes.values())
        self._notes.clear()
        return notes

    async def take_page(self) -> Slice:
        """Raises: BrokerUnavailableError, BrokerRefusedError, MalformedEventError. The viewer then comes back."""
        try:
            page = await self._read_page(self.feed, self.index)
        except (BrokerUnavailableError, BrokerRefusedError, MalformedEventError):
            dialect = self.feed.dialect
            if dialect.resumes:
                raise
            self.finished = True
            return Slice(dialect.write_break(Code.BROKER_UNAVAILABLE, UNREADABLE), self.index)
        self.index = page.end
        # What it is owed beside the events comes first: a `gap` says that all it shows is void.
        notes = self._take_notes()
        return Slice(notes + page.body, page.end) if notes else page

    def _take_leave(self, leave: Dismissal) -> Slice | None:
        self.finished = True
        dialect = self.feed.dialect
        if not dialect.resumes:
            return Slice(dialect.write_break(leave.code, leave.text), self.index)
        # A wish, not a secret: any spread will do.
        retry_ms = random.randint(leave.retry_window_ms // 10, leave.retry_window_ms)  # noqa: S311
        return Slice(dialect.write_retry(retry_ms), self.index)

    def _take_end(self) -> Slice | None:
        if self.feed.lost and not self._told_lost:
            self._told_lost = True
            return Slice(self.feed.dialect.write_lost(), self.index)
        self.finished = True
        return None


def _nobody_listens_yet() -> None:
    """Until its response begins to send, a viewer keeps its notes."""
