"""The text of an answer from its chunks, as far as a terminal can show it. No I/O.

It takes only the text of choice 0, because a terminal has one column, and counts the choices.
"""

from collections.abc import Mapping
from typing import Any


class TextJoiner:
    """Joins pieces that may be cut anywhere, even inside a surrogate pair, into text that can be encoded."""

    def __init__(self) -> None:
        self._half = ""

    def join(self, piece: str) -> str:
        """The text that is complete so far. A lone half becomes U+FFFD."""
        text = self._half + piece
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return _paired(text)

    def end(self) -> str:
        """U+FFFD if a half is left, else nothing."""
        half, self._half = self._half, ""
        return _paired(half)


def _paired(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Answer:
    """The answer of one epoch. Create a new object when the stream restarts."""

    def __init__(self) -> None:
        self.choices = 0
        self.is_empty = True
        self._joiner = TextJoiner()
        self._calls: dict[int, tuple[str, str]] = {}

    def take(self, chunk: Mapping[str, Any]) -> str:
        """The text that this chunk adds."""
        text = ""
        for choice in chunk.get("choices") or ():
            index = choice.get("index") or 0
            self.choices = max(self.choices, index + 1)
            if index == 0:
                text += self._take_delta(choice.get("delta") or {})
        self.is_empty = self.is_empty and not text
        return self._joiner.join(text)

    def end(self) -> str:
        """The text that is still held back."""
        return self._joiner.end()

    @property
    def tool_calls(self) -> list[str]:
        """The model's tool calls, as `name(arguments)`, in its order."""
        return [_paired(f"{name}({arguments})") for _, (name, arguments) in sorted(self._calls.items())]

    def _take_delta(self, delta: Mapping[str, Any]) -> str:
        for call in delta.get("tool_calls") or ():
            function = call.get("function") or {}
            name, arguments = self._calls.get(call.get("index") or 0, ("", ""))
            self._calls[call.get("index") or 0] = (
                name or function.get("name") or "",
                arguments + (function.get("arguments") or ""),
            )
        # OpenAI's speaking models send the transcript of their audio in place of `content`.
        spoken = audio.get("transcript") if isinstance(audio := delta.get("audio"), dict) else None
        texts = (delta.get("content") or spoken, delta.get("refusal"))
        return "".join(text for text in texts if isinstance(text, str))
