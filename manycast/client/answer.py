"""The text of an answer, gathered from its chunks: what a terminal can show of them. Pure: no I/O.

Only choice 0: a terminal has one column. The others are counted, so that their being there is not hidden.
"""

from collections.abc import Mapping
from typing import Any

# What a terminal would obey: a model's words must not move its cursor or set its title. They are shown as symbols.
_CONTROLS: dict[int, int | None] = {code: 0x2400 + code for code in range(0x20)}
_CONTROLS |= {0x7F: 0x2421, **dict.fromkeys(range(0x80, 0xA0), 0xFFFD), ord("\r"): None}
for _kept in "\n\t":
    del _CONTROLS[ord(_kept)]


class TextJoiner:
    """Joins pieces, cut anywhere, even between the halves of a surrogate pair, into text that can be encoded."""

    def __init__(self) -> None:
        self._half = ""

    def join(self, piece: str) -> str:
        """All that is whole by now. A half that finds no other becomes U+FFFD."""
        text = self._half + piece
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return _paired(text)

    def end(self) -> str:
        """What was still waiting for its other half."""
        half, self._half = self._half, ""
        return _paired(half)


def _paired(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Answer:
    """The answer of one epoch. Begin a new one where the stream restarts."""

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
        """What the model wants to have called: `name(arguments)`, in the model's order."""
        return [_paired(f"{name}({arguments})") for _, (name, arguments) in sorted(self._calls.items())]

    def _take_delta(self, delta: Mapping[str, Any]) -> str:
        for call in delta.get("tool_calls") or ():
            function = call.get("function") or {}
            name, arguments = self._calls.get(call.get("index") or 0, ("", ""))
            self._calls[call.get("index") or 0] = (
                name + (function.get("name") or ""),
                arguments + (function.get("arguments") or ""),
            )
        return "".join(text for text in (delta.get("content"), delta.get("refusal")) if isinstance(text, str))


def defang(text: str) -> str:
    """`text` as a terminal may have it: without anything it would obey, but line ends and tabs."""
    return text.translate(_CONTROLS)
