"""The text dialect: the plain text of the answer, for `curl` and pipes. No I/O.

It contains only the first choice, and of that only the text, or the words of its audio, and the refusal. If a run fails
or is cancelled, the text ends with a sentence in brackets.
"""

import json
from collections.abc import Mapping
from typing import Any

from contract.event import Kind, Status
from gateway.dialects.vendor_fields import read_spoken
from gateway.http.run_errors import CANCELLED


class TextDialect:
    """Keeps half a surrogate pair, which the next chunk may complete, and whether any text was sent."""

    headers: Mapping[str, str] = {
        "Content-Type": "text/plain; charset=utf-8",
        "Cache-Control": "no-store, no-transform",
        "X-Accel-Buffering": "no",
        # Without this header, browsers hold text back to guess its type.
        "X-Content-Type-Options": "nosniff",
    }
    resumes = False
    tells_state = False
    closed = False

    def __init__(self) -> None:
        self._half = ""
        self._has_sent_text = False

    def forget(self) -> None:
        self._half, self._has_sent_text = "", False

    def write_event(self, position: bytes, kind: bytes, data: bytes) -> bytes:  # noqa: ARG002 - text has no positions
        match kind.decode():
            case Kind.CHUNK:
                return self._write_text("".join(_texts(json.loads(data))))
            case Kind.RESTART if self._has_sent_text:
                self.forget()
                return b"\n[the worker was lost; the answer begins again]\n"
            case Kind.DONE:
                return _ending(json.loads(data))
        return b""

    def _write_text(self, text: str) -> bytes:
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        self._has_sent_text = self._has_sent_text or text != ""
        # Joins pairs that came in two chunks. A half without its partner cannot be encoded as UTF-8 and is replaced.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()

    def write_notice(self, kind: bytes, data: bytes) -> bytes:  # noqa: ARG002 - it would disturb the text
        return b""

    def write_retry(self, retry_ms: int) -> bytes:  # noqa: ARG002 - no client of text resumes
        return b""

    def write_break(self, code: str, text: str) -> bytes:  # noqa: ARG002 - people read the text, not the code
        return f"\n[interrupted: {text}]\n".encode()

    def write_lost(self, error: Mapping[str, Any]) -> bytes:
        return f"\n[failed: {error['message']}]\n".encode()


def _texts(chunk: dict[str, Any]) -> list[str]:
    """The texts of a chunk. A provider's chunk has no guaranteed fields: any of them may be missing."""
    found = []
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("index", 0) == 0 and isinstance(choice.get("delta"), dict):
            delta = choice["delta"]
            texts = (delta.get("content") or read_spoken(delta), delta.get("refusal"))
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
