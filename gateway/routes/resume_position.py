"""The position that a request resumes from. docs/protocol.md, section 4, specifies where clients put it."""

from typing import Annotated

from fastapi import Depends, Header, Query

from contract.position import START, MalformedPositionError, Position
from gateway.http.errors import ApiError


async def _read_position(
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
    in_url: Annotated[str | None, Query(alias="lastEventId")] = None,
    after: str | None = None,
) -> Position:
    return read_position(last_event_id, in_url, after)


def read_position(last_event_id: str | None, in_url: str | None, after: str | None) -> Position:
    """The position that the client reached last. Raises: ApiError 400.

    The header wins over the URL: a client renews it at each connection, but the URL only with a new `EventSource`. The
    greater position may not be the last one, because positions begin again after a `gap`.
    """
    text = last_event_id or in_url or after
    if not text:
        return START
    try:
        return Position.parse(text)
    except MalformedPositionError as error:
        raise ApiError(400, "invalid_position", str(error), param="Last-Event-ID") from error


ResumePosition = Annotated[Position, Depends(_read_position)]
"""A parameter of every route whose stream can be resumed. `START` if the request has no position."""
