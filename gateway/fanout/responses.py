"""Chooses a viewer's response: DirectResponse if the server offers its connection, else ViewerResponse."""

from collections.abc import Callable, Mapping

from fastapi import Request
from starlette.responses import Response

from gateway.fanout.direct_response import DirectResponse
from gateway.fanout.local_viewers import LocalViewers
from gateway.fanout.sse_response import ViewerResponse
from gateway.fanout.watcher import Watcher
from gateway.server.direct_protocol import EXTENSION
from gateway.server.send_timeouts import SendTimeouts
from gateway.server.taken_connection import OfferedConnection

Respond = Callable[[Request, Watcher, Mapping[str, str]], Response]
"""(request, watcher, headers of the dialect) -> the response"""


def choose_response(local_viewers: LocalViewers, send_timeouts: SendTimeouts, send_timeout_s: float) -> Respond:
    """Returns the function that makes a viewer's response."""

    def respond(request: Request, watcher: Watcher, headers: Mapping[str, str]) -> Response:
        if request.method == "HEAD":
            return _head_response(headers)
        connection: OfferedConnection | None = request.scope.get("extensions", {}).get(EXTENSION)
        # A direct response drops the requests that the client has pipelined.
        if connection is not None and not connection.pipeline:
            return DirectResponse(watcher, local_viewers, send_timeouts, headers)
        return ViewerResponse(watcher, local_viewers, send_timeout_s, headers)

    return respond


def _head_response(headers: Mapping[str, str]) -> Response:
    """Answers HEAD, without a Content-Length: the length of the body would be unknown."""
    response = Response(headers=dict(headers))
    del response.headers["content-length"]
    return response
