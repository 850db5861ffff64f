"""The text dialect: the bare text of the answer, for `curl` and a pipe. Pure: no I/O.

Only the first choice, and only what is meant to be read. How it ended is said in brackets, unless it ended well.
"""

import json
from collections.abc import Mapping
from typing import Any, Self

from contract.event import Kind, Status
from gateway.http.run_errors import CANCELLED, STREAM_LOST


class TextDialect:
    """Remembers half a surrogate pair, which the next chunk may complete."""

    headers: Mapping[str, str] = {
        "Content-Type": "text/plain; charset=utf-8",
        "Cache-Control": "no-store, no-transform",
        "X-Accel-Buffering": "no",
        # Browsers hold a text back to guess what it is.
        "X-Content-Type-Options": "nosniff",
    }
    resumes = False
    closed = False

    def __init__(self) -> None:
        self._half = ""
        self._said = False

    def copy(self) -> Self:
        twin = type(self)()
        twin._half, twin._said = self._half, self._said
        return twin

    def forget(self) -> None:
        self._half, self._said = "", False

    def write_event(self, position: bytes, kind: bytes, data: bytes) -> bytes:  # noqa: ARG002 - text has no positions
        match kind.decode():
            case Kind.CHUNK:
                return self._write_text("".join(_texts(json.loads(data))))
            case Kind.RESTART if self._said:
                self.forget()
                return b"\n[the worker was lost; the answer begins again]\n"
            case Kind.DONE:
                return _ending(json.loads(data))
        return b""

    def _write_text(self, text: str) -> bytes:
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        self._said = self._said or text != ""
        # Pairs that came in two chunks are joined; what is left of others cannot be written as UTF-8.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()

    def write_note(self, kind: bytes, data: bytes) -> bytes:  # noqa: ARG002 - it would stand in the middle of the text
        return b""

    def write_retry(self, retry_ms: int) -> bytes:  # noqa: ARG002 - nobody here comes back by itself
        return b""

    def write_break(self, code: str, text: str) -> bytes:  # noqa: ARG002 - a reader needs the sentence, not the code
        return f"\n[interrupted: {text}]\n".encode()

    def write_lost(self) -> bytes:
        return f"\n[failed: {STREAM_LOST['message']}]\n".encode()


def _texts(chunk: dict[str, Any]) -> list[str]:
    """What a reader sees of a chunk. A provider's chunk is taken as it comes: anything may be missing."""
    found = []
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("index", 0) == 0 and isinstance(choice.get("delta"), dict):
            texts = (choice["delta"].get(name) for name in ("content", "refusal"))
            found += [text for text in texts if isinstance(text, str)]
    return found


def _ending(done: dict[str, Any]) -> bytes:
    match done["status"]:
        case Status.COMPLETED:
            return b"\n"
        case Status.CANCELLED:
            return f"\n[cancelled: {CANCELLED['message']}]\n".encode()
    error = done["error"]
    return f"\n[failed: {error['message']} ({error['code']})]\n".encode()
