"""One stream in one dialect: this process encodes each event once for all viewers. No I/O.

`merge` decides which event comes next; a feed encodes it, keeps it in the replay buffer, and notifies the subscribers.
"""

import asyncio
import copy
import logging
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any

from contract.errors import Code
from contract.event import Event, Kind, encode_json
from contract.limits import PAGE_LIMIT_EVENTS
from contract.live import LiveEvents
from contract.position import Position
from gateway.access.audience import Audience
from gateway.dialects.base import Dialect
from gateway.fanout.merge import EventMerge, MergedEvent
from gateway.fanout.replay_buffer import ReplayBuffer
from gateway.fanout.subscriber import Subscriber
from gateway.fanout.subscribers import Subscribers
from gateway.http.run_errors import STREAM_DELETED, STREAM_LOST, public_data

PAGE_LIMIT_BYTES = 1 << 17
"""A history page ends with the event that brings it to this many encoded bytes, or after PAGE_LIMIT_EVENTS events."""
TAIL_PATIENCE_S = 15.0
"""How long the log of a run that goes on may lack events that viewers have had, at least. A worker writes its last
events again within a moment after a failover of Redis."""
TAKE_OVER_S = 5.0
"""If the worker is lost, too, another one takes over at most this time after the lease has expired."""
BROKER_UNAVAILABLE = "broker_unavailable"
WORKER_SILENT = "worker_silent"
STEP_RESTARTED = b'"reason":"step_restarted"}'
"""How a `restart` ends that voids the answer of a script, but none of its steps."""
UNWRITABLE = "The gateway cannot write this answer in the requested format."

logger = logging.getLogger(__name__)


class FeedStatus(StrEnum):
    """The first four are states of the run, which a `ping` reports. In the others, no event follows."""

    QUEUED = "queued"
    WAITING = "waiting"
    """A worker has the run; the provider has sent nothing yet."""
    STREAMING = "streaming"
    PARKED = "parked"
    """The run waits for a person."""
    ENDED = "ended"
    """The stream's `done` event is in the buffer."""
    LOST = "lost"
    """Redis has no log any more: it was lost or deleted. `Feed.loss` says which."""
    BROKEN_OFF = "broken_off"
    """The dialect cannot continue, for example after a restart. A later viewer needs a new feed."""
    VOID = "void"
    """A failover of Redis lost the last events, and a later epoch goes on without them. A later viewer needs a new
    feed."""


_OPEN = frozenset({FeedStatus.QUEUED, FeedStatus.WAITING, FeedStatus.STREAMING, FeedStatus.PARKED})
_TRANSITIONS: dict[FeedStatus, frozenset[FeedStatus]] = {
    **dict.fromkeys(_OPEN, frozenset(FeedStatus)),
    # Viewers may still read old events from Redis, and find that the log of an ended stream is lost.
    FeedStatus.ENDED: frozenset({FeedStatus.LOST}),
    FeedStatus.BROKEN_OFF: frozenset({FeedStatus.LOST}),
    FeedStatus.LOST: frozenset(),
    FeedStatus.VOID: frozenset(),
}


