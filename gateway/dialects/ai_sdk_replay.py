"""Writes a message that a page has sent as parts of a stream, so that another page can build it again. No I/O.

The UI message stream has no part for a whole message. If an answer continues after the result of a tool, a reloaded
page gets the earlier steps as if they came now. Only fields that ai 5.0.0 accepts are written, and those that a newer
version has put into the message.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.dialects.ai_sdk import encode_part

Part = Mapping[str, Any]

# By type of part: the fields that are the same in a stream and in a message.
_SAME_IN_STREAM: Mapping[str, tuple[str, ...]] = {
    "file": ("url", "mediaType", "providerMetadata"),
    "reasoning-file": ("url", "mediaType", "providerMetadata"),
    "source-url": ("sourceId", "url", "title", "providerMetadata"),
    "source-document": ("sourceId", "mediaType", "title", "filename", "providerMetadata"),
    "custom": ("kind", "providerMetadata"),
}


def replay_message(message: Part) -> bytes:
    """`message` is the assistant's, as a page sent it. Its `start` and its steps are written, without a `finish`."""
    written = [encode_part({"type": "start", "messageId": message.get("id"), **_metadata_of_message(message)})]
    is_in_step = False
    for number, part in enumerate(message.get("parts", ())):
        if not isinstance(part, dict):
            continue
        if part.get("type") == "step-start":
            written += [encode_part({"type": "finish-step"})] if is_in_step else []
            is_in_step = True
        written += [encode_part(each) for each in _replay_part(part, f"earlier-{number}")]
    return b"".join([*written, encode_part({"type": "finish-step"}) if is_in_step else b""])


def _metadata_of_message(message: Part) -> dict[str, Any]:
    return {"messageMetadata": message["metadata"]} if message.get("metadata") is not None else {}


def _replay_part(part: Part, part_id: str) -> Iterator[dict[str, Any]]:
    kind = str(part.get("type"))
    if kind == "step-start":
        yield {"type": "start-step"}
    elif kind in ("text", "reasoning"):
        yield {"type": f"{kind}-start", "id": part_id, **_pick(part, "providerMetadata")}
        yield {"type": f"{kind}-delta", "id": part_id, "delta": str(part.get("text", ""))}
        yield {"type": f"{kind}-end", "id": part_id}
    elif kind in _SAME_IN_STREAM:
        yield {"type": kind, **_pick(part, *_SAME_IN_STREAM[kind])}
    elif kind.startswith("data-"):
        yield {"type": kind, **_pick(part, "id"), "data": part.get("data")}
    elif kind.startswith("tool-") or kind == "dynamic-tool":
        yield from _replay_call(part, kind)


def _replay_call(part: Part, kind: str) -> Iterator[dict[str, Any]]:
    """A call that has a result is written as executed elsewhere, else the page would execute it again."""
    call = {"toolCallId": part.get("toolCallId")}
    dynamic = {"dynamic": True} if kind == "dynamic-tool" else {}
    name = part.get("toolName") if dynamic else kind.removeprefix("tool-")
    named = {**call, "toolName": name, **dynamic, **_pick(part, "title")}
    metadata = {"providerMetadata": part["callProviderMetadata"]} if "callProviderMetadata" in part else {}
    available = {"type": "tool-input-available", **named, "input": part.get("input"), **metadata}
    was_executed = {"providerExecuted": part.get("providerExecuted") is True}
    approval = part.get("approval")
    asked = [{"type": "tool-approval-request", **call, "approvalId": approval.get("id")}] if approval else []
    match part.get("state"):
        case "output-available":
            yield {**available, "providerExecuted": True}
            yield {"type": "tool-output-available", **call, "output": part.get("output"), **was_executed, **dynamic}
        case "output-error":
            yield {**available, "providerExecuted": True}
            yield {"type": "tool-output-error", **call, "errorText": part.get("errorText"), **was_executed, **dynamic}
        case "output-denied":
            yield {"type": "tool-input-start", **named}
            yield {"type": "tool-input-delta", **call, "inputTextDelta": json.dumps(part.get("input"))}
            yield from (*asked, {"type": "tool-output-denied", **call})
        case "input-streaming":
            yield {"type": "tool-input-start", **named}
        case _:
            yield {**available, **_pick(part, "providerExecuted")}
            yield from asked


def _pick(part: Part, *names: str) -> dict[str, Any]:
    return {name: part[name] for name in names if part.get(name) is not None}
