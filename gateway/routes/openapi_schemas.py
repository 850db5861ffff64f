"""The forms of what the API takes and gives, for its OpenAPI document. docs/protocol.md is the source. Pure data."""

from typing import Any

Schema = dict[str, Any]


def _object(required: str = "", /, **properties: Schema) -> Schema:
    form: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**form, "required": required.split()} if required else form


def _open_object(required: str = "", /, **properties: Schema) -> Schema:
    """It may have any other property."""
    return {**_object(required, **properties), "additionalProperties": True}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def refer(name: str) -> Schema:
    """To a schema of this module."""
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
WHOLE: Schema = {"type": "integer"}
YES_OR_NO: Schema = {"type": "boolean"}
SECONDS: Schema = {"type": "number", "description": "Unix seconds"}
SECONDS_OR_NULL: Schema = {"type": ["number", "null"], "description": "Unix seconds"}
ANY_OBJECT_OR_NULL: Schema = {"type": ["object", "null"]}
STREAM_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{20,64}$"}
STATUS: Schema = {"type": "string", "enum": ["queued", "running", "completed", "cancelled", "failed"]}
VISIBILITY: Schema = {"type": "string", "enum": ["unlisted", "private"]}

_PLACES = ("events", "status", "completion", "cancel", "page")
_RUN: dict[str, Schema] = {
    "id": STREAM_ID,
    "status": STATUS,
    "epoch": WHOLE,
    "position": {"type": "string", "pattern": "^[0-9]+-[0-9]+$"},
    "model": TEXT,
    "visibility": VISIBILITY,
    "created_at": SECONDS,
    "started_at": SECONDS_OR_NULL,
    "ended_at": SECONDS_OR_NULL,
    "finish_reason": TEXT_OR_NULL,
    "usage": ANY_OBJECT_OR_NULL,
    "error": ANY_OBJECT_OR_NULL,
    "timing": ANY_OBJECT_OR_NULL,
    "urls": refer("Urls"),
    "viewers": WHOLE,
}
_FIELDS = " ".join(_RUN)

SCHEMAS: dict[str, Schema] = {
    "Error": _object(
        "error",
        error=_object(
            "message type param code", message=TEXT, type=TEXT_OR_NULL, param=TEXT_OR_NULL, code=TEXT_OR_NULL
        ),
    ),
    "ChatRequest": {
        **_open_object(
            "messages",
            messages={**_list(_open_object("role", role=TEXT)), "minItems": 1},
            model=TEXT,
            stream={"type": ["boolean", "null"]},
            manycast=_object(
                on_worker_lost={"type": "string", "enum": ["restart", "fail"]},
                when_unwatched={
                    "anyOf": [
                        {"const": "continue"},
                        _object(
                            "cancel_after_s", cancel_after_s={"type": "number", "exclusiveMinimum": 0, "maximum": 86400}
                        ),
                    ]
                },
                visibility=VISIBILITY,
            ),
        ),
        "description": "OpenAI's request; whatever is not named here passes through to the provider.",
    },
    "UiChatRequest": {
        **_open_object(
            "messages",
            id={"type": ["string", "null"], "minLength": 1, "maxLength": 255},
            messages={
                **_list(
                    _open_object(
                        "role parts",
                        role={"type": "string", "enum": ["system", "user", "assistant"]},
                        parts=_list(_open_object()),
                    )
                ),
                "minItems": 1,
            },
        ),
        "description": "What `useChat` of the AI SDK sends.",
    },
    "Urls": _object(" ".join(_PLACES), **dict.fromkeys(_PLACES, TEXT)),
    "Started": _object(
        "id status visibility tickets urls",
        id=STREAM_ID,
        status=STATUS,
        visibility=VISIBILITY,
        tickets=_object("control", control=TEXT, view=TEXT),
        urls=refer("Urls"),
    ),
    "Run": _object(_FIELDS, **_RUN),
    "RunList": _object(
        "object data",
        object={"const": "list"},
        data=_list(
            _object(
                f"{_FIELDS} prompt gateways",
                **_RUN,
                prompt=TEXT,
                gateways={"type": "object", "additionalProperties": WHOLE},
            )
        ),
    ),
    "Completion": {**_open_object(), "description": "OpenAI's `chat.completion`."},
    "Cancelled": _object(
        "id status", id=STREAM_ID, status={"type": "string", "enum": ["completed", "cancelled", "failed", "cancelling"]}
    ),
    "Model": _object("id object created owned_by", id=TEXT, object={"const": "model"}, created=WHOLE, owned_by=TEXT),
    "ModelList": _object("object data", object={"const": "list"}, data=_list(refer("Model"))),
    "Health": _object("draining", draining=YES_OR_NO),
    "Readiness": _object(
        "ready redis workers draining", ready=YES_OR_NO, redis=YES_OR_NO, workers=WHOLE, draining=YES_OR_NO
    ),
    "Secret": _open_object("secret", secret={"type": "string", "minLength": 1, "maxLength": 1024}),
    "Session": _object(
        "caller may_start sign_in message",
        caller=TEXT_OR_NULL,
        may_start=YES_OR_NO,
        sign_in=YES_OR_NO,
        message=TEXT_OR_NULL,
    ),
    "TicketWish": _object(
        scope={"type": "string", "enum": ["view", "control"]},
        expires_in_s={"type": "integer", "minimum": 1, "maximum": 2592000},
    ),
    "Ticket": _object(
        "ticket scope expires_at urls",
        ticket=TEXT,
        scope={"type": "string", "enum": ["view", "control"]},
        expires_at=SECONDS,
        urls=refer("Urls"),
    ),
    "NewTickets": _object("tickets", tickets=_object("control", control=TEXT)),
}
