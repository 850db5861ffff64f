"""Puts the chunks of a provider into OpenAI's form, so that the log and all clients get well-formed chunks. No I/O.

Providers that call themselves compatible differ in many small things; docs/use-it-with.md lists those that are known.
The rules: an empty `finish_reason` does not end a choice; only texts are streamed in pieces, and every other field is
sent once; a choice always has `index`, `delta` and `finish_reason`, and its first delta has a role. What a well-formed
chunk contains is never changed.
"""

from collections.abc import Iterable
from typing import Any

from contract.errors import RunFailedError
from contract.event import Chunk, encode_json
from worker.providers.errors import streamed_error
from worker.providers.tool_calls import ToolCalls

Delta = dict[str, Any]

_TEXTS = frozenset({"content", "refusal", "reasoning_content", "reasoning"})
_OF_ONE_CHUNK = frozenset({"choices", "usage", "obfuscation"})
"""Fields that a chunk of our own does not take over from the one before it."""
UNLIKELY_LOGPROB = -9999.0
"""OpenAI's value for a token whose probability is too small for a number."""


class _Choice:
    """What one choice has said so far."""

    __slots__ = ("calls", "details", "finish_reason", "has_spoken", "message", "parts", "sent")

    def __init__(self) -> None:
        self.has_spoken = False
        """Whether it has sent anything but reasoning."""
        self.finish_reason: str | None = None
        self.sent: Delta = {}
        self.message: dict[str, str] = {}
        self.calls = ToolCalls()
        self.details: dict[int, dict[str, Any]] = {}
        self.parts = 0
        """How many parts of a content were not text."""


class NoRepair:
    """Leaves chunks as they are: those of a pass-through call have another form."""

    def repair(self, chunk: Chunk) -> Chunk:
        return chunk

    def end(self) -> Iterable[Chunk]:
        return ()

    def finish(self) -> None:
        return None


