"""The OpenAI dialect: the provider's stream, rebuilt for clients of OpenAI. No I/O.

Writes only `data:` lines and keep-alives. An id, an event name, a reconnect time or an event without data breaks one
official SDK or another. A keep-alive is a comment with a blank line after it, as other providers send it. Without the
blank line it would be the first line of the next chunk's block, and clients that look for blocks that begin with
`data:` would miss the chunk.
"""

import json
from collections.abc import Mapping
from typing import Any

from contract.errors import SERVER_ERROR, Code, RunError
from contract.event import Chunk, Kind, Status, encode_json, merge_chunk
from gateway.dialects.base import SSE_HEADERS
from gateway.http.run_errors import CANCELLED, error_body

DONE = b"data: [DONE]\n\n"


class OpenAIDialect:
    """Keeps the fields that all chunks of this epoch share, whether any chunk was sent, and the latest usage.

    This format cannot retract text, so a restart after the first chunk ends the response with an error.
    """

    headers = SSE_HEADERS
    resumes = False
    tells_state = False

    def __init__(self, *, with_usage: bool) -> None:
        self.closed = False
        self.error: Mapping[str, Any] | None = None
        """The error that ended the response, as in a `done` event."""
        self.has_sent_chunk = False
        self._with_usage = with_usage
        self._shared: Chunk = {}
        self._usage_chunk: Chunk | None = None

    def forget(self) -> None:
        self.has_sent_chunk = False

    def write_event(self, position: bytes, kind: bytes, data: bytes) -> bytes:  # noqa: ARG002 - OpenAI's format has no positions
        if self.closed:
            return b""
        value = json.loads(data)
        match kind.decode():
            case Kind.START:
                self._shared, self._usage_chunk = value["chunk"], None
            case Kind.CHUNK:
                return self._write_chunk(merge_chunk(self._shared, value))
            case Kind.RESTART if self.has_sent_chunk:
                text = "The worker was lost in the middle of the answer. Another worker starts the answer again."
                return self._fail(RunError(Code.WORKER_LOST, text, SERVER_ERROR, retryable=True).as_json())
            case Kind.DONE:
                return self._finish(value)
        return b""

    def _write_chunk(self, chunk: Chunk) -> bytes:
        usage = chunk.pop("usage", None)
        if usage is not None:
            # Some providers send the usage so far in each chunk. Clients would add it up, so only the last is sent.
            self._usage_chunk = {**chunk, "choices": [], "usage": usage}
            if not chunk.get("choices"):
                return b""
        if self._with_usage:
            chunk["usage"] = None
        self.has_sent_chunk = True
        return b"data: %b\n\n" % encode_json(chunk)

    def _finish(self, done: dict[str, Any]) -> bytes:
        if done["status"] == Status.COMPLETED:
            self.closed = True
            usage_chunk = self._usage_chunk if self._with_usage else None
            return (b"data: %b\n\n" % encode_json(usage_chunk) if usage_chunk else b"") + DONE
        return self._fail(CANCELLED if done["status"] == Status.CANCELLED else done["error"])

    def _fail(self, error: Mapping[str, Any]) -> bytes:
        self.closed = True
        self.error = error
        return b"data: %b\n\n" % encode_json(error_body(error))

    def write_notice(self, kind: bytes, data: bytes) -> bytes:  # noqa: ARG002 - any notice shows that the connection is alive
        return b": ping\n\n" if kind == b"ping" else b""

    def write_retry(self, retry_ms: int) -> bytes:  # noqa: ARG002 - an SDK does not resume
        return b""

    def write_break(self, code: str, text: str) -> bytes:
        error = RunError(code, text, SERVER_ERROR, retryable=True).as_json()
        return b"data: %b\n\n" % encode_json(error_body(error))

    def write_lost(self, error: Mapping[str, Any]) -> bytes:
        return self._fail(error)
