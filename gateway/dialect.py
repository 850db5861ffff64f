"""How an event is written for a viewer. Pure: no I/O. Each event is encoded once per dialect and gateway.

The line rules are those of the WHATWG HTML standard, section 9.2.6; data is JSON in one line, so `data:` is one field.
"""

from collections.abc import Callable

from contract.errors import SERVER_ERROR, Code, RunError
from contract.event import encode_json
from contract.position import Position

Encode = Callable[[bytes, bytes, bytes], bytes]
"""(position, kind, data) -> the bytes a viewer gets."""

NATIVE = "native"


def encode_native(position: bytes, kind: bytes, data: bytes) -> bytes:
    """An entry of the log as a server-sent event that moves the viewer's cursor."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (position, kind, data)


def encode_note(kind: bytes, data: bytes) -> bytes:
    """What stands in no log, as an event without an id: the viewer's cursor stays where it is."""
    return b"event: %b\ndata: %b\n\n" % (kind, data)


def encode_state(state: str) -> bytes:
    """Tells JavaScript what a comment could not: that the line is alive, and what the run is waiting for."""
    return encode_note(b"ping", encode_json({"state": state}))


def encode_gap(asked: Position, last: Position) -> bytes:
    """The viewer has had events that the broker has lost."""
    return encode_note(b"gap", encode_json({"asked": str(asked), "last": str(last)}))


def encode_lost() -> bytes:
    """The end of a stream whose log is gone: the gateway's own word, so it carries no id."""
    error = RunError(Code.STREAM_LOST, "The broker has lost this stream.", SERVER_ERROR, retryable=True)
    done = {"status": "failed", "finish_reason": None, "usage": None, "error": error.as_json(), "timing": None}
    return encode_note(b"done", encode_json(done))


def encode_retry(retry_ms: int) -> bytes:
    """How long the viewer waits before it reconnects."""
    return b"retry: %d\n\n" % retry_ms


ENCODERS: dict[str, Encode] = {NATIVE: encode_native}
