"""The outermost of a gateway: what holds for every answer, whatever route gives it, errors of our own included."""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse

# Where a route says nothing else. Nothing of the API is a page, a script or a picture, and most of it is somebody's.
USUAL_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

SHOWN_TO_SCRIPTS = (
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
PREFLIGHT_LASTS_S = 600
API = ("/v1/", "/api/")

_ORIGIN = re.compile(r"https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


class MalformedOriginError(ValueError):
    """Names the entry."""


def parse_origins(text: str) -> tuple[str, ...]:
    """`text` is separated by commas; each as browsers send it. Raises: MalformedOriginError."""
    origins = tuple(entry.strip() for entry in text.split(",") if entry.strip())
    for origin in origins:
        if _ORIGIN.fullmatch(origin) is None:
            raise MalformedOriginError(
                f"'{origin}' is no origin: scheme://host, and a port where it is not the usual one"
            )
    return origins


def add_middleware(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """`app` with all that holds for every answer. `origins`: whose scripts may use the API."""
    return ResponseMiddleware(app, _open_to(app, origins) if origins else app)


def _open_to(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    # Never with credentials: a cookie is for the page that it was given to. Whatever header a client sends is no secret
    # to it, so all are allowed.
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("*",),
        expose_headers=SHOWN_TO_SCRIPTS,
        max_age=PREFLIGHT_LASTS_S,
    )


class ResponseMiddleware:
    """`api` answers what is asked of the API, `app` everything else."""

    def __init__(self, app: ASGIApp, api: ASGIApp) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_surrounded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in USUAL_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app = self._api if scope["path"].startswith(API) else self._app
        if not _has_sound_host(scope):
            # Whoever puts a URL together from it would trip.
            error = ApiError(400, "invalid_host", "The Host header is not a host, or there are several.")
            app = JsonResponse(error.body, error.status)
        await app(scope, receive, send_surrounded)


def _has_sound_host(scope: Scope) -> bool:
    hosts = Headers(scope=scope).getlist("host")
    return len(hosts) <= 1 and all(_HOST.fullmatch(host) for host in hosts)
