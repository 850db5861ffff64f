"""The path under which a proxy publishes this gateway, such as `/llm`. Middleware around the whole application."""

import re

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.request_source import Proxies

HEADER = b"x-forwarded-prefix"
LIMIT_CHARS = 200
_PREFIX = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._~-]*)+")
"""No `//`: a URL that begins with it names another host."""
_OWN_FOLDERS = ("/v1", "/api")


class MalformedPrefixError(ValueError):
    """The text cannot be a path prefix. The message says why."""


def parse_prefix(text: str) -> str:
    """Returns the prefix without a slash at its end; empty if there is none. Raises: MalformedPrefixError."""
    prefix = text.rstrip("/")
    if prefix and (len(prefix) > LIMIT_CHARS or _PREFIX.fullmatch(prefix) is None):
        raise MalformedPrefixError(f"{text[:LIMIT_CHARS]!r} is not a path such as /llm")
    if f"{prefix}/".startswith(tuple(f"{folder}/" for folder in _OWN_FOLDERS)):
        raise MalformedPrefixError("paths that begin with /v1 or /api belong to the API")
    return prefix


class PathPrefix:
    """Sets `root_path` as the ASGI specification defines it: `path` begins with it, and routes match the rest.

    A proxy may remove the prefix before it forwards a request, or leave it in the path. `X-Forwarded-Prefix` of a
    trusted proxy replaces the configured prefix.
    """

    def __init__(self, app: ASGIApp, configured: str, proxies: Proxies) -> None:
        """Raises: MalformedPrefixError."""
        self._app = app
        self._configured = parse_prefix(configured)
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        prefix = self._forwarded(scope) or self._configured
        path = scope["path"]
        if prefix and path == prefix:
            # The URLs in our page are relative to its folder, so the page's own URL must end with a slash.
            await Response(status_code=307, headers={"Location": f"{prefix}/"})(scope, receive, send)
            return
        if prefix:
            scope["root_path"] = prefix
            if not path.startswith(f"{prefix}/"):
                scope["path"] = prefix + path
        await self._app(scope, receive, send)

    def _forwarded(self, scope: Scope) -> str:
        """The prefix that a trusted proxy names; empty if it names none, or one that cannot be a prefix."""
        client = scope.get("client")
        text = next((value.decode("latin-1") for name, value in scope["headers"] if name == HEADER), "")
        if not text or not self._proxies.trusts(client[0] if client else ""):
            return ""
        try:
            return parse_prefix(text)
        except MalformedPrefixError:
            return ""
