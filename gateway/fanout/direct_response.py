"""Writes a viewer's events straight to its connection whenever its feed notifies it, without a task for each viewer.

Sends the same bytes as sse_response, with the same back-pressure: writes nothing while the viewer's transport is full,
and then everything that the viewer lacks, in one write.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import lru_cache

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import MalformedEventError
from gateway.fanout.local_viewers import LocalViewers
from gateway.fanout.watcher import Watcher
from gateway.server.direct_protocol import EXTENSION
from gateway.server.send_timeouts import SendTimeouts
from gateway.server.taken_connection import OfferedConnection, TakenConnection

logger = logging.getLogger(__name__)


class DirectResponse(Response):
    """Sends the head, hands the connection to a `DirectViewer`, and returns."""

    def __init__(
        self, watcher: Watcher, local_viewers: LocalViewers, send_timeouts: SendTimeouts, headers: Mapping[str, str]
    ) -> None:
        # The base class would encode a body and its length.
        self.status_code, self.background = 200, None
        # Middleware adds to the list.
        self.raw_headers = [*_encode_headers(tuple(headers.items()))]
        self._watcher = watcher
        self._local_viewers = local_viewers
        self._send_timeouts = send_timeouts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        connection: OfferedConnection = scope["extensions"][EXTENSION]
        connection.hold_head()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        DirectViewer(self._watcher, self._local_viewers, self._send_timeouts).begin(connection)


@lru_cache(maxsize=16)
def _encode_headers(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    """Nearly all responses have the same."""
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]


class DirectViewer:
    """Writes a viewer's events whenever there are some and the connection accepts them."""

    __slots__ = ("_connection", "_finished", "_full", "_local_viewers", "_page_task", "_send_timeouts", "_watcher")

    _connection: TakenConnection
    """Missing if the connection was lost before the viewer began."""

    def __init__(self, watcher: Watcher, local_viewers: LocalViewers, send_timeouts: SendTimeouts) -> None:
        self._watcher = watcher
        self._local_viewers = local_viewers
        self._send_timeouts = send_timeouts
        self._full = self._finished = False
        self._page_task: asyncio.Task[None] | None = None

    def begin(self, connection: OfferedConnection) -> None:
        taken = connection.take_over(self)
        if taken is None:
            # Treat a lost connection as full, so that nothing is written to it: uvloop would raise an error.
            self._full = True
            self._local_viewers.join(self._watcher, self._send)
            self.on_lost()
            return
        self._connection = taken
        self._local_viewers.join(self._watcher, self._send)
        taken.release_head()

    def on_full(self) -> None:
        self._full = True
        self._watcher.leave_shared_cursor()
        self._send_timeouts.watch(self._connection)

    def on_free(self) -> None:
        if self._finished:
            return
        self._full = False
        self._send_timeouts.forget(self._connection)
        self._send()

    def on_lost(self) -> None:
        self._full = self._finished = True
        self._watcher.leave_shared_cursor()
        if self._page_task is not None:
            self._page_task.cancel()
        self._local_viewers.leave(self._watcher)

    def _send(self) -> None:
        """Writes everything that the viewer lacks; then lets it share a cursor with the other viewers."""
        watcher = self._watcher
        watcher.leave_shared_cursor()
        while not self._full and self._page_task is None:
            if watcher.is_behind:
                self._page_task = asyncio.get_running_loop().create_task(self._send_page())
                return
            due = watcher.take()
            if due is not None:
                self._connection.write(due.framed)
            elif watcher.finished:
                self._finish()
            else:
                watcher.share_cursor(self._connection.transport.write)
                return

    async def _send_page(self) -> None:
        try:
            page = await self._watcher.take_page()
            self._page_task = None
            self._connection.write(page.framed)
            self._send()
        except (BrokerUnavailableError, BrokerRefusedError, MalformedEventError) as error:
            # Only Redis has the old events. End the response, so that the client reconnects and asks for them again.
            logger.warning("stream %s: %s", self._watcher.name, error)
            self._finish()
        except Exception:
            logger.exception("stream %s: cannot send a history page", self._watcher.name)
            self._finish()

    def _finish(self) -> None:
        self._full = self._finished = True
        self._connection.finish()
