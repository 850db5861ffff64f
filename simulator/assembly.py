"""Joins deltas into a completion that is not streamed. No I/O."""

from dataclasses import dataclass, field
from typing import Any

from simulator.script import Delta


@dataclass(slots=True)
class Choice:
    """One choice. Collects texts in lists and joins them once."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    logprobs: list[Any] = field(default_factory=list)
    finish_reason: str | None = None

    def add(self, step: Delta) -> None:
        for name in ("content", "reasoning_content"):
            text = step.delta.get(name)
            if text is not None:
                self.texts.setdefault(name, []).append(text)
        for call in step.delta.get("tool_calls", ()):
            self._add_call(call)
        if step.logprobs is not None:
            self.logprobs.extend(step.logprobs["content"])
        self.finish_reason = step.finish_reason or self.finish_reason

    def as_object(self, index: int) -> dict[str, Any]:
        joined = {name: "".join(parts) for name, parts in self.texts.items()}
        said: dict[str, Any] = {
            "role": "assistant",
            "content": None,
            **joined,
            "refusal": None,
            "annotations": [],
        }
        if self.calls:
            said["tool_calls"] = [call for _, call in sorted(self.calls.items())]
        logprobs = {"content": self.logprobs, "refusal": None} if self.logprobs else None
        return {"index": index, "message": said, "logprobs": logprobs, "finish_reason": self.finish_reason}

    def _add_call(self, call: dict[str, Any]) -> None:
        known = self.calls.get(call["index"])
        if known is None:
            whole = {name: value for name, value in call.items() if name != "index"}
            self.calls[call["index"]] = {**whole, "function": dict(call["function"])}
        else:
            known["function"]["arguments"] += call["function"]["arguments"]


class Assembly:
    """All choices of one completion."""

    def __init__(self) -> None:
        self._choices: dict[int, Choice] = {}

    def add(self, step: Delta) -> None:
        self._choices.setdefault(step.choice, Choice()).add(step)

    def as_objects(self) -> list[dict[str, Any]]:
        return [choice.as_object(index) for index, choice in sorted(self._choices.items())]
