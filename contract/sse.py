"""Parses server-sent events: bytes in, frames out (WHATWG HTML, section 9.2.6). No I/O, no clock.

The worker reads providers with it, the client reads gateways. It splits bytes, not text: only LF, CR LF and CR end a
line, while `str.splitlines` would also cut at U+2028 and U+0085, which JSON strings may hold.

The caller decides what happens to an unfinished event at the end of the response. The standard drops it, so that its
`id:` does not move the position: then do not call `end`. If the sender may omit the last line end or the last blank
line, call `end`, which yields the event.
"""

from collections.abc import Iterator
from typing import NamedTuple

FRAME_LIMIT_BYTES = 64 << 20
"""The largest event. No real chunk is nearly as large; the limit stops a sender that never ends a line."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Frame(NamedTuple):
    """One event with its data, which may be empty. `event` is empty if it has no type, `id` is None if it has no id."""

    event: bytes
    data: bytes
    id: bytes | None


class FrameTooLongError(ValueError):
    """An event is larger than the limit."""


class FrameReader:
    """Turns the bytes of one response into frames. `retry_ms`: the server's last `retry:`, or None.

    The limit applies to all lines of an event together, with comments and without line ends.
    """

    def __init__(self, limit_bytes: int = FRAME_LIMIT_BYTES) -> None:
        self.retry_ms: int | None = None
        self._limit_bytes = limit_bytes
        self._start: bytes | None = b""
        """The first bytes while they may be a byte order mark, None afterwards."""
        self._is_after_cr = False
        self._partial_line: list[bytes] = []
        self._partial_bytes = 0
        self._data: list[bytes] = []
        self._event = b""
        self._id: bytes | None = None
        self._event_bytes = 0

    def feed(self, received: bytes) -> Iterator[Frame]:
        """Yields the frames that `received` completes. The bytes may be cut anywhere. Consume all frames.

        Raises: FrameTooLongError, after the frames before that event. The reader cannot be used afterwards.
        """
        if self._start is not None:
            received = self._skip_mark(received)
        lines = self._split_at_cr(received) if self._is_after_cr or b"\r" in received else received.split(b"\n")
        rest = lines.pop()
        if lines and self._partial_line:
            # Join the pieces of a long line once, at its end. Joining at each piece would take quadratic time.
            self._partial_line.append(lines[0])
            lines[0] = b"".join(self._partial_line)
            self._partial_line.clear()
            self._partial_bytes = 0
        data, event_bytes, limit_bytes = self._data, self._event_bytes, self._limit_bytes
        for line in lines:
            event_bytes += len(line)
            # The two usual lines come first: this loop is the worker's hot path.
            if line[:6] == b"data: ":
                data.append(line[6:])
            elif line:
                self._take_field(line)
            else:
                if event_bytes > limit_bytes:
                    raise self._too_long()
                if data:
                    yield Frame(self._event, b"\n".join(data), self._id)
                    data.clear()
                self._event = b""
                self._id = None
                event_bytes = 0
        self._event_bytes = event_bytes
        if rest:
            self._partial_line.append(rest)
            self._partial_bytes += len(rest)
        if event_bytes + self._partial_bytes > limit_bytes:
            raise self._too_long()

    @property
    def is_between_frames(self) -> bool:
        """Whether the bytes so far end with a whole frame. Not before the first bytes."""
        return not (self._event_bytes or self._partial_line or self._is_after_cr) and self._start is None

    def end(self) -> Iterator[Frame]:
        """Yields the last event if the response ended without its line end or its blank line."""
        return self.feed(b"\n\n")

    def _skip_mark(self, received: bytes) -> bytes:
        """Removes a byte order mark at the start of the response. Holds back the first bytes of one."""
        start = (self._start or b"") + received
        if len(start) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(BYTE_ORDER_MARK)

    def _split_at_cr(self, received: bytes) -> list[bytes]:
        """The lines of `received`, of which the last one has not ended. A CR ends its line at once."""
        if self._is_after_cr and received:
            # This LF belongs to a CR LF that was cut in two. It must not end another line.
            received = received.removeprefix(b"\n")
            self._is_after_cr = False
        if received.endswith(b"\r"):
            self._is_after_cr = True
        lines = received.splitlines()
        if not lines or received.endswith((b"\n", b"\r")):
            lines.append(b"")
        return lines

    def _take_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = value
        elif name == b"retry" and value.isdigit():
            self.retry_ms = int(value[:9])

    def _too_long(self) -> FrameTooLongError:
        return FrameTooLongError(f"an event is larger than {self._limit_bytes} bytes")
