"""Server-sent events out of bytes, however they were cut. Pure: no I/O, no clock.

Lines are split at LF and CR LF only, on bytes: a text split would also cut at U+2028 and U+0085, which are legal inside
a JSON string. A lone CR as a line end (WHATWG HTML, section 9.2.5) is not read: no provider sends it.
"""

from collections.abc import Iterator
from typing import NamedTuple


class Frame(NamedTuple):
    """One event of the provider; `name` is empty for a plain one. `data` may be empty."""

    name: bytes
    data: bytes


class LineTooLongError(ValueError):
    """A line grew beyond the limit without an end."""


class FrameReader:
    """Feed it bytes, take frames. One reader for one response."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames that `received` completes. Must be drained. Raises: LineTooLongError."""
        if b"\n" not in received:
            # Many pieces of one long line are joined once, at its end: joining each time would cost their square.
            self._pieces.append(received)
            self._waiting_bytes += len(received)
            if self._waiting_bytes > self._limit_bytes:
                raise LineTooLongError(f"a line of the provider is longer than {self._limit_bytes} bytes")
            return
        if self._pieces:
            received = b"".join(self._pieces) + received
        *lines, rest = received.split(b"\n")
        self._pieces = [rest] if rest else []
        self._waiting_bytes = len(rest)
        for line in lines:
            frame = self._take(line)
            if frame is not None:
                yield frame

    def end(self) -> Iterator[Frame]:
        """What the end of the response completes: a provider may leave out the last line end, or the blank line."""
        rest = b"".join(self._pieces)
        self._pieces = []
        self._waiting_bytes = 0
        if rest:
            self._take(rest)
        frame = self._take(b"")
        if frame is not None:
            yield frame

    def _take(self, line: bytes) -> Frame | None:
        line = line.removesuffix(b"\r")
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._name = value.removeprefix(b" ")
        return None

    def _dispatch(self) -> Frame | None:
        if not self._data:
            self._name = b""
            return None
        frame = Frame(self._name, b"\n".join(self._data))
        self._name = b""
        self._data = []
        return frame
