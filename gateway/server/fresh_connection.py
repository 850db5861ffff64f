"""A connection until its first request has arrived.

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
        send_timeouts: SendTimeouts,
    ) -> None:
        """`app` is an ASGI application that answers at once, or returns without an answer. It gets plain requests whose
        path the regular expression `path` matches. `protocol` makes what every other connection gets."""
        self.app = app
        self.plain_requests = PlainRequests(path)
        self.protocol = protocol
        self.limits = limits
        self.addresses = addresses
        self.send_timeouts = send_timeouts

    def __call__(self, **uvicorn_arguments: Any) -> "FreshConnection":
        return FreshConnection(self, uvicorn_arguments)


class FreshConnection(asyncio.Protocol):
    """See above. It counts as a connection, and has the time that `RequestLimits` gives to a head."""

    __slots__ = (
        "_answered",
        "_client",
        "_common",
        "_counted_as",
        "_deadline",
        "_head",
        "_server_state",
        "_transport",
        "_uvicorn_arguments",
    )

    pipeline = ()
    """No further request has arrived."""

    _transport: asyncio.Transport

    def __init__(self, common: FreshConnections, uvicorn_arguments: dict[str, Any]) -> None:
        self._common = common
        self._uvicorn_arguments = uvicorn_arguments
        self._server_state = uvicorn_arguments["server_state"]
        self._client: tuple[str, int] | None = None
        self._counted_as: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._answered = False
        self._head = b""

    # For the transport and the server

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        connections = self._server_state.connections
        if len(connections) >= self._common.limits.connections:
            self._hand_over()
            return
        peer = transport.get_extra_info("peername")
        self._client = (peer[0], peer[1]) if peer else None
        counted_as = self._common.addresses.client_of(peer[0]) if peer else None
        if counted_as is not None:
            if not self._common.addresses.enter(counted_as):
                self._hand_over()
                return
            self._counted_as = counted_as
        connections.add(self)
        self._deadline = asyncio.get_running_loop().call_later(self._common.limits.head_timeout_s, transport.close)

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return
        request = self._common.plain_requests.read(data)
        if request is not None:
            self._answer(request)
        if not self._answered:
            self._hand_over(data)

    def shutdown(self) -> None:
        """Called when the server shuts down. The first request may be on the way."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = asyncio.get_running_loop().call_later(NEW_CONNECTION_GRACE_S, self._transport.close)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - for whatever reason
        self._leave()
        self._common.send_timeouts.forget(self)

    def _leave(self) -> None:
        """No longer counts as a connection."""
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
        protocol = self._common.protocol(**self._uvicorn_arguments)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if deadline is not None and not protocol.is_closing:
            protocol.limit_head(deadline.when() - asyncio.get_running_loop().time())
        if data:
            protocol.data_received(data)

    # The answer

    def _answer(self, request: PlainRequest) -> None:
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
        head = self._head + b"transfer-encoding: chunked\r\n\r\n"
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
        )

    @property
    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        self._transport.abort()


async def _receive_nothing() -> Message:
    """The request has no body."""
    return {"type": "http.request", "body": b"", "more_body": False}
