"""uvicorn's HTTP protocol with limits: time for the head and the body, sizes, and the number of connections.

uvicorn itself limits neither how long a head or a body takes to arrive nor how large a head is. Theory of operation:

- A connection waits for a HEAD, then for its BODY, and then for the ANSWER of the application. A timer runs only in the
  first two phases, so that a complete request and an open stream cost nothing here.
- A request that breaks a limit gets an error response, unless the client would take it for the answer to another
  request. The connection is then CLOSING: we ignore what it sends, and drop it after CLOSING_TIMEOUT_S.
- `SendTimeouts` drops clients that do not read their responses.
"""

import asyncio
from enum import Enum, auto
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.http.errors import ApiError
from gateway.http.security_log import LIMITS, Kind, SecurityLog
from gateway.server.address_count import AddressCount
from gateway.server.idle_connections import IdleConnections
from gateway.server.request_limits import (
    HEAD_LIMIT_BYTES,
    HEAD_TOO_LARGE,
    HEADERS_LIMIT,
    MALFORMED,
    PIPELINE_LIMIT,
    PIPELINE_TOO_LONG,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_FROM_ADDRESS,
    TOO_SLOW,
    URL_LIMIT_BYTES,
    URL_TOO_LONG,
    RequestLimits,
    write_refusal,
)
from gateway.server.send_timeouts import SendTimeouts

CLOSING_TIMEOUT_S = 1.0
"""How long a refused client has to read the error. If we closed at once while the client still sends, TCP would reset
the connection, and the client would lose the error."""
NEW_CONNECTION_GRACE_S = 1.0
"""How long a connection without a complete request stays open at shutdown. Its first request may be on the way, and
clients do not retry the first request of a connection by themselves."""


class Phase(Enum):
    """What a connection waits for: the request's head or body, the application's answer, or its own end."""

    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    CLOSING = auto()


