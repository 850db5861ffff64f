"""The finished `chat.completion`, folded from a stream's events. Pure: no I/O.

OpenAI's own rule: within `delta`, texts are joined, lists are merged by `index`, everything else is replaced.
"""

import json
from typing import Any

from contract.event import Chunk, Event, Kind, merge_chunk

# Padding against eavesdroppers, which only a stream has.
_STREAM_ONLY = frozenset({"choices", "obfuscation"})
# These say what a part is; a provider that repeats them does not mean them to be joined.
_NAMES = frozenset({"id", "type", "role", "index", "object", "status"})


class _Text:
    """A text that grows: joined when it is wanted, and not with each of its pieces."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: str) -> None:
        self.pieces = list(pieces)


class CompletionFold:
    """Takes a stream's events in order; `result` is the completion of its last epoch so far."""

    def __init__(self) -> None:
        self._shared: Chunk = {}
        self._top: Chunk = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self.done: dict[str, Any] | None = None

    def add(self, event: Event) -> None:
        """One event of the log."""
        data = json.loads(event.data)
        match event.kind:
            case Kind.START:
                self._shared = data["chunk"]
            case Kind.RESTART:
                self._shared, self._top, self._choices = {}, {}, {}
            case Kind.CHUNK:
                self._add_chunk(merge_chunk(self._shared, data))
            case Kind.DONE:
                self.done = data

    def _add_chunk(self, chunk: Chunk) -> None:
        for name, value in chunk.items():
            if name not in _STREAM_ONLY and (value is not None or name not in self._top):
                self._top[name] = value
        # A chunk is a provider's: nothing in it is taken on trust.
        choices = chunk.get("choices")
        for part in choices if isinstance(choices, list) else ():
            if isinstance(part, dict):
                self._add_part(part)

    def _add_part(self, part: dict[str, Any]) -> None:
        index = part.get("index")
        index = index if isinstance(index, int) else 0
        choice = self._choices.setdefault(index, {"index": index})
        for name, value in part.items():
            if name in ("delta", "logprobs"):
                target = "message" if name == "delta" else name
                if isinstance(value, dict):
                    choice[target] = choice.get(target) or {}
                    _merge(choice[target], value)
            elif value is not None or name not in choice:
                choice[name] = value

    @property
    def is_empty(self) -> bool:
        """Whether no chunk has come."""
        return not self._top

    def result(self) -> dict[str, Any]:
        """The `chat.completion`; a choice that was cut short has `finish_reason: null`."""
        choices = [self._finish(self._choices[index]) for index in sorted(self._choices)]
        return {**self._top, "object": "chat.completion", "choices": choices}

    def _finish(self, choice: dict[str, Any]) -> dict[str, Any]:
        choice = _joined(choice)
        given = choice.get("message", {})
        message = {"role": "assistant", "content": None, "refusal": None, **given}
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            message["tool_calls"] = [_unnumbered(call) for call in calls]
        return {"logprobs": None, "finish_reason": None, **choice, "message": message}


def _joined(value: Any) -> Any:
    match value:
        case _Text():
            return "".join(value.pieces)
        case dict():
            return {name: _joined(held) for name, held in value.items()}
        case list():
            return [_joined(held) for held in value]
        case _:
            return value


def _unnumbered(call: Any) -> Any:
    """Its number only said which fragments belong together."""
    return {name: value for name, value in call.items() if name != "index"} if isinstance(call, dict) else call


def _merge(whole: dict[str, Any], part: dict[str, Any]) -> None:
    for name, value in part.items():
        held = whole.get(name)
        if held is None:
            # A copy: what is merged into it later must not reach back into the chunk.
            whole[name] = json.loads(json.dumps(value)) if isinstance(value, dict | list) else value
        elif name in _NAMES:
            whole[name] = value or held
        elif isinstance(held, _Text) and isinstance(value, str):
            held.pieces.append(value)
        elif isinstance(held, str) and isinstance(value, str):
            whole[name] = _Text(held, value)
        elif isinstance(held, dict) and isinstance(value, dict):
            _merge(held, value)
        elif isinstance(held, list) and isinstance(value, list):
            _merge_lists(held, value)
        elif value is not None:
            whole[name] = value


def _merge_lists(whole: list[Any], part: list[Any]) -> None:
    for item in part:
        index = item.get("index") if isinstance(item, dict) else None
        held = None
        if isinstance(index, int):
            held = next((each for each in whole if isinstance(each, dict) and each.get("index") == index), None)
        if held is None:
            whole.append(json.loads(json.dumps(item)))
        else:
            _merge(held, item)
