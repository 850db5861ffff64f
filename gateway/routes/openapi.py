"""Adds to the OpenAPI document what FastAPI cannot know: errors, server-sent events, access, request bodies.

Routes read their bodies themselves, after authentication and within a size limit, so FastAPI does not see the models.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from gateway.http.models import RequestBody
from gateway.routes.models import Error, InputRequest, SignInRequest, TicketRequest, UiChatRequest
from gateway.runs.chat_request import ChatCompletionRequest
from gateway.runs.pass_through import PassThroughRequest, TextCompletionRequest
from gateway.runs.response_request import ResponseRequest
from gateway.runs.run_again import RunAgainRequest

SSE: Mapping[str, Any] = {"content": {"text/event-stream": {}}}
NO_CONTENT: Mapping[str, Any] = {"description": "No Content"}

# Any call may get these errors before its body is read: docs/protocol.md, section 5.
COMMON_ERRORS = (400, 408, 414, 431, 500, 503)
BODY_ERRORS = (413, 499)
START_ERRORS = (*BODY_ERRORS, 401, 403, 422, 429)
ACCESS_ERRORS = (401, 403, 404)

_DESCRIPTIONS = {
    400: "The request is malformed, or has a wrong value.",
    401: "An API key is required, or the one sent is wrong.",
    403: "This caller or this ticket may not do that, or this server is not set up for it.",
    409: "The run has not ended, it ended without an answer, or the question has its answer.",
    422: "This Idempotency-Key was used with another body, or the answer does not fit the question.",
    429: "Too many requests, or too many runs at once. See Retry-After.",
    499: "The client disconnected, or the run was cancelled.",
    503: "Too busy, Redis cannot be reached, or this gateway is being stopped. See Retry-After.",
}
_PROVIDER_ERROR = {"model": Error, "description": "The provider's own status and error."}

_REQUEST_BODIES = (
    ChatCompletionRequest,
    ResponseRequest,
    PassThroughRequest,
    TextCompletionRequest,
    UiChatRequest,
    SignInRequest,
    TicketRequest,
    InputRequest,
    RunAgainRequest,
)
_SCHEMA = "#/components/schemas/{model}"
_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, or a ticket."},
    "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
    "session": {"type": "apiKey", "in": "cookie", "name": "manycast_session"},
}


def document(
    operation_id: str,
    *,
    tag: str,
    errors: Iterable[int] = (),
    responses: Mapping[int, Mapping[str, Any]] | None = None,
    body: type[RequestBody] | None = None,
    body_required: bool = True,
    takes_ticket: bool = False,
    passes_provider_errors: bool = False,
) -> dict[str, Any]:
    """Keyword arguments for `add_api_route`. `errors`: statuses besides COMMON_ERRORS; `responses`: as FastAPI's."""
    documented: dict[int | str, dict[str, Any]] = {
        status: {"model": Error, "description": _DESCRIPTIONS.get(status) or HTTPStatus(status).phrase}
        for status in sorted({*COMMON_ERRORS, *errors})
    }
    documented.update({status: dict(response) for status, response in (responses or {}).items()})
    if passes_provider_errors:
        documented["default"] = _PROVIDER_ERROR
    # `{}` means no credentials: none are set up, or the stream's id is enough.
    extra: dict[str, Any] = {"security": [{}, {"key": []}, {"session": []}]}
    if takes_ticket:
        extra["security"].append({"ticket": []})
    if body is not None:
        schema = {"$ref": _SCHEMA.format(model=body.__name__)}
        extra["requestBody"] = {"required": body_required, "content": {"application/json": {"schema": schema}}}
    return {"operation_id": operation_id, "tags": [tag], "responses": documented, "openapi_extra": extra}


def document_api(app: FastAPI) -> None:
    """Adds the schemas of request bodies and the ways to authenticate to FastAPI's document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(generate())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    _, bodies = models_json_schema([(body, "validation") for body in _REQUEST_BODIES], ref_template=_SCHEMA)
    components = document["components"]
    components["schemas"].update(bodies["$defs"])
    components["securitySchemes"] = _SECURITY
    # FastAPI documents these bodies for invalid parameters, but we answer those with 400 and `Error`.
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    for calls in document["paths"].values():
        for call in calls.values():
            if "HTTPValidationError" in str(call["responses"].get("422")):
                del call["responses"]["422"]
    return document
