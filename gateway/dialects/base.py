"""What a dialect is: the wire form of a stream for those who asked for it. Pure: no I/O.

Each event is written once per dialect and gateway, not per viewer. `registry` lists the dialects.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, Self

SSE_HEADERS: Mapping[str, str] = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # `no-transform`: Node servers (Next.js, `compression`) would otherwise gzip the stream and hold it back.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


class Dialect(Protocol):
    """Writes one stream. It is given every event in order and may remember what it needs for the next ones.

    Whatever a dialect has no words for is `b""`: nothing is sent then.
    """

    headers: Mapping[str, str]
    """Of the response, its media type among them."""

    resumes: bool
    """Whether its viewers come back by themselves, with a position: then an end of the response is not the end."""

    closed: bool
    """It has said all that it ever can, whatever the run still does."""

    def copy(self) -> Self:
        """One that goes on from here by itself."""

    def forget(self) -> None:
        """Nobody has read what was written so far, and nobody will: a new epoch begins as if it were the first."""

    def write_event(self, position: bytes, kind: bytes, data: bytes) -> bytes:
        """An entry of the log."""

    def write_note(self, kind: bytes, data: bytes) -> bytes:
        """What stands in no log: `ping`, `viewers`, `gap`. It must not disturb the events around it."""

    def write_retry(self, retry_ms: int) -> bytes:
        """How long the viewer waits before it comes back, should this response end without the stream's end."""

    def write_break(self, code: str, text: str) -> bytes:
        """The last words of a gateway that must end this response, while the run may go on."""

    def write_lost(self) -> bytes:
        """The end of a stream whose log is gone."""


NewDialect = Callable[[], Dialect]
