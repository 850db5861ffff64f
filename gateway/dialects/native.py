"""The native dialect: each event as a server-sent event of its kind. docs/protocol.md, sections 2 to 4. No I/O.

The format is that of the WHATWG HTML standard, section 9.2.6. JSON in one line needs only one `data:` field.
Two rules serve clients that do not follow the standard. `id:` is an event's last line, because fetch-event-source obeys
it at once: if the connection were cut between `id:` and `data:`, the event would be lost. `retry:` has no block of its
own, because httpx-sse and fetch-event-source would make an event without data of it.
"""

from collections.abc import Mapping
from typing import Any

from contract.event import encode_json
from gateway.dialects.base import SSE_HEADERS


class NativeDialect:
    """Has no state: the encoding of an event does not depend on earlier ones."""

    headers = SSE_HEADERS
    resumes = True
    tells_state = True
    closed = False

    def forget(self) -> None:
        """Does nothing: there is no state, and a restart is an event like any other."""

    def write_event(self, position: bytes, kind: bytes, data: bytes) -> bytes:
        """Writes an `id:`, which becomes the client's position."""
        return b"event: %b\ndata: %b\nid: %b\n\n" % (kind, data, position)

    def write_notice(self, kind: bytes, data: bytes) -> bytes:
        """Writes no `id:`, so that the client's position stays. Not a comment, because JavaScript sees no comments."""
        return b"event: %b\ndata: %b\n\n" % (kind, data)

    def write_retry(self, retry_ms: int) -> bytes:
        return b"retry: %d\n" % retry_ms

    def write_break(self, code: str, text: str) -> bytes:  # noqa: ARG002 - the client reconnects
        return b""

    def write_lost(self, error: Mapping[str, Any]) -> bytes:
        """Writes a `done` without `id:`, because it is not in the log."""
        done = {"status": "failed", "finish_reason": None, "usage": None, "error": error, "timing": None}
        return self.write_notice(b"done", encode_json(done))
