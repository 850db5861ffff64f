"""`/v1/embeddings` and `/v1/moderations`: answers that depend only on the texts. No I/O, no clock."""

import array
import base64
import hashlib
import math
import sys
from dataclasses import dataclass, field
from typing import Any

from simulator.chat_request import ChatRequest, check_chat_request, count_pieces, read_count, read_fields
from simulator.envelope import Envelope, encode
from simulator.errors import ApiError, Refused, missing, wrong_type, wrong_value
from simulator.script import Delta, Raw, Script

DIMENSIONS = 16
MOST_DIMENSIONS = 4096
MOST_INPUTS = 2048
CATEGORIES = ("harassment", "hate", "self-harm", "sexual", "violence")
FLAGGED = "violence"
"""The word, and the category, that a moderation flags."""


@dataclass(frozen=True, slots=True)
class VectorRequest:
    """What embeddings and moderations are made of. Each input is a text or a list of tokens; `encoding` is `float` or
    `base64`. `chat` names the model, and what it does before it answers."""

    inputs: list[Any]
    dimensions: int
    encoding: str
    chat: ChatRequest

    @property
    def tokens(self) -> int:
        return sum(count_pieces(text) if isinstance(text, str) else len(text) for text in self.inputs)


def read_embeddings_request(body: bytes) -> VectorRequest:
    """Raises: Refused 400, naming the faulty parameter."""
    return check_vector_request(read_fields(body))


def read_moderation_request(body: bytes) -> VectorRequest:
    """A moderation needs no model. Raises: Refused 400, naming the faulty parameter."""
    fields = read_fields(body)
    return check_vector_request({**fields, "model": fields.get("model") or "demo"})


def check_vector_request(fields: dict[str, Any]) -> VectorRequest:
    inputs = read_inputs(fields)
    encoding = fields.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise wrong_value("encoding_format", "one of 'float' and 'base64'")
    chat = {**fields, "messages": [{"role": "user", "content": ""}]}
    dimensions = read_count(fields, "dimensions", MOST_DIMENSIONS) or DIMENSIONS
    return VectorRequest(inputs, dimensions, encoding, check_chat_request(chat))


def read_inputs(fields: dict[str, Any]) -> list[Any]:
    given = fields.get("input")
    if given is None:
        raise missing("input")
    inputs = given if isinstance(given, list) and not (given and isinstance(given[0], int)) else [given]
    if not all(isinstance(one, str | list | dict) for one in inputs):
        raise wrong_type("input", "a string, an array of strings, or tokens")
    if not 1 <= len(inputs) <= MOST_INPUTS or not all(inputs):
        raise Refused(ApiError(400, "'$.input' is invalid. Please check the API reference.", param="input"))
    return inputs


@dataclass(slots=True)
class EmbeddingsEnvelope(Envelope):
    asked: VectorRequest = field(kw_only=True)

    def completion(self, choices: list[dict[str, Any]]) -> bytes:  # noqa: ARG002 - the texts decide
        asked = self.asked
        vectors = [embed(one, asked.dimensions) for one in asked.inputs]
        shown = [to_base64(vector) for vector in vectors] if asked.encoding == "base64" else map(list, vectors)
        data = [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(shown)]
        usage = {"prompt_tokens": asked.tokens, "total_tokens": asked.tokens}
        return encode({"object": "list", "data": data, "model": self.model, "usage": usage})


@dataclass(slots=True)
class ModerationEnvelope(Envelope):
    """Flags the texts that contain FLAGGED."""

    asked: VectorRequest = field(kw_only=True)

    def completion(self, choices: list[dict[str, Any]]) -> bytes:  # noqa: ARG002
        results = [moderate(str(one)) for one in self.asked.inputs]
        return encode({"id": self.id.replace("chatcmpl", "modr"), "model": self.model, "results": results})


def embed(text: object, dimensions: int) -> "array.array[float]":
    """A vector of length 1, the same for the same text."""
    noise = array.array("h", hashlib.shake_128(str(text).encode(errors="replace")).digest(2 * dimensions))
    length = math.sqrt(sum(number * number for number in noise)) or 1.0
    return array.array("f", (number / length for number in noise))


def to_base64(vector: "array.array[float]") -> str:
    """The numbers as OpenAI encodes them: four bytes each, the lowest first."""
    if sys.byteorder == "big":
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()


def moderate(text: str) -> dict[str, Any]:
    is_flagged = FLAGGED in text.lower()
    scores = {name: 0.9 if is_flagged and name == FLAGGED else 0.01 for name in CATEGORIES}
    flags = {name: score > 0.5 for name, score in scores.items()}
    return {"flagged": is_flagged, "categories": flags, "category_scores": scores}


def only_faults(script: Script) -> Script:
    """The first step of a script, which sets the time, and its faults: these answers have no text."""
    for index, step in enumerate(script):
        if not isinstance(step, Delta | Raw) or (index == 0 and isinstance(step, Delta)):
            yield step
