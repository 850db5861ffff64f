"""Which of the two responses a viewer gets: the connection itself where our server offers it, else sse-starlette's."""

from collections.abc import Callable, Mapping

from fastapi import Request
from starlette.responses import Response

from gateway.fanout.direct_response import DirectResponse
from gateway.fanout.presence import Presence
from gateway.fanout.sse_response import ViewerResponse
from gateway.fanout.viewer import Viewer
from gateway.server.direct_protocol import EXTENSION, DirectProtocol
from gateway.server.send_timeouts import SendTimeouts

Respond = Callable[[Request, Viewer, Mapping[str, str]], Response]
"""(request, viewer, headers); the headers say what the viewer's dialect is."""


def choose_response(presence: Presence, send_timeouts: SendTimeouts, send_timeout_s: float) -> Respond:
    """The choice, over these parts."""

    def respond(request: Request, viewer: Viewer, headers: Mapping[str, str]) -> Response:
        if request.method == "HEAD":
            return _only_head(headers)
        connection: DirectProtocol | None = request.scope.get("extensions", {}).get(EXTENSION)
        # A client that has sent its next request already is owed that answer too.
        if connection is not None and not connection.pipeline:
            return DirectResponse(viewer, presence, send_timeouts, headers)
        return ViewerResponse(viewer, presence, send_timeout_s, headers)

    return respond


def _only_head(headers: Mapping[str, str]) -> Response:
    """Whoever asks for it watches nothing. How long a body would be nobody knows."""
    response = Response(headers=dict(headers))
    del response.headers["content-length"]
    return response
