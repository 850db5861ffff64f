"""What the steps of a script ask their models: kept beside the run, for developers, where gateways list runs.

A run that keeps prompts (`Submission.keeps_prompts`) also keeps its request after its end, so that it can be run again
from one of its steps.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from contract.connection import Client, call_redis
from contract.event import encode_json, parse_json
from contract.scripts import Call, run_call

SCRIPT_PREFIX = "script/"
"""The names of models that are scripts begin with it."""
PROMPTS_LIMIT_BYTES = 1 << 20
"""Of all steps of a run. Later steps keep none."""
PROMPT_LIMIT_BYTES = 1 << 16
"""Of one step, as JSON. Earlier messages are left out."""
TEXT_LIMIT_CHARS = 16_000
"""Of one text in a message, such as a picture. What is longer is cut."""


class KeptRun(NamedTuple):
    """What a run that keeps prompts needs to be run again. `again`: the run and the step from which it goes on
    itself."""

    request: dict[str, Any]
    again: dict[str, str] | None


class Prompts:
    """Keeps and reads. All methods raise BrokerUnavailableError and BrokerRefusedError, and may be repeated."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def keep(self, stream_id: str, epoch: int, step_id: str, messages: Sequence[Mapping[str, Any]]) -> bool:
        """Keeps the messages of a step. Returns False if the run keeps no more prompts."""
        prompt = encode_json(cut_messages(messages))
        arguments = (epoch, step_id, prompt, PROMPTS_LIMIT_BYTES)
        meta = self._client.key_space.stream(stream_id).meta
        answer: bytes = await run_call(self._client, Call("keep_prompt", (meta,), arguments))
        return answer == b"ok"

    async def read(self, stream_id: str) -> dict[str, dict[str, Any]]:
        """What `cut_messages` made of the messages of each step, by its id, in the order of the script's calls."""
        meta = self._client.key_space.stream(stream_id).meta
        reply: list[bytes] = await run_call(self._client, Call("read_prompts", (meta,), ()))
        prompts = {name.decode(): parse_json(prompt) for name, prompt in zip(reply[::2], reply[1::2], strict=True)}
        # Redis returns the fields of a large hash in any order.
        return {step_id: prompts[step_id] for step_id in sorted(prompts, key=_place)}

    async def read_run(self, stream_id: str) -> KeptRun | None:
        """None if the run keeps no prompts, or has expired."""
        names = ("prompts", "request", "again")
        meta = self._client.key_space.stream(stream_id).meta
        kept, request, again = await call_redis(self._client, "HMGET", meta, *names)
        if kept is None or request is None:
            return None
        return KeptRun(parse_json(request), None if again is None else parse_json(again))


def _place(step_id: str) -> list[int]:
    return [int(number) for number in step_id.split(".")]


def cut_messages(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The last messages that fit: `{"messages","omitted","cut"}`. `omitted`: how many came before them. `cut`: whether
    a text in them is not whole."""
    kept: list[Any] = []
    room, is_cut = PROMPT_LIMIT_BYTES, False
    for message in reversed(messages):
        short = _cut(message)
        size = len(encode_json(short))
        if kept and size > room:
            break
        kept.insert(0, short)
        room -= size
        is_cut = is_cut or short != message
    return {"messages": kept, "omitted": len(messages) - len(kept), "cut": is_cut}


def _cut(value: Any, depth: int = 8) -> Any:
    if isinstance(value, str) and len(value) > TEXT_LIMIT_CHARS:
        return f"{value[:TEXT_LIMIT_CHARS]}… ({len(value)} characters)"
    if isinstance(value, Mapping) and depth:
        return {name: _cut(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list) and depth:
        return [_cut(item, depth - 1) for item in value[:100]]
    return value if depth or not isinstance(value, Mapping | list) else "…"
