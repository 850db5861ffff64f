"""The answer that a script's run must have: the script runs in this process, without faults.

The chain runs on the same provider. The examples of the documentation say nothing of the provider's pace or seed, so
what the models said to them comes from the log.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from contract.event import Event
from manycast.chaos.chain_script import chain
from manycast.chaos.examples import load_examples
from manycast.chaos.script_run import read_end_epochs, read_messages, read_question_ends
from manycast.script import ScriptError
from manycast.script.message import Chunk
from manycast.script.perform import perform
from manycast.script.testing import HEAD, NOBODY, ScriptedHost, answer_of
from simulator.bill import digest_messages

Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends a chat-completions body to the provider, and returns its whole answer."""


class _ProviderHost(ScriptedHost):
    """`ask` gives the models' answers; `inputs` are those of the run itself."""

    def __init__(self, ask: Ask, log: list[Event]) -> None:
        super().__init__(inputs=_inputs(log))
        self._ask_provider = ask

    async def generate(self, request: dict[str, Any], name: str) -> AsyncGenerator[Chunk, None]:  # noqa: ARG002
        (choice,) = (await self._ask_provider(json.loads(json.dumps(request))))["choices"]
        message = dict(choice["message"])
        if calls := message.pop("tool_calls", None):
            message["tool_calls"] = [{"index": number, **call} for number, call in enumerate(calls)]
        yield {**HEAD, "choices": [{"index": 0, "delta": message, "finish_reason": choice["finish_reason"]}]}


async def answer_of_chain(body: Mapping[str, Any], log: list[Event], ask: Ask) -> list[str]:
    """`body` is the caller's, `log` that of its completed run."""
    host = _ProviderHost(ask, log)
    # A bill of its own: these calls are the check's.
    await asyncio.create_task(perform(chain, {**body, "user": "chaos check"}, host, head=HEAD))
    return [answer_of(host.entries)]


class _LogHost(ScriptedHost):
    """Models and people say what they have said in the log. `calls`: the name of each call, and the digest of its
    messages."""

    def __init__(self, log: list[Event]) -> None:
        super().__init__(answers=read_messages(log), inputs=_inputs(log))
        self.calls: list[tuple[str, str]] = []

    def generate(self, request: dict[str, Any], name: str) -> AsyncGenerator[Chunk, None]:
        self.calls.append((name, digest_messages(request["messages"])))
        return super().generate(request, name)


async def answer_of_example(name: str, body: Mapping[str, Any], log: list[Event]) -> tuple[list[str], Counter[str]]:
    """As `answer_of_chain`, for an example of the documentation. If the script cannot come to its end with what the
    log has, the answer says why. Also returns how many attempts may have paid for each call, by its messages: all
    up to that in which it ended, because later ones find its result in the log."""
    host = _LogHost(log)
    try:
        await asyncio.create_task(perform(load_examples()[name], body, host, head=HEAD))
        answer = answer_of(host.entries)
    except (AssertionError, ScriptError, ValueError) as error:
        answer = f"the script does not end with what its log has: {error}"
    ends = read_end_epochs(log)
    last_epoch = log[-1].position.epoch if log else 0
    paying: Counter[str] = Counter()
    for called, digest in host.calls:
        left = ends.get(called, [])
        paying[digest] += left.pop(0) if left else last_epoch
    return [answer], paying


def _inputs(log: list[Event]) -> list[Any]:
    return [end.get("value", NOBODY) for end in read_question_ends(log).values()]
