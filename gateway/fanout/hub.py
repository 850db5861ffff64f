"""The one place in a gateway process that reads Redis for viewers: one subscription per watched stream.

It routes what is published to feeds, reads the log where a feed shows a hole or a channel is confirmed anew, and lets
go of a feed some time after its last viewer has left.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import MalformedEventError, Status
from contract.keys import StreamKeys
from contract.limits import PAGE_LIMIT_EVENTS
from contract.live import LiveEvents, Notice, parse_live
from contract.log_redaction import abbreviate
from contract.position import START
from contract.run_record import RunRecord, read_run
from contract.stream_log import StreamLog
from contract.subscription import Subscription
from gateway.dialects.registry import DIALECTS
from gateway.fanout.feed import Feed, LogHoleError
from gateway.fanout.history_pages import HistoryPages

logger = logging.getLogger(__name__)

READ_AGAIN_S = 0.2


class NoSuchStreamError(Exception):
    """The stream never was, or has expired."""


@dataclass(frozen=True, slots=True)
class HubLimits:
    """Units last in the names. `opening_s`: how long a viewer waits for a stream to be opened."""

    buffer_bytes: int
    linger_s: float
    opening_s: float
    watchdog_s: float


class Hub:
    """All feeds of this process. `run` must be running."""

    def __init__(self, url: str, client: Client, log: StreamLog, limits: HubLimits) -> None:
        self._client = client
        self._log = log
        self._limits = limits
        self._subscription = Subscription(url, self, limits.watchdog_s)
        self._feeds: dict[str, list[Feed]] = {}
        self._written: Counter[str] = Counter()
        self._streams: dict[str, str] = {}
        self._confirmed: set[str] = set()
        self._reads: dict[Feed, asyncio.Task[None]] = {}
        self.pages = HistoryPages(log)

    async def run(self) -> None:
        """Until cancelled."""
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

    def written(self) -> Mapping[str, int]:
        """How many events were written so far, by dialect: once each, however many watch."""
        written = self._written.copy()
        for feed in self.feeds():
            written[feed.name] += feed.written
        return written

    # Opening and letting go

    async def open(self, stream_id: str, dialect: str) -> Feed:
        """The feed of a stream, with all its history on the tape.

        Raises: NoSuchStreamError, BrokerUnavailableError, BrokerRefusedError.
        """
        feed = self._find(stream_id, dialect)
        if feed is None:
            record = await read_run(self._client, stream_id)
            if record is None:
                raise NoSuchStreamError(stream_id)
            # Another viewer may have opened it while this one asked.
            feed = self._find(stream_id, dialect) or self._add(stream_id, dialect, record)
        if not feed.ready.done():
            done, _ = await asyncio.wait([feed.ready], timeout=self._limits.opening_s)
            if not done:
                raise BrokerUnavailableError("the stream could not be opened in time")
        return feed

    def _find(self, stream_id: str, dialect: str) -> Feed | None:
        for feed in self._feeds.get(stream_id, ()):
            if feed.name == dialect and not (feed.lost or feed.broken_off):
                return feed
        return None

    def _add(self, stream_id: str, dialect: str, record: RunRecord) -> Feed:
        feed = Feed(stream_id, DIALECTS[dialect](), self._limits.buffer_bytes, dialect)
        feed.state = "queued" if record.status is Status.QUEUED else "waiting"
        self._hold(feed, record.status.is_final)
        self.let_go_later(feed)
        return feed

    def _hold(self, feed: Feed, is_final: bool) -> None:
        channel = StreamKeys.of(feed.stream_id).live
        self._feeds.setdefault(feed.stream_id, []).append(feed)
        self._streams[channel] = feed.stream_id
        if is_final or channel in self._confirmed:
            self._read_log(feed)
        else:
            self._subscription.want(channel)

    def readmit(self, feed: Feed) -> None:
        """A viewer begins to watch a feed, which may have been let go while the viewer was on its way."""
        if not feed.over and feed not in self._feeds.get(feed.stream_id, ()):
            self._written[feed.name] -= feed.written
            feed.set_broker_down(False)
            self._hold(feed, False)

    def let_go_later(self, feed: Feed) -> None:
        """Forgets a feed that nobody watches any more, after a while: those who reconnect come soon."""
        asyncio.get_running_loop().call_later(self._limits.linger_s, self._let_go, feed)

    def _let_go(self, feed: Feed) -> None:
        feeds = self._feeds.get(feed.stream_id, [])
        if len(feed.subscribers) or feed not in feeds:
            return
        if not feed.ready.done():
            # Somebody waits for it to be opened, and what is forgotten never is.
            feed.ready.add_done_callback(lambda _: self.let_go_later(feed))
            return
        self._written[feed.name] += feed.written
        feeds.remove(feed)
        self.pages.forget(feed)
        if not feeds:
            del self._feeds[feed.stream_id]
            channel = StreamKeys.of(feed.stream_id).live
            del self._streams[channel]
            self._confirmed.discard(channel)
            self._subscription.unwant(channel)

    def on_payload(self, channel: str, payload: bytes) -> None:
        live = parse_live(payload)
        for feed in self._feeds_of(channel):
            try:
                self._hand_over(feed, live)
            except Exception:
                # Anybody may publish anything; the log has what is true.
                logger.exception("stream %s: what was published is not ours", abbreviate(feed.stream_id))
                self._read_log(feed)

    def _hand_over(self, feed: Feed, live: LiveEvents | Notice | None) -> None:
        if live is None or (isinstance(live, LiveEvents) and feed.offer(live)):
            self._read_log(feed)
        elif isinstance(live, Notice) and live.kind == b"ping":
            feed.set_state(str(json.loads(live.data)["state"]))
        elif isinstance(live, Notice) and live.kind == b"revoked":
            feed.see_revoked(int(live.data))
        elif isinstance(live, Notice):
            feed.keep_note(live.kind, live.data)

    def on_confirmed(self, channel: str) -> None:
        self._confirmed.add(channel)
        for feed in self._feeds_of(channel):
            feed.set_broker_down(False)
            self._read_log(feed)

    def on_down(self, reason: str) -> None:  # noqa: ARG002 - the subscription has logged it
        self._confirmed.clear()
        for feed in self.feeds():
            feed.set_broker_down(True)

    def _feeds_of(self, channel: str) -> list[Feed]:
        return list(self._feeds.get(self._streams.get(channel, ""), ()))

    # Reading the log

    def _read_log(self, feed: Feed) -> None:
        if feed.begin_read():
            read = self._reads[feed] = asyncio.create_task(self._catch_up(feed))
            read.add_done_callback(lambda _: self._reads.pop(feed, None) if self._reads.get(feed) is read else None)

    async def _catch_up(self, feed: Feed) -> None:
        """Reads until history and live join, however long Redis stays away."""
        while True:
            try:
                await self._read_to_end(feed)
                if not feed.end_read() or not feed.begin_read():
                    return
            except (LogHoleError, MalformedEventError) as error:
                logger.warning("%s", error)
                feed.lose()
                return
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                logger.warning("stream %s: the log cannot be read: %s", abbreviate(feed.stream_id), error)
                await asyncio.sleep(READ_AGAIN_S)
            except Exception:
                logger.exception("stream %s: the log cannot be understood", abbreviate(feed.stream_id))
                feed.lose()
                return

    async def _read_to_end(self, feed: Feed) -> None:
        # The record comes first: the log must then have at least what the record says.
        record = await read_run(self._client, feed.stream_id)
        feed.see_revoked(record.revoked if record else 0)
        while True:
            page = await self._log.read_page(feed.stream_id, feed.buffer.last)
            feed.absorb(page)
            if len(page) < PAGE_LIMIT_EVENTS:
                break
        last = feed.buffer.last
        # A running stream may have less than we saw, when Redis failed over: its worker writes the rest again.
        if record is None or last < record.last or (record.status.is_final and record.last < last):
            raise LogHoleError(feed.stream_id, last, record.last if record else START)

    async def refresh(self, feed: Feed) -> None:
        """Makes sure that the tape has all that the log has by now.

        Raises: BrokerUnavailableError where that takes longer than opening may: nobody knows then what the log has.
        """
        self._read_log(feed)
        if read := self._reads.get(feed):
            done, _ = await asyncio.wait([read], timeout=self._limits.opening_s)
            if not done:
                raise BrokerUnavailableError("the log could not be read in time")

    async def look_after(self, ping_interval_s: float) -> None:
        """Pings the viewers of feeds on which nothing happens, and looks whether Redis still has their streams: that
        Redis was emptied shows in no other way. Until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(ping_interval_s / 4)
            for feed in list(self.feeds()):
                if not feed.over and clock() - feed.news_at >= ping_interval_s:
                    feed.news_at = clock()
                    feed.ping()
                    self._read_log(feed)
