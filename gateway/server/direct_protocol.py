"""A connection that can be handed to a viewer.

An ASGI application may use what its server offers under `scope["extensions"]` (ASGI specification, "Extensions"). Ours
offers the connection: whoever takes it writes to it without a task of its own. On any other server the key is missing.
"""

from collections import deque
from typing import Any, Protocol

from gateway.server.bounded_protocol import BoundedProtocol
from gateway.server.bounds import Bounds
from gateway.server.send_timeouts import SendTimeouts

EXTENSION = "manycast.connection"

# What each connection that was taken over has in common: two empty queues of its own are a third of a viewer's memory.
_NO_HEADERS: list[tuple[bytes, bytes]] = []
_NO_REQUESTS: deque[Any] = deque(maxlen=0)


class ConnectionOwner(Protocol):
    """What holds a connection. None of these calls may wait."""

    def on_full(self) -> None:
        """The transport has more than enough to send; write nothing until `on_free`."""

    def on_free(self) -> None:
        """The transport takes more."""

    def on_lost(self) -> None:
        """The connection is gone."""


class DirectProtocol(BoundedProtocol):
    """uvicorn's, until a response takes the connection over."""

    __slots__ = ("_holder",)

    def __init__(self, bounds: Bounds, send_timeouts: SendTimeouts, **theirs: Any) -> None:
        super().__init__(bounds, send_timeouts, **theirs)
        self._owner: ConnectionOwner | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self}  # type: ignore[dict-item]

    def take_over(self, owner: ConnectionOwner) -> bool:
        """From now on `holder` writes the body, in chunked coding, and ends it. Only after `http.response.start`.

        False: it is lost already, and nobody will be told again.

        The request is let go: that is most of what an open response costs in memory.
        """
        if self.is_parting:
            return False
        self._owner = owner
        self.let_go()
        # A client that is still sending would never be seen to leave.
        self.flow.resume_reading()
        # So that uvicorn does not miss the end of a response which is no longer its own.
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
        self.transport.write(data)

    def finish(self) -> None:
        """Ends the body; what is still unsent goes first."""
        self.transport.write(b"0\r\n\r\n")
        self.transport.close()

    def shutdown(self) -> None:
        # The server drains, and takes a connection without a request of its own for an idle one.
        if self._owner is None:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        # The response says `Connection: close`: whatever follows the request is not for us (RFC 9112, section 9.6).
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
