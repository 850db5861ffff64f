"""Runs a script from its first call to the end of its answer, or from where an earlier attempt has stopped."""

from collections.abc import Iterable, Mapping
from typing import Any

from manycast.script.definition import Script
from manycast.script.host import Entry, Host
from manycast.script.message import Message
from manycast.script.record import Record
from manycast.script.run import Execution, enter

MAX_CALLS = 1000


async def perform(
    script: Script[Any],
    request: Mapping[str, Any],
    host: Host,
    *,
    head: Mapping[str, Any],
    past: Iterable[Entry] = (),
    max_calls: int = MAX_CALLS,
    passed: Mapping[str, Any] | None = None,
    prompts: Mapping[str, str] | None = None,
) -> Any:
    """Returns the script's result. Call it in a task of its own.

    `request` is the caller's chat-completions body, `head` holds the fields of each chunk of the answer, `past` what
    earlier attempts wrote, and `passed` further fields of every request to a provider. `prompts`: texts of a developer,
    by the ids of steps, each in place of the last message that the step would send.

    Raises: ScriptError; whatever the script raises.
    """
    record = Record(past)
    execution = Execution(host, record, head, max_calls, passed or {}, prompts or {})
    if record.is_empty:
        opening = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        await host.write(Entry("chunk", {**head, "choices": [opening]}))
    elif record.has_cut_text:
        record.retract()
        await host.write(Entry("restart", {}))
    run = enter(execution, last_text(request), request)
    result = await run.perform(script)
    if not (isinstance(result, Message) and result.is_said):
        await run.say(result)
    record.check_complete()
    ending = {"index": 0, "delta": {}, "finish_reason": "stop"}
    await host.write(Entry("chunk", {**head, "choices": [ending], "usage": execution.usage or None}))
    return result


def last_text(request: Mapping[str, Any]) -> str:
    """What the user of a chat-completions body said last."""
    for turn in reversed(request.get("messages") or ()):
        if isinstance(turn, Mapping) and turn.get("role") == "user":
            content = turn.get("content")
            if isinstance(content, str):
                return content
            listed = content if isinstance(content, list) else ()
            parts = (part.get("text") for part in listed if isinstance(part, Mapping))
            return "".join(text for text in parts if isinstance(text, str))
    return ""
