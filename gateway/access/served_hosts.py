"""Refuses requests for host names that this server does not serve.

A page can give its own name the address of this server (DNS rebinding). The browser then takes the server for the
page's own, but still sends the page's name in `Host`.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse
from gateway.http.root_path import route_path
from gateway.http.security_log import Kind, SecurityLog

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""What health checks ask for, by whatever address they know. The answers hold nothing of callers."""
SHOWN_CHARS = 100


class MalformedHostError(ValueError):
    """The message names an entry that is not a host name."""


class ServedHosts:
    """The names under which clients may ask for this server; any, if there are none.

    `*.example.com` means every name under `example.com`, but not that name itself.
    """

    def __init__(self, text: str) -> None:
        """`text`: names or addresses, separated by commas or spaces; a scheme and a port are ignored.

        Raises: MalformedHostError.
        """
        self._names: set[str] = set()
        self._suffixes: list[str] = []
        for entry in text.replace(",", " ").split():
            name = _host_name(entry.rpartition("://")[2])
            suffix = name.removeprefix("*")
            if not name.strip(".") or "*" in suffix or (suffix != name and not suffix.strip(".")):
                raise MalformedHostError(f"{entry[:SHOWN_CHARS]!r} is not a host name such as chat.example.com")
            if suffix == name:
                self._names.add(name)
            elif suffix.startswith("."):
                self._suffixes.append(suffix)
            else:
                raise MalformedHostError(f"{entry[:SHOWN_CHARS]!r}: a dot must follow the *")

    def __bool__(self) -> bool:
        return bool(self._names or self._suffixes)

    def serves(self, host: str) -> bool:
        """Whether `host`, a Host header, names this server."""
        name = _host_name(host)
        return name in self._names or any(name.endswith(suffix) and name != suffix for suffix in self._suffixes)


class ServedHostsOnly:
    """Passes to `app` the requests for a served host, and those of health checks."""

    def __init__(self, app: ASGIApp, hosts: ServedHosts, security: SecurityLog) -> None:
        self._app = app
        self._security = security
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and route_path(scope) not in OPEN_PATHS:
            host = Headers(scope=scope).get("host", "")
            if not self._hosts.serves(host):
                shown = host[:SHOWN_CHARS]
                self._security.note(Kind.REFUSED_HOST, HTTPConnection(scope), f"host {shown}")
                text = f"This server does not serve the host '{shown}'. If it should, add it to MANYCAST_HOSTS."
                error = ApiError(421, "unknown_host", text)
                app = JsonResponse(error.body, error.status)
        await app(scope, receive, send)


def _host_name(host: str) -> str:
    """The name in a Host header, in lower case, without its port; empty if it is malformed."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""
    try:
        return str(ip_address(name))
    except ValueError:
        return name
