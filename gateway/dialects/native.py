"""The native dialect: each event as a server-sent event of its kind. docs/protocol.md, sections 2 to 4. Pure: no I/O.

The line rules are those of the WHATWG HTML standard, section 9.2.6; data is JSON in one line, so `data:` is one field.
Two rules are for clients that do not keep to it. `id:` is an event's last line, because fetch-event-source obeys it at
once: if the connection were cut between `id:` and `data:`, the event would be lost. `retry:` has no block of its own,
because httpx-sse and fetch-event-source would make an event without data from it.
"""

from contract.event import encode_json
from gateway.dialects.base import SSE_HEADERS
from gateway.http.run_errors import STREAM_LOST


class NativeDialect:
    """Remembers nothing: an event is written the same wherever it stands."""

    headers = SSE_HEADERS
    resumes = True
    tells_state = True
    closed = False

    def forget(self) -> None:
        """There is nothing to forget: a restart is an event like any other."""

    def write_event(self, position: bytes, kind: bytes, data: bytes) -> bytes:
        """With an id, which moves the viewer's cursor."""
        return b"event: %b\ndata: %b\nid: %b\n\n" % (kind, data, position)

    def write_notice(self, kind: bytes, data: bytes) -> bytes:
        """Without an id: the viewer's cursor stays where it is. An event and not a comment: JavaScript sees it."""
        return b"event: %b\ndata: %b\n\n" % (kind, data)

    def write_retry(self, retry_ms: int) -> bytes:
        return b"retry: %d\n" % retry_ms

    def write_break(self, code: str, text: str) -> bytes:  # noqa: ARG002 - the client reconnects
        return b""

    def write_lost(self) -> bytes:
        """The gateway's own word, so it carries no id."""
        done = {"status": "failed", "finish_reason": None, "usage": None, "error": STREAM_LOST, "timing": None}
        return self.write_notice(b"done", encode_json(done))
