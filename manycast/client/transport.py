"""HTTP requests, responses and errors. The only module that imports the HTTP library.

It makes one attempt; its caller reconnects.
"""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2

from contract.private_host import is_private_host
from contract.socks_proxy import SocksUnavailableError, uses_socks
from manycast.client.errors import (
    ConnectionLostError,
    NothingMoreError,
    NotManycastError,
    RefusedError,
    UnreachableError,
)

CONNECT_LIMIT_S = 5.0
ANSWER_LIMIT_S = 30.0
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""A load balancer sends these while its gateways change: reconnect."""
PASSING_CODES = frozenset({"gateway_stopping", "broker_unavailable"})
"""Codes that concern this gateway, not the request: another gateway, or this one later, accepts it."""
REFUSAL_LIMIT_CHARS = 300


class Transport:
    """A pool of connections to one server. Close it after use.

    `stall_limit_s` is how long a response of events may be silent before it counts as lost.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str], stall_limit_s: float) -> None:
        """Raises: UnreachableError if `base_url` is no HTTP URL."""
        self.base_url = base_url.rstrip("/")
        self._events_timeout = httpx2.Timeout(ANSWER_LIMIT_S, connect=CONNECT_LIMIT_S, read=stall_limit_s)
        with _translating_errors(self.base_url):
            url = httpx2.URL(self.base_url)
            if url.scheme not in ("http", "https") or not url.host:
                raise UnreachableError(self.base_url, "not an http address")
            is_private = is_private_host(url.host)
            try:
                if not is_private:
                    uses_socks(self.base_url)
            except SocksUnavailableError as error:
                raise UnreachableError(self.base_url, str(error)) from error
            self._http = httpx2.AsyncClient(
                headers={"User-Agent": "manycast", **headers},
                timeout=httpx2.Timeout(ANSWER_LIMIT_S, connect=CONNECT_LIMIT_S),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=10),
                follow_redirects=True,
                # A proxy from the environment cannot reach this machine or its network.
                trust_env=not is_private,
            )

    async def close(self) -> None:
        await self._http.aclose()

    async def call(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Sends a request and returns the JSON object of the response.

        Raises: UnreachableError, ConnectionLostError (asking again may help), RefusedError, NotManycastError.
        """
        headers = {"Accept": "application/json", **(headers or {})}
        if content is not None:
            headers["Content-Type"] = "application/json"
        with _translating_errors(self.base_url):
            response = await self._http.request(method, self.base_url + path, content=content, headers=headers)
        if not response.is_success:
            raise _refusal(response)
        return _read_object(response)

    async def probe(self, path: str) -> dict[str, Any]:
        """The JSON object at `path`, whatever the status. Raises: as `call`, except RefusedError."""
        with _translating_errors(self.base_url):
            response = await self._http.get(self.base_url + path)
        return _read_object(response)

    @asynccontextmanager
    async def open_events(
        self, path: str, last_event_id: str | None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """A response of server-sent events, as pieces of its body.

        Raises: NothingMoreError (204), UnreachableError, ConnectionLostError, RefusedError, NotManycastError.
        """
        accepted = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        headers = {**accepted, **(headers or {})}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        with _translating_errors(self.base_url):
            async with self._http.stream(
                "GET", self.base_url + path, headers=headers, timeout=self._events_timeout
            ) as response:
                await _demand_events(response)
                yield response.aiter_bytes()


async def _demand_events(response: httpx2.Response) -> None:
    if response.status_code == 204:
        raise NothingMoreError
    if not response.is_success:
        await response.aread()
        if response.status_code in PASSING_STATUSES:
            raise ConnectionLostError(f"HTTP {response.status_code}", _retry_after_s(response))
        raise _refusal(response)
    kind = response.headers.get("Content-Type", "nothing")
    if not kind.startswith("text/event-stream"):
        raise NotManycastError(str(response.url), f"expected a stream of events, got {kind}")


def _read_object(response: httpx2.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise NotManycastError(str(response.url), f"HTTP {response.status_code} without a JSON object")
    return body


def _refusal(response: httpx2.Response) -> RefusedError | ConnectionLostError:
    """The error of the response, in OpenAI's shape. Without one, a temporary status counts as a lost connection."""
    try:
        error = response.json()["error"]
        detail, code = str(error["message"]), error.get("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        if response.status_code in PASSING_STATUSES:
            return ConnectionLostError(f"HTTP {response.status_code}", _retry_after_s(response))
        detail, code = response.text.strip()[:REFUSAL_LIMIT_CHARS] or response.reason_phrase, None
    if code in PASSING_CODES:
        return ConnectionLostError(detail, _retry_after_s(response))
    return RefusedError(response.status_code, code, detail, _retry_after_s(response))


def _retry_after_s(response: httpx2.Response) -> float | None:
    wish = response.headers.get("Retry-After", "")
    return float(wish[:6]) if wish.isascii() and wish.isdigit() else None


@contextmanager
def _translating_errors(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
        raise UnreachableError(url, _root_cause(error) or "no connection in time") from error
    except httpx2.ReadTimeout as error:
        raise ConnectionLostError("the server sent nothing for too long") from error
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise UnreachableError(url, str(error)) from error
    except (httpx2.RequestError, httpx2.StreamError) as error:
        raise ConnectionLostError(str(error) or type(error).__name__) from error


def _root_cause(error: BaseException) -> str:
    """The operating system's message, which the HTTP libraries replace with their own."""
    words, cause = str(error), error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, OSError):
            # asyncio adds its own words to the number; the resolver's numbers are below 0.
            number = cause.errno or 0
            words = (os.strerror(number) if number > 0 else cause.strerror) or words
        cause = cause.__cause__ or cause.__context__
    return words
