"""A connection that a response can take over and write to directly.

An ASGI server may offer extensions under `scope["extensions"]` (ASGI specification, "Extensions"). This one offers the
connection: a response that takes it over writes without a task of its own. Under other servers the key is missing.
"""

import asyncio
from collections import deque
from typing import Any, Protocol

from gateway.http.security_log import SecurityLog
from gateway.server.address_count import AddressCount
from gateway.server.bounded_protocol import BoundedProtocol
from gateway.server.request_limits import RequestLimits
from gateway.server.send_timeouts import SendTimeouts

EXTENSION = "manycast.connection"

# All connections that were taken over share these two. A pair for each would be a third of a viewer's memory.
_NO_HEADERS: list[tuple[bytes, bytes]] = []
_NO_REQUESTS: deque[Any] = deque(maxlen=0)


class ConnectionOwner(Protocol):
    """The object that has taken over a connection. No call may block."""

    def on_full(self) -> None:
        """The transport's buffer is full: write nothing until `on_free`."""

    def on_free(self) -> None:
        """The transport accepts more."""

    def on_lost(self) -> None:
        """The connection is closed."""


class _HeldHead:
    """Stands in for the transport while uvicorn writes a head."""

    __slots__ = ("close", "written")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.written = b""
        self.close = transport.close

    def write(self, data: bytes) -> None:
        self.written += data


class DirectProtocol(BoundedProtocol):
    """Behaves as `BoundedProtocol` until a response takes over the connection."""

    __slots__ = ("_held_head", "_owner")

    def __init__(
        self,
        limits: RequestLimits,
        addresses: AddressCount,
        send_timeouts: SendTimeouts,
        security: SecurityLog,
        **uvicorn_arguments: Any,
    ) -> None:
        super().__init__(limits, addresses, send_timeouts, security, **uvicorn_arguments)
        self._owner: ConnectionOwner | None = None
        self._held_head: _HeldHead | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self}  # type: ignore[dict-item]

    def hold_head(self) -> None:
        """Call it before `http.response.start`. The head then goes out with the owner's first `write`, at the latest at
        `release_head`: a write to the network is a quarter of what it costs to accept a viewer."""
        self._held_head = self.cycle.transport = _HeldHead(self.transport)  # type: ignore[assignment]

    def release_head(self) -> None:
        if self._held_head is not None:
            self.write(b"")

    def take_over(self, owner: ConnectionOwner) -> bool:
        """From now on `owner` writes the body, in chunked coding, and ends it. Call it after `http.response.start`.

        Returns False if the connection is closed already; `on_lost` is then never called.

        Frees the request, which is most of the memory of an open response.
        """
        if self.is_closing:
            return False
        self._owner = owner
        self.release()
        # While reading is paused, the transport does not notice that the client disconnects.
        self.flow.resume_reading()
        # At shutdown, uvicorn must not wait for the end of a response that it no longer writes.
        self.cycle.disconnected = True
        self.cycle = None  # type: ignore[assignment]
        self.scope = None  # type: ignore[assignment]
        self.parser = None  # type: ignore[assignment]
        self.flow = None  # type: ignore[assignment]
        self.headers = _NO_HEADERS
        self.pipeline = _NO_REQUESTS
        self.url = b""
        self.client = self.server = None
        return not self.transport.is_closing()

    def write(self, data: bytes) -> None:
        if self._held_head is not None:
            data, self._held_head = self._held_head.written + data, None
        self.transport.write(data)

    def finish(self) -> None:
        """Ends the body and closes the connection, after sending everything that is still unsent."""
        self.write(b"0\r\n\r\n")
        self.transport.close()

    def shutdown(self) -> None:
        # uvicorn would take a connection without a request for idle and close it. Its owner ends it.
        if self._owner is None:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        # The response says `Connection: close`: ignore everything after the request (RFC 9112, section 9.6).
        if self._owner is None:
            super().data_received(data)

    def pause_writing(self) -> None:
        if self._owner is None:
            super().pause_writing()
        else:
            self._owner.on_full()

    def resume_writing(self) -> None:
        if self._owner is None:
            super().resume_writing()
        else:
            self._owner.on_free()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._owner is not None:
            self._owner.on_lost()
