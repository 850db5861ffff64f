"""Translates the items of the Responses API into a provider's messages. No I/O.

Consecutive items of the assistant (reasoning, message, function calls) become one message, because that is what a
provider sent. Thoughts are left out, except before calls, if the provider wants them back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.dialects.responses_thoughts import read_thoughts
from gateway.http.errors import ApiError
from gateway.http.models import PARAM_LIMIT_CHARS

Item = Mapping[str, Any]
Message = dict[str, Any]

# A provider that knows `developer` takes `system` for it; most know only `system`.
_ROLES = {"user": "user", "system": "system", "developer": "system", "assistant": "assistant"}
_TEXTS = frozenset({"input_text", "output_text", "text"})


@dataclass
class _Assistant:
    """What the assistant said between two items of others."""

    text: str | None = None
    refusal: str | None = None
    calls: list[Message] = field(default_factory=list)
    thoughts: Message = field(default_factory=dict)

    def finish(self) -> Iterable[Message]:
        said: Message = {"role": "assistant", "content": self.text}
        if self.refusal is not None:
            said["refusal"] = self.refusal
        if self.calls:
            yield {**said, "tool_calls": self.calls, **self.thoughts}
        elif self.text is not None or self.refusal is not None:
            yield said


def to_messages(items: Iterable[tuple[str, Item]]) -> list[Message]:
    """`items` are objects, each with the name of its field for errors. Raises: ApiError 400 that names the field."""
    messages: list[Message] = []
    assistant = _Assistant()
    for where, item in items:
        kind = item.get("type") or "message"
        is_assistants = kind in ("reasoning", "function_call") or item.get("role") == "assistant"
        # A text after a text begins another message.
        if not is_assistants or (kind == "message" and (assistant.text is not None or assistant.refusal is not None)):
            messages += assistant.finish()
            assistant = _Assistant()
        match kind:
            case "message" if is_assistants:
                assistant.text, assistant.refusal = _assistant_content(item, where)
            case "message":
                messages.append(_to_message(item, where))
            case "reasoning":
                assistant.thoughts.update(read_thoughts(item))
            case "function_call":
                assistant.calls.append(_to_call(item, where))
            case "function_call_output":
                messages.append(_to_result(item, where))
            case _:
                raise invalid(f"{where}.type", f"'{str(kind)[:PARAM_LIMIT_CHARS]}' is not supported here")
    return [*messages, *assistant.finish()]


def _to_message(item: Item, where: str) -> Message:
    role = _ROLES.get(str(item.get("role")))
    if role is None:
        raise invalid(f"{where}.role", "must be user, system, developer or assistant")
    return {"role": role, "content": _content(item.get("content"), f"{where}.content")}


def _assistant_content(item: Item, where: str) -> tuple[str | None, str | None]:
    """The text and the refusal."""
    content = item.get("content")
    if isinstance(content, str):
        return content, None
    texts, refusals = [], []
    for at, part in _parts(content, f"{where}.content"):
        if part.get("type") == "refusal":
            refusals.append(_string(part, "refusal", at))
        elif part.get("type") in _TEXTS:
            texts.append(_string(part, "text", at))
        else:
            raise invalid(f"{at}.type", "must be output_text or refusal in a message of the assistant")
    return "".join(texts) if texts else None, "".join(refusals) if refusals else None


def _to_call(item: Item, where: str) -> Message:
    function = {name: _string(item, name, where) for name in ("name", "arguments")}
    call = {"id": _string(item, "call_id", where), "type": "function", "function": function}
    extra = item.get("extra_content")
    return {**call, "extra_content": extra} if isinstance(extra, dict) else call


def _to_result(item: Item, where: str) -> Message:
    content = _content(item.get("output"), f"{where}.output")
    return {"role": "tool", "tool_call_id": _string(item, "call_id", where), "content": content}


def _content(content: object, where: str) -> str | list[Message]:
    """One text is a string, because every provider accepts that."""
    if isinstance(content, str):
        return content
    parts = [_to_part(part, at) for at, part in _parts(content, where)]
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def _to_part(part: Item, where: str) -> Message:
    match part.get("type"):
        case kind if kind in _TEXTS:
            return {"type": "text", "text": _string(part, "text", where)}
        case "input_image":
            _refuse(part, where, "file_id")
            detail = {"detail": part["detail"]} if part.get("detail") else {}
            return {"type": "image_url", "image_url": {"url": _string(part, "image_url", where), **detail}}
        case "input_file":
            _refuse(part, where, "file_id", "file_url")
            named = {"filename": part["filename"]} if part.get("filename") else {}
            return {"type": "file", "file": {**named, "file_data": _string(part, "file_data", where)}}
        case "input_audio":
            return {"type": "input_audio", "input_audio": part.get("input_audio")}
    raise invalid(f"{where}.type", "must be input_text, input_image, input_file or input_audio")


def _refuse(part: Item, where: str, *names: str) -> None:
    for name in names:
        if part.get(name) is not None:
            raise invalid(f"{where}.{name}", "is not supported here: send the data itself")


def _parts(content: object, where: str) -> Iterable[tuple[str, Item]]:
    if not isinstance(content, list):
        raise invalid(where, "must be a string or an array")
    for index, part in enumerate(content):
        at = f"{where}[{index}]"
        if not isinstance(part, dict):
            raise invalid(at, "must be an object")
        yield at, part


def _string(item: Item, name: str, where: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise invalid(f"{where}.{name}", "must be a string")
    return value


def invalid(where: str, what: str) -> ApiError:
    return ApiError(400, "invalid_value", f"'{where}' {what}.", param=where)
