"""One stream as this process has it: history and live merged by position. No I/O.

History comes in pages of the log, live events in the batches that were published. A batch names the position before it,
so that a hole shows at once; while a read of the log is under way, batches wait.
"""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Iterable

from contract.errors import Code
from contract.event import Event, Kind, encode_json
from contract.limits import PAGE_LIMIT_EVENTS
from contract.live import LiveEvents
from contract.log_redaction import abbreviate
from contract.position import Position
from gateway.dialects.base import Dialect
from gateway.fanout.replay_buffer import ReplayBuffer
from gateway.fanout.subscribers import Subscriber, Subscribers

PAGE_LIMIT_BYTES = 1 << 17
"""Of what is written, beside PAGE_LIMIT_EVENTS: checkpoints are no further apart, but for one event that is larger."""
BROKER_UNAVAILABLE = "broker_unavailable"
UNWRITABLE = "The gateway cannot write this answer in the form that was asked for."

logger = logging.getLogger(__name__)


class LogHoleError(Exception):
    """The log lacks events that it once had: the broker lost data."""

    def __init__(self, stream_id: str, last: Position, found: Position) -> None:
        super().__init__(f"stream {abbreviate(stream_id)}: the log goes from {last} to {found}")


class Feed:
    """Shared by all viewers of one stream in one dialect.

    Over when `ended` (its `done` is on the tape), `lost` (the broker has lost the log), or `broken_off`: its dialect
    cannot tell of a restart, so who comes later needs a feed that begins with the new epoch.
    """

    def __init__(self, stream_id: str, dialect: Dialect, limit_bytes: int, name: str = "") -> None:
        """`name` is what viewers call the dialect."""
        self.stream_id = stream_id
        self.name = name
        self.buffer = ReplayBuffer(limit_bytes)
        self.subscribers = Subscribers(self)
        self.state = "queued"
        self.ended = False
        self.lost = False
        self.broken_off = False
        self.entry = 0
        self.written = 0
        self.broker_down = False
        self.news_at = 0.0
        self.revoked = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.dialect = dialect
        self._checkpoints: list[tuple[int, Dialect]] = []
        self._page_end = 0
        self._page_bytes = 0
        self._reading = False
        self._again = False
        self._older = 0
        self._waiting: list[LiveEvents] = []

    @property
    def over(self) -> bool:
        return self.ended or self.lost or self.broken_off

    # Merging: `offer` from the live channel; `begin_read`, `absorb`..., `end_read` around a read of the log.

    def offer(self, live: LiveEvents) -> bool:
        """A batch that was published. True: something is missing, and the caller must read the log."""
        if self.over:
            return False
        if self._reading:
            self._waiting.append(live)
            return False
        if self._accept(live):
            return False
        self._waiting.append(live)
        return True

    def begin_read(self) -> bool:
        """False where nothing more can come, or a read is under way already: then `end_read` asks for another one,
        because this one may have passed the place where something was missed."""
        if self._reading or self.over:
            self._again = True
            return False
        self._reading = True
        self._older = len(self._waiting)
        return True

    def absorb(self, page: Iterable[Event]) -> None:
        """A page of the log after the tape's last position. Raises: LogHoleError."""
        for event in page:
            if self.buffer.follows(event.position):
                self._append(str(event.position).encode(), event.position, event.kind.encode(), event.data)
            elif event.position > self.buffer.last:
                raise LogHoleError(self.stream_id, self.buffer.last, event.position)
        self._announce()

    def end_read(self) -> bool:
        """The log has been read to its end. True: read again, because what was published meanwhile still shows a hole,
        or another read was asked for."""
        again, self._reading, self._again = self._again, False, False
        if again and not self.over:
            return True
        while self._waiting:
            # What was published before this read stands in the log before it: what still does not join is not of this
            # log, or of a log that the broker has lost the end of.
            if not self._accept(self._waiting[0]) and self._older <= 0:
                return True
            self._older -= 1
            del self._waiting[0]
        self._settle()
        return False

    def _accept(self, live: LiveEvents) -> bool:
        """False where the batch does not join what the tape has."""
        last = self.buffer.last
        if live.before != b"%d-%d" % last:
            if Position.parse(live.entries[-1][0].decode()) <= last:
                return True
            if Position.parse(live.before.decode()) > last:
                return False
        for text, kind, data in live.entries:
            last = self.buffer.last
            following = Position(last.epoch, last.seq + 1)
            # What comes is nearly always what follows: then there is nothing to parse.
            position = following if text == b"%d-%d" % following else Position.parse(text.decode())
            if position > last:
                self._append(text, position, kind, data)
        self._announce()
        return True

    def _append(self, text: bytes, position: Position, kind: bytes, data: bytes) -> None:
        index = self.buffer.end
        if kind == b"restart":
            self._restart(index)
        elif index == self._page_end or self._page_bytes >= PAGE_LIMIT_BYTES:
            self._begin_page(index)
        try:
            written, has_failed = self.dialect.write_event(text, kind, data), False
        except Exception:
            # It reads what a model wrote. Whatever it trips over must cost no one but its own viewers.
            logger.exception("stream %s cannot be written in this dialect", abbreviate(self.stream_id))
            written, has_failed = self.dialect.write_break(Code.WORKER_ERROR, UNWRITABLE), True
        self.written += 1
        self._page_bytes += len(written)
        self.buffer.append(position, written)
        if kind != b"chunk":
            self._heed(kind)
        self.broken_off = has_failed or (self.dialect.closed and not self.ended)

    def _heed(self, kind: bytes) -> None:
        match kind.decode():
            case Kind.DONE:
                self.ended = True
            case Kind.RESTART:
                self.state = "waiting"
            case Kind.START:
                self.state = "streaming"

    def _restart(self, index: int) -> None:
        if not self.ready.done():
            self.dialect.forget()
            self.entry = index if not self.dialect.resumes else 0
        self._begin_page(index)

    def _begin_page(self, index: int) -> None:
        self._checkpoints.append((index, self.dialect.copy()))
        self._page_end = index + PAGE_LIMIT_EVENTS
        self._page_bytes = 0

    def page_around(self, index: int) -> tuple[int, int, Dialect]:
        """For what memory no longer holds: where the page begins that `index` is in, where the next one does, and a
        dialect that writes from there on."""
        after = bisect_right(self._checkpoints, index, key=lambda held: held[0])
        place, dialect = self._checkpoints[after - 1]
        until = self._checkpoints[after][0] if after < len(self._checkpoints) else self.buffer.end
        return place, until, dialect.copy()

    def _settle(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    # Telling

    def join(self, subscriber: Subscriber) -> None:
        """From now on `watcher` is told of news and notes; at once, of the state and of what holds."""
        if not self.over:
            subscriber.on_note(b"ping", self._ping())
        self.subscribers.join(subscriber)
        subscriber.on_revoked(self.revoked)

    def see_revoked(self, count: int) -> None:
        """How often the stream's tickets have been revoked by now. Who came in by an older one is sent away, also where
        the notice was missed, or came while the viewer was on its way."""
        if count > self.revoked:
            self.revoked = count
            self.subscribers.tell_revoked(count)

    @property
    def visible_state(self) -> str:
        """What a `ping` says."""
        return BROKER_UNAVAILABLE if self.broker_down else self.state

    def set_state(self, state: str) -> None:
        """What a notice says of the run. A change is told at once."""
        if state != self.state and not self.over:
            self.state = state
            self.ping()

    def set_broker_down(self, down: bool) -> None:
        """Whether Redis can be reached. A change is told at once."""
        if down != self.broker_down and not self.over:
            self.broker_down = down
            self.ping()

    def ping(self) -> None:
        """Tells every viewer that the line is alive, and what the run waits for."""
        self.subscribers.tell_note(b"ping", self._ping())

    def keep_note(self, kind: bytes, data: bytes) -> None:
        """Tells every viewer what a notice says, those who join later too."""
        self.subscribers.keep_note(kind, self.dialect.write_note(kind, data))

    def _ping(self) -> bytes:
        return self.dialect.write_note(b"ping", encode_json({"state": self.visible_state}))

    def lose(self) -> None:
        """The broker has lost this stream: nothing more can come, and viewers are told so."""
        self.lost = True
        self._reading = False
        self._settle()
        self._announce()

    def _announce(self) -> None:
        self.news_at = asyncio.get_running_loop().time()
        self.subscribers.announce()
