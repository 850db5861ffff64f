"""The only place in a gateway process that reads Redis for viewers: one subscription per watched stream.

The hub passes published messages to feeds, reads the log when a feed's merge asks for it or a subscription is confirmed
again, and drops a feed some time after its last viewer has left.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import Event, MalformedEventError, Status
from contract.limits import PAGE_LIMIT_EVENTS
from contract.live import LiveEvents, Notice, parse_live
from contract.position import START, Position
from contract.run_record import RunRecord, read_run
from contract.stream_log import StreamLog
from contract.subscription import Subscription
from gateway.access.audience import Audience
from gateway.dialects.base import NewDialect
from gateway.dialects.registry import DIALECTS
from gateway.fanout.feed import Feed, FeedStatus, voids_all
from gateway.fanout.history_pages import READ_AGAIN_S, HistoryPages
from gateway.fanout.merge import LogHoleError
from gateway.http.memory_budget import MemoryBudget

logger = logging.getLogger(__name__)

SHORT_LOG_PATIENCE_S = 1.0
"""How long a log may end before the last event that its record names."""
_BEGINNINGS = {Status.QUEUED: FeedStatus.QUEUED, Status.PARKED: FeedStatus.PARKED}


class _ShortLogError(LogHoleError):
    """The log ends before the last event that the record names. During a failover of Redis, the record may come from a
    server that is the primary no more, and the log from the new one."""


class NoSuchStreamError(Exception):
    """The stream never existed, or has expired."""


@dataclass(frozen=True, slots=True)
class HubLimits:
    """`buffer_bytes`: the size of a feed's replay buffer. `linger_s`: how long a feed stays in memory without viewers.
    `opening_s`: how long a viewer waits for a feed to open. `watchdog_s`: how long a subscription may be silent before
    the hub pings Redis."""

    buffer_bytes: int
    linger_s: float
    opening_s: float
    watchdog_s: float


class Hub:
    """All feeds of this process. `run` must be running."""

    def __init__(self, url: str, client: Client, log: StreamLog, limits: HubLimits, budget: MemoryBudget) -> None:
        """`budget`: of all buffers of this process. When it is used up, viewers that lag behind read from Redis."""
        self._client = client
        self._log = log
        self._limits = limits
        self._subscription = Subscription(url, self, limits.watchdog_s, client.routes)
        self._feeds: dict[str, list[Feed]] = {}
        # By dialect: how many events the feeds that were dropped had encoded.
        self._encoded_before: Counter[str] = Counter()
        # By channel: the id of its stream.
        self._streams: dict[str, str] = {}
        # The channels whose subscription Redis has confirmed.
        self._confirmed: set[str] = set()
        self._reads: dict[Feed, asyncio.Task[None]] = {}
        # By stream: the read of a run's record that viewers without a feed wait for.
        self._openings: dict[str, asyncio.Task[RunRecord | None]] = {}
        self._budget = budget
        self.pages = HistoryPages(log, budget.count)
        budget.add_evictor(self._shrink_unwatched)
        budget.add_evictor(self.pages.evict)
        budget.add_evictor(self._shrink_largest)

    async def run(self) -> None:
        """Receives messages until cancelled."""
        try:
            await self._subscription.run()
        finally:
            reads = list(self._reads.values())
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)

    def feeds(self) -> Iterator[Feed]:
        for feeds in self._feeds.values():
            yield from feeds

    def count_encoded_events(self) -> Mapping[str, int]:
        """How many events have been encoded so far, by dialect. Each counts once, however many viewers get it."""
        counts = self._encoded_before.copy()
        for feed in self.feeds():
            counts[feed.name] += feed.encoded_events
        return counts

    # Opening and dropping feeds

    async def open(
        self, stream_id: str, dialect: str, new: NewDialect | None = None, audience: Audience = Audience.OWNER
    ) -> Feed:
        """The feed of a stream for an audience, with its whole history. `new` makes the dialect of this name, if it is
        none of the registry's; it must make the same one for each viewer of the stream.

        Raises: NoSuchStreamError, BrokerUnavailableError, BrokerRefusedError.
        """
        feed = self._find(stream_id, dialect, audience)
        if feed is None:
            record = await self._read_run_for_all(stream_id)
            if record is None:
                raise NoSuchStreamError(stream_id)
            # Another viewer may have opened the feed while this one was waiting for Redis.
            feed = self._find(stream_id, dialect, audience)
            if feed is None:
                made, limit_bytes, count = (new or DIALECTS[dialect])(), self._limits.buffer_bytes, self._budget.count
                feed = self._add(Feed(stream_id, made, limit_bytes, dialect, audience, count=count), record)
        if not feed.ready.done():
            done, _ = await asyncio.wait([feed.ready], timeout=self._limits.opening_s)
            if not done:
                raise BrokerUnavailableError("the stream could not be opened in time")
        return feed

    def find_ready(self, stream_id: str, dialect: str, audience: Audience) -> Feed | None:
        """The feed that `open` would return without waiting; None if it would wait."""
        feed = self._find(stream_id, dialect, audience)
        return feed if feed is not None and feed.ready.done() else None

    async def _read_run_for_all(self, stream_id: str) -> RunRecord | None:
        """`read_run`, once for all viewers that ask at the same time: many people open an announced link at once.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        reading = self._openings.get(stream_id)
        if reading is not None and (record := await asyncio.shield(reading)) is not None:
            return record
        # A read that began before this viewer asked may have been too early for its run.
        reading = self._openings[stream_id] = asyncio.create_task(read_run(self._client, stream_id))
        reading.add_done_callback(lambda done: self._end_opening(stream_id, done))
        # A viewer that leaves must not cancel the read for the others.
        return await asyncio.shield(reading)

    def _end_opening(self, stream_id: str, done: asyncio.Task[RunRecord | None]) -> None:
        if self._openings.get(stream_id) is done:
            del self._openings[stream_id]
        if not done.cancelled():
            # If all viewers have left, nobody awaits the task, and asyncio would log its error as never retrieved.
            done.exception()

    def _find(self, stream_id: str, dialect: str, audience: Audience) -> Feed | None:
        for feed in self._feeds.get(stream_id, ()):
            is_usable = feed.status not in (FeedStatus.LOST, FeedStatus.BROKEN_OFF, FeedStatus.VOID)
            if is_usable and (feed.name, feed.audience) == (dialect, audience):
                return feed
        return None

    def _add(self, feed: Feed, record: RunRecord) -> Feed:
        feed.status = _BEGINNINGS.get(record.status, FeedStatus.WAITING)
        self._register(feed)
        if record.status.is_final:
            # Nothing is published any more that a read before the confirmation could miss.
            self._read_log(feed)
        self.drop_later(feed)
        return feed

    def _register(self, feed: Feed) -> None:
        """Adds the feed. Its log is read as soon as the subscription to its channel is confirmed."""
        channel = self._client.key_space.stream(feed.stream_id).live
        self._feeds.setdefault(feed.stream_id, []).append(feed)
        self._streams[channel] = feed.stream_id
        if channel in self._confirmed:
            self._read_log(feed)
        else:
            # Also for a run that has ended: it may still be deleted.
            self._subscription.want(channel)

    def readmit(self, feed: Feed) -> None:
        """Adds the feed again if the hub dropped it while a viewer was connecting."""
        if not feed.over and feed not in self._feeds.get(feed.stream_id, ()):
            self._encoded_before[feed.name] -= feed.encoded_events
            feed.set_broker_down(False)
            feed.count_again()
            self._register(feed)

    def drop_later(self, feed: Feed) -> None:
        """Drops the feed after `linger_s` if it has no viewers then. Until then, viewers that reconnect find it."""
        asyncio.get_running_loop().call_later(self._limits.linger_s, self._drop, feed)

    def _drop(self, feed: Feed) -> None:
        feeds = self._feeds.get(feed.stream_id, [])
        if len(feed.subscribers) or feed not in feeds:
            return
        if not feed.ready.done():
            # A viewer is waiting for this feed to open. A dropped feed would never open.
            feed.ready.add_done_callback(lambda _: self.drop_later(feed))
            return
        self._encoded_before[feed.name] += feed.encoded_events
        feeds.remove(feed)
        feed.uncount()
        self.pages.forget(feed)
        if not feeds:
            del self._feeds[feed.stream_id]
            channel = self._client.key_space.stream(feed.stream_id).live
            del self._streams[channel]
            self._confirmed.discard(channel)
            self._subscription.unwant(channel)

    # Making room

    def _shrink_unwatched(self, excess_bytes: int) -> None:
        for feed in [feed for feed in self.feeds() if not len(feed.subscribers)]:
            if excess_bytes <= 0:
                break
            excess_bytes -= feed.shrink(0)

    def _shrink_largest(self, excess_bytes: int) -> None:
        """Halves the largest buffers. Most viewers are at the end of theirs, and miss nothing."""
        for feed in sorted(self.feeds(), key=lambda feed: feed.buffer.held_bytes, reverse=True):
            if excess_bytes <= 0:
                break
            excess_bytes -= feed.shrink(feed.buffer.held_bytes // 2)

    # Called by the subscription

    def on_payload(self, channel: str, payload: bytes) -> None:
        live = parse_live(payload)
        for feed in self._feeds_of(channel):
            try:
                self._deliver(feed, live)
            except Exception:
                # Any client of Redis can publish anything on this channel. Read the log instead.
                logger.exception("stream %s: cannot process a published message", feed.stream_id)
                self._read_log(feed)

    def _deliver(self, feed: Feed, live: LiveEvents | Notice | None) -> None:
        match live:
            case LiveEvents():
                feed.receive_batch(live)
                self._start_reading(feed)
            case Notice(kind=b"ping", data=data):
                told = json.loads(data)
                feed.set_run_state(str(told["state"]))
                if lease_ms := told.get("lease_ms"):
                    feed.lease_s = lease_ms / 1000
            case Notice(kind=b"revoked", data=data):
                feed.set_revoked(int(data))
            case Notice(kind=b"deleted"):
                feed.delete()
            case Notice(kind=kind, data=data):
                feed.keep_notice(kind, data)
            case None:
                self._read_log(feed)

    def on_confirmed(self, channel: str) -> None:
        self._confirmed.add(channel)
        for feed in self._feeds_of(channel):
            feed.set_broker_down(False)
            self._read_log(feed)

    def on_down(self, reason: str, channels: Collection[str]) -> None:  # noqa: ARG002 - the subscription logs it
        self._confirmed.difference_update(channels)
        for channel in channels:
            for feed in self._feeds_of(channel):
                feed.set_broker_down(True)

    def _feeds_of(self, channel: str) -> list[Feed]:
        return list(self._feeds.get(self._streams.get(channel, ""), ()))

    # Reading the log

    def _read_log(self, feed: Feed) -> None:
        feed.merge.request_read()
        self._start_reading(feed)

    def _start_reading(self, feed: Feed) -> None:
        """Starts a task that reads the log, if the feed's merge needs it and no such task is running."""
        reading = self._reads.get(feed)
        if feed.merge.needs_read and (reading is None or reading.done()):
            read = self._reads[feed] = asyncio.create_task(self._catch_up(feed))
            read.add_done_callback(lambda _: self._reads.pop(feed, None) if self._reads.get(feed) is read else None)

    async def _catch_up(self, feed: Feed) -> None:
        """Reads the log until the merge needs no more of it, however long Redis is unavailable."""
        clock = asyncio.get_running_loop().time
        short_since: float | None = None
        while feed.merge.needs_read:
            try:
                await self._read_to_end(feed)
            except _ShortLogError as error:
                short_since = clock() if short_since is None else short_since
                if clock() - short_since < SHORT_LOG_PATIENCE_S:
                    await asyncio.sleep(READ_AGAIN_S)
                    continue
                logger.warning("stream %s: %s", feed.stream_id, error)
                feed.lose()
            except (LogHoleError, MalformedEventError) as error:
                logger.warning("stream %s: %s", feed.stream_id, error)
                feed.lose()
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                logger.warning("stream %s: cannot read the log: %s", feed.stream_id, error)
                await asyncio.sleep(READ_AGAIN_S)
            except Exception:
                logger.exception("stream %s: cannot process the log", feed.stream_id)
                feed.lose()

    async def _read_to_end(self, feed: Feed) -> None:
        # Read the record first. A log that is read after it must hold every event up to `record.last`.
        record = await read_run(self._client, feed.stream_id)
        feed.set_revoked(record.revoked if record else 0)
        feed.lease_s = record.lease_ms / 1000 if record else 0.0
        while True:
            page = await self._log.read_page(feed.stream_id, feed.merge.last)
            if page and await self._is_void_before(feed, page[0]):
                logger.warning("stream %s: the log goes on without events that viewers have had", feed.stream_id)
                feed.void()
                return
            is_end = len(page) < PAGE_LIMIT_EVENTS
            last = page[-1].position if page else feed.merge.last
            is_hole = is_end and _lacks_events(record, last)
            # Send viewers what is left of the log before telling them that the rest is lost.
            feed.receive_page(page, is_end=is_end and not is_hole)
            if is_hole:
                raise _ShortLogError(last, record.last if record else START)
            if is_end or feed.over:
                return

    async def _is_void_before(self, feed: Feed, following: Event) -> bool:
        """Whether the log lacks the feed's last event and goes on with `following`, which does not take that back.

        Events of an earlier epoch cannot be written any more.
        """
        last = feed.merge.last
        is_later_epoch = last != START and following.position.epoch > last.epoch
        if not is_later_epoch or voids_all(following.kind.encode(), following.data):
            return False
        return not await self._log.has(feed.stream_id, last)

    async def refresh(self, feed: Feed) -> None:
        """Waits until the feed has every event that the log has now.

        Raises: BrokerUnavailableError if that takes longer than `opening_s`.
        """
        self._read_log(feed)
        if read := self._reads.get(feed):
            done, _ = await asyncio.wait([read], timeout=self._limits.opening_s)
            if not done:
                raise BrokerUnavailableError("the log could not be read in time")

    async def check_quiet_feeds(self, ping_interval_s: float) -> None:
        """Pings the viewers of quiet feeds, and reads their logs, because nothing else shows that Redis has lost its
        data. Runs until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(ping_interval_s / 4)
            for feed in list(self.feeds()):
                if not feed.over and clock() - feed.notified_at >= ping_interval_s:
                    feed.notified_at = clock()
                    feed.ping()
                    self._read_log(feed)


def _lacks_events(record: RunRecord | None, last: Position) -> bool:
    """Whether a log that ends at `last` lacks events that it once had.

    After a failover of Redis, the log of a running stream may lack events that this gateway has seen. They are not
    lost, because the worker writes them again.
    """
    return record is None or last < record.last or (record.status.is_final and record.last < last)
