"""The UI message stream protocol, v1, of the AI SDK (npm `ai`), which `useChat` reads. No I/O.

It contains the first choice only. Ids of parts are counted, not random, so that a replay gives the same parts. Versions
of `ai` before 5.0.217 refuse a part with a field that 5.0.0 does not have, so parts have only the fields of 5.0.0.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contract.event import Kind, Status, encode_json
from gateway.dialects.base import SSE_HEADERS
from gateway.dialects.vendor_fields import (
    REASONING_FIELDS,
    Source,
    add_reasoning_details,
    read_annotations,
    read_audio,
    read_images,
    read_sources,
    read_spoken,
    read_usage,
)

PROVIDER = "manycast"
"""The name under which our fields stand in a part's provider metadata."""
DONE = b"data: [DONE]\n\n"
FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
}
LOST = "The worker was lost in the middle of the answer. Another worker starts the answer again."


@dataclass(slots=True)
class ToolCall:
    """A tool call, as far as its fragments have arrived."""

    id: str
    name: str = ""
    arguments: str = ""
    extra_content: dict[str, Any] = field(default_factory=dict)
    is_sent: bool = False


@dataclass(slots=True)
class Progress:
    """What has been written of the present attempt at the answer."""

    started: bool = False
    open_part: str = ""
    parts: int = 0
    calls: dict[int, ToolCall] = field(default_factory=dict)
    source_urls: list[str] = field(default_factory=list)
    reasoning_details: list[dict[str, Any]] = field(default_factory=list)
    reason: str = "other"


class UIDialect:
    """Keeps which part is open, and the fragments of each tool call.

    `continues`: the answer continues the assistant's last message of the conversation, and keeps its id.
    """

    headers: Mapping[str, str] = {**SSE_HEADERS, "X-Vercel-AI-UI-Message-Stream": "v1"}
    resumes = False
    tells_state = False

    def __init__(self, *, continues: bool) -> None:
        self.closed = False
        self._continues = continues
        self._progress = Progress()

    def forget(self) -> None:
        self._progress = Progress()

    def write_event(self, position: bytes, kind: bytes, data: bytes) -> bytes:  # noqa: ARG002 - this format has no positions
        if self.closed:
            return b""
        value = json.loads(data)
        written = b""
        match kind.decode():
            case Kind.START:
                written = self._begin(value["stream"]) + self._write_sources(read_sources(value["chunk"]))
            case Kind.CHUNK:
                written = self._write_sources(read_sources(value))
                written += b"".join(self._write_choice(choice) for choice in _choices(value))
            case Kind.RESTART if self._progress.started:
                written = self._fail(LOST)
            case Kind.EMIT:
                written = encode_part({"type": f"data-{value['name']}", "id": value["id"], "data": value["data"]})
            case Kind.INPUT:
                # The states of one question replace each other.
                written = encode_part({"type": "data-input", "id": value["id"], "data": value})
            case Kind.DONE:
                written = self._finish(value)
        return written

    def _begin(self, stream_id: str) -> bytes:
        if self._progress.started:
            # Another worker goes on with the answer of a script.
            return b""
        self._progress.started = True
        start = {"type": "start"} if self._continues else {"type": "start", "messageId": stream_id}
        return encode_part(start) + encode_part({"type": "start-step"})

    def _write_choice(self, choice: Mapping[str, Any]) -> bytes:
        delta = choice.get("delta")
        written = b""
        if isinstance(delta, dict):
            name = next((name for name in REASONING_FIELDS if delta.get(name)), "")
            written += self._write_text("reasoning", delta.get(name), **_metadata(field=name))
            add_reasoning_details(self._progress.reasoning_details, delta.get("reasoning_details"))
            written += self._write_text("text", delta.get("content") or read_spoken(delta))
            written += self._write_text("text", delta.get("refusal"))
            written += self._write_sources(read_annotations(delta)) + _write_images(delta) + _write_audio(delta)
            calls = delta.get("tool_calls")
            for fragment in calls if isinstance(calls, list) else ():
                if isinstance(fragment, dict):
                    written += self._write_tool_fragment(fragment)
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            self._progress.reason = FINISH_REASONS.get(reason, "other")
            written += self._close_part() + self._write_calls()
        return written

    def _write_text(self, kind: str, text: object, **metadata: Any) -> bytes:
        """`metadata` belongs to the part."""
        if not isinstance(text, str) or not text:
            return b""
        written = b""
        if self._progress.open_part != kind:
            written = self._close_part()
            self._progress.open_part = kind
            self._progress.parts += 1
            written += encode_part({"type": f"{kind}-start", "id": str(self._progress.parts), **metadata})
        return written + encode_part({"type": f"{kind}-delta", "id": str(self._progress.parts), "delta": text})

    def _close_part(self) -> bytes:
        kind, self._progress.open_part = self._progress.open_part, ""
        return encode_part({"type": f"{kind}-end", "id": str(self._progress.parts)}) if kind else b""

    def _write_sources(self, sources: Iterable[Source]) -> bytes:
        """Each source once: some providers repeat the whole list in each chunk."""
        written, known = b"", self._progress.source_urls
        for url, title in sources:
            if url not in known:
                known.append(url)
                named = {"title": title} if title else {}
                written += encode_part({"type": "source-url", "sourceId": url, "url": url, **named})
        return written

    def _write_tool_fragment(self, fragment: Mapping[str, Any]) -> bytes:
        index = fragment.get("index")
        index = index if isinstance(index, int) else 0
        function = fragment.get("function")
        function = function if isinstance(function, dict) else {}
        written = self._close_part()
        call = self._progress.calls.setdefault(index, ToolCall(str(fragment.get("id") or f"call-{index}")))
        if not call.name and isinstance(function.get("name"), str):
            call.name = function["name"]
            written += encode_part({"type": "tool-input-start", "toolCallId": call.id, "toolName": call.name})
        if isinstance(extra := fragment.get("extra_content"), dict):
            call.extra_content.update(extra)
        text = function.get("arguments")
        if isinstance(text, str) and text:
            call.arguments += text
            written += encode_part({"type": "tool-input-delta", "toolCallId": call.id, "inputTextDelta": text})
        return written

    def _write_calls(self) -> bytes:
        written = b""
        for call in self._progress.calls.values():
            if call.name and not call.is_sent:
                call.is_sent = True
                # The details belong to the provider's message, which has no part. They come back with the first call.
                details, self._progress.reasoning_details = self._progress.reasoning_details, []
                metadata = _metadata(extra_content=call.extra_content, reasoning_details=details)
                written += encode_part(_whole_call(call, metadata))
        return written

    def _finish(self, done: Mapping[str, Any]) -> bytes:
        if done["status"] == Status.FAILED:
            return self._fail(str(done["error"]["message"]))
        self.closed = True
        if done["status"] == Status.CANCELLED:
            return self._close_part() + encode_part({"type": "abort"}) + DONE
        told = self._close_part() + self._write_calls()
        usage = read_usage(done.get("usage"))
        metadata = {"finishReason": self._progress.reason, **({"usage": usage} if usage else {})}
        finish = {"type": "finish", "messageMetadata": metadata}
        return told + encode_part({"type": "finish-step"}) + encode_part(finish) + DONE

    def _fail(self, text: str) -> bytes:
        self.closed = True
        return self._close_part() + encode_part({"type": "error", "errorText": text}) + DONE

    def write_notice(self, kind: bytes, data: bytes) -> bytes:  # noqa: ARG002 - any notice shows that the connection is alive
        return b": ping\n\n" if kind == b"ping" else b""

    def write_retry(self, retry_ms: int) -> bytes:  # noqa: ARG002 - useChat resumes by another call
        return b""

    def write_break(self, code: str, text: str) -> bytes:  # noqa: ARG002 - people read the text, not the code
        return encode_part({"type": "error", "errorText": text}) + DONE

    def write_lost(self, error: Mapping[str, Any]) -> bytes:
        return encode_part({"type": "error", "errorText": error["message"]}) + DONE


