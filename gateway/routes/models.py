"""Request bodies, response bodies and headers of the API, from which FastAPI generates the OpenAPI document.

`gateway.runs` defines the bodies that it makes or parses. docs/protocol.md says what the fields mean.
"""

from typing import Annotated, Any, Literal

from fastapi import Header, Path
from pydantic import ConfigDict, Field, SkipValidation

from contract.event import Status
from gateway.access.tickets import Scope
from gateway.http.models import RequestBody, ResponseBody, Rule
from gateway.http.stream_urls import Urls
from gateway.runs.describe import StreamId, UnixSeconds, Visibility

MAX_CHAT_ID_CHARS = 255
MAX_SECRET_CHARS = 1024
MAX_QUESTION_ID_CHARS = 255
MAX_TICKET_S = 30 * 86_400

# `check_stream_id` checks the stream id of a path, because its error has its own code.
StreamIdPath = Annotated[str, Path(json_schema_extra={"pattern": "^[A-Za-z0-9_-]{20,64}$"})]
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key")]
RetryCount = Annotated[
    int, Header(alias="X-Stainless-Retry-Count", ge=0, description="How often the SDK sent this request before.")
]
OnDisconnect = Annotated[str | None, Header(alias="X-On-Disconnect")]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match")]


class ErrorDetails(ResponseBody):
    """What went wrong, in OpenAI's form."""

    message: str
    type: str | None
    param: str | None
    code: str | None


class Error(ResponseBody):
    """The body of every error."""

    error: ErrorDetails


class UiMessage(RequestBody):
    """One `UIMessage` of the AI SDK. Parts of an unknown kind are ignored."""

    role: Literal["system", "user", "assistant"]
    parts: list[Any]


class UiTool(RequestBody):
    """A tool that the page runs. `parameters` is a JSON schema."""

    description: str | None = None
    parameters: dict[str, Any] | None = None


class UiConfig(RequestBody):
    """assistant-ui's choice of a model. Other fields are ignored."""

    model_name: Annotated[str | None, Field(alias="modelName")] = None
    reasoning_effort: Annotated[str | None, Field(alias="reasoningEffort")] = None


class UiChatRequest(RequestBody):
    """What `useChat` of the AI SDK and assistant-ui send. `callSettings` and `config` are translated to OpenAI's names;
    `trigger`, `messageId` and `metadata` are ignored. All other fields go to the provider unchanged."""

    id: Annotated[
        Annotated[str, Field(min_length=1, max_length=MAX_CHAT_ID_CHARS)] | None,
        Rule(f"must be a string of 1 to {MAX_CHAT_ID_CHARS} characters"),
    ] = None
    # `to_chat_request` checks them while it translates them.
    messages: Annotated[list[UiMessage], Field(min_length=1), SkipValidation]
    system: str | None = None
    tools: Annotated[
        dict[str, UiTool] | list[Any] | None,
        Rule("must be an object of tools by name, each with a description and parameters, or OpenAI's array"),
    ] = None
    call_settings: Annotated[dict[str, Any] | None, Field(alias="callSettings")] = None
    config: UiConfig | None = None
    trigger: Any = None
    message_id: Annotated[Any, Field(alias="messageId")] = None
    metadata: Any = None


class ChatMessages(ResponseBody):
    """The messages of a chat, as `useChat` sent them with the last question."""

    id: str
    messages: list[dict[str, Any]]


class SignInRequest(RequestBody):
    """The password or an API key."""

    secret: Annotated[
        str,
        Field(min_length=1, max_length=MAX_SECRET_CHARS),
        Rule(f"must be a string of 1 to {MAX_SECRET_CHARS} characters"),
    ]


class TicketRequest(RequestBody):
    """The ticket to make. Without `expires_in_s` it is valid for MANYCAST_TICKET_S seconds."""

    model_config = ConfigDict(extra="forbid")

    scope: Literal["view", "control"] = "view"
    expires_in_s: Annotated[
        Annotated[int, Field(ge=1, le=MAX_TICKET_S)] | None,
        Rule(f"must be a whole number of seconds, 1 to {MAX_TICKET_S}"),
    ] = None


