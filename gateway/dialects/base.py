"""A dialect: a wire format of a stream. No I/O.

A gateway encodes each event once per dialect, not once per viewer. `registry` lists the dialects.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

SSE_HEADERS: Mapping[str, str] = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # Without `no-transform`, Node servers (Next.js, `compression`) gzip the stream and hold it back.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


class Dialect(Protocol):
    """Encodes one stream. It gets every event in order and may keep state for the following ones.

    A method returns `b""`, and nothing is sent, if the format cannot express the message. The state must consist of
    plain values, because a feed copies a dialect with `copy.deepcopy` to continue from an earlier event.
    """

    headers: Mapping[str, str]
    """The response's headers, including its media type."""

    resumes: bool
    """Whether clients reconnect by themselves and continue from their position."""

    tells_state: bool
    """Whether a `ping` tells the state of the run: then each viewer gets one at once. Else it only breaks a silence."""

    closed: bool
    """Whether the response has ended in this format: nothing more can be sent, even if the run continues."""

    def forget(self) -> None:
        """Resets the state. Called if no viewer has read anything yet: the new epoch begins as if it were the first."""

    def write_event(self, position: bytes, kind: bytes, data: bytes) -> bytes:
        """Encodes one entry of the log."""

    def write_notice(self, kind: bytes, data: bytes) -> bytes:
        """Encodes a notice, which is not in the log: `ping`, `viewers`, `gap`. It must not disturb other events."""

    def write_retry(self, retry_ms: int) -> bytes:
        """Tells the client how long to wait before it reconnects, if the response ends before the stream does.

        A line without an event: it belongs to the event that follows. Clients obey it also if the response ends there.
        """

    def write_break(self, code: str, text: str) -> bytes:
        """Ends a response that the gateway must close early. The run may continue."""

    def write_lost(self, error: Mapping[str, Any]) -> bytes:
        """Ends the response of a stream whose log is lost or deleted: `error`, as in a `done` event, says which."""


NewDialect = Callable[[], Dialect]
