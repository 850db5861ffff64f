"""`GET /v1/streams/{id}/events`: a viewer comes in. docs/protocol.md, sections 2 and 4, is the source."""

import random

from fastapi import APIRouter, Request
from starlette.responses import Response

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import encode_json
from contract.position import START, MalformedPositionError, Position
from gateway.access.permissions import Permissions
from gateway.dialects.registry import DIALECTS, NATIVE
from gateway.fanout.feed import Feed, FeedStatus
from gateway.fanout.hub import Hub, NoSuchStreamError
from gateway.fanout.presence import Presence
from gateway.fanout.responses import Respond
from gateway.fanout.viewer import Viewer
from gateway.http.errors import FULL_RETRY_AFTER_S, ApiError, broker_unavailable, too_many_viewers
from gateway.http.stream_urls import check_stream_id, no_such_stream

RETRY_MS = 1_000
"""How long a viewer waits before it reconnects after an unforeseen end."""


def events_router(permissions: Permissions, hub: Hub, presence: Presence, respond: Respond) -> APIRouter:
    """The route, over these parts."""
    router = APIRouter(tags=["streams"])

    @router.head("/v1/streams/{stream_id}/events", include_in_schema=False)
    @router.get("/v1/streams/{stream_id}/events")
    async def watch(stream_id: str, request: Request, after: str | None = None, dialect: str = NATIVE) -> Response:
        """Every event of the stream after the given position, as server-sent events, until `done`."""
        check_stream_id(stream_id)
        position = _parse_position(request.headers.get("last-event-id") or after)
        if dialect not in DIALECTS:
            known = ", ".join(DIALECTS)
            raise ApiError(400, "unknown_dialect", f"'{dialect[:64]}' is none of: {known}.", param="dialect")
        if presence.draining:
            return _come_back(dialect)
        try:
            permission = await permissions.check_viewer(request, stream_id)
            feed = await hub.open(stream_id, dialect)
            index = await _find_index(hub, feed, position)
        except NoSuchStreamError:
            raise no_such_stream(stream_id) from None
        except (BrokerUnavailableError, BrokerRefusedError):
            return _come_back(dialect)
        if feed.status is FeedStatus.ENDED and position == feed.buffer.last:
            return Response(status_code=204)
        if not presence.has_room(stream_id):
            return _turn_away(feed)
        prologue = feed.dialect.write_retry(RETRY_MS)
        if index is None:
            gap = encode_json({"asked": str(position), "last": str(feed.buffer.last)})
            prologue, index = prologue + feed.dialect.write_notice(b"gap", gap), 0
        viewer = Viewer(feed, max(index, feed.entry), prologue, hub.pages.read)
        if permission is not None and permission.ticket is not None:
            viewer.ticket_round = permission.record.revoked
        return respond(request, viewer, feed.dialect.headers)

    return router


async def _find_index(hub: Hub, feed: Feed, position: Position) -> int | None:
    """The index to go on from; None where the log does not have that position any more."""
    index = feed.buffer.index_after(position)
    if index is None and not feed.over:
        # The viewer may come from a gateway that is ahead of this one by a moment.
        await hub.refresh(feed)
        index = feed.buffer.index_after(position)
    return index


def _parse_position(text: str | None) -> Position:
    if not text:
        return START
    try:
        return Position.parse(text)
    except MalformedPositionError as error:
        raise ApiError(400, "invalid_position", str(error), param="Last-Event-ID") from error


def _turn_away(feed: Feed) -> Response:
    """The gateway has no room. Those who come back by themselves come at different times."""
    if not feed.dialect.resumes:
        raise too_many_viewers()
    # A wish, not a secret: any spread will do.
    retry_ms = round(FULL_RETRY_AFTER_S * random.uniform(500, 1500))  # noqa: S311
    body = feed.dialect.write_retry(retry_ms) + feed.dialect.write_notice(b"ping", encode_json({"state": "full"}))
    return Response(body, headers=dict(feed.dialect.headers))


def _come_back(dialect: str) -> Response:
    """To a viewer that gives up for good on any status but 200; the others are told what is wrong."""
    written = DIALECTS[dialect]()
    if not written.resumes:
        raise broker_unavailable()
    return Response(written.write_retry(RETRY_MS), headers=dict(written.headers))
