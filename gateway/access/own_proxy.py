"""Refuses requests without the secret that only our own proxy knows."""

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse
from gateway.http.root_path import route_path
from gateway.http.security_log import Kind, SecurityLog

HEADER = "x-manycast-proxy"
MIN_SECRET_CHARS = 32
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""What health checks and monitoring ask each gateway for, without the proxy."""


class OwnProxyOnly:
    """Passes to `app` the requests that carry the secret, and those of health checks. Compares in constant time."""

    def __init__(self, app: ASGIApp, secret: str, security: SecurityLog) -> None:
        self._app = app
        self._security = security
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and route_path(scope) not in OPEN_PATHS and not self._is_ours(Headers(scope=scope)):
            # Log the peer's own address: without the secret, its forwarding headers are not trusted.
            self._security.note_address(Kind.NOT_FROM_PROXY, (scope["client"] or ("",))[0], "no_secret")
            text = "This gateway answers only its own proxy. Use the address at which Manycast is published."
            error = ApiError(403, "not_from_proxy", text, type_="permission_error")
            app = JsonResponse(error.body, error.status)
        await app(scope, receive, send)

    def _is_ours(self, headers: Headers) -> bool:
        return hmac.compare_digest(headers.get(HEADER, "").encode("latin-1"), self._secret)
