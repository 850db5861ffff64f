"""A copied dialect has all the state of the original and shares none of it."""

import copy
import json
import random
from typing import Any

import pytest

from gateway.dialects.registry import DIALECTS

COMPLETED = {"status": "completed", "error": None}
FAILED = {"status": "failed", "error": {"message": "The provider failed.", "code": "provider_error"}}

Event = tuple[bytes, bytes, bytes]


def random_chunk(draw: random.Random) -> dict[str, Any]:
    delta = draw.choice(
        [
            {"content": draw.choice(["word ", "\ud83d", "\ude00"])},
            {"reasoning": "thought "},
            {"tool_calls": [{"index": draw.randrange(2), "function": {"name": "find", "arguments": "{"}}]},
            {"tool_calls": [{"index": draw.randrange(2), "function": {"arguments": "}"}}]},
        ]
    )
    reason = draw.choice([None, None, None, "stop", "tool_calls"])
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def random_events(draw: random.Random, count: int) -> list[Event]:
    start = {"stream": "s", "chunk": {"id": "c", "object": "chat.completion.chunk", "model": "demo"}}
    values: list[tuple[bytes, Any]] = [(b"start", start)]
    values += [(b"chunk", random_chunk(draw)) for _ in range(count)]
    if draw.random() < 0.3:
        values.append((b"restart", {}))
    values.append((b"done", draw.choice([COMPLETED, FAILED])))
    return [(b"1-%d" % at, kind, json.dumps(value).encode()) for at, (kind, value) in enumerate(values)]


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("seed", range(40))
def test_a_copy_and_its_original_continue_alike(name: str, seed: int) -> None:
    events = random_events(random.Random(seed), 12)
    expected = [dialect.write_event(*event) for dialect in [DIALECTS[name]()] for event in events]
    for cut in range(len(events) + 1):
        original = DIALECTS[name]()
        for event in events[:cut]:
            original.write_event(*event)
        copied = copy.deepcopy(original)
        assert vars(copied) == vars(original)
        # One after the other: state shared by both would change under the second.
        for dialect in (original, copied):
            assert [dialect.write_event(*event) for event in events[cut:]] == expected[cut:]
            assert dialect.closed == (name.startswith(("openai", "ui")))
