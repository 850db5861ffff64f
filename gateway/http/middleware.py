"""Middleware around all routes: default security headers, CORS, a check of the Host header, and the end of a drain."""

import asyncio
import re
from collections.abc import Callable, Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.errors import ApiError, gateway_stopping
from gateway.http.json_response import JsonResponse
from gateway.http.root_path import route_path

# Added unless a route sets them itself. API responses are not pages, scripts or images, and most are private.
DEFAULT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_DEFAULTS = [(name.lower().encode(), value.encode()) for name, value in DEFAULT_HEADERS.items()]
"""As ASGI messages carry them: names in lower case."""

EXPOSED_HEADERS = (
    "X-Stream-Id",
    "X-Stream-Ticket",
    "X-Request-Id",
    "X-Should-Retry",
    "Link",
    "Location",
    "Retry-After",
    "X-RateLimit-Limit-Requests",
    "X-RateLimit-Remaining-Requests",
    "X-RateLimit-Reset-Requests",
)
PREFLIGHT_MAX_AGE_S = 600
API_PREFIXES = ("/v1/", "/api/")
CUT = "This gateway was stopped before it could answer. Send the request again, with the same Idempotency-Key."

_ORIGIN = re.compile(r"https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


class MalformedOriginError(ValueError):
    """An entry of MANYCAST_CORS_ORIGINS is not an origin. The message names it."""


def parse_origins(text: str) -> tuple[str, ...]:
    """`text`: origins as browsers send them, separated by commas. Raises: MalformedOriginError."""
    origins = tuple(entry.strip() for entry in text.split(",") if entry.strip())
    for origin in origins:
        if _ORIGIN.fullmatch(origin) is None:
            raise MalformedOriginError(
                f"'{origin}' is not an origin: scheme://host, and :port unless it is the default"
            )
    return origins


def add_middleware(app: ASGIApp, origins: Sequence[str], is_misaddressed: Callable[[str], bool]) -> ASGIApp:
    """Wraps `app` in the middleware. `origins`: the sites whose scripts may use the API. `is_misaddressed`: whether a
    path outside of the API is a wrong address of one of its calls. Scripts may read the error for such a path."""
    return ResponseMiddleware(_allow_origins(app, origins, is_misaddressed) if origins else app)


def _allow_origins(app: ASGIApp, origins: Sequence[str], is_misaddressed: Callable[[str], bool]) -> ASGIApp:
    # No credentials: cookies are only for our own page. Any request header is allowed: without credentials, a page can
    # send only secrets that it already knows.
    api = CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("*",),
        expose_headers=EXPOSED_HEADERS,
        max_age=PREFLIGHT_MAX_AGE_S,
    )

    async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
        path = route_path(scope) if scope["type"] == "http" else ""
        called = api if path.startswith(API_PREFIXES) or is_misaddressed(path) else app
        await called(scope, receive, send)

    return by_path


class ResponseMiddleware:
    """Adds default headers, refuses malformed Host headers, and answers requests that the end of a drain cancels."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        has_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = message.get("headers", ())
                names = {name for name, _ in headers}
                message["headers"] = [*headers, *(pair for pair in _DEFAULTS if pair[0] not in names)]
            await send(message)

        app = self._app
        if not _has_valid_host(scope):
            # Code that builds a URL from a malformed Host header would fail.
            error = ApiError(400, "invalid_host", "The Host header is not a valid host, or there are several.")
            app = JsonResponse(error.body, error.status)
        try:
            await app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # uvicorn cancels what still waits, most likely for Redis, when a drain takes too long. It would log an
            # error and answer with its own text. If a response has begun, uvicorn closes its connection.
            if not has_begun:
                error = gateway_stopping(CUT)
                answer = JsonResponse(error.body, error.status, headers=error.headers)
                await answer(scope, receive, send_with_headers)


def _has_valid_host(scope: Scope) -> bool:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    return len(hosts) <= 1 and all(_HOST.fullmatch(host.decode("latin-1")) for host in hosts)
