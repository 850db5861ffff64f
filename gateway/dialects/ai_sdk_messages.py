"""Translates a conversation that `useChat` sends into a provider's messages. No I/O.

Source: npm `ai`, `UIMessage` and its parts. Parts that a model cannot use (sources, data) are left out, and so are its
thoughts, except those before a tool call whose provider wants them back.
"""

import json
from collections.abc import Iterator
from typing import Any

from gateway.dialects.ai_sdk import PROVIDER
from gateway.dialects.vendor_fields import REASONING_FIELDS
from gateway.http.errors import ApiError

Part = dict[str, Any]


def to_messages(entries: object) -> list[dict[str, Any]]:
    """`entries` are the page's messages, unchecked. Raises: ApiError 400 that names the invalid field."""
    if not isinstance(entries, list) or not entries:
        raise _invalid("messages", "must be an array that is not empty")
    translated: list[dict[str, Any]] = []
    for index, entry in enumerate(entries):
        where = f"messages[{index}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("parts"), list):
            raise _invalid(where, "must be an object with 'parts'")
        parts = [part for part in entry["parts"] if isinstance(part, dict)]
        translated += _translate(entry.get("role"), parts, where)
    return translated


def _translate(role: object, parts: list[Part], where: str) -> Iterator[dict[str, Any]]:
    match role:
        case "system":
            yield {"role": "system", "content": _text(parts)}
        case "user":
            yield {"role": "user", "content": _user_content(parts, where)}
        case "assistant":
            for step in _steps(parts):
                yield from _translate_step(step)
        case _:
            raise _invalid(f"{where}.role", "must be system, user or assistant")


def _text(parts: list[Part]) -> str:
    return "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")


def _user_content(parts: list[Part], where: str) -> str | list[Part]:
    if not any(part.get("type") == "file" for part in parts):
        return _text(parts)
    content: list[Part] = []
    for part in parts:
        if part.get("type") == "text":
            content.append({"type": "text", "text": part.get("text", "")})
        elif part.get("type") == "file":
            content.append(_file(part, where))
    return content


def _file(part: Part, where: str) -> Part:
    url, media = str(part.get("url", "")), str(part.get("mediaType", ""))
    data = url.partition(";base64,")[2]
    if media.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    if data and media in {"audio/wav", "audio/mpeg", "audio/mp3"}:
        form = "wav" if media == "audio/wav" else "mp3"
        return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
    if data:
        return {"type": "file", "file": {"filename": part.get("filename") or "file", "file_data": url}}
    raise _invalid(where, f"has a file of type '{media[:64]}' that is neither an image nor given as data")


def _steps(parts: list[Part]) -> list[list[Part]]:
    """The parts of each step. A step was one request to the model: it has the model's calls, then their results."""
    steps: list[list[Part]] = [[]]
    for part in parts:
        if part.get("type") == "step-start":
            steps.append([])
        else:
            steps[-1].append(part)
    return steps


def _translate_step(parts: list[Part]) -> Iterator[dict[str, Any]]:
    # Leave out calls without a result: the provider would refuse the conversation.
    results = [(part, result) for part in parts if (result := _result(part)) is not None]
    text = _text(parts)
    if results:
        calls = [_call(part) for part, _ in results]
        yield {"role": "assistant", "content": text or None, "tool_calls": calls, **_thoughts(parts)}
    elif text:
        yield {"role": "assistant", "content": text}
    for part, result in results:
        yield {"role": "tool", "tool_call_id": part.get("toolCallId"), "content": result}


def _call(part: Part) -> dict[str, Any]:
    given = part.get("input")
    function = {"name": _tool_name(part), "arguments": json.dumps({} if given is None else given)}
    call = {"id": part.get("toolCallId"), "type": "function", "function": function}
    extra = _our_metadata(part).get("extra_content")
    return {**call, "extra_content": extra} if isinstance(extra, dict) else call


def _thoughts(parts: list[Part]) -> dict[str, Any]:
    """What the model thought before its calls, under the provider's own names. DeepSeek and others refuse results of
    tools without it; providers that did not send it do not get it."""
    thoughts: dict[str, Any] = {}
    for part in parts:
        ours = _our_metadata(part)
        name, details = ours.get("field"), ours.get("reasoning_details")
        if part.get("type") == "reasoning" and name in REASONING_FIELDS:
            thoughts[name] = thoughts.get(name, "") + str(part.get("text", ""))
        if isinstance(details, list):
            thoughts["reasoning_details"] = thoughts.get("reasoning_details", []) + details
    return thoughts


def _our_metadata(part: Part) -> dict[str, Any]:
    metadata = part.get("callProviderMetadata") or part.get("providerMetadata")
    ours = metadata.get(PROVIDER) if isinstance(metadata, dict) else None
    return ours if isinstance(ours, dict) else {}


def _tool_name(part: Part) -> str:
    kind = str(part.get("type"))
    return str(part.get("toolName")) if kind == "dynamic-tool" else kind.removeprefix("tool-")


def _result(part: Part) -> str | None:
    """The result of a tool call. None if the part is not a tool call, or the call has no result yet."""
    kind = str(part.get("type"))
    if not (kind.startswith("tool-") or kind == "dynamic-tool"):
        return None
    match part.get("state"):
        case "output-available":
            output = part.get("output")
            return output if isinstance(output, str) else json.dumps(output)
        case "output-error":
            return str(part.get("errorText", "The tool failed."))
        case "output-denied":
            return "The user did not allow this call."
    return None


def _invalid(param: str, text: str) -> ApiError:
    return ApiError(400, "invalid_value", f"'{param}' {text}.", param=param)
