"""A viewer: a cursor on a replay buffer, and notices that are not sent yet. No I/O: a response asks it what to send.

A viewer's memory is bounded: an integer and the newest notice of each kind, however slow its client is.
"""

import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from contract.errors import BrokerRefusedError, BrokerUnavailableError, Code
from contract.event import MalformedEventError, encode_json
from contract.position import Position
from gateway.fanout.feed import Feed, FeedStatus
from gateway.fanout.replay_buffer import Slice
from gateway.fanout.shared_cursor import SharedCursor, Write

STOPPING_CODE = "gateway_stopping"
STOPPING = "This gateway is being stopped. The run continues and can be watched from another one."
REVOKED_RETRY_MS = 1_000
WITHDRAWN = "The key or session that admitted this viewer is no longer valid."
VOID = "Redis has lost a part of this answer. A new request gets all that is left and what follows."
UNREADABLE = "The rest of the answer cannot be read right now. The run is not affected."

JOIN_LIMIT_BYTES = 1 << 14
"""Notices and events of at most this size go out in one write. To copy more for one viewer costs more than another
write of what all viewers share."""

ReadPage = Callable[[Feed, int], Awaitable[Slice]]
"""(feed, index) -> the events from `index` to the end of its history page, for events that memory no longer holds."""


class Dismissal(NamedTuple):
    """Why a response ends before its stream. A client that resumes gets a delay, any other the code and the text."""

    retry_window_ms: int
    code: str
    text: str


