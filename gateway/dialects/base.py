"""A dialect: the wire format of a stream that a viewer asked for. No I/O.

Each event is encoded once per dialect and gateway, not per viewer. `registry` lists the dialects.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

SSE_HEADERS: Mapping[str, str] = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # `no-transform`: Node servers (Next.js, `compression`) would otherwise gzip the stream and hold it back.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


class Dialect(Protocol):
    """Encodes one stream. It gets every event in order and may keep state for the following ones.

    A method returns `b""` if the format has no way to say it: nothing is sent then. The state is plain values: a feed
    copies a dialect with `copy.deepcopy` to continue from an earlier event.
    """

    headers: Mapping[str, str]
    """The response's headers, including its media type."""

    resumes: bool
    """Whether clients reconnect by themselves with their position, so that the end of a response is not the end."""

    tells_state: bool
    """Whether a `ping` tells the state of the run: then each viewer gets one at once. Else it only breaks a silence."""

    closed: bool
    """Whether the format can say nothing more, whatever the run still does."""

    def forget(self) -> None:
        """No viewer has read anything so far: the new epoch begins as if it were the first."""

    def write_event(self, position: bytes, kind: bytes, data: bytes) -> bytes:
        """Encodes one entry of the log."""

    def write_notice(self, kind: bytes, data: bytes) -> bytes:
        """Encodes a notice, which is not in the log: `ping`, `viewers`, `gap`. It must not disturb other events."""

    def write_retry(self, retry_ms: int) -> bytes:
        """Tells the client how long to wait before it reconnects, if the response ends before the stream does.

        A line without an event: it belongs to the event that follows. Clients obey it also if the response ends there.
        """

    def write_break(self, code: str, text: str) -> bytes:
        """The end of a response that the gateway must close, while the run may go on."""

    def write_lost(self) -> bytes:
        """The end of a stream whose log is lost."""


NewDialect = Callable[[], Dialect]
