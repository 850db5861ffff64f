"""A run as its worker writes it, made from the provider's chunks: what dialects are given in tests."""

from collections.abc import Iterable
from typing import Any

from contract.errors import RunError
from contract.event import Chunk, Kind, chunk_difference, encode_json, shared_fields
from gateway.dialects.base import Dialect
from tests.author import Entry

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk_of(delta: dict[str, Any], finish_reason: str | None = None, **fields: Any) -> Chunk:
    """A chunk as OpenAI sends it, with one choice."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    shared = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1763000000, "model": "demo"}
    return {**shared, "choices": [choice], **fields}


def attempt(chunks: Iterable[Chunk], epoch: int = 1, seq: int = 1) -> list[Entry]:
    """The events of one epoch, without its end."""
    entries: list[Entry] = []
    shared: Chunk | None = None
    for chunk in chunks:
        if shared is None:
            shared = shared_fields(chunk)
            entries.append((f"{epoch}-{seq}", Kind.START, {"stream": "s", "epoch": epoch, "chunk": shared}))
        entries.append((f"{epoch}-{seq + len(entries)}", Kind.CHUNK, chunk_difference(shared, chunk)))
    return entries


def restart(epoch: int) -> Entry:
    return f"{epoch}-1", Kind.RESTART, {"epoch": epoch, "reason": "worker_lost"}


def done(status: str = "completed", error: RunError | None = None, position: str = "1-99") -> Entry:
    told = None if error is None else error.as_json()
    return position, Kind.DONE, {"status": status, "finish_reason": None, "usage": None, "error": told, "timing": None}


def write_all(dialect: Dialect, entries: Iterable[Entry]) -> bytes:
    """Everything a viewer of these events gets."""
    return b"".join(dialect.write_event(at.encode(), kind.encode(), encode_json(data)) for at, kind, data in entries)
