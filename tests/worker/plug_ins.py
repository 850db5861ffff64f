"""Generators as a user writes them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from contract.errors import RunError, RunFailedError

ODD: dict[str, Any] = {
    "an int": 42,
    "bytes": b"x",
    "a list": [],
    "an object": object(),
    "no choices": {"id": "own"},
    "choices that are no list": {"choices": {}},
    "choices that are texts": {"choices": ["x"]},
    "a date": {"choices": [], "created": datetime(2026, 1, 1, tzinfo=UTC)},
    "infinity": {"id": "own", "choices": [], "cost": float("inf")},
}


EXITS = {one.__name__: one for one in (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)}
"""What is no Exception."""


async def say(request: dict[str, Any]) -> AsyncIterator[Any]:
    """Texts, and in the middle what the prompt names."""
    yield "Hello"
    await asyncio.sleep(0)
    yield None
    yield " world"
    what = request["messages"][0]["content"]
    if what in ODD:
        yield ODD[what]
    if what == "stop with a dict":
        yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
    if what == "crash":
        raise ZeroDivisionError("a secret of the plug-in")


async def count(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Three chunks, then what the prompt names."""
    for number in range(3):
        yield {"id": "own", "choices": [{"index": 0, "delta": {"content": str(number)}, "finish_reason": None}]}
    what = request["messages"][0]["content"]
    if what == "fail":
        raise RunFailedError(RunError("own_code", "as foreseen"))
    if what == "crash":
        raise ZeroDivisionError("a secret of the plug-in")
    if what in EXITS:
        raise EXITS[what]()
    if what == "hang":
        await asyncio.Event().wait()
    if what == "linger":
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()
    if what == "infinity":
        yield {"id": "own", "choices": [], "cost": float("inf")}
    if what == "finish, then break":
        yield {"id": "own", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        raise RunFailedError(RunError("own_code", "after the end"))
    if what == "finish, then hang":
        yield {"id": "own", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        await asyncio.Event().wait()
    yield {"id": "own", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
