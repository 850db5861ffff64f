"""A chat-completions request: checked as far as we rely on it, and split into the provider's part and ours.

No I/O. Fields that `ChatCompletionRequest` does not name go to the provider unchanged.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, FailFast, Field

from contract.event import encode_json
from contract.job_queue import NO_BEGINNING, Beginning, Policy
from contract.limits import IDEMPOTENCY_KEY_LIMIT_CHARS, QUESTION_LIMIT_CHARS
from gateway.dialects.registry import OPENAI, OPENAI_USAGE
from gateway.http.body import parse_object
from gateway.http.errors import ApiError
from gateway.http.models import RequestBody, Rule, check_body
from gateway.runs.describe import Visibility

_IDEMPOTENCY_KEY = re.compile(rf"[\x21-\x7e]{{1,{IDEMPOTENCY_KEY_LIMIT_CHARS}}}")
_FILES = frozenset(("image_url", "input_audio", "file"))
MAX_UNWATCHED_S = 86_400

_UNWATCHED_RULE = f"must be 'continue' or {{'cancel_after_s': N}}, 0 < N <= {MAX_UNWATCHED_S} seconds"


class CancelAfter(RequestBody):
    """Cancel the run after this many seconds without a viewer."""

    model_config = ConfigDict(extra="forbid")

    cancel_after_s: Annotated[float, Field(gt=0, le=MAX_UNWATCHED_S)]


class JobOptions(RequestBody):
    """Our part of any request that starts a run; the provider does not get it."""

    model_config = ConfigDict(extra="forbid")

    on_worker_lost: Literal["restart", "fail"] = "restart"
    when_unwatched: Annotated[Literal["continue"] | CancelAfter, Rule(_UNWATCHED_RULE)] = "continue"

    @property
    def policy(self) -> Policy:
        limit = self.when_unwatched
        unwatched_ms = max(1, round(limit.cancel_after_s * 1000)) if isinstance(limit, CancelAfter) else 0
        return Policy(self.on_worker_lost, unwatched_ms)


class RunOptions(JobOptions):
    """Our part of a request for an answer that others may watch."""

    visibility: Visibility = "unlisted"
    question: Literal["shown", "hidden"] = "shown"
    """Whether those who may watch see the user's last message."""


class Message(RequestBody):
    """One message. The provider checks its content."""

    role: str


class ChatCompletionRequest(RequestBody):
    """OpenAI's request. Fields that are not named here go to the provider unchanged."""

    messages: Annotated[list[Message], Field(min_length=1), FailFast()]
    model: str = ""
    # OpenAI accepts null and treats it as false.
    stream: bool | None = None
    stream_options: Any = None
    manycast: RunOptions = Field(default_factory=RunOptions)

    @property
    def includes_usage(self) -> bool:
        options = self.stream_options
        return isinstance(options, dict) and options.get("include_usage") is True


@dataclass(frozen=True, slots=True)
class Turn:
    """What a page of the AI SDK sent for the next answer of a chat, as JSON: the `messages` before the answer, and the
    message that the answer continues, if it does."""

    chat_id: str
    messages: bytes
    continued: bytes | None


async def _no_beginning(_: str) -> Beginning:
    return NO_BEGINNING


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`request` is the JSON for the provider, without our part. `digest` identifies the body, for idempotency.

    `stream` and `dialect` say how the caller wants it answered, `private` who may watch, `turn` which chat of the AI
    SDK it belongs to. `prompt_chars` is the length of all texts in its messages. `response`, `keep_ms`, `endpoint` and
    `question` are those of a Submission. `shows_question`: those who may watch see it. `prompts` are those of
    contract.passed, `beginning` gives that of the Submission for the id of its stream.
    """

    request: bytes
    digest: str
    model: str
    policy: Policy
    private: bool
    stream: bool
    dialect: str
    prompt_chars: int
    turn: Turn | None = None
    response: bytes = b""
    keep_ms: int = 0
    endpoint: str = ""
    question: str = ""
    shows_question: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    beginning: Callable[[str], Awaitable[Beginning]] = _no_beginning


def parse_chat_request(body: bytes) -> ChatRequest:
    """Raises: ApiError 400 that names the field at fault."""
    return check_chat_request(parse_object(body), sha256(body).hexdigest())


def check_chat_request(fields: dict[str, Any], digest: str) -> ChatRequest:
    """`fields` is a parsed body, `digest` that of the bytes. Raises: ApiError 400 that names the field at fault."""
    body = check_body(ChatCompletionRequest, fields)
    return ChatRequest(
        # Encode `fields`, not `body`: the provider must get every field that the caller sent, known to us or not.
        request=encode_sent({name: value for name, value in fields.items() if name != "manycast"}),
        digest=digest,
        model=body.model,
        policy=body.manycast.policy,
        private=body.manycast.visibility == "private",
        stream=bool(body.stream),
        dialect=OPENAI_USAGE if body.includes_usage else OPENAI,
        prompt_chars=count_chars(fields["messages"]),
        question=find_question(fields["messages"]),
        shows_question=body.manycast.question == "shown",
    )


def encode_sent(value: object) -> bytes:
    """The JSON of a value that a caller has sent. Raises: ApiError 400 for NaN and infinities, which Python reads."""
    try:
        return encode_json(value)
    except ValueError as error:
        raise ApiError(400, "invalid_json", "NaN and Infinity are not JSON.") from error


def count_chars(value: Any) -> int:
    """The length of all strings in parsed JSON, without field names and without the contents of files."""
    chars, pending = 0, [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            chars += len(item)
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, dict):
            pending += (field for name, field in item.items() if name not in _FILES)
    return chars


def find_question(messages: list[dict[str, Any]]) -> str:
    """The text of the user's last message, or "". Only the provider checks a message, so its content may have any
    shape."""
    for message in reversed(messages):
        if message["role"] == "user":
            return _text_of(message.get("content"))[:QUESTION_LIMIT_CHARS]
    return ""


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return " ".join(part for part in parts if isinstance(part, str))


def digest_idempotency_key(key: str, caller: str) -> str:
    """A hex digest of the key and its caller, because two callers may use the same key. Raises: ApiError 400."""
    if _IDEMPOTENCY_KEY.fullmatch(key) is None:
        what = f"Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_LIMIT_CHARS} visible ASCII characters."
        raise ApiError(400, "invalid_value", what, param="Idempotency-Key")
    return sha256(f"{caller} {key}".encode(errors="surrogatepass")).hexdigest()


def digest_body(digest: str, caller: str) -> str:
    """A hex digest that identifies a body among all bodies and idempotency keys of all callers."""
    # An idempotency key contains no line feed.
    return sha256(f"{caller}\n{digest}".encode(errors="surrogatepass")).hexdigest()
