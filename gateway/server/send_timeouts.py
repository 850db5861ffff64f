"""Drops connections whose client has read nothing for the send timeout. One task watches all of them."""

import asyncio
import logging
from typing import Protocol

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """A connection whose client may stop reading."""

    @property
    def unsent_bytes(self) -> int: ...

    def abort(self) -> None: ...

    def on_all_sent(self) -> None:
        """The client has read everything. The connection is no longer watched."""


class SendTimeouts:
    """Watches connections with unsent bytes. A client that reads anything, however little, keeps its connection."""

    def __init__(self, send_timeout_s: float) -> None:
        self._send_timeout_s = send_timeout_s
        # Each connection's unsent bytes, and the time (in seconds of the loop's clock) at which they last became fewer.
        self._seen: dict[Connection, tuple[int, float]] = {}

    def watch(self, connection: Connection) -> None:
        self._seen[connection] = (connection.unsent_bytes, asyncio.get_running_loop().time())

    def forget(self, connection: Connection) -> None:
        self._seen.pop(connection, None)

    def shorten(self, send_timeout_s: float) -> None:
        """Lowers the timeout to `send_timeout_s`: a gateway that drains cannot wait for clients that read nothing."""
        self._send_timeout_s = min(self._send_timeout_s, send_timeout_s)

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self._send_timeout_s / 4))
            now = asyncio.get_running_loop().time()
            for connection, (unsent, since) in list(self._seen.items()):
                if connection.unsent_bytes == 0:
                    del self._seen[connection]
                    connection.on_all_sent()
                elif connection.unsent_bytes < unsent:
                    self._seen[connection] = (connection.unsent_bytes, now)
                elif now - since >= self._send_timeout_s:
                    logger.info("a client read nothing for %.0f s", now - since)
                    del self._seen[connection]
                    connection.abort()
