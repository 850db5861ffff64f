"""A viewer's response on a connection of its own: the hub's news are written where they are told, without a task.

Sends exactly what sse_response sends, with the same back-pressure: a viewer whose transport is full is left alone until
it is free again, and then gets what it lacks in one piece.
"""

import asyncio
import logging
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import MalformedEventError
from contract.log_redaction import abbreviate
from gateway.fanout.presence import Presence
from gateway.fanout.shared_cursor import SharedCursor
from gateway.fanout.viewer import Viewer
from gateway.server.direct_protocol import EXTENSION, DirectProtocol
from gateway.server.send_timeouts import SendTimeouts

logger = logging.getLogger(__name__)


class DirectResponse(Response):
    """Sends the head, then hands the connection to the viewer and is done."""

    def __init__(
        self, viewer: Viewer, presence: Presence, send_timeouts: SendTimeouts, headers: Mapping[str, str]
    ) -> None:
        super().__init__(headers={**headers, "Connection": "close"})
        del self.headers["content-length"]
        self._viewer = viewer
        self._presence = presence
        self._send_timeouts = send_timeouts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the shape of ASGI
        connection: DirectProtocol = scope["extensions"][EXTENSION]
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        DirectViewer(self._viewer, connection, self._presence, self._send_timeouts).begin()


class DirectViewer:
    """Writes what a viewer is due whenever there is something and the connection takes it."""

    __slots__ = ("_connection", "_cursor", "_finished", "_full", "_page", "_presence", "_send_timeouts", "_viewer")

    def __init__(
        self, viewer: Viewer, connection: DirectProtocol, presence: Presence, send_timeouts: SendTimeouts
    ) -> None:
        self._viewer = viewer
        self._connection = connection
        self._presence = presence
        self._send_timeouts = send_timeouts
        self._full = self._finished = False
        self._page: asyncio.Task[None] | None = None
        self._cursor: SharedCursor | None = None

    def begin(self) -> None:
        # uvloop refuses what is written to a connection that is lost.
        is_lost = self._full = not self._connection.take_over(self)
        self._viewer.wake = self._send
        self._presence.join_stream(self._viewer)
        if is_lost:
            self.on_lost()
        else:
            self._send()

    def on_full(self) -> None:
        self._full = True
        self._leave_shared_cursor()
        self._send_timeouts.watch(self._connection)

    def on_free(self) -> None:
        if self._finished:
            return
        self._full = False
        self._send_timeouts.forget(self._connection)
        self._send()

    def on_lost(self) -> None:
        self._full = self._finished = True
        if self._cursor is not None:
            self._cursor.leave(self)
        self._send_timeouts.forget(self._connection)
        if self._page is not None:
            self._page.cancel()
        self._presence.leave(self._viewer)

    def leave_cursor(self) -> None:
        """A row's: there is more to do for its members than to write."""
        self._send()

    def _leave_shared_cursor(self) -> None:
        cursor, viewer = self._cursor, self._viewer
        if cursor is not None:
            self._cursor = None
            cursor.leave(self)
            viewer.index = cursor.index
            viewer.feed.subscribers.leave_shared_cursor(viewer)

    def _send(self) -> None:
        """Whatever this viewer is due; then it stands with the others who have all."""
        viewer = self._viewer
        self._leave_shared_cursor()
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
                write = self._connection.transport.write
                self._cursor = viewer.feed.subscribers.share_cursor(viewer, self, write, viewer.index)
                return

    async def _send_page(self) -> None:
        try:
            page = await self._viewer.take_page()
            self._page = None
            self._connection.write(page.framed)
            self._send()
        except (BrokerUnavailableError, BrokerRefusedError, MalformedEventError) as error:
            # Old events are in Redis alone. The end of the response makes the viewer come back for them.
            logger.warning("stream %s: %s", abbreviate(self._viewer.stream_id), error)
            self._finish()
        except Exception:
            logger.exception("stream %s: an old page cannot be written", abbreviate(self._viewer.stream_id))
            self._finish()

    def _finish(self) -> None:
        self._full = self._finished = True
        # A client that takes nothing would keep a closing connection open for ever.
        self._send_timeouts.watch(self._connection)
        self._connection.finish()