class Feed:
    """Shared by all viewers of one stream in one dialect, and of one audience. `over` means that no event follows."""

    def __init__(
        self,
        stream_id: str,
        dialect: Dialect,
        limit_bytes: int,
        name: str = "",
        audience: Audience = Audience.OWNER,
        *,
        count: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`name` is the dialect's name in the API; `limit_bytes` bounds the replay buffer. All viewers belong to
        `audience`. `count` is called with the number of bytes by which the buffer has grown or shrunk."""
        self.stream_id = stream_id
        self.audience = audience
        self.name = name
        self.dialect = dialect
        self.merge = EventMerge()
        self.buffer = ReplayBuffer(limit_bytes)
        self._count = count
        self._counted_bytes = 0
        self._is_counted = True
        self.subscribers = Subscribers(self)
        self.status = FeedStatus.QUEUED
        self.first_index = 0
        """The first index that a new viewer may get: above 0 if the dialect cannot show an earlier epoch."""
        self.encoded_events = 0
        self.loss: Mapping[str, Any] = STREAM_LOST
        """The error of a feed that is LOST, as in a `done` event."""
        self.lease_s = 0.0
        """The lease time of the run's worker; 0 as long as it is unknown."""
        self.broker_down = False
        self.worker_silent = False
        self.notified_at = 0.0
        """When subscribers were last notified, in seconds of the running loop's clock."""
        self.revoked = 0
        """How often the stream's tickets have been revoked."""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when history and live events have been merged for the first time, or the stream is lost."""
        self._checkpoints: list[tuple[int, Dialect]] = []
        self._restarts: set[int] = set()
        """The indices of the `restart` events that void everything before them."""
        self._page_end = 0
        self._page_bytes = 0

    @property
    def over(self) -> bool:
        return self.status not in _OPEN

    # Receiving events

    def receive_batch(self, batch: LiveEvents) -> None:
        """Merges a published batch. Check `merge.needs_read` afterwards."""
        if events := self.merge.receive_batch(batch):
            self._append_all(events)

    def receive_page(self, page: Iterable[Event], *, is_end: bool) -> None:
        """Merges a page of the log that begins after `merge.last`. Raises: LogHoleError; keeps the events before the
        hole."""
        self._append_all(self.merge.receive_page(page, is_end=is_end))
        self.merge.check_hole()
        if not self.merge.needs_read:
            self._mark_ready()

    def _append_all(self, events: list[MergedEvent]) -> None:
        try:
            for event in events:
                self._append(*event)
                if self.over:
                    self.merge.close()
                    break
        except Exception:
            # The merge returns each event only once. Now that the buffer lacks one, every later index would be wrong.
            self.lose()
            raise
        if events:
            self.set_worker_silent(False)
        self._announce()
        # Last, because it may shrink this buffer: viewers in turn read the dropped events from Redis.
        self.recount()

    def recount(self) -> None:
        """Tells `count` how the buffer has changed since the last time."""
        change = self.buffer.held_bytes - self._counted_bytes
        if change and self._is_counted:
            self._counted_bytes += change
            self._count(change)

    def uncount(self) -> None:
        """Stops counting the buffer. Called when the hub drops the feed: a read or a viewer may still change the buffer
        later, and nothing would ever subtract those bytes."""
        self._is_counted = False
        freed, self._counted_bytes = self._counted_bytes, 0
        self._count(-freed)

    def count_again(self) -> None:
        """Counts the buffer again. Called when the hub takes the feed back."""
        self._is_counted = True
        self.recount()

    def shrink(self, target_bytes: int) -> int:
        """Drops the oldest events from memory. Returns how many bytes that frees."""
        before = self._counted_bytes
        self.buffer.shrink(target_bytes)
        self.recount()
        return before - self._counted_bytes

    def _append(self, text: bytes, position: Position, kind: bytes, data: bytes) -> None:
        index = self.buffer.end
        if kind == b"restart":
            if voids_all(kind, data):
                self._restarts.add(index)
            self._restart(index)
        elif index == self._page_end or self._page_bytes >= PAGE_LIMIT_BYTES:
            self._begin_page(index)
        try:
            encoded, has_failed = self.dialect.write_event(text, kind, self.shown(kind, data)), False
        except Exception:
            # A dialect parses what a provider sent. If it fails, only the viewers of this feed may be affected.
            logger.exception("stream %s: cannot encode an event in the dialect '%s'", self.stream_id, self.name)
            encoded, has_failed = self.dialect.write_break(Code.WORKER_ERROR, UNWRITABLE), True
        self.encoded_events += 1
        self._page_bytes += len(encoded)
        self.buffer.append(position, encoded)
        if kind != b"chunk":
            self._follow_run(kind, data)
        if has_failed or (self.dialect.closed and self.status is not FeedStatus.ENDED):
            self._change_status(FeedStatus.BROKEN_OFF)

    def shown(self, kind: bytes, data: bytes) -> bytes:
        """The data of an event, as far as this audience may see it."""
        return public_data(kind, data) if self.audience is Audience.PUBLIC else data

    def _follow_run(self, kind: bytes, data: bytes) -> None:
        match kind.decode():
            case Kind.INPUT:
                waits = b'"state":"asked"' in data or b'"state":"refused"' in data
                self._change_status(FeedStatus.PARKED if waits else FeedStatus.STREAMING)
            case Kind.DONE:
                self._change_status(FeedStatus.ENDED)
            case Kind.RESTART:
                self._change_status(FeedStatus.WAITING)
            case Kind.START | Kind.STEP:
                self._change_status(FeedStatus.STREAMING)

    def _change_status(self, status: FeedStatus) -> bool:
        """Returns False if the feed has that status already, or may not change to it."""
        if status is self.status or status not in _TRANSITIONS[self.status]:
            return False
        self.status = status
        return True

    def _mark_ready(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    # Positions of clients

    def index_after(self, position: Position) -> int | None:
        """The index of the first event for a client that has had all events up to `position`. None if the log does not
        have that position.

        A failover of Redis may lose events that viewers have had. If their worker is lost, too, nobody writes them
        again, and the `restart` of the next epoch takes them back like all others of theirs: the client goes on there.
        """
        index = self.buffer.index_after(position)
        if index is None and position.seq > 0:
            following = self.buffer.index_of_epoch_after(position.epoch)
            index = following if following in self._restarts else None
        return index

    @property
    def tail_patience_s(self) -> float:
        """How long the log may lack events that viewers have had, until they are given up."""
        return max(TAIL_PATIENCE_S, self.lease_s + TAKE_OVER_S)

    def may_reach(self, position: Position) -> bool:
        """Whether a position that the log does not have may still come: its worker writes its last events again after a
        failover of Redis, or is lost itself, and a later epoch begins."""
        return not self.over and position > self.buffer.last

    # History pages

    def _restart(self, index: int) -> None:
        if not self.ready.done():
            self.dialect.forget()
            self.first_index = index if not self.dialect.resumes else 0
        self._begin_page(index)

    def _begin_page(self, index: int) -> None:
        self._checkpoints.append((index, copy.deepcopy(self.dialect)))
        self._page_end = index + PAGE_LIMIT_EVENTS
        self._page_bytes = 0

    def page_around(self, index: int) -> tuple[int, int]:
        """The history page that holds `index`: its first index, and the index after its last event."""
        after = self._checkpoint_after(index)
        until = self._checkpoints[after][0] if after < len(self._checkpoints) else self.buffer.end
        return self._checkpoints[after - 1][0], until

    def dialect_at_page(self, index: int) -> Dialect:
        """A dialect that continues from the start of the history page that holds `index`."""
        return copy.deepcopy(self._checkpoints[self._checkpoint_after(index) - 1][1])

    def find_page(self, begins_before: Callable[[Dialect], bool]) -> tuple[int, int, Dialect]:
        """The last page for whose dialect `begins_before` is true, else the first page that a new viewer may get.
        Returns its first index, the index after its last event, and a dialect that continues from its start."""
        pages = [checkpoint for checkpoint in self._checkpoints if checkpoint[0] >= self.first_index]
        if not pages:
            return self.first_index, self.buffer.end, copy.deepcopy(self.dialect)
        at = bisect_left(pages, True, key=lambda page: not begins_before(page[1]))
        index, dialect = pages[max(0, at - 1)]
        return *self.page_around(index), copy.deepcopy(dialect)

    def _checkpoint_after(self, index: int) -> int:
        return bisect_right(self._checkpoints, index, key=lambda checkpoint: checkpoint[0])

    # Notifying subscribers

    def join(self, subscriber: Subscriber, index: int) -> None:
        """Tells `subscriber` the current state, and from now on every event and notice. `index` is its next
        event.

        A subscriber that has events to read gets no sign of life, because some clients of OpenAI's format make an event
        of a comment.
        """
        if not self.over and (self.dialect.tells_state or index == self.buffer.end):
            subscriber.on_notice(b"ping", self._ping())
        self.subscribers.join(subscriber)
        self.recount()
        subscriber.on_revoked(self.revoked)

    def set_revoked(self, count: int) -> None:
        """Records that the stream's tickets were revoked `count` times, and disconnects viewers with older tickets.

        The count comes from a notice and again from each read of the run's record, because a notice may be lost.
        """
        if count > self.revoked:
            self.revoked = count
            self.subscribers.notify_revoked(count)

    @property
    def visible_state(self) -> str:
        """The state that a `ping` carries."""
        if self.broker_down:
            return BROKER_UNAVAILABLE
        return WORKER_SILENT if self.worker_silent else self.status

    def set_run_state(self, state: str) -> None:
        """Takes over the state in a worker's notice: `queued`, `waiting`, `streaming` or `parked`. Notifies viewers of
        a change.

        Ignores a state that this version does not know.
        """
        known = next((status for status in _OPEN if status == state), None)
        if known is not None and self._change_status(known):
            self.ping()

    def set_broker_down(self, down: bool) -> None:
        """Records whether Redis is unavailable. Notifies viewers of a change."""
        if down != self.broker_down and not self.over:
            self.broker_down = down
            self.ping()

    @property
    def awaits_worker(self) -> bool:
        """Whether viewers wait for what a worker writes next."""
        has_worker = self.status in (FeedStatus.WAITING, FeedStatus.STREAMING)
        return has_worker and not self.broker_down and len(self.subscribers) > 0

    def set_worker_silent(self, silent: bool) -> None:
        """Records whether the worker of this run is silent. Notifies viewers of a change."""
        if silent != self.worker_silent and not self.over:
            self.worker_silent = silent
            self.ping()

    def ping(self) -> None:
        """Tells every viewer the state of the run, which also shows that the connection works."""
        self.subscribers.send_notice(b"ping", self._ping())

    def keep_notice(self, kind: bytes, data: bytes) -> None:
        """Passes a notice on to every viewer, including those who join later."""
        self.subscribers.keep_notice(kind, self.dialect.write_notice(kind, data))

    def _ping(self) -> bytes:
        return self.dialect.write_notice(b"ping", _state_data(self.visible_state))

    def void(self) -> None:
        """Ends the feed, because the log goes on without its last events. Viewers come back, and get a `gap`."""
        self._end(FeedStatus.VOID)

    def delete(self) -> None:
        """Ends the feed, because its run was deleted, and tells the viewers."""
        self.loss = STREAM_DELETED
        self.lose()

    def lose(self) -> None:
        """Ends the feed, because Redis has lost the log, and tells the viewers."""
        self._end(FeedStatus.LOST)

    def _end(self, status: FeedStatus) -> None:
        self._change_status(status)
        self.merge.close()
        self._mark_ready()
        self._announce()

    def _announce(self) -> None:
        self.notified_at = asyncio.get_running_loop().time()
        self.subscribers.announce()


def voids_all(kind: bytes, data: bytes) -> bool:
    """Whether an event takes back everything before it."""
    return kind == b"restart" and not data.endswith(STEP_RESTARTED)


@lru_cache(maxsize=16)
def _state_data(state: str) -> bytes:
    """Every viewer that joins gets one."""
    return encode_json({"state": state})
