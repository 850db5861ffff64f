"""A chat-completions request as a caller sends it: read, checked as far as we rely on it, and split from our own part.

Pure: no I/O. Whatever else the body holds is the provider's business and passes through.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from contract.event import encode_json
from contract.job_queue import Policy
from contract.limits import IDEMPOTENCY_KEY_LIMIT_CHARS
from gateway.dialects.registry import OPENAI, OPENAI_USAGE
from gateway.http.body import parse_object
from gateway.http.errors import ApiError

_IDEMPOTENCY_KEY = re.compile(rf"[\x21-\x7e]{{1,{IDEMPOTENCY_KEY_LIMIT_CHARS}}}")
_FILES = frozenset(("image_url", "input_audio", "file"))
ON_WORKER_LOST = ("restart", "fail")
VISIBILITIES = ("unlisted", "private")
UNWATCHED_LIMIT_S = 86_400


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`request` is the JSON for the provider, without our own part. `digest` names the body, for idempotency.

    `stream` and `dialect` say how the caller wants it answered, `private` who may watch, `chat_id` which chat of the AI
    SDK it belongs to. `prompt_chars` is how much text the model gets to read.
    """

    request: bytes
    digest: str
    model: str
    policy: Policy
    private: bool
    stream: bool
    dialect: str
    prompt_chars: int
    chat_id: str | None = None


def parse_chat_request(body: bytes) -> ChatRequest:
    """Raises: ApiError 400, with the field to blame."""
    return check_chat_request(parse_object(body), sha256(body).hexdigest())


def check_chat_request(fields: dict[str, Any], digest: str) -> ChatRequest:
    """`digest` is that of the body as it was sent. Raises: ApiError 400, with the field to blame."""
    _check_messages(fields.get("messages"))
    prompt_chars = count_chars(fields["messages"])
    model = fields.get("model", "")
    if not isinstance(model, str):
        raise ApiError(400, "invalid_type", "'model' must be a string.", param="model")
    # OpenAI takes null for false.
    stream = fields.get("stream") or False
    if not isinstance(stream, bool):
        raise ApiError(400, "invalid_type", "'stream' must be a boolean.", param="stream")
    options = fields.get("stream_options")
    include_usage = isinstance(options, dict) and options.get("include_usage") is True
    dialect = OPENAI_USAGE if include_usage else OPENAI
    policy, private = _parse_ours(fields.pop("manycast", {}))
    try:
        request = encode_json(fields)
    except ValueError as error:
        raise ApiError(400, "invalid_json", "NaN and Infinity are not JSON.") from error
    except RecursionError as error:
        raise ApiError(400, "invalid_json", "The body is nested too deeply.") from error
    return ChatRequest(request, digest, model, policy, private, stream, dialect, prompt_chars)


def _check_messages(messages: Any) -> None:
    if messages is None:
        raise ApiError(400, "missing_required_parameter", "Missing required parameter: 'messages'.", param="messages")
    if not isinstance(messages, list):
        raise ApiError(400, "invalid_type", "'messages' must be an array.", param="messages")
    if not messages:
        raise ApiError(400, "empty_array", "'messages' must not be empty.", param="messages")
    for at, each in enumerate(messages):
        if not isinstance(each, dict):
            raise ApiError(400, "invalid_type", f"'messages[{at}]' must be an object.", param=f"messages[{at}]")
        if not isinstance(each.get("role"), str):
            what = f"'messages[{at}].role' must be a string."
            raise ApiError(400, "invalid_type", what, param=f"messages[{at}].role")


def count_chars(value: Any) -> int:
    """Of all texts in what JSON has become, but not of names and of files, which have a size and no length."""
    chars, rest = 0, [value]
    while rest:
        each = rest.pop()
        if isinstance(each, str):
            chars += len(each)
        elif isinstance(each, list):
            rest += each
        elif isinstance(each, dict):
            rest += (inner for name, inner in each.items() if name not in _FILES)
    return chars


def _parse_ours(ours: Any) -> tuple[Policy, bool]:
    if not isinstance(ours, dict):
        raise ApiError(400, "invalid_type", "'manycast' must be an object.", param="manycast")
    if unknown := sorted(set(ours) - {"on_worker_lost", "when_unwatched", "visibility"}):
        raise ApiError(400, "unknown_parameter", f"Unknown: 'manycast.{unknown[0]}'.", param=f"manycast.{unknown[0]}")
    on_worker_lost = ours.get("on_worker_lost", "restart")
    if on_worker_lost not in ON_WORKER_LOST:
        what = "'manycast.on_worker_lost' must be 'restart' or 'fail'."
        raise ApiError(400, "invalid_value", what, param="manycast.on_worker_lost")
    visibility = ours.get("visibility", "unlisted")
    if visibility not in VISIBILITIES:
        what = "'manycast.visibility' must be 'unlisted' or 'private'."
        raise ApiError(400, "invalid_value", what, param="manycast.visibility")
    policy = Policy(on_worker_lost, _unwatched_ms(ours.get("when_unwatched", "continue")))
    return policy, visibility == "private"


def _unwatched_ms(wish: Any) -> int:
    if wish == "continue":
        return 0
    seconds = wish.get("cancel_after_s") if isinstance(wish, dict) and len(wish) == 1 else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= UNWATCHED_LIMIT_S:
        what = (
            "'manycast.when_unwatched' must be 'continue' or {'cancel_after_s': N}, "
            f"0 < N <= {UNWATCHED_LIMIT_S} seconds."
        )
        raise ApiError(400, "invalid_value", what, param="manycast.when_unwatched")
    return max(1, round(seconds * 1000))


def digest_idempotency_key(key: str | None, caller: str) -> str | None:
    """A digest in hex of the key and whose it is: two callers may use the same one. None where there is no key.

    Raises: ApiError 400.
    """
    if key is None:
        return None
    if _IDEMPOTENCY_KEY.fullmatch(key) is None:
        what = f"Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_LIMIT_CHARS} visible ASCII characters."
        raise ApiError(400, "invalid_value", what, param="Idempotency-Key")
    return sha256(f"{caller} {key}".encode(errors="surrogatepass")).hexdigest()
