"""The finished `chat.completion`, folded from a stream's events. No I/O.

OpenAI's own rule: within `delta`, texts are joined, lists are merged by `index`, everything else is replaced. Nothing
here recurses, because providers' values may be nested at any depth.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from contract.event import Chunk, Event, Kind, encode_json, merge_chunk, parse_json

# `obfuscation` is padding against eavesdroppers, which only a stream needs.
_STREAM_ONLY = frozenset({"choices", "obfuscation"})
# Names of a part. A provider may repeat them in each piece; they must not be joined.
_NAMES = frozenset({"id", "type", "role", "index", "object", "status"})


class _Text:
    """A text that grows. Its pieces are joined once, at the end, because joining each would take quadratic time."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: str) -> None:
        self.pieces = list(pieces)


class CompletionFold:
    """Takes a stream's events in order. `result` is the completion of its last epoch; no event may be added after."""

    def __init__(self) -> None:
        self._shared: Chunk = {}
        self._top: Chunk = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._texts: list[tuple[dict[str, Any], str]] = []
        self.done: dict[str, Any] | None = None

    def add(self, event: Event) -> None:
        """One event of the log."""
        data = parse_json(event.data)
        match event.kind:
            case Kind.START:
                self._shared = data["chunk"]
            case Kind.RESTART:
                self._shared, self._top, self._choices, self._texts = {}, {}, {}, []
            case Kind.CHUNK:
                self._add_chunk(merge_chunk(self._shared, data))
            case Kind.DONE:
                self.done = data

    def _add_chunk(self, chunk: Chunk) -> None:
        for name, value in chunk.items():
            if name not in _STREAM_ONLY and (value is not None or name not in self._top):
                self._top[name] = value
        # A provider wrote the chunk, so its shape is not certain.
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
                    if not isinstance(choice.get(target), dict):
                        choice[target] = {}
                    self._merge(choice[target], value)
            elif value is not None or name not in choice:
                choice[name] = value

    def _merge(self, whole: dict[str, Any], part: dict[str, Any]) -> None:
        # A queue, so that two parts of one list item are merged in their order.
        rest = deque([(whole, part)])
        while rest:
            whole, part = rest.popleft()
            for name, value in part.items():
                held = whole.get(name)
                if held is None:
                    whole[name] = _copy(value)
                elif name in _NAMES:
                    whole[name] = value or held
                elif isinstance(held, _Text) and isinstance(value, str):
                    held.pieces.append(value)
                elif isinstance(held, str) and isinstance(value, str):
                    whole[name] = _Text(held, value)
                    self._texts.append((whole, name))
                elif isinstance(held, dict) and isinstance(value, dict):
                    rest.append((held, value))
                elif isinstance(held, list) and isinstance(value, list):
                    rest.extend(_merge_lists(held, value))
                elif value is not None:
                    whole[name] = value

    @property
    def is_empty(self) -> bool:
        """Whether there was no chunk."""
        return not self._top

    def result(self) -> dict[str, Any]:
        """The `chat.completion`. A choice that was cut short has `finish_reason: null`."""
        for holder, name in self._texts:
            text = holder.get(name)
            if isinstance(text, _Text):
                holder[name] = "".join(text.pieces)
        choices = [self._finish(self._choices[index]) for index in sorted(self._choices)]
        return {**self._top, "object": "chat.completion", "choices": choices}

    def _finish(self, choice: dict[str, Any]) -> dict[str, Any]:
        given = choice.get("message")
        message = {"role": "assistant", "content": None, "refusal": None, **(given if isinstance(given, dict) else {})}
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            message["tool_calls"] = [_without_index(call) for call in calls]
        return {"logprobs": None, "finish_reason": None, **choice, "message": message}


def _without_index(call: Any) -> Any:
    """A tool call's `index` only says which fragments belong together."""
    return {name: value for name, value in call.items() if name != "index"} if isinstance(call, dict) else call


def _copy(value: Any) -> Any:
    """What is merged into the copy later must not change the chunk. Not `deepcopy`, which recurses."""
    return parse_json(encode_json(value)) if isinstance(value, dict | list) else value


def _merge_lists(whole: list[Any], part: list[Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Appends the items that are new, and gives each other item with the one that it belongs to."""
    for item in part:
        index = item.get("index") if isinstance(item, dict) else None
        held = None
        if isinstance(index, int):
            held = next((each for each in whole if isinstance(each, dict) and each.get("index") == index), None)
        if held is None:
            whole.append(_copy(item))
        else:
            yield held, item
