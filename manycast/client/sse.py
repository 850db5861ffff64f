"""Parses server-sent events: bytes in, frames out (WHATWG HTML, section 9.2.6). No I/O, no clock.

Not a client: it knows neither connections nor what our events mean.
"""

import codecs
from typing import NamedTuple

FRAME_LIMIT_CHARS = 64 << 20
"""The longest frame: far above a provider's chunk, far below an endless line."""

UNNAMED_EVENT = "message"
"""The standard's type of an event that names none. Manycast sends no such event."""


class FrameTooLongError(ValueError):
    """A frame exceeded the limit."""


class Frame(NamedTuple):
    """One dispatched event. `id` is None if the frame has none: the position stays."""

    event: str
    data: str
    id: str | None


class FrameReader:
    """Feed it pieces of any size; it returns the complete frames.

    A frame that is cut off by the end of the response is never given back, as the standard demands: its
    `id:` must not move the cursor. `retry_ms` is what the server asked for last, None until it did.
    """

    def __init__(self, limit_chars: int = FRAME_LIMIT_CHARS) -> None:
        self.retry_ms: int | None = None
        self._limit_chars = limit_chars
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._at_start = True
        self._after_cr = False
        self._partial_line: list[str] = []
        self._pending_chars = 0
        self._event = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, piece: bytes) -> list[Frame]:
        """Raises: FrameTooLongError; the reader cannot be used after that."""
        text = self._decoder.decode(piece)
        self._pending_chars += len(text)
        frames: list[Frame] = []
        for line in self._take_lines(text):
            if line:
                self._take_field(line)
            else:
                self._dispatch(frames)
        if self._pending_chars > self._limit_chars:
            raise FrameTooLongError(f"an event is longer than {self._limit_chars} characters")
        return frames

    def _take_lines(self, text: str) -> list[str]:
        """The lines that `text` completes. Lines end with LF, CR LF or CR only; U+2028 is text."""
        if self._at_start and text:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        if self._after_cr and text:
            # The CR has ended the line; the LF of a CR LF that was cut in two must not end another.
            self._after_cr = False
            text = text.removeprefix("\n")
        if text.endswith("\r"):
            self._after_cr = True
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        first, *others = text.split("\n")
        self._partial_line.append(first)
        if not others:
            return []
        lines = ["".join(self._partial_line), *others[:-1]]
        self._partial_line = [others[-1]]
        return lines

    def _take_field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value[:9])

    def _dispatch(self, frames: list[Frame]) -> None:
        if self._data:
            frames.append(Frame(self._event or UNNAMED_EVENT, "\n".join(self._data), self._id))
        self._event, self._data, self._id = "", [], None
        self._pending_chars = len(self._partial_line[0])
