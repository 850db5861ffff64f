"""A connection until its first request has arrived, and again after a streamed answer.

When many viewers join at once, most of the time goes into what uvicorn makes for each connection and request: a parser,
a task, events. A plain request that can be answered without waiting needs none of them. Every other request goes to
`DirectProtocol`, which then replaces this object, and so does a connection that something is unusual about.
"""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message

from gateway.server.address_count import AddressCount
from gateway.server.bounded_protocol import NEW_CONNECTION_GRACE_S
from gateway.server.direct_protocol import EXTENSION, DirectProtocol
from gateway.server.idle_connections import IdleConnections
from gateway.server.plain_request import PlainRequest, PlainRequests
from gateway.server.request_limits import RequestLimits
from gateway.server.send_timeouts import SendTimeouts
from gateway.server.taken_connection import ConnectionOwner, TakenConnection

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}

logger = logging.getLogger(__name__)


class FreshConnections:
    """Makes them: uvicorn's `http` option."""

    def __init__(
        self,
        app: ASGIApp,
        path: bytes,
        *,
        protocol: Callable[..., DirectProtocol],
        limits: RequestLimits,
        addresses: AddressCount,
        idle: IdleConnections,
        send_timeouts: SendTimeouts,
    ) -> None:
        """`app` is an ASGI application that answers at once, or returns without an answer. It gets plain requests whose
        path the regular expression `path` matches. `protocol` makes what every other connection gets."""
        self.app = app
        self.plain_requests = PlainRequests(path)
        self.protocol = protocol
        self.limits = limits
        self.addresses = addresses
        self.idle = idle
        self.send_timeouts = send_timeouts
        self.uvicorn_arguments: dict[str, Any] = {}

    def __call__(self, **uvicorn_arguments: Any) -> "FreshConnection":
        # The same for each connection of a server.
        self.uvicorn_arguments = uvicorn_arguments
        return FreshConnection(self)

    def wait_on(self, transport: asyncio.Transport, counted_as: str | None) -> None:
        """As of `NextRequests`."""
        FreshConnection(self).wait_on(transport, counted_as)


