"""A request of the Responses API: checked, and split into the provider's part and what the response keeps. No I/O."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Annotated, Any

from pydantic import Field

from contract.event import encode_json
from gateway.dialects.responses_items import Item, invalid
from gateway.dialects.responses_request import to_chat_request
from gateway.http.models import RequestBody, Rule
from gateway.runs.chat_request import ChatRequest, RunOptions, check_chat_request, encode_sent

UNKEPT_MS = 60_000
"""How long a response with `store: false` is kept after its end, so that a caller with a bad connection still gets the
end."""

NamedItem = tuple[str, Item]
"""An item, and the name of its field for errors."""

_ECHOED: Mapping[str, Any] = {
    "model": "",
    "instructions": None,
    "previous_response_id": None,
    "metadata": {},
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "truncation": "disabled",
    "background": False,
    "store": True,
    "service_tier": "default",
    "user": None,
    "safety_identifier": None,
    "prompt_cache_key": None,
}
"""The fields of a request that its response repeats, with OpenAI's defaults. A provider's own may be others."""


class ResponseRequest(RequestBody):
    """OpenAI's request. Fields that are not named here go to the provider unchanged."""

    model: str = ""
    # `read_input` checks the items.
    input: Annotated[str | list[Any] | None, Rule("must be a string or an array of items")] = None
    instructions: str | None = None
    previous_response_id: str | None = None
    # `to_chat_request` checks the tools and formats.
    tools: list[Any] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    include: list[str] | None = None
    metadata: Annotated[dict[str, str] | None, Rule("must be an object of strings")] = None
    max_output_tokens: Annotated[
        Annotated[int, Field(ge=1)] | None, Rule("must be a whole number of tokens, 1 or more")
    ] = None
    parallel_tool_calls: bool | None = None
    # OpenAI accepts null and treats it as the default.
    store: bool | None = None
    stream: bool | None = None
    background: bool | None = None
    manycast: RunOptions = Field(default_factory=RunOptions)

    @property
    def is_kept(self) -> bool:
        return self.store is not False


def check_combination(body: ResponseRequest) -> None:
    """Raises: ApiError 400."""
    if body.background and not body.is_kept:
        raise invalid("background", "needs a stored response: leave 'store' out")
    if body.input is None and body.previous_response_id is None:
        raise invalid("input", "is required")


def read_input(body: ResponseRequest) -> list[NamedItem]:
    """The items of the request. Raises: ApiError 400 that names the invalid one."""
    if isinstance(body.input, str):
        return [("input", {"type": "message", "role": "user", "content": body.input})]
    items: list[NamedItem] = []
    for index, item in enumerate(body.input or []):
        where = f"input[{index}]"
        if not isinstance(item, dict):
            raise invalid(where, "must be an object")
        items.append((where, item))
    return items


def to_run(body: ResponseRequest, fields: Mapping[str, Any], raw: bytes, context: list[NamedItem]) -> ChatRequest:
    """`fields` are the parsed body, `raw` its bytes. `context` is the whole conversation, without item references.

    Raises: ApiError 400 that names the invalid field.
    """
    digest = sha256(b"responses\n" + raw).hexdigest()
    chat = check_chat_request(to_chat_request(fields, context), digest)
    kept = {"echo": echo_of(fields, time.time), "input": [item for _, item in read_input(body)], "store": body.is_kept}
    keep_ms = 0 if body.is_kept else UNKEPT_MS
    # Only its owner sees the request of a response, so viewers see the question only if the caller says so.
    shows_question = chat.shows_question and "question" in body.manycast.model_fields_set
    return replace(
        chat,
        stream=bool(body.stream),
        response=encode_sent(kept),
        keep_ms=keep_ms,
        shows_question=shows_question,
    )


def echo_of(fields: Mapping[str, Any], clock: Callable[[], float]) -> dict[str, Any]:
    """The fields of the Response that do not depend on the answer."""
    given = {name: value for name, value in fields.items() if value is not None}
    echo = {name: given.get(name, default) for name, default in _ECHOED.items()}
    echo["tools"] = [{"description": None, "parameters": None, "strict": None, **tool} for tool in echo["tools"]]
    text = {"format": {"type": "text"}, **given.get("text", {})}
    if text["format"].get("type") == "json_schema":
        text["format"] = {"description": None, "strict": False, **text["format"]}
    reasoning = {"effort": None, "summary": None, **given.get("reasoning", {})}
    return {**echo, "created_at": int(clock()), "text": text, "reasoning": reasoning}


def encode_echo(echo: Mapping[str, Any]) -> bytes:
    """The `echo` of a ResponsesDialect."""
    return encode_json(echo)
