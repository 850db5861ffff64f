"""What stands on the wire, beside the provider's own: every line, and every field of every chunk."""

import json
import re
from typing import Any

import httpx2
import pytest

from tests.clients.conftest import Stack

MODELS = [
    *("demo", "demo-fast", "demo-long", "demo-echo", "demo-tools", "demo-reasoning", "demo-choices"),
    *("fault-surrogate", "fault-huge"),
]
PING = ": ping"
# What the provider draws anew for each answer.
DRAWN = re.compile(r'"(id|created)":\s*("(chatcmpl-|call_)[^"]*"|\d+)')


async def read_frames(url: str, body: dict[str, Any]) -> list[str]:
    """The frames of a stream, which has nothing but `data:` lines, and a ping on a connection that was silent."""
    async with httpx2.AsyncClient(timeout=60) as http:
        text = (await http.post(f"{url}/v1/chat/completions", json=body)).raise_for_status().text
    frames = text.split("\n\n")
    assert frames.pop() == ""
    # The gateway of these tests pings after 0.2 s, in which a busy machine may send nothing.
    frames = [frame for frame in frames if frame != PING]
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    return [frame.removeprefix("data: ") for frame in frames]


def read_json(frames: list[str]) -> list[Any]:
    assert frames[-1] == "[DONE]"
    return [json.loads(DRAWN.sub(r'"\1":0', frame)) for frame in frames[:-1]]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("usage", [False, True], ids=["", "usage"])
async def test_every_field_of_every_chunk_is_the_providers(stack: Stack, model: str, usage: bool) -> None:
    body = {
        "model": model,
        "stream": True,
        "messages": [{"role": "user", "content": "Tell me about rivers"}],
        "simulator": {"seed": 7, "chunks_per_s": 0},
        **({"stream_options": {"include_usage": True}} if usage else {}),
    }
    theirs = read_json(await read_frames(stack.provider, body))
    ours = read_json(await read_frames(stack.gateway, body))
    # As text: Python holds 1, 1.0 and True to be equal.
    assert json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)
