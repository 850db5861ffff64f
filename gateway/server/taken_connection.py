"""A connection whose response an object of ours writes, without uvicorn and without a task."""

import asyncio
from collections.abc import Collection
from typing import Any, Protocol

from gateway.server.address_count import AddressCount
from gateway.server.send_timeouts import SendTimeouts


class ConnectionOwner(Protocol):
    """The object that writes the response. No call may block."""

    def on_full(self) -> None:
        """The transport's buffer is full: write nothing until `on_free`."""

    def on_free(self) -> None:
        """The transport accepts more."""

    def on_lost(self) -> None:
        """The connection is closed, or no longer the owner's."""


class NextRequests(Protocol):
    """Reads the requests that follow a response."""

    def wait_on(self, transport: asyncio.Transport, counted_as: str | None) -> None:
        """Makes this one of the server's open connections until it is lost, and reads its next request. `counted_as`:
        the client for which it is already counted."""


class OfferedConnection(Protocol):
    """A connection that waits for a response: the server's extension of a request."""

    @property
    def pipeline(self) -> Collection[object]:
        """The requests that have arrived after this one."""

    def hold_head(self) -> None:
        """Call it before `http.response.start`: the head then goes out with the first bytes of the body."""

    def take_over(self, owner: ConnectionOwner) -> "TakenConnection | None":
        """From now on `owner` writes the body, in chunked coding, and ends it. Call it after `http.response.start`.

        Returns None if the connection is closed already; `on_lost` is then never called.
        """


class TakenConnection(asyncio.Protocol):
    """Replaces the protocol of a connection until the response is complete."""

    __slots__ = (
        "_addresses",
        "_connections",
        "_counted_as",
        "_head",
        "_is_full",
        "_next_requests",
        "_owner",
        "_send_timeouts",
        "transport",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        head: bytes,
        owner: ConnectionOwner,
        send_timeouts: SendTimeouts,
        *,
        connections: set[Any],
        addresses: AddressCount,
        counted_as: str | None,
        next_requests: NextRequests | None,
    ) -> None:
        """`head`, of the response, goes out with the first `write`, at the latest at `release_head`: a write to the
        network is a quarter of what it costs to accept a viewer.

        Until it is lost or given on, it is one of the server's open `connections`. `counted_as`: the client for which
        `addresses` counts it already; None if it does not. `next_requests` gets it after the response; None: it is
        closed.
        """
        self.transport = transport
        self._head = head
        self._owner = owner
        self._send_timeouts = send_timeouts
        self._connections = connections
        self._addresses = addresses
        self._counted_as = counted_as
        self._next_requests = next_requests
        self._is_full = False
        transport.set_protocol(self)
        connections.add(self)

    # For the owner

    def write(self, data: bytes) -> None:
        """`data` in chunked coding."""
        if self._head:
            data, self._head = self._head + data, b""
        self.transport.write(data)

    def release_head(self) -> None:
        if self._head:
            self.write(b"")

    def finish(self) -> None:
        """Ends the body. Everything that is still unsent is sent; then the connection serves the next request, or is
        closed if it cannot. `on_lost` follows."""
        self.write(b"0\r\n\r\n")
        if self._next_requests is None or self._is_full or self.transport.is_closing():
            # Without a timeout, a client that reads nothing keeps a closing connection open for ever.
            self._send_timeouts.watch(self)
            self.transport.close()
            return
        self._connections.discard(self)
        self._send_timeouts.forget(self)
        # Not at once: an owner that has nothing to send finishes while it begins.
        asyncio.get_running_loop().call_soon(self._owner.on_lost)
        self._next_requests.wait_on(self.transport, self._counted_as)

    @property
    def unsent_bytes(self) -> int:
        """Bytes in the transport's buffer that the client has not read."""
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Drops the connection and everything unsent."""
        self.transport.abort()

    def on_all_sent(self) -> None:
        """Nothing follows: the owner goes on writing, or the connection is closing."""

    # For the transport and the server

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it is
        """A client that sends its next request before the end of this response must send it again on another
        connection (RFC 9112, section 9.3.2): to keep it would take memory for each viewer."""
        self._next_requests = None

    def pause_writing(self) -> None:
        self._is_full = True
        self._owner.on_full()

    def resume_writing(self) -> None:
        self._is_full = False
        self._owner.on_free()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - for whatever reason
        self._connections.discard(self)
        if self._counted_as is not None:
            self._addresses.leave(self._counted_as)
        self._send_timeouts.forget(self)
        self._owner.on_lost()

    def shutdown(self) -> None:
        """The owner ends the response when the server shuts down. The next request must go to another server."""
        self._next_requests = None
