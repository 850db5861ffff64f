"""The viewers of this process: who is here, how many of each stream, and how they are sent away when it drains."""

import asyncio
import logging
from collections import Counter
from typing import NamedTuple, Protocol

from contract.connection import Client
from contract.errors import BrokerUnavailableError
from contract.presence import Count, count_viewers
from gateway.fanout.hub import Hub
from gateway.fanout.viewer import Viewer

logger = logging.getLogger(__name__)

LIFETIME_MS = 6_000
"""How long a gateway's counts stay after its last sign of life."""
RENEWAL_S = 2.0
TURN_S = 0.25
TELLING_MS = 1_000


class CountedViewer(Protocol):
    """Someone for whom a stream is watched: a viewer, or a request that waits for its run."""

    @property
    def stream_id(self) -> str: ...

    @property
    def resumes(self) -> bool:
        """Whether it comes back by itself after it was dismissed."""

    def dismiss(self, retry_window_ms: int) -> None:
        """Ends it as well as it can be ended."""


class ViewerLimits(NamedTuple):
    """How many may watch through one process, and how many of them the same stream; 0: any number."""

    viewers: int
    of_one_stream: int


class Presence:
    """Everyone who watches through this gateway."""

    def __init__(self, gateway: str, client: Client, hub: Hub, room: ViewerLimits) -> None:
        self.draining = False
        self._room = room
        self._retry_window_ms = 0
        self._patience_s = 0.0
        self._gateway = gateway
        self._client = client
        self._hub = hub
        self._viewers: set[CountedViewer] = set()
        self._counts: Counter[str] = Counter()
        self._changed: set[str] = set()

    def __len__(self) -> int:
        return len(self._viewers)

    def has_room(self, stream_id: str = "") -> bool:
        """For one more, who would watch this stream."""
        viewers, of_one_stream = self._room
        return not ((viewers and len(self) >= viewers) or (of_one_stream and self._counts[stream_id] >= of_one_stream))

    def join_stream(self, viewer: Viewer) -> None:
        """The viewer's response begins."""
        self.arrive(viewer)
        self._hub.readmit(viewer.feed)
        viewer.feed.join(viewer)

    def leave(self, viewer: Viewer) -> None:
        """The viewer's response is over, in whatever way; a connection that closed as it was taken tells it twice."""
        if viewer not in self._viewers:
            return
        viewer.feed.subscribers.leave(viewer)
        self.depart(viewer)
        viewer.on_left()
        if not len(viewer.feed.subscribers):
            self._hub.let_go_later(viewer.feed)

    def arrive(self, viewer: CountedViewer) -> None:
        """It counts from now on."""
        self._viewers.add(viewer)
        self._counts[viewer.stream_id] += 1
        self._changed.add(viewer.stream_id)
        if self.draining:
            # It was let in just before.
            self._send_away(viewer)

    def depart(self, viewer: CountedViewer) -> None:
        self._viewers.discard(viewer)
        self._counts[viewer.stream_id] -= 1
        self._changed.add(viewer.stream_id)

    def drain(self, retry_window_ms: int, patience_s: float) -> None:
        """Sends everyone away and lets nobody in any more. Those who come back by themselves go at once, each to
        return elsewhere within the window; the others may see their stream's end, if that comes within `patience_s`.
        """
        self.draining = True
        self._retry_window_ms, self._patience_s = retry_window_ms, patience_s
        for viewer in list(self._viewers):
            self._send_away(viewer)

    def _send_away(self, viewer: CountedViewer) -> None:
        if viewer.resumes:
            viewer.dismiss(self._retry_window_ms)
        else:
            asyncio.get_running_loop().call_later(self._patience_s, viewer.dismiss, self._retry_window_ms)

    async def count(self) -> None:
        """Tells Redis how many are here: changes at once, the rest often enough to stay. Until cancelled."""
        clock = asyncio.get_running_loop().time
        renewed_at = clock()
        while True:
            await asyncio.sleep(TURN_S)
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
            sums = await count_viewers(self._client, self._gateway, counts, LIFETIME_MS, TELLING_MS)
        except BrokerUnavailableError as error:
            logger.debug("viewers not counted: %s", error)
            self._changed.update(due)
            return
        self._changed.update(
            stream_id for stream_id, total in zip(due, sums, strict=True) if total is None or total.untold
        )

    async def retire(self) -> None:
        """Takes this gateway's counts back, so that the others need not wait until they expire."""
        leaving = [Count(stream_id, 0) for stream_id in self._counts]
        if leaving:
            try:
                await count_viewers(self._client, self._gateway, leaving, LIFETIME_MS, TELLING_MS)
            except BrokerUnavailableError as error:
                logger.debug("viewers not taken back: %s", error)