class InputRequest(RequestBody):
    """An answer to a question of a script. `id`: that of the question. `value`: a text, or what the question wants."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=MAX_QUESTION_ID_CHARS), Rule("must be the id of a question")]
    value: Annotated[Any, Field()]


class InputAnswer(ResponseBody):
    """The answer that counts. `by`: who gave it, null for a person without a name."""

    id: str
    value: Any
    by: str | None


class ControlTickets(ResponseBody):
    """A ticket to control the stream and, if the stream is private, one to watch it."""

    control: str
    view: str = ""


class StartedRun(ResponseBody):
    """A run that this request started, or that an earlier request with the same Idempotency-Key started."""

    id: StreamId
    status: Status
    visibility: Visibility
    tickets: ControlTickets
    urls: Urls


class CancelledRun(ResponseBody):
    """`cancelling`: the run had not ended yet when this response was sent."""

    id: StreamId
    status: Literal["completed", "cancelled", "failed", "cancelling"]


class Ticket(ResponseBody):
    """A ticket and the URLs that contain it."""

    ticket: str
    scope: Scope
    expires_at: UnixSeconds
    urls: Urls


class NewTickets(ResponseBody):
    """The new control ticket, after all others were revoked."""

    tickets: ControlTickets


class Completion(ResponseBody):
    """OpenAI's `chat.completion`."""

    model_config = ConfigDict(extra="allow")


class ResponseObject(ResponseBody):
    """OpenAI's Response."""

    model_config = ConfigDict(extra="allow")


class ResponseItems(ResponseBody):
    """A page of items, in OpenAI's form."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str
    last_id: str
    has_more: bool


class DeletedRun(ResponseBody):
    """A run that has been deleted."""

    id: StreamId
    deleted: bool


class DeletedResponse(ResponseBody):
    """A response that has been deleted."""

    id: str
    object: Literal["response"]
    deleted: bool


class PassedThrough(ResponseBody):
    """The provider's answer, unchanged."""

    model_config = ConfigDict(extra="allow")


class Model(ResponseBody):
    """A model that a live worker offers."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(ResponseBody):
    """The models that live workers offer."""

    object: Literal["list"]
    data: list[Model]


class Health(ResponseBody):
    """Whether the gateway is being stopped."""

    draining: bool


TopologyKind = Literal["one", "sentinel", "cluster", "shards"]


class Readiness(ResponseBody):
    """Whether a run can be started and watched, and if not, why. `workers`: how many are alive. `topology`: the form of
    `REDIS_URL`."""

    ready: bool
    redis: bool
    workers: int
    draining: bool
    topology: TopologyKind


class BrokerState(ResponseBody):
    """The broker as this gateway sees it; null where it does not say. `nodes`: the servers that hold keys."""

    topology: TopologyKind
    nodes: list[str]
    name: Literal["redis", "valkey"]
    version: str | None
    append_only: bool | None
    memory_limit_bytes: int | None
    memory_policy: str | None


class SourceState(ResponseBody):
    """A provider as a worker sees it. `problem`: why it lists no models, in words."""

    name: str
    url: str
    problem: str | None


class WorkerState(ResponseBody):
    """A live worker. `generator`: the operator's own, null for the providers. `models`: how many there are."""

    generator: str | None
    default_model: str | None
    models: int
    providers: list[SourceState]


class ServerState(ResponseBody):
    """What this server runs on."""

    broker: BrokerState
    workers: list[WorkerState]


class Session(ResponseBody):
    """Who the user of the page is, and what the user may do. `sign_in`: whether signing in would help. `share_url`: the
    address for other devices, if the page is open at an address of this computer and the server knows another one.
    """

    caller: str | None
    may_start: bool
    sign_in: bool
    message: str | None
    share_url: str | None
