"""OpenAI's older call, `/v1/completions`: a text continues a prompt. No I/O, no clock."""

from typing import Any

from simulator.chat_request import ChatRequest, check_chat_request, read_fields
from simulator.envelope import Envelope, encode
from simulator.errors import missing, wrong_type
from simulator.script import Delta


def read_text_request(body: bytes) -> ChatRequest:
    """Several prompts are answered as one. Raises: Refused 400, naming the faulty parameter."""
    fields = read_fields(body)
    prompt = fields.get("prompt")
    if prompt is None:
        raise missing("prompt")
    texts = prompt if isinstance(prompt, list) else [prompt]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise wrong_type("prompt", "a string or an array of strings")
    return check_chat_request({**fields, "messages": [{"role": "user", "content": " ".join(texts)}]})


class TextEnvelope(Envelope):
    """Encodes the same steps as text completions."""

    def chunk_frame(self, step: Delta) -> bytes:
        self.usage.count(step)
        if "role" in step.delta:
            return b""
        text = step.delta.get("content") or ""
        return self._start + encode(self._choice(step.choice, text, step.finish_reason)) + self._end

    def completion(self, choices: list[dict[str, Any]]) -> bytes:
        texts = [self._choice(one["index"], one["message"]["content"] or "", one["finish_reason"]) for one in choices]
        return encode({**self._fields(""), "choices": texts, "usage": self.usage.as_object()})

    @staticmethod
    def _choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
        return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}

    def _fields(self, kind: str) -> dict[str, Any]:  # noqa: ARG002 - chunks and whole answers have the same kind
        return {"id": self.id, "object": "text_completion", "created": self.created_s, "model": self.model}
