"""A run as `GET /v1/streams/{id}` shows it. No I/O."""

from typing import Annotated, Literal

from pydantic import Field

from contract.event import Status
from contract.run_record import RunRecord
from contract.stream_id import is_private
from gateway.access.audience import Audience
from gateway.http.models import ResponseBody, StoredObject, StoredText
from gateway.http.run_errors import public_error
from gateway.http.stream_urls import Urls, urls_of

Visibility = Literal["unlisted", "private"]
StreamId = Annotated[str, Field(json_schema_extra={"pattern": "^[A-Za-z0-9_-]{20,64}$"})]
UnixSeconds = Annotated[float, Field(description="Unix seconds")]


class Run(ResponseBody):
    """What is known of a run."""

    id: StreamId
    status: Status
    epoch: int
    position: Annotated[str, Field(json_schema_extra={"pattern": "^[0-9]+-[0-9]+$"})]
    model: str
    visibility: Visibility
    created_at: UnixSeconds
    started_at: UnixSeconds | None
    ended_at: UnixSeconds | None
    finish_reason: StoredText
    usage: StoredObject
    error: StoredObject
    timing: StoredObject
    urls: Urls
    viewers: int


class WatchedRun(Run):
    """A run as its viewers see it. `question`: the user's last message, up to QUESTION_LIMIT_CHARS; null if there is
    none or the caller hid it."""

    question: StoredText


def describe(stream_id: str, record: RunRecord, viewers: int, prefix: str, audience: Audience = Audience.OWNER) -> Run:
    """`viewers`: how many watch the stream now, through all gateways. `prefix`: of the URLs, see `urls_of`."""
    done = record.done or {}
    error = done.get("error")
    return Run(
        id=stream_id,
        status=record.status,
        epoch=record.epoch,
        position=str(record.last),
        model=record.model,
        visibility=visibility_of(stream_id),
        created_at=record.created_ms / 1000,
        started_at=None if record.claimed_ms is None else record.claimed_ms / 1000,
        ended_at=None if record.ended_ms is None else record.ended_ms / 1000,
        finish_reason=done.get("finish_reason"),
        usage=done.get("usage"),
        error=public_error(error) if error and audience is Audience.PUBLIC else error,
        timing=done.get("timing"),
        urls=urls_of(stream_id, prefix),
        viewers=viewers,
    )


def visibility_of(stream_id: str) -> Visibility:
    return "private" if is_private(stream_id) else "unlisted"
