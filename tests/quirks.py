"""What each stream in the simulator's table of quirks says, and the chunks that the worker makes of it."""

import json
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from contract.event import Chunk
from simulator.quirks import QUIRKS, USAGE, Quirk
from tests.worker.raw_provider import raw_provider, sends
from worker.providers.chunk_pattern import SimilarChunk
from worker.providers.openai_source import OpenAISource
from worker.providers.provider_table import CallOptions, Provider
from worker.providers.repair import ChunkRepair
from worker.providers.source import END

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
OSLO = ("weather", {"city": "Oslo"})
ROME = ("weather", {"city": "Rome"})
CET = ("time", {"zone": "CET"})

Calls = list[tuple[str, dict[str, Any]]]


@dataclass
class Message:
    """A folded answer. `calls` are names and parsed arguments; the ids only have to differ."""

    content: str = "Hello world"
    finish_reason: str | None = "stop"
    reasoning: str = ""
    calls: Calls = field(default_factory=list)
    usage: dict[str, Any] | None = None


def calls(*expected: tuple[str, dict[str, Any]]) -> Message:
    return Message("", "tool_calls", calls=list(expected))


EXPECTED: dict[str, Message] = {
    **{name: Message() for name in QUIRKS},
    "empty-finish-reason-tools": calls(OSLO),
    "no-finish-reason-tools": calls(OSLO),
    "tools-without-index": calls(OSLO, CET),
    "tools-without-index-in-pieces": calls(OSLO, CET),
    "tools-at-one-index": calls(OSLO, CET),
    "tools-without-id": calls(OSLO, ROME),
    "tools-without-index-and-id": calls(OSLO, ROME, CET),
    "tools-name-repeated": calls(OSLO),
    "tools-new-id-in-each-piece": calls(OSLO),
    "tools-object-arguments": calls(OSLO),
    "function-call": calls(OSLO),
    "content-parts": Message(reasoning="Say hello."),
    "reasoning-details": Message(reasoning="Say hello."),
    "usage-in-every-chunk": Message(usage=USAGE),
    "usage-with-choices": Message(usage=USAGE),
}
assert EXPECTED.keys() == QUIRKS.keys()


def message_of(completion: dict[str, Any]) -> Message:
    """What a `chat.completion` with one choice says. The ids of its calls must differ."""
    (choice,) = completion["choices"]
    said = choice["message"]
    made = said.get("tool_calls") or []
    assert len({call["id"] for call in made}) == len(made)
    assert all(call["id"] and call["type"] == "function" for call in made)
    return Message(
        said.get("content") or "",
        choice["finish_reason"],
        said.get("reasoning_content") or said.get("reasoning") or "",
        [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in made],
        completion.get("usage"),
    )


async def chunks_of(pieces: tuple[bytes, ...], request: dict[str, Any] | None = None) -> list[Chunk]:
    """The chunks that the worker writes for a provider that sends these bytes."""
    request = request or REQUEST
    repair = ChunkRepair(wants_function_call="functions" in request)
    written: list[Chunk | None] = []
    async with raw_provider(sends(*pieces)) as provider:
        source = OpenAISource(
            Provider(base_url=provider.base_url, models=("*",)),
            default_options=lambda _: CallOptions(first_chunk_timeout_s=10),
            connect_timeout_s=2,
            retries=0,
        )
        try:
            async with aclosing(source.generate(request)) as chunks:
                items = [item.whole() if isinstance(item, SimilarChunk) else item async for item in chunks]
                said = [item for item in items if isinstance(item, dict)]
                written += [repair.finish() if chunk is END else repair.repair(chunk) for chunk in said]
        finally:
            await source.close()
    return [chunk for chunk in (*written, *repair.end()) if chunk is not None]


async def chunks_of_quirk(quirk: Quirk) -> list[Chunk]:
    return await chunks_of(quirk.pieces)
