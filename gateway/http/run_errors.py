"""The HTTP status and body that report a failed run to a caller of OpenAI's API."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request

from contract.errors import SERVER_ERROR, Code, RunError
from contract.event import encode_json, parse_json
from contract.stream_log import LogLostError
from gateway.http.errors import INVALID_REQUEST, ApiError
from gateway.http.json_response import JsonResponse

# nginx's status for a client that disconnected. SDKs do not retry it; they would retry a 409.
CANCELLED_STATUS = 499
CANCELLED: Mapping[str, Any] = {"code": "cancelled", "message": "The run was cancelled.", "type": "cancelled"}

STREAM_LOST: Mapping[str, Any] = RunError(
    Code.STREAM_LOST, "The broker has lost this stream.", SERVER_ERROR, retryable=True
).as_json()

STREAM_DELETED: Mapping[str, Any] = RunError(Code.STREAM_DELETED, "This answer was deleted.", SERVER_ERROR).as_json()

_STATUS_BY_CODE = {
    CANCELLED["code"]: CANCELLED_STATUS,
    Code.UPSTREAM_TIMEOUT: 504,
    Code.RUN_TOO_LONG: 504,
    Code.PROVIDER_UNAVAILABLE: 503,
    Code.WORKER_LOST: 503,
    Code.WORKER_ERROR: 500,
    Code.BROKER_UNAVAILABLE: 503,
    Code.STREAM_LOST: 500,
    Code.STREAM_DELETED: 410,
}

_PUBLIC_SENTENCES = {
    Code.UPSTREAM_TIMEOUT: "The provider sent nothing for too long.",
    Code.UPSTREAM_DISCONNECTED: "The connection to the provider broke.",
    Code.UPSTREAM_TRUNCATED: "The provider stopped in the middle of the answer.",
    Code.UPSTREAM_INVALID: "The provider sent something that is not an answer.",
    Code.PROVIDER_UNAVAILABLE: "The provider is not available at the moment.",
    Code.ANSWER_TOO_LARGE: "The answer grew too large and was ended.",
    Code.RUN_TOO_LONG: "The answer took too long and was ended.",
    Code.WORKER_LOST: "The worker was lost, and no attempt is left.",
    Code.BROKER_UNAVAILABLE: "The answer could not be stored.",
    Code.STREAM_LOST: "The database lost this answer.",
    "model_not_found": "This model is not available.",
}

NO_RETRY = {"X-Should-Retry": "false"}
"""SDKs retry a 429 or 5xx unless this header forbids it."""


def error_body(error: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's error body for the `error` object of a `done` event."""
    return {"error": {name: error.get(name) for name in ("message", "type", "param", "code")}}


def public_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """The `error` object of a `done` event for viewers who may not read what the provider said: it may name the
    account, hosts and keys. The code stays."""
    status = error.get("http_status")
    sentence = _PUBLIC_SENTENCES.get(str(error.get("code")))
    if sentence is None and isinstance(status, int):
        sentence = "The provider failed." if status >= 500 else "The provider refused the request."
        sentence = "The provider takes no more requests for now." if status == 429 else sentence
    return {**error, "message": sentence or "The answer failed.", "param": None, "redacted": True}


def public_data(kind: bytes, data: bytes) -> bytes:
    """The data of an event, with `public_error`: of a `done`, or of the end of a script's step that has failed."""
    # A script has many events of steps, one for each chunk. In a text, JSON escapes the quotes.
    if kind != b"done" and (kind != b"step" or b'"error":{' not in data):
        return data
    told = parse_json(data)
    if told.get("error") is None:
        return data
    return encode_json({**told, "error": public_error(told["error"])})


def to_api_error(error: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> ApiError:
    """The error response for the `error` object of a `done` event. It has the provider's status if there is one.

    It forbids a retry: the worker has retried what is worth a retry, and another run might be billed again.
    """
    status = error.get("http_status")
    if not isinstance(status, int) or not 400 <= status < 600:
        # Any other failure is between us and the provider, so it is a 502 (RFC 9110, section 15.6.3).
        status = 400 if error.get("type") == INVALID_REQUEST else _STATUS_BY_CODE.get(str(error.get("code")), 502)
    headers = {**(headers or {}), **NO_RETRY}
    fields = error_body(error)["error"]
    return ApiError(
        status, fields["code"], fields["message"], param=fields["param"], type_=fields["type"], headers=headers
    )


def answer_lost_logs(app: FastAPI) -> None:
    """Makes `app` answer `stream_lost` wherever a route finds that Redis has lost the log of a run."""

    @app.exception_handler(LogLostError)
    async def lost(_: Request, __: Exception) -> JsonResponse:
        error = to_api_error(STREAM_LOST)
        return JsonResponse(error.body, error.status, headers=error.headers)
