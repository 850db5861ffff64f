"""Drops connections whose client reads nothing for the send timeout. One task watches all of them."""

import asyncio
import logging
from typing import Protocol

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """A connection that can stall."""

    @property
    def unsent_bytes(self) -> int: ...

    def abort(self) -> None: ...


class SendTimeouts:
    """A client that reads anything at all, however little, is not stalled."""

    def __init__(self, send_timeout_s: float) -> None:
        self._send_timeout_s = send_timeout_s
        self._seen: dict[Connection, tuple[int, float]] = {}

    def watch(self, connection: Connection) -> None:
        self._seen[connection] = (connection.unsent_bytes, asyncio.get_running_loop().time())

    def forget(self, connection: Connection) -> None:
        self._seen.pop(connection, None)

    def hurry(self, send_timeout_s: float) -> None:
        """Shortens the timeout: the gateway drains and cannot wait for clients that read nothing."""
        self._send_timeout_s = min(self._send_timeout_s, send_timeout_s)

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self._send_timeout_s / 4))
            now = asyncio.get_running_loop().time()
            for connection, (unsent, since) in list(self._seen.items()):
                if connection.unsent_bytes == 0:
                    del self._seen[connection]
                elif connection.unsent_bytes < unsent:
                    self._seen[connection] = (connection.unsent_bytes, now)
                elif now - since >= self._send_timeout_s:
                    logger.info("a client read nothing for %.0f s", now - since)
                    del self._seen[connection]
                    connection.abort()
