"""A connection that a response can take over and write to directly.

An ASGI server may offer extensions under `scope["extensions"]` (ASGI specification, "Extensions"). This one offers the
connection: a response that takes it over writes without a task of its own. Under other servers the key is missing.
"""

import asyncio
from typing import Any

from gateway.http.security_log import SecurityLog
from gateway.server.address_count import AddressCount
from gateway.server.bounded_protocol import BoundedProtocol, Phase
from gateway.server.idle_connections import IdleConnections
from gateway.server.request_limits import RequestLimits
from gateway.server.send_timeouts import SendTimeouts
from gateway.server.taken_connection import ConnectionOwner, NextRequests, TakenConnection

EXTENSION = "manycast.connection"


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

    __slots__ = ("_held_head", "_next_requests")

    def __init__(
        self,
        limits: RequestLimits,
        addresses: AddressCount,
        idle: IdleConnections,
        send_timeouts: SendTimeouts,
        security: SecurityLog,
        *,
        next_requests: NextRequests | None,
        **uvicorn_arguments: Any,
    ) -> None:
        """As of the base class. `next_requests` gets the connection after a response that took it over.
        None: it is closed."""
        super().__init__(limits, addresses, idle, send_timeouts, security, **uvicorn_arguments)
        self._next_requests = next_requests
        self._held_head: _HeldHead | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self}  # type: ignore[dict-item]

    def hold_head(self) -> None:
        """As of `OfferedConnection`."""
        self._held_head = self.cycle.transport = _HeldHead(self.transport)  # type: ignore[assignment]

    def take_over(self, owner: ConnectionOwner) -> TakenConnection | None:
        """As of `OfferedConnection`."""
        # uvicorn must not complain that this response is incomplete.
        self.cycle.disconnected = True
        if self.is_closing or self.transport.is_closing():
            return None
        # The rest of a body, or of a request that was pipelined, would be taken for the head of the next request.
        is_request_over = self._phase is Phase.ANSWER and not self.pipeline
        next_requests = self._next_requests if self.cycle.keep_alive and is_request_over else None
        # While reading is paused, the transport does not notice that the client disconnects.
        self.flow.resume_reading()
        self.release()
        # An earlier response of this connection may not have been read yet. From now on, the owner watches for that.
        self._send_timeouts.forget(self)
        head = self._held_head.written if self._held_head is not None else b""
        self.connections.discard(self)
        taken = TakenConnection(
            self.transport,
            head,
            owner,
            self._send_timeouts,
            connections=self.connections,
            addresses=self._addresses,
            counted_as=self._counted_as,
            next_requests=next_requests,
        )
        # What refers to this object would keep it, and the request, in memory.
        self.cycle = None  # type: ignore[assignment]
        self.scope = None  # type: ignore[assignment]
        self.parser = None  # type: ignore[assignment]
        return taken
