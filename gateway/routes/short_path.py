"""A short path to `GET /v1/streams/{id}/events` in front of the framework.

When a stream is announced to many people, they all join at once, and the framework's routing and parsing of a request
would cost more than joining. This does the same for the one call that viewers make. Every other request goes to the
framework, and so does one that is unusual in any way.
"""

import re
from collections.abc import Sequence

from fastapi import FastAPI, Request
from starlette.types import Receive, Scope, Send

from contract.position import START
from gateway.dialects.registry import NATIVE
from gateway.http.errors import ApiError
from gateway.http.root_path import route_path
from gateway.routes.events import EventRoutes
from gateway.routes.resume_position import read_position
from gateway.server.direct_protocol import EXTENSION

_PATTERN = "/v1/streams/([A-Za-z0-9_-]{20,64})/events"
_PATH = re.compile(_PATTERN)
WATCH_PATH = rb"(?:/[A-Za-z0-9._~-]+)*?" + _PATTERN.replace("(", "(?:").encode()
"""The path with any prefix."""
_BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})


class ShortPath:
    """Passes to `api` all but plain requests to watch a stream, on connections that a response can take over."""

    def __init__(self, api: FastAPI, events: EventRoutes) -> None:
        self._api = api
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream_id = _find_stream(scope)
        if stream_id is None:
            await self._api(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            position, dialect = START, NATIVE
            last_event_id = request.headers.get("last-event-id")
            if scope["query_string"] or last_event_id:
                query = request.query_params
                position = read_position(last_event_id, query.get("lastEventId"), query.get("after"))
                dialect = query.get("dialect", NATIVE)
            response = await self._events.watch(stream_id, request, position, dialect)
        except Exception as error:
            # The framework's own way: the handler of the most specific class.
            handlers = self._api.exception_handlers
            handler = next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
            await (await handler(request, error))(scope, receive, send)  # type: ignore[misc]
            if handler is handlers[Exception]:
                # The server logs it.
                raise
            return
        await response(scope, receive, send)


class AtOnce:
    """Answers a plain request to watch a stream if that needs no waiting. Else it returns without an answer."""

    def __init__(self, events: EventRoutes) -> None:
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream_id = _find_stream(scope)
        if stream_id is None:
            return
        last_event_id = next((value for name, value in scope["headers"] if name == b"last-event-id"), b"")
        try:
            position = read_position(last_event_id.decode("latin-1"), None, None)
        except ApiError:
            return
        response = self._events.watch_at_once(stream_id, Request(scope, receive), position)
        if response is not None:
            await response(scope, receive, send)


def _find_stream(scope: Scope) -> str | None:
    """The id of the stream that the request watches. None for any other request."""
    if scope["type"] != "http" or scope["method"] != "GET" or EXTENSION not in scope.get("extensions", ()):
        return None
    path = _PATH.fullmatch(route_path(scope))
    return None if path is None or _has_body(scope["headers"]) else path[1]


def _has_body(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(name in _BODY_HEADERS for name, _ in headers)
