"""Tells what a script does besides its answer, line by line: its steps, questions and events. No I/O.

`follow.py` prints the lines.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from manycast.client.event import Emit, Input, Step

SHOWN_CHARS = 100
"""How much of a step's text or arguments one line shows."""


class Steps:
    """The steps of one run. Feed it each event of a script."""

    def __init__(self) -> None:
        self._begun: dict[str, Mapping[str, Any]] = {}
        self._questions: dict[str, Mapping[str, Any]] = {}

    def tell_step(self, step: Step) -> str:
        """The line about an event; "" if it is not worth one."""
        begun = self._begun.setdefault(step.id, step.data)
        path = self._path_of(step.id)
        match step.state:
            case "begin":
                details = begun.get("model") or _short(str(begun.get("arguments") or ""))
                return f"step: {path}" + (f" ({details})" if details else "")
            case "restart":
                return f"step: {path} starts again"
            case "end":
                return self._tell_end(path, step.data)
        return ""

    def tell_question(self, event: Input) -> Iterator[str]:
        """The lines about a question, for somebody who only watches."""
        asked = self._questions.setdefault(event.id, event.data)
        match event.state:
            case "asked":
                yield f"the script asks: {asked.get('question')}"
                if asked.get("choices"):
                    yield f"  one of: {', '.join(map(str, asked['choices']))}"
            case "answered":
                who = f" ({event.data['by']})" if event.data.get("by") else ""
                yield f"the answer: {shown(event.data.get('value'))}{who}"
            case "refused":
                yield f"an answer does not fit: {event.data.get('problem')}"
            case "timed_out":
                yield "nobody has answered in time"

    @staticmethod
    def tell_event(event: Emit) -> str:
        return f"event: {event.name} {_short(shown(event.data))}"

    def _tell_end(self, path: str, data: Mapping[str, Any]) -> str:
        facts = ", ".join(_facts(data))
        if error := data.get("error"):
            return f"step: {path} failed: {error['message']} ({facts})"
        if data.get("failed"):
            return f"step: {path} failed: {_short(str(data.get('result') or ''))} ({facts})"
        text = _text_of(data)
        return f"step: {path}: {_short(text)} ({facts})" if text else ""

    def _path_of(self, step_id: str) -> str:
        """The names of a step and of those that contain it."""
        names: list[str] = []
        place: str | None = step_id
        while place is not None and place in self._begun:
            names.insert(0, str(self._begun[place].get("name")))
            place = self._begun[place].get("parent")
        return " > ".join(names)


def shown(value: Any) -> str:
    """A value as people read it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text_of(data: Mapping[str, Any]) -> str:
    if "result" in data:
        return str(data["result"])
    message = data.get("message") or {}
    content = message.get("content") or message.get("refusal") or ""
    return content if isinstance(content, str) else shown(content)


def _facts(data: Mapping[str, Any]) -> Iterator[str]:
    yield f"{data.get('ms', 0) / 1000:.1f} s"
    tokens = (data.get("usage") or {}).get("completion_tokens")
    if tokens is not None:
        yield f"{tokens} tokens"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else f"{line[:SHOWN_CHARS]}…"