class ChunkRepair:
    """Takes the chunks of one provider call in their order.

    `wants_function_call`: the request uses OpenAI's older `functions`, so `function_call` is what its client expects.
    """

    def __init__(self, *, wants_function_call: bool = False) -> None:
        self._wants_function_call = wants_function_call
        self._choices: dict[int, _Choice] = {}
        self._held: Chunk = {}
        self._last: Chunk = {}

    def repair(self, chunk: Chunk) -> Chunk | None:
        """The chunk in OpenAI's form; None if it goes out with the next one. Raises: RunFailedError for an error."""
        choices: Any = chunk.get("choices")
        if isinstance(choices, list) and len(choices) == 1 and not self._held and self._is_well_formed(choices[0]):
            self._last = chunk
            return chunk
        parts = [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []
        if not parts and not isinstance(chunk.get("usage"), dict):
            # Azure's first chunk, for example. Many clients read `choices[0]` of every chunk.
            self._held.update((name, value) for name, value in chunk.items() if value and name != "choices")
            return None
        repaired = {**self._held, **chunk, "choices": [self._repair(one, place) for place, one in enumerate(parts)]}
        self._held = {}
        self._last = repaired
        return repaired

    def end(self) -> Iterable[Chunk]:
        """What is still to be sent when the source has ended."""
        news = {name: value for name, value in self._held.items() if self._last.get(name) != value}
        self._held = {}
        return [{**self._shared(), **news, "choices": []}] if news else []

    def finish(self) -> Chunk | None:
        """The end of an answer that the provider called complete without a finish reason.

        None if there was no answer, or every choice has its finish reason.
        """
        open_choices = {index: one for index, one in self._choices.items() if one.finish_reason is None}
        if not open_choices or not any(one.has_spoken for one in self._choices.values()):
            return None
        choices: list[dict[str, Any]] = [
            {"index": index, "delta": {}, "logprobs": None, "finish_reason": self._reason_of(one)}
            for index, one in sorted(open_choices.items())
        ]
        return {**self._shared(), "choices": choices}

    def _shared(self) -> Chunk:
        return {name: value for name, value in self._last.items() if name not in _OF_ONE_CHUNK}

    @staticmethod
    def _reason_of(choice: _Choice) -> str:
        if "function_call" in choice.sent:
            return "function_call"
        return "tool_calls" if choice.calls else "stop"

    def _is_well_formed(self, part: object) -> bool:
        """The test that nearly every chunk passes: text or an end, in a choice that has begun."""
        if not isinstance(part, dict):
            return False
        index, delta, reason = part.get("index"), part.get("delta"), part.get("finish_reason", "")
        choice = self._choices.get(index) if type(index) is int else None
        if choice is None or type(delta) is not dict or reason == "" or "message" in part or "error" in part:
            return False
        for name, value in delta.items():
            if value is not None and (name not in _TEXTS or type(value) is not str):
                return False
            if value and name in _SPEECH:
                choice.has_spoken = True
        if reason is not None:
            if type(reason) is not str or reason in _ODD_REASONS:
                return False
            choice.finish_reason = reason
        return part.get("logprobs") is None

    def _repair(self, part: dict[str, Any], place: int) -> dict[str, Any]:
        if isinstance(part.get("error"), dict | str) and part["error"]:
            raise RunFailedError(streamed_error(part))
        index = part.get("index")
        index = index if type(index) is int else place
        choice = self._choices.setdefault(index, _Choice())
        reason = part.get("finish_reason")
        reason = reason if isinstance(reason, str) and reason else None
        delta = self._repair_delta(choice, _delta_of(choice, part))
        if reason is not None:
            if reason == "function_call" and choice.calls:
                reason = "tool_calls"
            choice.finish_reason = reason
        repaired = {name: value for name, value in part.items() if name not in _REPLACED}
        if isinstance(part.get("logprobs"), dict):
            _repair_logprobs(part["logprobs"])
        return {"index": index, "delta": delta, **repaired, "finish_reason": reason}

    def _repair_delta(self, choice: _Choice, given: Delta) -> Delta:
        delta: Delta = {}
        for name, value in given.items():
            if name == "role":
                if value and choice.sent.get("role") != value:
                    delta["role"] = choice.sent["role"] = value
            elif name == "tool_calls" and value:
                delta["tool_calls"] = choice.calls.repair(value)
            elif name == "function_call" and isinstance(value, dict):
                if not given.get("tool_calls"):
                    self._repair_function_call(choice, value, delta)
            elif name == "reasoning_details" and isinstance(value, list):
                delta[name] = _repair_details(choice, value)
            else:
                delta[name] = value
        if any(value and name not in _SILENT for name, value in delta.items()):
            choice.has_spoken = True
        if "role" not in choice.sent:
            # Node's SDK refuses an answer without a role.
            delta["role"] = choice.sent["role"] = "assistant"
        return delta

    def _repair_function_call(self, choice: _Choice, given: dict[str, Any], delta: Delta) -> None:
        if not self._wants_function_call:
            delta["tool_calls"] = choice.calls.repair({"index": "function_call", "function": given})
            return
        arguments = given.get("arguments")
        text = arguments if isinstance(arguments, str) else "" if arguments is None else encode_json(arguments).decode()
        call: dict[str, Any] = {"arguments": text}
        if given.get("name") and "function_call" not in choice.sent:
            call["name"] = choice.sent["function_call"] = given["name"]
        delta["function_call"] = call


_SPEECH = ("content", "refusal")
_ODD_REASONS = frozenset({"function_call", "error"})
_SILENT = frozenset({"role", "reasoning", "reasoning_content", "reasoning_details"})
_SAID = (*_SPEECH, "tool_calls", "function_call")
_REPLACED = frozenset({"index", "delta", "message", "text", "finish_reason"})


def _delta_of(choice: _Choice, part: dict[str, Any]) -> Delta:
    """The delta of a choice, from whatever stands in its place. Texts are strings in it."""
    given = part.get("delta")
    if isinstance(given, str):
        given = {"content": given}
    delta = _with_plain_texts(choice, given) if isinstance(given, dict) else {}
    message = part.get("message")
    if isinstance(message, dict) and not any(delta.get(name) for name in _SAID):
        # After a delta with text, a message only repeats the whole.
        if not choice.has_spoken or any(choice.message.values()):
            return {**delta, **_news_of_message(choice, _with_plain_texts(choice, message))}
    elif isinstance(part.get("text"), str) and not delta:
        return {"content": part["text"]}
    return delta


def _news_of_message(choice: _Choice, message: Delta) -> Delta:
    """What a message adds to the messages before it, each of which may repeat the text so far."""
    news: Delta = {}
    for name, value in message.items():
        if isinstance(value, str) and name in _TEXTS:
            said = choice.message.get(name, "")
            piece = value[len(said) :] if value.startswith(said) else value
            choice.message[name] = said + piece
            news[name] = piece
        elif name not in choice.message and value is not None:
            choice.message[name] = "sent"
            news[name] = value
    return news


def _with_plain_texts(choice: _Choice, given: Delta) -> Delta:
    """The same delta, with strings where the provider has lists of parts. `content_parts` has what is not text."""
    lists = [name for name in _TEXTS if isinstance(given.get(name), list)]
    if not lists:
        return given
    delta = dict(given)
    for name in lists:
        for part in delta.pop(name):
            field, text = _text_of(part)
            if field is None:
                delta.setdefault("content_parts", []).append({**part, "index": choice.parts})
                choice.parts += 1
            else:
                field = name if field == "content" else field
                delta[field] = (delta.get(field) or "") + text
    return delta


def _text_of(part: Any) -> tuple[str | None, str]:
    """The field that a part of a text belongs to, and its text. None for what is not text, such as a picture."""
    if not isinstance(part, dict):
        return "content", part if isinstance(part, str) else ""
    for name in ("thinking", "reasoning", "refusal", "text"):
        if name in part:
            kind = part.get("type", name)
            return _PART_FIELDS.get(kind if isinstance(kind, str) else name, "content"), _joined(part[name])
    return None, ""


_PART_FIELDS = {"thinking": "reasoning_content", "reasoning": "reasoning_content", "refusal": "refusal"}


def _joined(value: object) -> str:
    """The text of a string, or of a list of parts. Not recursive: a part of a part is a string or nothing."""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else [value]
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
    return "".join(text for text in texts if isinstance(text, str))


def _repair_details(choice: _Choice, given: list[Any]) -> list[Any]:
    """OpenRouter's reasoning: items that belong together have the same index. Sends fields that name a part once."""
    details: list[Any] = []
    for one in given:
        if not isinstance(one, dict):
            details.append(one)
            continue
        index = one.get("index")
        if type(index) is not int:
            last = max(choice.details, default=0)
            index = last + (choice.details.get(last, one).get("type") != one.get("type"))
        sent = choice.details.setdefault(index, {})
        details.append(
            {
                **{name: value for name, value in one.items() if name in _DETAIL_PIECES or sent.get(name) != value},
                "index": index,
            }
        )
        sent.update(one)
    return details


_DETAIL_PIECES = frozenset({"type", "text", "summary"})


def _repair_logprobs(logprobs: dict[str, Any]) -> None:
    """Replaces numbers that JSON does not have, which arrive as null."""
    for tokens in logprobs.values():
        for token in tokens if isinstance(tokens, list) else ():
            top = token.get("top_logprobs") if isinstance(token, dict) else None
            for one in (token, *(top if isinstance(top, list) else ())):
                if isinstance(one, dict) and one.get("logprob", 0.0) is None:
                    one["logprob"] = UNLIKELY_LOGPROB
