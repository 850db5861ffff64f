"""Turns the bytes of a provider's response into chunks. No I/O.

It parses the raw bytes: the SDK's chunk objects take six times as long and drop vendors' own fields.
"""

import contextlib
import json
from collections.abc import Iterator
from typing import NoReturn, Protocol

from contract.errors import Code, RunFailedError
from contract.event import Chunk
from contract.sse import BYTE_ORDER_MARK, Frame, FrameReader, FrameTooLongError
from worker.providers.chunk_pattern import ChunkPattern, PatternFinder, SimilarChunk
from worker.providers.error_words import is_error
from worker.providers.errors import own_error, streamed_error, text_error
from worker.providers.source import END
from worker.providers.whole_body import WholeBody

FRAME_LIMIT_BYTES = 16 << 20


Decoded = Chunk | SimilarChunk | None


class Decoder(Protocol):
    """Takes the bytes of one response, cut anywhere. Both methods raise RunFailedError if they are not an answer."""

    def feed(self, piece: bytes) -> Iterator[Decoded]:
        """The chunks that `piece` completes. END if the provider has said that they are all; ignore the rest then.
        None for a sign of life: an empty frame."""

    def take(self, piece: bytes) -> bool:
        """Passes the chunks of `piece` to the taker of their pattern at once. Call it only when all chunks before
        have been dealt with. Returns False if that is not possible: `feed` the piece then."""

    def end(self) -> Iterator[Decoded]:
        """The chunks that the end of the response completes."""


class StreamDecoder:
    """Decodes a stream of chunks. A provider may also answer with the whole completion, or with an error, as JSON."""

    def __init__(self) -> None:
        self._reader = FrameReader(FRAME_LIMIT_BYTES)
        self._body = _UnframedBody()
        self._patterns = PatternFinder()

    @property
    def pattern(self) -> ChunkPattern | None:
        """What the next chunk is compared with."""
        return self._patterns.pattern

    def feed(self, piece: bytes) -> Iterator[Decoded]:
        self._body.record(piece)
        try:
            for frame in self._reader.feed(piece):
                self._body.is_framed = True
                pattern = self.pattern
                similar = None if pattern is None or frame.event else pattern.match(frame.data)
                if similar is not None:
                    yield similar
                    continue
                chunk = _parse(frame)
                if chunk is END:
                    self._patterns.pattern = None
                elif chunk:
                    self._patterns.learn(frame.data, chunk)
                yield chunk
        except FrameTooLongError as error:
            _fail(Code.UPSTREAM_INVALID, f"The provider sent too much at once: {error}.")

    def take(self, piece: bytes) -> bool:
        pattern = self.pattern
        if pattern is None or pattern.taker is None or not self._reader.is_between_frames:
            return False
        chunks = pattern.match_frames(piece)
        if not chunks or not pattern.taker(chunks):
            return False
        self._body.record(piece)
        return True

    def end(self) -> Iterator[Decoded]:
        for frame in self._reader.end():
            self._body.is_framed = True
            yield _parse(frame)
        yield from self._body.read()


class BodyDecoder:
    """Decodes the whole body of a pass-through call: pieces, and END."""

    def __init__(self) -> None:
        self._body = WholeBody()

    def feed(self, piece: bytes) -> Iterator[Decoded]:
        yield from self._body.feed(piece)

    def take(self, piece: bytes) -> bool:  # noqa: ARG002 -- a body has no pattern
        return False

    def end(self) -> Iterator[Decoded]:
        yield from self._body.end()
        yield END


class _UnframedBody:
    """What a response contains outside of frames: all of a body that is not an event stream, or an error at the end."""

    def __init__(self) -> None:
        self.is_framed = False
        self._start = bytearray()
        self._last_but_one, self._last = b"", b"\n"

    def record(self, piece: bytes) -> None:
        """Takes the next piece. Raises: RunFailedError if there is too much before the first frame."""
        self._last_but_one, self._last = self._last, piece
        if not self.is_framed:
            self._start += piece
            if len(self._start) > FRAME_LIMIT_BYTES:
                _fail(Code.UPSTREAM_INVALID, "The provider sent too much that is not an answer.")

    def read(self) -> Iterator[Chunk]:
        """The answer in a whole completion, at the end of the response. Raises: RunFailedError for an error."""
        if self.is_framed:
            self._check_last_line()
            return
        lines = bytes(self._start).removeprefix(BYTE_ORDER_MARK).splitlines()
        text = b"\n".join(line for line in lines if line.strip() and not line.startswith(b":"))
        if not text:
            return
        chunk = _parse(Frame(b"", text, None))
        if chunk is None or not chunk.get("choices"):
            _fail(Code.UPSTREAM_INVALID, "The provider sent JSON that is not an answer.")
        yield {**chunk, "object": "chat.completion.chunk"}
        yield END

    def _check_last_line(self) -> None:
        lines = self._last.rstrip().splitlines()
        if not lines or (len(lines) == 1 and not self._last_but_one.endswith((b"\n", b"\r"))):
            # It may be the middle of a line.
            return
        if lines[-1][:1] == b"<":
            raise RunFailedError(text_error(lines[-1].decode(errors="replace")))
        if lines[-1][:1] == b"{":
            with contextlib.suppress(ValueError, RecursionError):
                value = _decode(lines[-1].decode())
                if is_error(value):
                    raise RunFailedError(streamed_error(value))


def _parse(frame: Frame) -> Chunk | None:
    """The chunk of a frame; END for `[DONE]`, None for a frame without data. Raises: RunFailedError for all else."""
    data = frame.data
    if data[:1] != b"{" and (data := data.strip())[:1] != b"{":
        if data == b"[DONE]":
            return END
        if not data and frame.event != b"error":
            # Some providers send an empty frame as a sign of life.
            return None
    try:
        value = _decode(data.decode())
    except (ValueError, RecursionError):
        text = data.decode(errors="replace")
        if frame.event == b"error":
            raise RunFailedError(streamed_error(text)) from None
        if data[:1] in (b"{", b"["):
            _fail(Code.UPSTREAM_INVALID, "The provider sent something that is not JSON.")
        raise RunFailedError(text_error(text)) from None
    if isinstance(value, dict):
        if frame.event == b"error" or (("error" in value or "choices" not in value) and is_error(value)):
            raise RunFailedError(streamed_error(value))
        return value
    if isinstance(value, list) and any(isinstance(one, dict) and is_error(one) for one in value):
        raise RunFailedError(streamed_error(value))
    if isinstance(value, str) and value.strip():
        raise RunFailedError(text_error(value))
    raise RunFailedError(own_error(Code.UPSTREAM_INVALID, "The provider sent JSON that is not a chunk."))


# Python parses NaN and Infinity, which JSON does not have (RFC 8259). Browsers could not parse them.
_decode = json.JSONDecoder(parse_constant=lambda _: None).decode


def _fail(code: Code, message: str) -> NoReturn:
    raise RunFailedError(own_error(code, message))
