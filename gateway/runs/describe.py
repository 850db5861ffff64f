"""A run as `GET /v1/streams/{id}` shows it. Pure: no I/O."""

from typing import Any

from contract.run_record import RunRecord
from contract.stream_id import is_private
from gateway.http.stream_urls import urls_of


def describe(stream_id: str, record: RunRecord) -> dict[str, Any]:
    """A run as the API shows it; times in Unix seconds."""
    done = record.done or {}
    return {
        "id": stream_id,
        "status": record.status,
        "epoch": record.epoch,
        "position": str(record.last),
        "model": record.model,
        "visibility": "private" if is_private(stream_id) else "unlisted",
        "created_at": record.created_ms / 1000,
        "started_at": record.claimed_ms and record.claimed_ms / 1000,
        "ended_at": record.ended_ms and record.ended_ms / 1000,
        **{name: done.get(name) for name in ("finish_reason", "usage", "error", "timing")},
        "urls": urls_of(stream_id),
    }
