"""Parses a chat-completions body with OpenAI's checks. No I/O.

It ignores unknown fields: clients send more fields than a simulator needs.
"""

import json
from dataclasses import dataclass
from typing import Any

from simulator.answer_schema import read_answer_schema
from simulator.errors import UNREADABLE_BODY, ApiError, Refused, missing, wrong_type, wrong_value
from simulator.knobs import Knobs, read_knobs
from simulator.named_fields import NamedField, read_named_fields
from simulator.pieces import split
from simulator.toolbox import Toolbox, read_toolbox


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """The parts of a request that models use. `prompt` is the text of the last user message, or "".

    `answer_schema` is None for an answer that is not JSON; `named_fields` are those of one in DSPy's format. `user` is
    the field of this name, if it is a text.
    """

    model: str
    prompt: str
    prompt_tokens: int
    answer_schema: Any
    named_fields: tuple[NamedField, ...]
    toolbox: Toolbox
    tool_results: tuple[str, ...]
    stream: bool
    has_stream_options: bool
    include_usage: bool
    choices: int | None
    max_tokens: int | None
    knobs: Knobs
    user: str | None


def read_chat_request(body: bytes) -> ChatRequest:
    """Raises: Refused 400, naming the faulty parameter."""
    return check_chat_request(read_fields(body))


def read_fields(body: bytes) -> dict[str, Any]:
    """Raises: Refused 400 for anything but a JSON object."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(UNREADABLE_BODY) from None
    if not isinstance(fields, dict):
        raise Refused(UNREADABLE_BODY)
    return fields


def check_chat_request(fields: dict[str, Any]) -> ChatRequest:
    """Raises: Refused 400, naming the faulty parameter."""
    if not isinstance(fields.get("model"), str) or not fields["model"]:
        raise Refused(ApiError(400, "you must provide a model parameter"))
    turns = read_turns(fields)
    stream = read_flag(fields, "stream")
    prompt, texts = last_prompt(turns), [text_of(turn) for turn in turns if turn["role"] != "assistant"]
    limit = "max_completion_tokens" if fields.get("max_completion_tokens") is not None else "max_tokens"
    return ChatRequest(
        model=fields["model"],
        prompt=prompt,
        prompt_tokens=sum(4 + count_pieces(text_of(turn)) for turn in turns) + 3,
        answer_schema=read_answer_schema(fields, texts),
        named_fields=read_named_fields(prompt, texts),
        toolbox=read_toolbox(fields, called_tools(turns)),
        tool_results=trailing_tool_results(turns),
        stream=stream,
        has_stream_options=fields.get("stream_options") is not None,
        include_usage=read_include_usage(fields, stream),
        choices=read_count(fields, "n", 128),
        max_tokens=read_count(fields, limit, 1_000_000),
        knobs=read_knobs(fields.get("simulator")),
        user=user if isinstance(user := fields.get("user"), str) else None,
    )


def read_turns(fields: dict[str, Any]) -> list[dict[str, Any]]:
    turns = fields.get("messages")
    if turns is None:
        raise missing("messages")
    if not isinstance(turns, list):
        raise wrong_type("messages", "an array of objects")
    if not turns:
        text = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        raise Refused(ApiError(400, text, param="messages", code="empty_array"))
    for index, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise wrong_type(f"messages[{index}]", "an object")
        if turn.get("role") not in ("system", "assistant", "user", "function", "tool", "developer"):
            wanted = "one of 'system', 'assistant', 'user', 'function', 'tool' and 'developer'"
            raise wrong_value(f"messages[{index}].role", wanted)
        if not isinstance(turn.get("content"), str | list | None):
            raise wrong_type(f"messages[{index}].content", "a string or an array of content parts")
    return turns


def read_flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name)
    if not isinstance(value, bool | None):
        raise wrong_type(name, "a boolean")
    return bool(value)


def read_include_usage(fields: dict[str, Any], stream: bool) -> bool:
    options = fields.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise wrong_type("stream_options", "an object")
    if not stream:
        text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused(ApiError(400, text, param="stream_options"))
    return options.get("include_usage") is True


def read_count(fields: dict[str, Any], name: str, most: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(name, "an integer")
    if not 1 <= value <= most:
        raise wrong_value(name, f"an integer from 1 to {most}")
    return value


def text_of(turn: dict[str, Any]) -> str:
    content = turn.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return " ".join(part for part in parts if isinstance(part, str))
    return content or ""


def last_prompt(turns: list[dict[str, Any]]) -> str:
    return next((text_of(turn) for turn in reversed(turns) if turn["role"] == "user"), "")


def trailing_tool_results(turns: list[dict[str, Any]]) -> tuple[str, ...]:
    results = []
    for turn in reversed(turns):
        if turn["role"] != "tool":
            break
        results.append(text_of(turn))
    return tuple(reversed(results))


def called_tools(turns: list[dict[str, Any]]) -> frozenset[str]:
    """The names of the functions that the model has called since the last user message."""
    names = set()
    for turn in reversed(turns):
        if turn["role"] == "user":
            break
        calls = turn.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict) and isinstance(function.get("name"), str):
                names.add(function["name"])
    return frozenset(names)


def count_pieces(text: str) -> int:
    return sum(1 for _ in split(text))
