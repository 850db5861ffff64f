"""Turns the body of a response into pieces for the log. No I/O.

A pass-through call hands the provider's JSON on as it is. It may have tens of megabytes, so it is not parsed, unless it
is small: then it may be an error.
"""

import codecs
import json
from collections.abc import Iterator

from contract.errors import Code, RunFailedError
from contract.event import Chunk
from worker.providers.error_words import is_error
from worker.providers.errors import own_error, streamed_error, text_error

PIECE_LIMIT_BYTES = 64 << 10
FIELD = "body"
"""A piece in the log is `{"body": text}`."""


class WholeBody:
    """Feed it the bytes of a body, then call `end`. Raises: RunFailedError if they are not an answer."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._held: list[str] = []
        self._held_bytes = 0
        self._has_yielded = False
        self._last_char = ""

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """The pieces that are complete."""
        for start in range(0, len(data), PIECE_LIMIT_BYTES):
            part = data[start : start + PIECE_LIMIT_BYTES]
            self._hold(self._decode(part))
            self._held_bytes += len(part)
            if self._held_bytes >= PIECE_LIMIT_BYTES:
                yield self._take()

    def end(self) -> Iterator[Chunk]:
        """The rest."""
        self._hold(self._decode(b"", is_last=True))
        if not self._has_yielded:
            _check_small_body("".join(self._held))
        elif self._last_char != "}":
            raise RunFailedError(own_error(Code.UPSTREAM_TRUNCATED, "The provider's answer is incomplete."))
        if self._held:
            yield self._take()

    def _decode(self, data: bytes, *, is_last: bool = False) -> str:
        try:
            return self._decoder.decode(data, is_last)
        except UnicodeDecodeError as error:
            text = "The provider sent something that is not text."
            raise RunFailedError(own_error(Code.UPSTREAM_INVALID, text)) from error

    def _hold(self, text: str) -> None:
        if text:
            self._held.append(text)
            self._last_char = text.rstrip()[-1:] or self._last_char

    def _take(self) -> Chunk:
        text = "".join(self._held)
        if not self._has_yielded and text.lstrip()[:1] != "{":
            raise RunFailedError(text_error(text))
        self._has_yielded = True
        self._held = []
        self._held_bytes = 0
        return {FIELD: text}


def _check_small_body(text: str) -> None:
    if not text.strip():
        raise RunFailedError(own_error(Code.UPSTREAM_TRUNCATED, "The provider ended without sending anything."))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip()[:1] == "{":
            words = "The provider sent something that is not JSON."
            raise RunFailedError(own_error(Code.UPSTREAM_INVALID, words)) from error
        raise RunFailedError(text_error(text)) from error
    if not isinstance(value, dict):
        raise RunFailedError(own_error(Code.UPSTREAM_INVALID, "The provider sent JSON that is not an answer."))
    if value.get("error") or ("data" not in value and "results" not in value and is_error(value)):
        raise RunFailedError(streamed_error(value))
