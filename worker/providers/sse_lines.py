"""Parses server-sent events from bytes that are split anywhere. Pure: no I/O, no clock.

Only LF and CR LF end a line. Splitting text would also cut at U+2028 and U+0085, which JSON strings may hold. A lone CR
as a line end (WHATWG HTML, section 9.2.5) is not supported, because no provider sends it.
"""

from collections.abc import Iterator
from typing import NamedTuple


class Frame(NamedTuple):
    """One event. `name` is empty if the event has none; `data` may be empty, too."""

    name: bytes
    data: bytes


class LineTooLongError(ValueError):
    """A line is longer than the limit."""


class FrameReader:
    """Turns the bytes of one response into frames."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> Iterator[Frame]:
        """Yields the frames that `received` completes. Consume all of them. Raises: LineTooLongError."""
        if b"\n" not in received:
            # Join the pieces of a long line once, at its end. Joining at each piece would take quadratic time.
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
        """Yields the last frame at the end of the response, which may lack its line end or its blank line."""
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
