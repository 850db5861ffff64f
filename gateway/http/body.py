"""Read a request's body within a limit, and parse it as a JSON object."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from gateway.http.errors import GONE_STATUS, ApiError, gateway_busy


class BodyBudget:
    """The bodies that this process holds at one time, in bytes. A body counts from its first byte.

    `limit_bytes` bounds each body, `budget_bytes` their sum. `settings` names the settings of both, for the errors.
    """

    def __init__(self, limit_bytes: int, budget_bytes: int, settings: tuple[str, str]) -> None:
        self._limit_bytes = limit_bytes
        self._budget_bytes = budget_bytes
        self._settings = settings
        self._held_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body, for as long as the caller needs it.

        Raises: as `read_body`; also ApiError 503 if the budget is used up.
        """
        body = bytearray()
        try:
            async for part in _parts(request, self._limit_bytes, self._settings[0]):
                body += part
                self._held_bytes += len(part)
                if self._held_bytes > self._budget_bytes:
                    raise self._busy()
            yield bytes(body)
        finally:
            self._held_bytes -= len(body)

    def _busy(self) -> ApiError:
        message = (
            "This gateway is reading too many large requests at once. Nothing was started. "
            f"{self._settings[1]} sets how many bytes ({self._budget_bytes})."
        )
        return gateway_busy(message)


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body.

    Raises: ApiError 413 if the body is larger than `limit_bytes`, before reading it if `Content-Length` says so.
    ApiError 499 if the client disconnects.
    """
    return b"".join([part async for part in _parts(request, limit_bytes)])


async def _parts(request: Request, limit_bytes: int, setting: str = "") -> AsyncIterator[bytes]:
    """Raises: ApiError 413, which names the setting of the limit, if there is one; 499."""
    length = request.headers.get("content-length", "")
    total = int(length) if length.isdecimal() else 0
    try:
        _check_size(total, limit_bytes, setting)
        total = 0
        async for part in request.stream():
            total += len(part)
            _check_size(total, limit_bytes, setting)
            yield part
    except ClientDisconnect:
        raise ApiError(GONE_STATUS, "client_gone", "The client disconnected before its request was complete.") from None


def parse_object(body: bytes) -> dict[str, Any]:
    """Raises: ApiError 400 for anything but a JSON object."""
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise ApiError(400, "invalid_json", f"The body is not JSON: {error}") from error
    except RecursionError as error:
        raise ApiError(400, "invalid_json", "The body is nested too deeply.") from error
    if not isinstance(fields, dict):
        raise ApiError(400, "invalid_json", "The body must be a JSON object.")
    return fields


def _check_size(size: int, limit_bytes: int, setting: str) -> None:
    if size > limit_bytes:
        source = f", the limit of this server ({setting})" if setting else ""
        raise ApiError(413, "body_too_large", f"The body is larger than {limit_bytes} bytes{source}.")
