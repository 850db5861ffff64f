"""The door to sse-starlette: a viewer's response. Not what is sent: the viewer says that."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

from sse_starlette.sse import AppStatus, EventSourceResponse, SendTimeoutError
from starlette.types import Receive, Scope, Send

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import MalformedEventError
from contract.log_redaction import abbreviate
from gateway.fanout.presence import Presence
from gateway.fanout.viewer import Viewer

logger = logging.getLogger(__name__)

# The gateway drains by itself, viewer by viewer; the library would cut all of them at one signal of the process.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]


class ViewerResponse(EventSourceResponse):
    """Sends what the viewer takes, until it has taken all or is gone."""

    def __init__(self, viewer: Viewer, presence: Presence, send_timeout_s: float, headers: Mapping[str, str]) -> None:
        # Ready bytes, pings of our own, and one end of line: the library adds nothing to what is sent.
        super().__init__(self._body(viewer), headers=headers, ping=0, sep="\n", send_timeout=send_timeout_s)
        self._viewer = viewer
        self._presence = presence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not in the generator's own `finally`: a generator that was never started does not run it.
        self._presence.join_stream(self._viewer)
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            logger.info("a viewer of stream %s took nothing for too long", abbreviate(self._viewer.stream_id))
        finally:
            self._presence.leave(self._viewer)

    @staticmethod
    async def _body(viewer: Viewer) -> AsyncIterator[bytes]:
        woken = asyncio.Event()
        viewer.wake = woken.set
        while not viewer.finished:
            woken.clear()
            try:
                due = await viewer.take_page() if viewer.is_behind else viewer.take()
            except (BrokerUnavailableError, BrokerRefusedError, MalformedEventError) as error:
                # Old events are in Redis alone. The end of the response makes the viewer come back for them.
                logger.warning("stream %s: %s", abbreviate(viewer.stream_id), error)
                return
            if due is not None:
                yield due.body
            elif not viewer.finished:
                await woken.wait()
