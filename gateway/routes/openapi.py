"""The API's OpenAPI document, for those who write a client in another language. docs/protocol.md says what it means.

The routes say which calls there are; what they take and give stands here, call by call.
"""

from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI

from gateway.routes.openapi_schemas import SCHEMAS, STREAM_ID, Schema, refer

JSON = "application/json"
SSE = "text/event-stream"

# What any call may be answered, its body unread: docs/protocol.md, section 5.
ALWAYS = (400, 408, 414, 431, 500, 503)
WITH_BODY = (*ALWAYS, 413, 499)
START = (*WITH_BODY, 401, 403, 422, 429)
RIGHTS = (401, 403, 404)

_WORDS = {
    400: "Malformed, or not to be done in this form.",
    401: "No key where one is needed, or a wrong one.",
    403: "Not this caller, not with this ticket, or not set up here.",
    409: "The run has not ended, or has nothing to show.",
    422: "This Idempotency-Key was used with another body.",
    429: "Too many requests, or too many runs at once. See Retry-After.",
    499: "The client has gone, or the run was cancelled.",
    503: "Too much to do, the broker is away, or this gateway is being stopped. See Retry-After.",
}


class Call(NamedTuple):
    """`answers`: status -> schema, media type, or "" for no content. `others`: whatever status a provider gives."""

    name: str
    answers: dict[int, str]
    errors: tuple[int, ...]
    body: str = ""
    body_required: bool = True
    headers: tuple[str, ...] = ()
    takes_ticket: bool = False
    others: bool = False


ONCE = ("Idempotency-Key",)
ONCE_OR_GONE = ("Idempotency-Key", "X-On-Disconnect")

CALLS: dict[tuple[str, str], Call] = {
    ("post", "/v1/streams"): Call("startRun", {201: "Started", 200: "Started"}, START, "ChatRequest", headers=ONCE),
    ("get", "/v1/streams"): Call("listRuns", {200: "RunList"}, (*ALWAYS, 401, 403, 429)),
    ("get", "/v1/streams/{stream_id}/events"): Call(
        "watchRun", {200: SSE, 204: ""}, (*ALWAYS, *RIGHTS), headers=("Last-Event-ID",), takes_ticket=True
    ),
    ("get", "/v1/streams/{stream_id}"): Call("readRun", {200: "Run"}, (*ALWAYS, *RIGHTS), takes_ticket=True),
    ("get", "/v1/streams/{stream_id}/completion"): Call(
        "readCompletion",
        {200: "Completion", 304: ""},
        (*ALWAYS, *RIGHTS, 409),
        headers=("If-None-Match",),
        takes_ticket=True,
    ),
    ("post", "/v1/streams/{stream_id}/cancel"): Call(
        "cancelRun", {200: "Cancelled"}, (*ALWAYS, *RIGHTS), takes_ticket=True
    ),
    ("post", "/v1/streams/{stream_id}/tickets"): Call(
        "giveTicket", {201: "Ticket"}, (*WITH_BODY, *RIGHTS), "TicketWish", body_required=False, takes_ticket=True
    ),
    ("delete", "/v1/streams/{stream_id}/tickets"): Call(
        "revokeTickets", {200: "NewTickets"}, (*ALWAYS, *RIGHTS), takes_ticket=True
    ),
    ("post", "/v1/streams/{stream_id}/cookie"): Call("keepTicket", {204: ""}, (*ALWAYS, *RIGHTS), takes_ticket=True),
    ("post", "/v1/chat/completions"): Call(
        "createChatCompletion", {200: "Completion"}, START, "ChatRequest", headers=ONCE_OR_GONE, others=True
    ),
    ("post", "/api/chat"): Call("answerChat", {200: SSE, 204: ""}, START, "UiChatRequest", headers=ONCE_OR_GONE),
    ("get", "/api/chat/{chat}/stream"): Call("resumeChat", {200: SSE, 204: ""}, (*ALWAYS, *RIGHTS)),
    ("delete", "/api/chat/{chat}/stream"): Call("stopChat", {204: ""}, (*ALWAYS, *RIGHTS)),
    ("get", "/v1/models"): Call("listModels", {200: "ModelList"}, (*ALWAYS, 401)),
    ("get", "/v1/models/{model_id}"): Call("readModel", {200: "Model"}, (*ALWAYS, 401, 404)),
    ("get", "/v1/session"): Call("readSession", {200: "Session"}, ALWAYS),
    ("post", "/v1/session"): Call("signIn", {200: "Session"}, (*WITH_BODY, 401, 403, 429), "Secret"),
    ("delete", "/v1/session"): Call("signOut", {204: ""}, (*ALWAYS, 403)),
    ("get", "/healthz"): Call("isAlive", {200: "Health", 503: "Health"}, ALWAYS),
    ("get", "/readyz"): Call("isReady", {200: "Readiness", 503: "Readiness"}, ALWAYS),
}

SECURITY: dict[str, Schema] = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, or a ticket."},
    "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
    "session": {"type": "apiKey", "in": "cookie", "name": "manycast_session"},
}


def document_api(app: FastAPI) -> None:
    """Has `app` tell the whole of its API, where it would tell its paths. It is put together when first asked for."""
    generate = app.openapi

    def tell() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(generate())
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = tell  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:

    document["components"] = {"schemas": SCHEMAS, "securitySchemes": SECURITY}
    for path, calls in document["paths"].items():
        for method, told in calls.items():
            call = CALLS[method, path]
            told["operationId"] = call.name
            told["responses"] = _answers(call)
            told["parameters"] = _parameters(told.get("parameters", []), call)
            # {}: where nothing is set up, or the id is enough.
            told["security"] = [{}, {"key": []}, {"session": []}, *([{"ticket": []}] if call.takes_ticket else [])]
            if call.body:
                told["requestBody"] = {"required": call.body_required, "content": _content(call.body)}


def _answers(call: Call) -> dict[str, Any]:
    answers: dict[str, Any] = {
        str(status): {"description": _WORDS.get(status) or HTTPStatus(status).phrase, "content": _content("Error")}
        for status in call.errors
    }
    for status, what in call.answers.items():
        answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if what:
            content = _content(what)
            if str(status) in answers:
                content = {JSON: {"schema": {"anyOf": [refer(what), refer("Error")]}}}
            answer["content"] = content
        answers[str(status)] = answer
    if call.name == "createChatCompletion":
        answers["200"]["content"][SSE] = {}
    if call.others:
        answers["default"] = {"description": "The provider's own status and error.", "content": _content("Error")}
    return dict(sorted(answers.items()))


def _content(what: str) -> dict[str, Any]:
    return {SSE: {}} if what == SSE else {JSON: {"schema": refer(what)}}


def _parameters(known: list[dict[str, Any]], call: Call) -> list[dict[str, Any]]:
    for parameter in known:
        if parameter["name"] == "stream_id":
            parameter["schema"] = STREAM_ID
    return known + [{"name": name, "in": "header", "schema": {"type": "string"}} for name in call.headers]
