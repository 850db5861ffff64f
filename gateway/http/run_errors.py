"""How a run that failed is told to a caller of OpenAI's API: HTTP status and body. Pure: no I/O."""

from collections.abc import Mapping
from typing import Any

from contract.errors import SERVER_ERROR, Code, RunError
from gateway.http.errors import INVALID_REQUEST, ApiError

# nginx's word for a client that has gone; no SDK repeats it, as they all do with OpenAI's own 409.
CANCELLED_STATUS = 499
CANCELLED: Mapping[str, Any] = {"code": "cancelled", "message": "The run was cancelled.", "type": "cancelled"}

STREAM_LOST: Mapping[str, Any] = RunError(
    Code.STREAM_LOST, "The broker has lost this stream.", SERVER_ERROR, retryable=True
).as_json()

_STATUS_BY_CODE = {
    CANCELLED["code"]: CANCELLED_STATUS,
    Code.UPSTREAM_TIMEOUT: 504,
    Code.RUN_TOO_LONG: 504,
    Code.WORKER_LOST: 503,
    Code.WORKER_ERROR: 500,
    Code.BROKER_UNAVAILABLE: 503,
    Code.STREAM_LOST: 500,
}

# It would be as much, and cost as much, once more. SDKs, which repeat a 5xx, obey the header.
_AGAIN_THE_SAME = frozenset({Code.ANSWER_TOO_LARGE, Code.RUN_TOO_LONG})


def error_body(error: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's four fields of an error as `done` carries it."""
    return {"error": {name: error.get(name) for name in ("message", "type", "param", "code")}}


def refuse(error: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> ApiError:
    """The answer to a caller who has read nothing yet: the provider's own status, where it gave one."""
    status = error.get("http_status")
    if not isinstance(status, int) or not 400 <= status < 600:
        # Whatever else went wrong went wrong between us and the provider (RFC 9110, section 15.6.3).
        status = 400 if error.get("type") == INVALID_REQUEST else _STATUS_BY_CODE.get(str(error.get("code")), 502)
    if error.get("code") in _AGAIN_THE_SAME:
        headers = {**(headers or {}), "X-Should-Retry": "false"}
    told = error_body(error)["error"]
    return ApiError(status, told["code"], told["message"], param=told["param"], type_=told["type"], headers=headers)