class Viewer:
    """Watches one feed from an index on. A `Watcher`: it says what its response sends."""

    __slots__ = (
        "__weakref__",
        "_awaited",
        "_index",
        "_notices",
        "_read_page",
        "_sent_end",
        "_shared_cursor",
        "dismissal",
        "feed",
        "finished",
        "ticket_round",
        "wake",
        "when_gone",
    )

    def __init__(self, feed: Feed, index: int, prologue: bytes, read_page: ReadPage) -> None:
        """`index` is the viewer's first event; `prologue`, if any, is sent before everything else."""
        self.feed = feed
        self.finished = False
        self.ticket_round: int | None = None
        """How often the stream's tickets had been revoked when this viewer got its ticket. None: it needs no ticket."""
        self.wake: Callable[[], None] = _not_sending_yet
        self.when_gone: Callable[[], None] | None = None
        """Called if the client disconnects before the stream ends."""
        self._index = index
        self._awaited: Position | None = None
        """The client's position, as long as the log does not have it and may still reach it."""
        self._shared_cursor: SharedCursor | None = None
        self._notices: dict[bytes, bytes] = {b"": prologue} if prologue else {}
        self._read_page = read_page
        self.dismissal: Dismissal | None = None
        self._sent_end = False

    @property
    def stream_id(self) -> str:
        return self.feed.stream_id

    @property
    def resumes(self) -> bool:
        """Whether the client reconnects by itself."""
        return self.feed.dialect.resumes

    @property
    def name(self) -> str:
        return self.feed.stream_id

    @property
    def viewers(self) -> "tuple[Viewer]":
        return (self,)

    # The cursor

    @property
    def index(self) -> int:
        """The index of the viewer's next event."""
        return self._index if self._shared_cursor is None else self._shared_cursor.index

    def share_cursor(self, write: Write) -> None:
        """`write` gets the following events, without a call of `wake` for each of them. No effect on a viewer whose
        client is ahead of the log."""
        if self._awaited is not None:
            return
        self._shared_cursor = self.feed.subscribers.share_cursor(self, write, self._index)

    def leave_shared_cursor(self) -> None:
        """Continues alone from the index of the shared cursor. No effect on a viewer that shares none."""
        cursor = self._shared_cursor
        if cursor is not None:
            self._index, self._shared_cursor = cursor.index, None
            cursor.leave(self)
            self.feed.subscribers.leave_shared_cursor(self)

    # A client that is ahead of the log

    def resume_after(self, position: Position) -> None:
        """Continues after the client's position. If the log does not have it yet, sends only notices until it has, or
        until a later epoch has taken it back. Tells a `gap`, and then every event, if the log will never have it."""
        self._awaited = position
        self._find_place()

    @property
    def waits_for_log(self) -> bool:
        """Whether the client is ahead of the log."""
        return self._awaited is not None

    def give_up_waiting(self) -> None:
        """Tells a `gap`, and then every event, if the log still does not have the client's position."""
        if self._awaited is not None:
            self._tell_gap(self._awaited)
            self.wake()

    def _find_place(self) -> bool:
        """Whether the viewer knows its next event. If it has waited for the log, looks how far that has come."""
        if self._awaited is None:
            return True
        index = self.feed.index_after(self._awaited)
        if index is not None:
            self._index, self._awaited = max(index, self.feed.first_index), None
        elif self.feed.status is FeedStatus.LOST:
            self._index, self._awaited = self.feed.buffer.end, None
        elif not self.feed.may_reach(self._awaited):
            self._tell_gap(self._awaited)
        return self._awaited is None

    def _tell_gap(self, asked: Position) -> None:
        gap = encode_json({"asked": str(asked), "last": str(self.feed.buffer.last)})
        self._notices[b"gap"] = self.feed.dialect.write_notice(b"gap", gap)
        self._index, self._awaited = self.feed.first_index, None

    # A subscriber's calls

    def on_notice(self, kind: bytes, encoded: bytes) -> None:
        self._notices[kind] = encoded
        self.wake()

    def on_revoked(self, count: int) -> None:
        """Ends the response if its ticket has become invalid. The client may reconnect; we check its rights again."""
        if self.ticket_round is None or self.ticket_round >= count:
            return
        self.dismissal = Dismissal(REVOKED_RETRY_MS, "ticket_revoked", "The ticket was revoked.")
        self.wake()

    def withdraw(self) -> None:
        """Ends the response: the key or session that admitted the viewer is no longer valid."""
        self.dismissal = Dismissal(REVOKED_RETRY_MS, "access_withdrawn", WITHDRAWN)
        self.wake()

    def dismiss(self, retry_window_ms: int) -> None:
        """Called when the gateway drains. Ends the response. Each viewer gets its own delay within the window, so that
        a thousand viewers do not reconnect at once."""
        self.dismissal = Dismissal(retry_window_ms, STOPPING_CODE, STOPPING)
        self.wake()

    def on_left(self) -> None:
        """Called when the response is over. Calls `when_gone` if the client disconnected before the stream ended."""
        if self.when_gone is not None and not (self.finished or self.dismissal or self.feed.over):
            self.when_gone()

    # What to send next

    @property
    def has_due(self) -> bool:
        """Whether there is something to send, or the viewer has nothing more to send and must be asked to finish."""
        if self.finished:
            return False
        if self._awaited is not None and not self._find_place():
            return bool(self._notices or self.dismissal)
        return bool(self._notices or self.dismissal or self.index < self.feed.buffer.end or self.feed.over)

    @property
    def is_behind(self) -> bool:
        if self._awaited is not None and not self._find_place():
            return False
        return self.index < self.feed.buffer.begin and not self.dismissal and not self.finished

    def take(self) -> Slice | None:
        if self.finished:
            return None
        if self.dismissal is not None:
            return self._take_dismissal(self.dismissal)
        if self._awaited is not None and not self._find_place():
            return Slice(self._take_notices(), self._index) if self._notices else None
        events = self.feed.buffer.take(self._index)
        if self._notices:
            notices = self._take_notices()
            if events is None or len(events.body) > JOIN_LIMIT_BYTES:
                return Slice(notices, self._index)
            events = Slice(notices + events.body, events.end)
        if events is not None:
            self._index = events.end
        if events is None and self.feed.over:
            return self._take_end()
        return events

    async def take_page(self) -> Slice:
        """The rest of the history page at the cursor.

        Raises: BrokerUnavailableError, BrokerRefusedError, MalformedEventError.
        """
        try:
            page = await self._read_page(self.feed, self._index)
        except (BrokerUnavailableError, BrokerRefusedError, MalformedEventError) as error:
            dialect = self.feed.dialect
            if dialect.resumes:
                raise
            self.finished = True
            if isinstance(error, MalformedEventError):
                return Slice(dialect.write_lost(self.feed.loss), self._index)
            return Slice(dialect.write_break(Code.BROKER_UNAVAILABLE, UNREADABLE), self._index)
        self._index = page.end
        # Notices come first, because a `gap` makes the client discard everything that it shows.
        notices = self._take_notices()
        return Slice(notices + page.body, page.end) if notices else page

    def _take_notices(self) -> bytes:
        notices = b"".join(self._notices.values())
        self._notices.clear()
        return notices

    def _take_dismissal(self, dismissal: Dismissal) -> Slice:
        self.finished = True
        dialect = self.feed.dialect
        if not dialect.resumes:
            return Slice(dialect.write_break(dismissal.code, dismissal.text), self._index)
        window_ms = dismissal.retry_window_ms
        retry_ms = random.randint(window_ms // 10, window_ms)  # noqa: S311 - a delay is no secret
        return Slice(dialect.write_retry(retry_ms), self._index)

    def _take_end(self) -> Slice | None:
        status, dialect = self.feed.status, self.feed.dialect
        if status in (FeedStatus.LOST, FeedStatus.VOID) and not self._sent_end:
            self._sent_end = True
            is_lost = status is FeedStatus.LOST
            told = dialect.write_lost(self.feed.loss) if is_lost else dialect.write_break(Code.STREAM_LOST, VOID)
            return Slice(told, self._index)
        self.finished = True
        return None


def _not_sending_yet() -> None:
    """Does nothing: a viewer keeps its notices until its response begins."""
