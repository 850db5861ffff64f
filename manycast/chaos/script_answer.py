"""The answer that a script's run must have: the script runs in this process, without faults, on the same provider."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from contract.event import Event
from manycast.chaos.chain_script import chain
from manycast.chaos.script_run import read_question_end
from manycast.script.message import Chunk
from manycast.script.perform import perform
from manycast.script.testing import HEAD, NOBODY, ScriptedHost, answer_of

Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends a chat-completions body to the provider, and returns its whole answer."""


class _ProviderHost(ScriptedHost):
    """`ask` gives the models' answers; `inputs` are those of the run itself."""

    def __init__(self, ask: Ask, log: list[Event]) -> None:
        end = read_question_end(log)
        super().__init__(inputs=[] if end is None else [end.get("value", NOBODY)])
        self._ask_provider = ask

    async def generate(self, request: dict[str, Any], name: str) -> AsyncGenerator[Chunk, None]:  # noqa: ARG002
        (choice,) = (await self._ask_provider(json.loads(json.dumps(request))))["choices"]
        message = dict(choice["message"])
        if calls := message.pop("tool_calls", None):
            message["tool_calls"] = [{"index": number, **call} for number, call in enumerate(calls)]
        yield {**HEAD, "choices": [{"index": 0, "delta": message, "finish_reason": choice["finish_reason"]}]}


async def answer_of_script(body: Mapping[str, Any], log: list[Event], ask: Ask) -> list[str]:
    """`body` is the caller's, `log` that of its completed run."""
    host = _ProviderHost(ask, log)
    # A bill of its own: these calls are the check's.
    await asyncio.create_task(perform(chain, {**body, "user": "chaos check"}, host, head=HEAD))
    return [answer_of(host.entries)]