def _choices(chunk: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = chunk.get("choices")
    found = choices if isinstance(choices, list) else []
    return [choice for choice in found if isinstance(choice, dict) and choice.get("index", 0) == 0]


def _write_images(delta: Mapping[str, Any]) -> bytes:
    files = read_images(delta)
    return b"".join(encode_part({"type": "file", "mediaType": each.media_type, "url": each.url}) for each in files)


def _write_audio(delta: Mapping[str, Any]) -> bytes:
    """The page plays the audio at once. It does not keep it in the message or send it with the next one."""
    audio = read_audio(delta)
    return b"" if audio is None else encode_part({"type": "data-audio", "data": audio, "transient": True})


def _metadata(**fields: Any) -> dict[str, Any]:
    """What the page sends back with the results of tools: `gateway.dialects.ai_sdk_messages` reads it."""
    kept = {name: value for name, value in fields.items() if value}
    return {"providerMetadata": {PROVIDER: kept}} if kept else {}


def _whole_call(call: ToolCall, metadata: Mapping[str, Any]) -> dict[str, Any]:
    named = {"toolCallId": call.id, "toolName": call.name}
    try:
        given = json.loads(call.arguments or "{}")
        # Python parses NaN and Infinity, which JSON does not have.
        encode_json(given)
    except (ValueError, RecursionError):
        return {"type": "tool-output-error", "toolCallId": call.id, "errorText": "The model's arguments are not JSON."}
    return {"type": "tool-input-available", **named, "input": given, **metadata}


def encode_part(part: Mapping[str, Any]) -> bytes:
    return b"data: %b\n\n" % encode_json(part)
