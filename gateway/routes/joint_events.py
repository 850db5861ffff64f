"""`GET /v1/events`: watch several streams on one connection. docs/protocol.md, section 4, specifies it."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import FastAPI, Header, Query, Request
from starlette.responses import Response

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.position import START, MalformedPositionError, Position
from gateway.access.permissions import Permissions
from gateway.dialects.base import SSE_HEADERS
from gateway.dialects.registry import DIALECTS, NATIVE
from gateway.fanout.feed import FeedStatus
from gateway.fanout.hub import Hub, NoSuchStreamError
from gateway.fanout.joint_id import MalformedJointIdError, Place, parse_places
from gateway.fanout.joint_viewer import JointViewer
from gateway.fanout.local_viewers import LocalViewers
from gateway.fanout.responses import Respond
from gateway.fanout.viewer import STOPPING, Viewer
from gateway.http.errors import ApiError, broker_unavailable, gateway_stopping, too_many_viewers
from gateway.http.security_log import Kind, SecurityLog
from gateway.http.stream_urls import check_stream_id, no_such_stream
from gateway.routes.admitted_viewers import AdmittedViewers
from gateway.routes.early_end import answer_full, choose_full_retry_ms, end_at_once
from gateway.routes.new_viewer import RETRY_MS, place_viewer
from gateway.routes.openapi import NO_CONTENT, SSE, document

STREAMS_LIMIT = 32
"""How many streams one response may carry. The `id:` of each event grows with them."""

StreamsQuery = Annotated[
    list[str],
    Query(
        alias="stream",
        min_length=1,
        description=f"`ID`, or `ID.POSITION` to resume; at most {STREAMS_LIMIT} streams, each once.",
    ),
]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID")]
LastEventIdInUrl = Annotated[str | None, Query(alias="lastEventId")]


class Closed(NamedTuple):
    """Why a stream is not watched: what a request for its events would get. `error` is None if the client has all
    events already."""

    status: int
    error: Mapping[str, Any] | None

    @classmethod
    def by(cls, refusal: ApiError) -> "Closed":
        return cls(refusal.status, refusal.body["error"])

    @property
    def is_for_good(self) -> bool:
        return self.error is not None and self.status < 500


class JointEventRoutes:
    """Watching several streams at once."""

    def __init__(
        self,
        permissions: Permissions,
        admitted: AdmittedViewers,
        hub: Hub,
        local_viewers: LocalViewers,
        respond: Respond,
        *,
        security: SecurityLog,
    ) -> None:
        self._permissions = permissions
        self._admitted = admitted
        self._hub = hub
        self._local_viewers = local_viewers
        self._respond = respond
        self._security = security

    def register(self, app: FastAPI) -> None:
        app.add_api_route(
            "/v1/events",
            self.watch,
            methods=["GET"],
            response_class=Response,
            **document("watchRuns", tag="streams", takes_ticket=True, responses={200: SSE, 204: NO_CONTENT}),
        )

    async def watch(
        self,
        request: Request,
        streams: StreamsQuery,
        last_event_id: LastEventId = None,
        last_event_id_in_url: LastEventIdInUrl = None,
    ) -> Response:
        """Every event of these streams after the given positions, each with its stream's id, until all are done."""
        places = _read_places(streams, last_event_id or last_event_id_in_url)
        if self._local_viewers.draining:
            return end_at_once(NATIVE, gateway_stopping(STOPPING))
        try:
            opened = await asyncio.gather(*(self._open(request, place) for place in places))
            is_stranger = not await self._admitted.has_reserved_place(request, len(opened))
        except (BrokerUnavailableError, BrokerRefusedError):
            return end_at_once(NATIVE, broker_unavailable())
        joint = self._join(places, opened, is_stranger=is_stranger)
        has_all = len(joint.viewers) == sum(isinstance(found, Viewer) for found in opened)
        if not joint.viewers:
            if not has_all:
                self._security.note(Kind.LIMIT_REACHED, request, "too_many_viewers")
                return answer_full(DIALECTS[NATIVE]())
            if not any(isinstance(found, Closed) and found.error for found in opened):
                return Response(status_code=204)
        if not has_all:
            # A plain EventSource asks only when its response has ended.
            asyncio.get_running_loop().call_later(choose_full_retry_ms() / 1000, joint.ask_again, RETRY_MS)
        return self._respond(request, joint, SSE_HEADERS)

    def _join(
        self, places: Sequence[Place], opened: Sequence[Viewer | Closed | None], *, is_stranger: bool
    ) -> JointViewer:
        joint = JointViewer(places, RETRY_MS, self._local_viewers.leave_stream)
        has_room = partial(self._local_viewers.has_room, is_stranger=is_stranger)
        for index, found in enumerate(opened):
            match found:
                case Viewer() if has_room(found.stream_id, len(joint.viewers)):
                    joint.add(index, found)
                case Viewer():
                    joint.close(index, *Closed.by(too_many_viewers()), for_good=False)
                case Closed():
                    joint.close(index, *found, for_good=found.is_for_good)
        return joint

    async def _open(self, request: Request, place: Place) -> Viewer | Closed | None:
        """None if the stream was refused for good before. Raises: BrokerUnavailableError, BrokerRefusedError."""
        stream_id, position = place
        if position is None:
            return None
        try:
            permission = await self._permissions.check_viewer(request, stream_id)
            audience = await self._permissions.find_audience(request, stream_id)
            feed = await self._hub.open(stream_id, NATIVE, audience=audience)
            viewer = await place_viewer(self._hub, feed, position)
        except NoSuchStreamError:
            return Closed.by(no_such_stream(stream_id))
        except ApiError as error:
            return Closed.by(error)
        if feed.status is FeedStatus.ENDED and position == feed.buffer.last:
            return Closed(204, None)
        self._admitted.add(viewer, permission)
        return viewer


def _read_places(streams: Sequence[str], last_event_id: str | None) -> list[Place]:
    """The streams of a request and the client's position in each. Raises: ApiError 400.

    The `id:` of the last event is newer than the URL, which the client repeats as it was at first.
    """
    if len(streams) > STREAMS_LIMIT:
        text = f"One connection carries at most {STREAMS_LIMIT} streams; this request names {len(streams)}."
        raise ApiError(400, "too_many_streams", text, param="stream")
    parts = [stream.partition(".") for stream in streams]
    stream_ids = [check_stream_id(stream_id) for stream_id, _, _ in parts]
    if len(set(stream_ids)) < len(stream_ids):
        raise ApiError(400, "repeated_stream", "The request names a stream more than once.", param="stream")
    try:
        if last_event_id:
            positions = parse_places(last_event_id, len(streams))
        else:
            positions = [Position.parse(position) if position else START for _, _, position in parts]
    except (MalformedPositionError, MalformedJointIdError) as error:
        param = "Last-Event-ID" if last_event_id else "stream"
        raise ApiError(400, "invalid_position", str(error), param=param) from error
    return [Place(*place) for place in zip(stream_ids, positions, strict=True)]
