"""Which of the two responses a viewer gets: the connection itself where our server offers it, else sse-starlette's."""

from collections.abc import Callable, Mapping

from fastapi import Request
from starlette.responses import Response

from gateway.direct_protocol import EXTENSION
from gateway.direct_response import DirectResponse
from gateway.reception import Reception
from gateway.sse_response import ViewerResponse
from gateway.stalled import Stalled
from gateway.viewer import Viewer

Respond = Callable[[Request, Viewer, Mapping[str, str]], Response]
"""(request, viewer, headers); the headers say what the viewer's dialect is."""


def choose_response(reception: Reception, stalled: Stalled, send_timeout_s: float) -> Respond:
    """The choice, over these parts."""

    def respond(request: Request, viewer: Viewer, headers: Mapping[str, str]) -> Response:
        offered = EXTENSION in request.scope.get("extensions", {})
        # A client of HTTP/1.0 does not know chunked coding, and HEAD has no body to write.
        if offered and request.method != "HEAD" and request.scope["http_version"] == "1.1":
            return DirectResponse(viewer, reception, stalled, headers)
        return ViewerResponse(viewer, reception, send_timeout_s, headers)

    return respond
