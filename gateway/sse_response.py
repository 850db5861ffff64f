"""The door to sse-starlette: a viewer's response. Not what is sent: the viewer says that."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

from sse_starlette.sse import AppStatus, EventSourceResponse, SendTimeoutError
from starlette.types import Receive, Scope, Send

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from gateway.viewer import Viewer

logger = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

# The gateway drains by itself, viewer by viewer; the library would cut all of them at one signal of the process.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]

Attend = Callable[[Viewer], AbstractContextManager[None]]


class ViewerResponse(EventSourceResponse):
    """Sends what the viewer takes, until it has taken all or is gone."""

    def __init__(self, viewer: Viewer, attend: Attend, send_timeout_s: float) -> None:
        # Ready bytes, pings of our own, and one end of line: the library adds nothing to what is sent.
        super().__init__(self._body(viewer), headers=HEADERS, ping=0, sep="\n", send_timeout=send_timeout_s)
        self._viewer = viewer
        self._attend = attend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not in the generator's own `finally`: a generator that was never started does not run it.
        with self._attend(self._viewer):
            try:
                await super().__call__(scope, receive, send)
            except SendTimeoutError:
                logger.info("a viewer of stream %s took nothing for too long", self._viewer.feed.stream_id)

    @staticmethod
    async def _body(viewer: Viewer) -> AsyncIterator[bytes]:
        while True:
            try:
                due = await viewer.take()
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                # Old events are in Redis alone. The end of the response makes the viewer come back for them.
                logger.warning("stream %s: %s", viewer.feed.stream_id, error)
                return
            if due is None:
                return
            if due:
                yield due
            else:
                await viewer.wait()
