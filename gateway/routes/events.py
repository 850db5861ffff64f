"""`GET /v1/streams/{id}/events`: watch a stream. docs/protocol.md, sections 2 to 4, specifies it."""

from fastapi import FastAPI, Request
from starlette.responses import Response

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.position import Position
from contract.stream_id import is_private
from gateway.access.permissions import Permissions
from gateway.dialects.registry import DIALECTS, NATIVE
from gateway.fanout.feed import FeedStatus
from gateway.fanout.hub import Hub, NoSuchStreamError
from gateway.fanout.local_viewers import LocalViewers
from gateway.fanout.responses import Respond
from gateway.fanout.viewer import STOPPING
from gateway.http.errors import ApiError, broker_unavailable, gateway_stopping
from gateway.http.security_log import Kind, SecurityLog
from gateway.http.stream_urls import check_stream_id, no_such_stream
from gateway.routes.admitted_viewers import AdmittedViewers
from gateway.routes.early_end import answer_full, end_at_once
from gateway.routes.models import StreamIdPath
from gateway.routes.new_viewer import new_viewer, new_viewer_at_once
from gateway.routes.openapi import ACCESS_ERRORS, NO_CONTENT, SSE, document
from gateway.routes.resume_position import ResumePosition


class EventRoutes:
    """Watching a stream."""

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
        path = "/v1/streams/{stream_id}/events"
        app.add_api_route(
            path,
            self.watch,
            methods=["GET"],
            response_class=Response,
            **document(
                "watchRun",
                tag="streams",
                takes_ticket=True,
                errors=ACCESS_ERRORS,
                responses={200: SSE, 204: NO_CONTENT},
            ),
        )
        app.add_api_route(path, self.watch, methods=["HEAD"], include_in_schema=False)

    async def watch(
        self,
        stream_id: StreamIdPath,
        request: Request,
        position: ResumePosition,
        dialect: str = NATIVE,
    ) -> Response:
        """Every event of the stream after the given position, as server-sent events, until `done`."""
        check_stream_id(stream_id)
        if dialect not in DIALECTS:
            text = f"'{dialect[:64]}' is not a dialect. The dialects are: {', '.join(DIALECTS)}."
            raise ApiError(400, "unknown_dialect", text, param="dialect")
        if self._local_viewers.draining:
            return end_at_once(dialect, gateway_stopping(STOPPING))
        try:
            permission = await self._permissions.check_viewer(request, stream_id)
            audience = await self._permissions.find_audience(request, stream_id)
            feed = await self._hub.open(stream_id, dialect, audience=audience)
            viewer = await new_viewer(self._hub, feed, position)
            has_room = await self._admitted.has_room(request, stream_id, permission)
        except NoSuchStreamError:
            raise no_such_stream(stream_id) from None
        except (BrokerUnavailableError, BrokerRefusedError):
            return end_at_once(dialect, broker_unavailable())
        if feed.status is FeedStatus.ENDED and position == feed.buffer.last:
            return Response(status_code=204)
        if not has_room:
            self._security.note(Kind.LIMIT_REACHED, request, "too_many_viewers")
            return answer_full(feed.dialect)
        self._admitted.add(viewer, permission)
        return self._respond(request, viewer, feed.dialect.headers)

    def watch_at_once(self, stream_id: str, request: Request, position: Position) -> Response | None:
        """As `watch` in the native dialect, if everybody may watch the stream and all that it needs is in memory.
        None: call `watch`."""
        if is_private(stream_id) or self._local_viewers.draining:
            return None
        audience = self._permissions.find_audience_at_once(request)
        feed = None if audience is None else self._hub.find_ready(stream_id, NATIVE, audience)
        if feed is None or not self._local_viewers.has_room(stream_id, is_stranger=True):
            return None
        viewer = new_viewer_at_once(self._hub, feed, position)
        if viewer is None or (feed.status is FeedStatus.ENDED and position == feed.buffer.last):
            return None
        return self._respond(request, viewer, feed.dialect.headers)
