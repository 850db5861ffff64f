"""Connections that take nothing: watched by one task, and dropped after the send timeout."""

import asyncio
import logging
from typing import Protocol

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """What can stall."""

    @property
    def unsent_bytes(self) -> int: ...

    def abort(self) -> None: ...


class SendTimeouts:
    """A client that takes anything at all, however little, is not stalled."""

    def __init__(self, send_timeout_s: float) -> None:
        self._send_timeout_s = send_timeout_s
        self._seen: dict[Connection, tuple[int, float]] = {}

    def watch(self, connection: Connection) -> None:
        self._seen[connection] = (connection.unsent_bytes, asyncio.get_running_loop().time())

    def forget(self, connection: Connection) -> None:
        self._seen.pop(connection, None)

    def hurry(self, send_timeout_s: float) -> None:
        """From now on they have no more than this: the gateway drains, and cannot wait for those who take nothing."""
        self._send_timeout_s = min(self._send_timeout_s, send_timeout_s)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self._send_timeout_s / 4))
            now = asyncio.get_running_loop().time()
            for connection, (unsent, since) in list(self._seen.items()):
                if connection.unsent_bytes == 0:
                    del self._seen[connection]
                elif connection.unsent_bytes < unsent:
                    self._seen[connection] = (connection.unsent_bytes, now)
                elif now - since >= self._send_timeout_s:
                    logger.info("a client took nothing for %.0f s", now - since)
                    del self._seen[connection]
                    connection.abort()
