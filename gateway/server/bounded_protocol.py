"""The door to uvicorn's HTTP protocol: bounds what a client may take of us before its request is whole.

uvicorn leaves a head and a body as much time as they like, and a head as much room. Once a request is whole this costs
nothing: no timer runs, and a viewer's response never comes by here.
"""

import asyncio
from enum import Enum, auto
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.http.errors import ApiError
from gateway.server.bounds import (
    HEAD_LIMIT_BYTES,
    HEAD_TOO_LARGE,
    HEADERS_LIMIT,
    MALFORMED,
    TOO_MANY_CONNECTIONS,
    TOO_SLOW,
    URL_LIMIT_BYTES,
    URL_TOO_LONG,
    Bounds,
    write_refusal,
)
from gateway.server.send_timeouts import SendTimeouts

PARTING_S = 1.0
"""How long a client that was refused may take to read why: to close while it still sends would take that away."""
LAST_CALL_S = 1.0
"""How long a connection that has asked for nothing yet is kept when the server ends: a request may be on its way, and
no client sends it again by itself where the connection was new."""


class Phase(Enum):
    """What a connection waits for."""

    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    PARTING = auto()


class _StoppedError(Exception):
    """The parser shall go no further."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's, within bounds."""

    # Not in the instance's dictionary: beyond thirty names Python shares its keys no longer, at each viewer's cost.
    __slots__ = ("_answering", "_bounds", "_deadline", "_phase", "_refusal", "_stalled", "_unparsed_bytes")

    def __init__(self, bounds: Bounds, send_timeouts: SendTimeouts, **theirs: Any) -> None:
        """`stalled` watches clients that do not take their answers. `theirs` is what uvicorn gives to a protocol."""
        super().__init__(**theirs)
        self._bounds = bounds
        self._send_timeouts = send_timeouts
        self._phase = Phase.HEAD
        self._deadline: asyncio.TimerHandle | None = None
        self._refusal = MALFORMED
        self._answering: RequestResponseCycle | None = None
        # Received, and neither a whole head nor content of a body so far.
        self._unparsed_bytes = 0

    # What arrives

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._bounds.connections:
            self.connections.discard(self)
            self._refuse(TOO_MANY_CONNECTIONS)
        else:
            self._set_deadline(self._bounds.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.PARTING:
            return
        self._turn_to_next()
        self._unparsed_bytes += len(data)
        super().data_received(data)
        # The end of a body that was answered before it had come.
        self._turn_to_next()
        if self._phase not in (Phase.HEAD, Phase.BODY):
            return
        if self._unparsed_bytes > HEAD_LIMIT_BYTES:
            # One endless line: of the head, or of what may follow a body.
            self._refuse(HEAD_TOO_LARGE)
        elif self._deadline is None:
            is_head = self._phase is Phase.HEAD
            self._set_deadline(self._bounds.head_timeout_s if is_head else self._bounds.body_timeout_s)

    def _turn_to_next(self) -> None:
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
            # What follows a body is in the same form. A proxy that vouches for headers does not look at it.
            return
        super().on_header(name, value)
        if len(self.headers) > HEADERS_LIMIT:
            self._stop_parsing(HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        if sum(len(name) + len(value) for name, value in self.headers) > HEAD_LIMIT_BYTES:
            self._stop_parsing(HEAD_TOO_LARGE)
        super().on_headers_complete()
        self._phase = Phase.BODY
        self._unparsed_bytes = 0
        self._set_deadline(None)

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = Phase.ANSWER
        self._set_deadline(None)

    def shutdown(self) -> None:
        """The server ends. uvicorn takes a connection whose request is still to come for an idle one."""
        if self._phase is Phase.HEAD and (self.cycle is None or self._unparsed_bytes):
            self._set_deadline(LAST_CALL_S)
        elif self._phase is not Phase.PARTING:
            super().shutdown()

    # Who is too slow, or asks for too much

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._on_late)

    def _on_late(self) -> None:
        self._deadline = None
        if self._phase is Phase.PARTING:
            self.transport.abort()
        elif self.flow.read_paused:
            # It is we who do not take the body.
            self._set_deadline(self._bounds.body_timeout_s)
        elif self._phase is Phase.HEAD and not self._unparsed_bytes:
            self.transport.close()
        else:
            self._refuse(TOO_SLOW)

    def _stop_parsing(self, refusal: ApiError) -> None:
        self._refusal = refusal
        # The parser stops at it, and uvicorn then calls `send_400_response`.
        raise _StoppedError

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the refusal says it better
        self._refuse(self._refusal)

    def _refuse(self, refusal: ApiError) -> None:
        """Says why, if it is this client's turn to be told something, and lets go of it."""
        is_its_turn = self._is_its_turn
        self.pipeline.clear()
        self._end_answering()
        self._phase = Phase.PARTING
        self._set_deadline(None)
        if not is_its_turn:
            self.transport.close()
            return
        self.transport.write(write_refusal(refusal))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._set_deadline(PARTING_S)

    @property
    def _is_its_turn(self) -> bool:
        """Whether what is written now would be read as the answer to what has just come."""
        answering = self._answering
        if answering is None or answering.response_complete:
            return self._phase is Phase.HEAD
        return self._phase is Phase.BODY and answering is self.cycle and not answering.response_started

    def _unsupported_upgrade_warning(self) -> None:
        # It gets its answer, in HTTP/1.1. What it sends after it the parser takes for another protocol.
        self.cycle.keep_alive = False

    # What is answered

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _end_answering(self) -> None:
        """Tells whoever answers that nobody is there. uvicorn tells the newest request alone, which may still wait."""
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        self._answering = None

    @property
    def is_parting(self) -> bool:
        """It was refused, and nothing more is to be said."""
        return self._phase is Phase.PARTING

    def let_go(self) -> None:
        """The answer is somebody else's from now on: nothing is awaited any more."""
        self._answering = None
        self._phase = Phase.ANSWER
        self._set_deadline(None)

    @property
    def unsent_bytes(self) -> int:
        """What the transport holds for a client that does not take it."""
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Drops the connection with all that is unsent."""
        self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.unsent_bytes:
            # A connection is not closed, and the next answer is not begun, before this one is taken. (A stream that is
            # not taken is for those to notice who write it.)
            self._send_timeouts.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._set_deadline(None)
        self._send_timeouts.forget(self)
        self._end_answering()