class FreshConnection(asyncio.Protocol):
    """See above. It counts as a connection. A new one has the time that `RequestLimits` gives to a head, a kept one has
    uvicorn's `timeout_keep_alive` until the first byte comes."""

    __slots__ = (
        "_answered",
        "_client",
        "_common",
        "_counted_as",
        "_deadline",
        "_head",
        "_is_kept",
        "_is_last",
        "_server_state",
        "_transport",
    )

    pipeline = ()
    """No further request has arrived."""

    _transport: asyncio.Transport

    def __init__(self, common: FreshConnections) -> None:
        self._common = common
        self._server_state = common.uvicorn_arguments["server_state"]
        self._client: tuple[str, int] | None = None
        self._counted_as: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_kept = False
        # Whether the connection is closed after the answer.
        self._is_last = False
        self._answered = False
        self._head = b""

    # For the transport and the server

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._begin(transport)
        if len(self._server_state.connections) >= self._common.limits.connections:
            self._hand_over()
            return
        counted_as = self._common.addresses.client_of(self._client[0]) if self._client else None
        if counted_as is not None:
            if not self._common.addresses.enter(counted_as):
                self._hand_over()
                return
            self._counted_as = counted_as
        self._wait(self._common.limits.head_timeout_s)

    def wait_on(self, transport: asyncio.Transport, counted_as: str | None) -> None:
        """Instead of `connection_made`: the connection has had an answer, and its places."""
        self._begin(transport)
        self._counted_as, self._is_kept = counted_as, True
        transport.set_protocol(self)
        self._wait(self._common.uvicorn_arguments["config"].timeout_keep_alive)
        if self.unsent_bytes:
            # Without a timeout, a client that reads nothing keeps the connection open for ever.
            self._common.send_timeouts.watch(self)
        else:
            self.on_all_sent()

    def on_all_sent(self) -> None:
        """A kept connection is idle from now on."""
        if self._is_kept and not self._transport.is_closing():
            self._common.idle.add(self, self._counted_as)

    def give_way(self) -> None:
        """As of `IdleConnection`."""
        self._leave()
        self._transport.close()

    def _begin(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._client = (peer[0], peer[1]) if peer else None

    def _wait(self, seconds: float) -> None:
        self._server_state.connections.add(self)
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._transport.close)

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return
        self._common.idle.remove(self)
        request = self._common.plain_requests.read(data)
        if request is not None:
            self._answer(request)
        if not self._answered:
            self._hand_over(data)

    def shutdown(self) -> None:
        """Called when the server shuts down. The first request may be on the way; clients repeat a later one."""
        if self._is_kept:
            self._transport.close()
        elif self._deadline is not None:
            self._deadline.cancel()
            self._deadline = asyncio.get_running_loop().call_later(NEW_CONNECTION_GRACE_S, self._transport.close)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - for whatever reason
        self._leave()

    def _leave(self) -> None:
        """No longer counts as a connection, and is no longer watched."""
        self._common.send_timeouts.forget(self)
        self._common.idle.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._server_state.connections.discard(self)
        if self._counted_as is not None:
            self._common.addresses.leave(self._counted_as)
            self._counted_as = None

    def _hand_over(self, data: bytes = b"") -> None:
        """`DirectProtocol` gets the connection, as if it were new, and `data`, which has arrived on it."""
        deadline = self._deadline
        self._leave()
        protocol = self._common.protocol(next_requests=self._common, **self._common.uvicorn_arguments)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if deadline is not None and not self._is_kept and not protocol.is_closing:
            protocol.limit_head(deadline.when() - asyncio.get_running_loop().time())
        if data:
            protocol.data_received(data)

    # The answer

    def _answer(self, request: PlainRequest) -> None:
        self._is_last = request.is_last
        path = request.path.decode()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": None,
            "client": self._client,
            "scheme": "http",
            "method": "GET",
            "root_path": "",
            "path": path,
            "raw_path": request.path,
            "query_string": b"",
            "headers": request.headers,
            "state": {},
            "extensions": {EXTENSION: self},
        }
        answering = self._common.app(scope, _receive_nothing, self._send)
        try:
            # Runs the application until it waits for something. It never does, so that it needs no task.
            answering.send(None)  # type: ignore[attr-defined]
        except StopIteration:
            return
        except Exception:
            logger.exception("cannot answer a request at once")
        else:
            logger.error("the application waits, although it must answer at once")
            answering.close()  # type: ignore[attr-defined]
        if self._answered:
            self._transport.abort()

    async def _send(self, message: Message) -> None:
        """Takes the messages of a response. One that nobody takes over is complete at once, and ends the connection."""
        if message["type"] == "http.response.start":
            fields = [*self._server_state.default_headers, *message["headers"]]
            self._head = _STATUS_LINES[message["status"]] + b"".join([b"%b: %b\r\n" % field for field in fields])
        elif message["type"] == "http.response.body" and not self._answered:
            self._answered = True
            self._transport.write(b"%bconnection: close\r\n\r\n%b" % (self._head, message["body"]))
            self._transport.close()
            self._common.send_timeouts.watch(self)

    def hold_head(self) -> None:
        """Does nothing: the head goes out with the first bytes of the body anyway."""

    def take_over(self, owner: ConnectionOwner) -> TakenConnection | None:
        """As of `OfferedConnection`."""
        self._answered = True
        if self._transport.is_closing():
            return None
        close = b"connection: close\r\n" if self._is_last else b""
        head = b"%b%btransfer-encoding: chunked\r\n\r\n" % (self._head, close)
        next_requests = None if self._is_last else self._common
        counted_as, self._counted_as = self._counted_as, None
        self._leave()
        return TakenConnection(
            self._transport,
            head,
            owner,
            self._common.send_timeouts,
            connections=self._server_state.connections,
            addresses=self._common.addresses,
            counted_as=counted_as,
            next_requests=next_requests,
        )

    @property
    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        self._transport.abort()


async def _receive_nothing() -> Message:
    """The request has no body."""
    return {"type": "http.request", "body": b"", "more_body": False}
