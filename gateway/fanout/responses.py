"""Chooses a viewer's response: the direct one if our server offers its connection, else sse-starlette's."""

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
"""(request, viewer, headers of the dialect) -> the response"""


def choose_response(presence: Presence, send_timeouts: SendTimeouts, send_timeout_s: float) -> Respond:
    """The choice for a gateway made of these parts."""

    def respond(request: Request, viewer: Viewer, headers: Mapping[str, str]) -> Response:
        if request.method == "HEAD":
            return _only_head(headers)
        connection: DirectProtocol | None = request.scope.get("extensions", {}).get(EXTENSION)
        # A client that has pipelined its next request must get that answer too.
        if connection is not None and not connection.pipeline:
            return DirectResponse(viewer, presence, send_timeouts, headers)
        return ViewerResponse(viewer, presence, send_timeout_s, headers)

    return respond


def _only_head(headers: Mapping[str, str]) -> Response:
    """HEAD watches nothing. The length of the body is unknown."""
    response = Response(headers=dict(headers))
    del response.headers["content-length"]
    return response
