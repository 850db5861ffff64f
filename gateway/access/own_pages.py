"""Refuses requests from pages of other sites while this computer needs no key.

A browser on this computer then sends such requests with all rights of the user. It hides the answers from those pages,
but not their number, size and timing. A proxy in between may also permit what we refuse.
"""

from collections.abc import Collection

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.request_source import Proxies, read_source
from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse
from gateway.http.security_log import Kind, SecurityLog


class OwnPagesOnly:
    """Passes to `app` all but the requests of scripts of origins that are neither ours nor in `allowed`.

    A link on another site, which has no `Origin`, still opens our page.
    """

    def __init__(self, app: ASGIApp, proxies: Proxies, allowed: Collection[str], security: SecurityLog) -> None:
        self._app = app
        self._proxies = proxies
        self._allowed = allowed
        self._security = security

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and any(name == b"origin" for name, _ in scope["headers"]):
            request = HTTPConnection(scope)
            origins = request.headers.getlist("origin")
            if not (self._allows(origins) or read_source(request, self._proxies).is_own_page):
                self._security.note(Kind.REFUSED_ORIGIN, request, f"origin {origins[0]}")
                error = ApiError(403, "cross_site", "A page of another site may not do this.", type_="permission_error")
                app = JsonResponse(error.body, error.status)
        await app(scope, receive, send)

    def _allows(self, origins: Collection[str]) -> bool:
        return all(origin in self._allowed for origin in origins)
