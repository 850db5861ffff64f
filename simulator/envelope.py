"""Encodes a model's output as JSON: chunks, usage, the whole completion. No I/O, no clock."""

import json
from dataclasses import dataclass, field
from typing import Any

from simulator.script import Delta

DONE_FRAME = b"data: [DONE]\n\n"
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode(value: Any) -> bytes:
    """Encodes JSON as UTF-8. A text with half a surrogate pair becomes ASCII, since only an escape can represent it."""
    try:
        return ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def frame(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


@dataclass(slots=True)
class Usage:
    """Counts tokens. Each delta with text or a tool call is one token."""

    prompt_tokens: int
    completion_tokens: int = 0
    reasoning_tokens: int = 0

    def count(self, step: Delta) -> None:
        if step.finish_reason is None and "role" not in step.delta:
            self.completion_tokens += 1
            if "reasoning_content" in step.delta:
                self.reasoning_tokens += 1

    def as_object(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


@dataclass(slots=True)
class Envelope:
    """The fields that all chunks of one completion share. Encoded only once, to send 12,000 chunks per second."""

    id: str
    created_s: int
    model: str
    include_usage: bool
    usage: Usage
    _start: bytes = field(init=False)
    _end: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._start = b"data: " + encode(self._fields("chat.completion.chunk"))[:-1] + b',"choices":['
        # If the client asks for usage, OpenAI adds `"usage":null` to every chunk except the last.
        self._end = b'],"usage":null}\n\n' if self.include_usage else b"]}\n\n"

    def chunk_frame(self, step: Delta) -> bytes:
        self.usage.count(step)
        choice = {
            "index": step.choice,
            "delta": step.delta,
            "logprobs": step.logprobs,
            "finish_reason": step.finish_reason,
        }
        return self._start + encode(choice) + self._end

    def usage_frame(self) -> bytes:
        return self._start + b'],"usage":' + encode(self.usage.as_object()) + b"}\n\n"

    def completion(self, choices: list[dict[str, Any]]) -> bytes:
        """The body of a response that is not streamed."""
        fields = self._fields("chat.completion")
        return encode({**fields, "choices": choices, "usage": self.usage.as_object()})

    def _fields(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created_s,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": "fp_5e1f0a7c3d",
        }
