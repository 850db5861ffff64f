"""Read a request's body within a limit, and parse it as a JSON object."""

import json
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from gateway.http.errors import GONE_STATUS, ApiError


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body.

    Raises: ApiError 413 if the body is larger than `limit_bytes`, before reading it if `Content-Length` says so.
    ApiError 499 if the client disconnects.
    """
    length = request.headers.get("content-length", "")
    _check_size(int(length) if length.isdecimal() else 0, limit_bytes)
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            _check_size(len(body), limit_bytes)
    except ClientDisconnect:
        raise ApiError(GONE_STATUS, "client_gone", "The client disconnected before its request was complete.") from None
    return bytes(body)


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


def _check_size(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise ApiError(413, "body_too_large", f"The body is larger than {limit_bytes} bytes.")