class _StoppedError(Exception):
    """Raised in a parser callback to stop the parser."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol within `RequestLimits`."""

    # Slots save memory: Python shares the keys of instance dictionaries only up to thirty attributes.
    __slots__ = (
        "_addresses",
        "_answering",
        "_body_bytes",
        "_counted_as",
        "_deadline",
        "_idle",
        "_limits",
        "_phase",
        "_refusal",
        "_security",
        "_send_timeouts",
        "_unparsed_bytes",
    )

    def __init__(
        self,
        limits: RequestLimits,
        addresses: AddressCount,
        idle: IdleConnections,
        send_timeouts: SendTimeouts,
        security: SecurityLog,
        **uvicorn_arguments: Any,
    ) -> None:
        """`addresses` counts all connections of this server, and `idle` has those without a request. `send_timeouts`
        drops clients that do not read their responses."""
        super().__init__(**uvicorn_arguments)
        self._limits = limits
        self._addresses = addresses
        self._idle = idle
        self._counted_as: str | None = None
        self._send_timeouts = send_timeouts
        self._security = security
        self._phase = Phase.HEAD
        self._deadline: asyncio.TimerHandle | None = None
        self._refusal = MALFORMED
        # The request that the application is answering. `cycle` is the newest one: a client may pipeline requests.
        self._answering: RequestResponseCycle | None = None
        # Bytes received that belong neither to a complete head nor to the content of a body.
        self._unparsed_bytes = 0
        # Bytes of the body received since the deadline was set.
        self._body_bytes = 0

    # Receiving

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # First the client's own places: a client that is refused must not cost another one its connection.
        if not self._count_address():
            self._leave()
            self._refuse(TOO_MANY_FROM_ADDRESS)
        elif len(self.connections) > self._limits.connections and not self._idle.make_room():
            self._leave()
            self._refuse(TOO_MANY_CONNECTIONS)
        else:
            self._set_deadline(self._limits.head_timeout_s)

    def limit_head(self, seconds: float) -> None:
        """The head must be complete in so many seconds: the connection is older than this object."""
        self._set_deadline(seconds)

    def _count_address(self) -> bool:
        """Returns False if the client's address has too many connections."""
        client = self._addresses.client_of(self.client[0]) if self.client else None
        if client is None:
            return True
        if not self._addresses.enter(client) and not (self._idle.make_room(client) and self._addresses.enter(client)):
            return False
        self._counted_as = client
        return True

    def _leave(self) -> None:
        """No longer counts as a connection."""
        self._idle.remove(self)
        self.connections.discard(self)
        if self._counted_as is not None:
            self._addresses.leave(self._counted_as)
            self._counted_as = None

    def give_way(self) -> None:
        """As of `IdleConnection`."""
        self._leave()
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.CLOSING:
            return
        self._idle.remove(self)
        self._begin_next_request()
        self._unparsed_bytes += len(data)
        super().data_received(data)
        # This data may have completed a body whose response was already complete.
        self._begin_next_request()
        if self._phase not in (Phase.HEAD, Phase.BODY):
            return
        if self._unparsed_bytes > HEAD_LIMIT_BYTES:
            # An endless line in the head, or in the trailers after a body.
            self._refuse(HEAD_TOO_LARGE)
        elif self._deadline is None:
            is_head = self._phase is Phase.HEAD
            self._set_deadline(self._limits.head_timeout_s if is_head else self._limits.body_timeout_s)

    def _begin_next_request(self) -> None:
        if self._phase is Phase.ANSWER and self.cycle.response_complete:
            self._phase = Phase.HEAD
            self._unparsed_bytes = 0

    def on_message_begin(self) -> None:
        self._phase = Phase.HEAD
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > URL_LIMIT_BYTES:
            self._stop_parsing(URL_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is not Phase.HEAD:
            # A trailer after the body. It must not count as a header, because a trusted proxy does not check trailers.
            return
        # The parser leaves white space at the end, which is no part of the value (RFC 9110, section 5.5).
        super().on_header(name, value.rstrip(b" \t"))
        if len(self.headers) > HEADERS_LIMIT:
            self._stop_parsing(HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        if sum(len(name) + len(value) for name, value in self.headers) > HEAD_LIMIT_BYTES:
            self._stop_parsing(HEAD_TOO_LARGE)
        if len(self.pipeline) >= PIPELINE_LIMIT:
            self._stop_parsing(PIPELINE_TOO_LONG)
        super().on_headers_complete()
        self._phase = Phase.BODY
        self._unparsed_bytes = 0
        self._set_deadline(None)

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = Phase.ANSWER
        self._set_deadline(None)

    def shutdown(self) -> None:
        """Called when the server shuts down. uvicorn would take a connection whose request is still on the way for idle
        and close it."""
        if self._phase is Phase.HEAD and (self.cycle is None or self._unparsed_bytes):
            self._set_deadline(NEW_CONNECTION_GRACE_S)
        elif self._phase is not Phase.CLOSING:
            super().shutdown()

    # Refusing

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._on_timeout)
        self._body_bytes = 0

    def _on_timeout(self) -> None:
        self._deadline = None
        if self._phase is Phase.CLOSING:
            self.transport.abort()
        elif self.flow.read_paused or (self._phase is Phase.BODY and self._body_bytes >= self._limits.body_step_bytes):
            # We have paused reading, so the client is not too slow; or it is sending a large body fast enough.
            self._set_deadline(self._limits.body_timeout_s)
        elif self._phase is Phase.HEAD and not self._unparsed_bytes:
            self.transport.close()
        else:
            self._refuse(TOO_SLOW)

    def _stop_parsing(self, refusal: ApiError) -> None:
        self._refusal = refusal
        # The parser stops at the exception, and uvicorn calls `send_400_response`.
        raise _StoppedError

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the refusal is more precise
        self._refuse(self._refusal)

    def _refuse(self, refusal: ApiError) -> None:
        """Sends the error if the client would take it for the answer to this request, and closes the connection."""
        if refusal.code in LIMITS:
            self._security.note_address(Kind.LIMIT_REACHED, self.client[0] if self.client else "", refusal.code)
        can_answer = self._can_answer
        self.pipeline.clear()
        self._end_answering()
        self._phase = Phase.CLOSING
        self._set_deadline(None)
        if not can_answer:
            self.transport.close()
            return
        self.transport.write(write_refusal(refusal))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._set_deadline(CLOSING_TIMEOUT_S)

    @property
    def _can_answer(self) -> bool:
        """Whether the client would take a response that we write now for the answer to the request arriving now."""
        answering = self._answering
        if answering is None or answering.response_complete:
            return self._phase is Phase.HEAD
        return self._phase is Phase.BODY and answering is self.cycle and not answering.response_started

    def _unsupported_upgrade_warning(self) -> None:
        # We answer in HTTP/1.1. Close after it, because the parser takes everything that follows for another protocol.
        self.cycle.keep_alive = False

    # Responding

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _end_answering(self) -> None:
        """Tells the application that the client of the request it is answering has disconnected. uvicorn tells only the
        newest request."""
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        self._answering = None

    @property
    def is_closing(self) -> bool:
        """Whether the connection was refused and must not be written to."""
        return self._phase is Phase.CLOSING

    def release(self) -> None:
        """Another object writes the response from now on: ends the phases and their timer."""
        self._answering = None
        self._phase = Phase.ANSWER
        self._set_deadline(None)

    @property
    def unsent_bytes(self) -> int:
        """Bytes in the transport's buffer that the client has not read."""
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Drops the connection and everything unsent."""
        self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.unsent_bytes:
            # The connection stays open, and the next response waits, until the client has read this one. (The owner of
            # a connection that was taken over watches it itself.)
            self._send_timeouts.watch(self)
        else:
            self.on_all_sent()

    def on_all_sent(self) -> None:
        """The connection is idle from now on, unless a request has come meanwhile."""
        if self._phase is Phase.ANSWER and self.cycle.response_complete and not self.transport.is_closing():
            self._idle.add(self, self._counted_as)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # uvicorn's timer would keep a connection that was reset, and its last request, in memory.
        self._unset_keepalive_if_required()
        self._leave()
        self._set_deadline(None)
        self._send_timeouts.forget(self)
        self._end_answering()
