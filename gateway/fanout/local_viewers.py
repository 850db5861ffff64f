"""The viewers of this process: counts them by stream, and disconnects them when the gateway drains."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from contract.connection import Client
from contract.errors import BrokerUnavailableError
from contract.presence import Count, count_viewers
from gateway.fanout.hub import Hub
from gateway.fanout.subscriber import Subscriber
from gateway.fanout.viewer import Viewer
from gateway.fanout.watcher import Watcher

logger = logging.getLogger(__name__)

COUNTS_LIFETIME_MS = 6_000
"""Redis forgets the counts of a gateway that has not renewed them for this long."""
RENEWAL_S = 2.0
REPORT_INTERVAL_S = 0.25
PUBLISH_INTERVAL_MS = 1_000
"""The shortest time between two counts that the viewers of a stream receive."""


class ViewerLimits(NamedTuple):
    """How many viewers one process accepts, in total and for one stream; 0: any number. `reserved` of the total are for
    those whom the access rules know, so that strangers with a link cannot take all places."""

    viewers: int
    of_one_stream: int
    reserved: int = 0


class LocalViewers:
    """All viewers of this gateway, and requests that wait for their run."""

    def __init__(self, gateway: str, client: Client, hub: Hub, limits: ViewerLimits) -> None:
        self.draining = False
        self._limits = limits
        self._retry_window_ms = 0
        self._patience_s = 0.0
        self._gateway = gateway
        self._client = client
        self._hub = hub
        self._viewers: set[Subscriber] = set()
        self._counts: Counter[str] = Counter()
        self._changed: set[str] = set()

    def __len__(self) -> int:
        return len(self._viewers)

    def has_room(self, stream_id: str = "", coming: int = 0, *, is_stranger: bool = False) -> bool:
        """Whether one more viewer may watch this stream. `coming`: how many viewers of other streams will join soon.
        `is_stranger`: nothing but the stream's id admits the viewer."""
        viewers, of_one_stream, reserved = self._limits
        is_full = viewers and len(self) + coming >= viewers - (reserved if is_stranger else 0)
        return not (is_full or (of_one_stream and self._counts[stream_id] >= of_one_stream))

    def join(self, watcher: Watcher, wake: Callable[[], None]) -> None:
        """Called when the watcher's response begins. Calls `wake` now, and whenever there is something to send."""
        viewers = watcher.viewers
        for viewer in viewers:
            self.add(viewer)
            self._hub.readmit(viewer.feed)
            viewer.feed.join(viewer, viewer.index)
        # Set `wake` only now, so that the notices from joining go out with the first events, in one write.
        for viewer in viewers:
            viewer.wake = wake
        wake()

    def leave(self, watcher: Watcher) -> None:
        """Called when the watcher's response is over; twice if the connection closes during its take-over. The second
        call has no effect."""
        for viewer in watcher.viewers:
            self.leave_stream(viewer)

    def leave_stream(self, viewer: Viewer) -> None:
        """Called when the viewer's stream has ended, although its response may go on with other streams. A second call
        has no effect."""
        if viewer not in self._viewers:
            return
        viewer.feed.subscribers.leave(viewer)
        self.remove(viewer)
        viewer.on_left()
        if not len(viewer.feed.subscribers):
            self._hub.drop_later(viewer.feed)

    def add(self, viewer: Subscriber) -> None:
        """Counts the viewer, and dismisses it when the gateway drains."""
        self._viewers.add(viewer)
        self._counts[viewer.stream_id] += 1
        self._changed.add(viewer.stream_id)
        if self.draining:
            # Its request was accepted just before the drain began.
            self._dismiss(viewer)

    def remove(self, viewer: Subscriber) -> None:
        self._viewers.discard(viewer)
        self._counts[viewer.stream_id] -= 1
        self._changed.add(viewer.stream_id)

    def drain(self, retry_window_ms: int, patience_s: float) -> None:
        """Disconnects all viewers and accepts no new ones. Clients that resume are disconnected at once and reconnect
        to another gateway within the window. The others may read on for `patience_s`, in case their stream ends.
        """
        self.draining = True
        self._retry_window_ms, self._patience_s = retry_window_ms, patience_s
        for viewer in list(self._viewers):
            self._dismiss(viewer)

    def _dismiss(self, viewer: Subscriber) -> None:
        if viewer.resumes:
            viewer.dismiss(self._retry_window_ms)
        else:
            asyncio.get_running_loop().call_later(self._patience_s, viewer.dismiss, self._retry_window_ms)

    async def report_counts(self) -> None:
        """Reports changed counts to Redis soon, and all counts before they expire. Runs until cancelled."""
        clock = asyncio.get_running_loop().time
        renewed_at = clock()
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            if clock() - renewed_at >= RENEWAL_S:
                renewed_at = clock()
                self._changed.update(self._counts)
            await self._report()

    async def _report(self) -> None:
        due, self._changed = sorted(self._changed), set()
        if not due:
            return
        counts = [Count(stream_id, self._counts[stream_id]) for stream_id in due]
        for stream_id, viewers in counts:
            if viewers == 0:
                del self._counts[stream_id]
        try:
            sums = await count_viewers(self._client, self._gateway, counts, COUNTS_LIFETIME_MS, PUBLISH_INTERVAL_MS)
        except BrokerUnavailableError as error:
            logger.debug("cannot report the viewer counts: %s", error)
            self._changed.update(due)
            return
        self._changed.update(
            stream_id for stream_id, total in zip(due, sums, strict=True) if total is None or total.untold
        )

    async def withdraw_counts(self) -> None:
        """Sets this gateway's counts to 0, so that other gateways' viewers see the right number before they expire."""
        leaving = [Count(stream_id, 0) for stream_id in self._counts]
        if leaving:
            try:
                await count_viewers(self._client, self._gateway, leaving, COUNTS_LIFETIME_MS, PUBLISH_INTERVAL_MS)
            except BrokerUnavailableError as error:
                logger.debug("cannot withdraw the viewer counts: %s", error)
