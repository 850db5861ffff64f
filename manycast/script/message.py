"""A model's message, and how its chunks become one. No I/O."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable, iscoroutine
from typing import Any, Generic, TypeVar

Chunk = dict[str, Any]
"""An OpenAI `chat.completion.chunk` as parsed JSON, in OpenAI's form."""

T = TypeVar("T")

_PIECES = frozenset({"content", "refusal", "reasoning_content", "reasoning", "arguments"})
"""The texts that arrive in pieces."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that the model asks for. `arguments` is JSON, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message(Generic[T]):
    """What a model has answered.

    `parsed` is the object that `parse` asked for, else None. `usage` is the provider's, or empty. `raw` is the message
    as OpenAI's API has it. `is_said`: it is a part of the answer already.
    """

    text: str
    parsed: T
    raw: Mapping[str, Any]
    model: str = ""
    finish_reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    is_said: bool = False

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        found = []
        for call in self.raw.get("tool_calls") or ():
            function = call.get("function") or {}
            found.append(ToolCall(str(call.get("id")), str(function.get("name")), function.get("arguments") or "{}"))
        return tuple(found)

    def __str__(self) -> str:
        return self.text


class Folding:
    """Joins the chunks of one generation. Only choice 0 counts."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {"role": "assistant", "content": None}
        self.model = ""
        self.finish_reason: str | None = None
        self.usage: dict[str, Any] = {}

    def add(self, chunk: Chunk) -> None:
        self.model = chunk.get("model") or self.model
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                _merge(self.message, choice.get("delta") or {})
                self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def finish(self) -> dict[str, Any]:
        """The message, as OpenAI's API has it."""
        calls = self.message.get("tool_calls")
        if calls:
            self.message["tool_calls"] = [
                {name: value for name, value in call.items() if name != "index"} for call in calls
            ]
        return self.message


def to_text(message: Mapping[str, Any]) -> str:
    """The text of a message: its content, or else its refusal."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or message.get("refusal") or ""


def to_content(value: object) -> Any:
    """The content of a message: a text, or OpenAI's list of parts. Raises: TypeError for anything else."""
    if isinstance(value, str | Message):
        return str(value)
    _check_awaited(value)
    if not isinstance(value, Sequence):
        raise TypeError(f"a message is a text, what a model has answered, or a list of parts, and not {_kind(value)}")
    if not all(isinstance(part, Mapping) and "type" in part for part in value):
        raise TypeError(
            "each part of a message is a dict with a type, such as {'type': 'text', 'text': '…'}; run.system, run.user "
            "and run.assistant add earlier messages to the conversation"
        )
    return value


def to_answer(value: object) -> str:
    """What a script says or returns, as a text. Raises: TypeError if it is nothing that JSON has."""
    if value is None:
        return ""
    if isinstance(value, str | Message):
        return str(value)
    _check_awaited(value)
    if callable(dump := getattr(value, "model_dump_json", None)):
        return str(dump())
    return json.dumps(value, ensure_ascii=False)


def _check_awaited(value: object) -> None:
    if isawaitable(value):
        if iscoroutine(value):
            value.close()  # or else Python warns of the same mistake again
        raise TypeError(f"{_kind(value)} is a call that was not awaited: write `await` in front of it")


def _kind(value: object) -> str:
    return str(getattr(value, "__qualname__", type(value).__name__))


def _merge(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    for name, value in part.items():
        old = whole.get(name)
        if value is None:
            continue
        if isinstance(old, str) and isinstance(value, str):
            whole[name] = old + value if name in _PIECES else value or old
        elif isinstance(old, dict) and isinstance(value, dict):
            _merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            _merge_list(old, value)
        elif isinstance(value, list):
            whole[name] = []
            _merge_list(whole[name], value)
        else:
            whole[name] = dict(value) if isinstance(value, dict) else value


def _merge_list(whole: list[Any], part: list[Any]) -> None:
    for item in part:
        index = item.get("index") if isinstance(item, dict) else None
        known = next((one for one in whole if isinstance(one, dict) and one.get("index") == index), None)
        if index is None or known is None:
            fresh: Any = item
            if isinstance(item, dict):
                fresh = {}
                _merge(fresh, item)
            whole.append(fresh)
        else:
            _merge(known, item)
