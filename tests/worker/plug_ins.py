"""Generators as a user writes them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from contract.errors import RunError, RunFailedError


async def count(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Three chunks, then what the prompt names."""
    for number in range(3):
        yield {"id": "own", "choices": [{"index": 0, "delta": {"content": str(number)}, "finish_reason": None}]}
    what = request["messages"][0]["content"]
    if what == "fail":
        raise RunFailedError(RunError("own_code", "as foreseen"))
    if what == "crash":
        raise ZeroDivisionError("a secret of the plug-in")
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
