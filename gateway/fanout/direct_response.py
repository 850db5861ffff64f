"""Sends a viewer's events straight to its connection: the hub writes when it is notified, without a task per viewer.

Sends exactly what sse_response sends, with the same back-pressure: while a viewer's transport is full nothing is
written to it; once it drains, the viewer gets everything it lacks in one write.
"""

import asyncio
import logging
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import MalformedEventError
from gateway.fanout.presence import Presence
from gateway.fanout.viewer import Viewer
from gateway.server.direct_protocol import EXTENSION, DirectProtocol
from gateway.server.send_timeouts import SendTimeouts

logger = logging.getLogger(__name__)


class DirectResponse(Response):
    """Sends the head, hands the connection to a `DirectViewer`, and returns."""

    def __init__(
        self, viewer: Viewer, presence: Presence, send_timeouts: SendTimeouts, headers: Mapping[str, str]
    ) -> None:
        super().__init__(headers={**headers, "Connection": "close"})
        del self.headers["content-length"]
        self._viewer = viewer
        self._presence = presence
        self._send_timeouts = send_timeouts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        connection: DirectProtocol = scope["extensions"][EXTENSION]
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        DirectViewer(self._viewer, connection, self._presence, self._send_timeouts).begin()


class DirectViewer:
    """Writes a viewer's events whenever there are some and the connection accepts them."""

    __slots__ = ("_connection", "_finished", "_full", "_page", "_presence", "_send_timeouts", "_viewer")

    def __init__(
        self, viewer: Viewer, connection: DirectProtocol, presence: Presence, send_timeouts: SendTimeouts
    ) -> None:
        self._viewer = viewer
        self._connection = connection
        self._presence = presence
        self._send_timeouts = send_timeouts
        self._full = self._finished = False
        self._page: asyncio.Task[None] | None = None

    def begin(self) -> None:
        # uvloop refuses writes to a connection that is lost.
        is_lost = self._full = not self._connection.take_over(self)
        self._presence.join_stream(self._viewer, self._send)
        if is_lost:
            self.on_lost()

    def on_full(self) -> None:
        self._full = True
        self._viewer.leave_shared_cursor()
        self._send_timeouts.watch(self._connection)

    def on_free(self) -> None:
        if self._finished:
            return
        self._full = False
        self._send_timeouts.forget(self._connection)
        self._send()

    def on_lost(self) -> None:
        self._full = self._finished = True
        self._viewer.leave_shared_cursor()
        self._send_timeouts.forget(self._connection)
        if self._page is not None:
            self._page.cancel()
        self._presence.leave(self._viewer)

    def _send(self) -> None:
        """Writes everything that the viewer lacks; after that it shares a cursor with the other viewers."""
        viewer = self._viewer
        viewer.leave_shared_cursor()
        while not self._full and self._page is None:
            if viewer.is_behind:
                self._page = asyncio.get_running_loop().create_task(self._send_page())
                return
            due = viewer.take()
            if due is not None:
                self._connection.write(due.framed)
            elif viewer.finished:
                self._finish()
            else:
                viewer.share_cursor(self._connection.transport.write)
                return

    async def _send_page(self) -> None:
        try:
            page = await self._viewer.take_page()
            self._page = None
            self._connection.write(page.framed)
            self._send()
        except (BrokerUnavailableError, BrokerRefusedError, MalformedEventError) as error:
            # Old events are only in Redis. The end of the response makes the client reconnect for them.
            logger.warning("stream %s: %s", self._viewer.stream_id, error)
            self._finish()
        except Exception:
            logger.exception("stream %s: a history page cannot be written", self._viewer.stream_id)
            self._finish()

    def _finish(self) -> None:
        self._full = self._finished = True
        # A client that reads nothing would keep a closing connection open for ever.
        self._send_timeouts.watch(self._connection)
        self._connection.finish()
