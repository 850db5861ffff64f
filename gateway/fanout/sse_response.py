"""A viewer's response on any ASGI server, by sse-starlette. The viewer decides what is sent."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

from sse_starlette.sse import AppStatus, EventSourceResponse, SendTimeoutError
from starlette.types import Receive, Scope, Send

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import MalformedEventError
from gateway.fanout.presence import Presence
from gateway.fanout.viewer import Viewer

logger = logging.getLogger(__name__)

# The gateway drains viewer by viewer; the library would cut all of them at the process's first signal.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]


class ViewerResponse(EventSourceResponse):
    """Sends what the viewer takes, until the end or until the client has gone."""

    def __init__(self, viewer: Viewer, presence: Presence, send_timeout_s: float, headers: Mapping[str, str]) -> None:
        # The viewer yields complete bytes, pings included, with one kind of line end: the library adds nothing.
        super().__init__(self._body(), headers=headers, ping=0, sep="\n", send_timeout=send_timeout_s)
        self._viewer = viewer
        self._woken = asyncio.Event()
        self._presence = presence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not in the generator: one that was never started does not run its `finally`.
        self._presence.join_stream(self._viewer, self._woken.set)
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            logger.info("a viewer of stream %s read nothing for too long", self._viewer.stream_id)
        finally:
            self._presence.leave(self._viewer)

    async def _body(self) -> AsyncIterator[bytes]:
        viewer = self._viewer
        while not viewer.finished:
            self._woken.clear()
            try:
                due = await viewer.take_page() if viewer.is_behind else viewer.take()
            except (BrokerUnavailableError, BrokerRefusedError, MalformedEventError) as error:
                # Old events are only in Redis. The end of the response makes the client reconnect for them.
                logger.warning("stream %s: %s", viewer.stream_id, error)
                return
            if due is not None:
                yield due.body
            elif not viewer.finished:
                await self._woken.wait()
