"""The finished `chat.completion`, folded from a stream's events. No I/O.

Within `delta`, the texts that providers stream in pieces are joined, lists are merged by `index`, and all else is
replaced, because a provider may repeat it in each chunk. Nothing here recurses, because providers' values may be nested
at any depth.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from contract.event import Chunk, Event, Kind, encode_json, merge_chunk, parse_json

# Fields that are not copied: choices are merged, and `obfuscation` is a stream's padding against eavesdroppers.
_NOT_COPIED = frozenset({"choices", "obfuscation"})
# Everything that is streamed in pieces: answers, reasoning, arguments of tools, and audio.
_PIECES = frozenset(
    {
        "content",
        "refusal",
        "reasoning",
        "reasoning_content",
        "reasoning_text",
        "thinking",
        "arguments",
        "input",
        "text",
        "summary",
        "data",
        "transcript",
    }
)


class _Text:
    """A text that grows. Its pieces are joined once, at the end: to join each one would take quadratic time."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: str) -> None:
        self.pieces = list(pieces)


class CompletionFold:
    """Folds a stream's events into the completion of its last epoch. Add events in order, and none after `result`."""

    def __init__(self) -> None:
        self._shared: Chunk = {}
        self._top: Chunk = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._texts: list[tuple[dict[str, Any], str]] = []
        self.done: dict[str, Any] | None = None

    def add(self, event: Event) -> None:
        """Adds the next event of the log."""
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
            if name not in _NOT_COPIED and (value is not None or name not in self._top):
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
        # First in, first out: two parts of one list item must be merged in their order.
        pending = deque([(whole, part)])
        while pending:
            whole, part = pending.popleft()
            for name, value in part.items():
                old = whole.get(name)
                if old is None:
                    whole[name] = _copy(value)
                elif isinstance(value, str) and name not in _PIECES:
                    whole[name] = value or old
                elif isinstance(old, _Text) and isinstance(value, str):
                    old.pieces.append(value)
                elif isinstance(old, str) and isinstance(value, str):
                    whole[name] = _Text(old, value)
                    self._texts.append((whole, name))
                elif isinstance(old, dict) and isinstance(value, dict):
                    pending.append((old, value))
                elif isinstance(old, list) and isinstance(value, list):
                    pending.extend(_merge_lists(old, value))
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
    """Removes a tool call's `index`, which only says which fragments belong together."""
    return {name: value for name, value in call.items() if name != "index"} if isinstance(call, dict) else call


def _copy(value: Any) -> Any:
    """Copies a value, so that merging into the copy does not change the chunk. `deepcopy` would recurse."""
    return parse_json(encode_json(value)) if isinstance(value, dict | list) else value


def _merge_lists(whole: list[Any], part: list[Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Appends items with a new `index` to `whole`. Yields the other items, each as a pair to merge: the item of `whole`
    with the same `index`, and the item of `part`."""
    for item in part:
        index = item.get("index") if isinstance(item, dict) else None
        old = None
        if isinstance(index, int):
            old = next((known for known in whole if isinstance(known, dict) and known.get("index") == index), None)
        if old is None:
            whole.append(_copy(item))
        else:
            yield old, item
