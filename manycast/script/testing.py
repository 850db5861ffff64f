"""Runs a script in a test: the test gives the models' answers, and nothing uses the network."""

import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from manycast.script.definition import Script
from manycast.script.errors import GenerationError
from manycast.script.host import Entry
from manycast.script.message import Chunk, Folding, to_text
from manycast.script.perform import MAX_CALLS, perform

T = TypeVar("T")

Answer = str | Mapping[str, Any] | GenerationError
"""What a model says: a text, a message as OpenAI's API has it (see `calls`; `usage` may be in it), or the error of its
provider."""
Answers = Sequence[Answer] | Mapping[str, Answer | Sequence[Answer]] | Callable[[dict[str, Any]], Answer]
"""In the order of the generations, by the name of the step, or as a function of the request."""

Inputs = Sequence[Any] | Mapping[str, Any]
"""What people answer: in the order of the questions, or by question. NOBODY: the time of the question passes."""

PIECE_CHARS = 8
NOBODY = object()


@dataclass(frozen=True, slots=True)
class Step:
    """A step that has ended. `text` is a model's text, or the result of a tool."""

    id: str
    kind: str
    name: str
    parent: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Rehearsal(Generic[T]):
    """`answer` is the text that viewers read as the answer, `result` what the script returned. `requests` are those
    that providers got, `entries` the events of the run's log."""

    answer: str
    result: T
    steps: tuple[Step, ...]
    requests: tuple[dict[str, Any], ...]
    entries: tuple[Entry, ...]

    def emitted(self, name: str) -> list[Any]:
        """The data of the events that the script emitted under this name."""
        return [entry.data["data"] for entry in self.entries if entry.kind == "emit" and entry.data["name"] == name]


@dataclass
class ScriptedHost:
    """A host whose models say what a test has written down. `entries`: what the script has written."""

    answers: Answers = ()
    inputs: Inputs = ()
    run_id: str = "s_test"
    entries: list[Entry] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)
    _asked: int = 0

    async def generate(self, request: dict[str, Any], name: str) -> AsyncGenerator[Chunk, None]:
        """Raises: GenerationError, AssertionError if no answer is left."""
        # The script may go on changing its conversation.
        request = json.loads(json.dumps(request))
        self.requests.append(request)
        answer = self._choose(request, name)
        if isinstance(answer, GenerationError):
            raise answer
        message: dict[str, Any] = {"content": answer} if isinstance(answer, str) else dict(answer)
        text, usage = message.pop("content", None) or "", message.pop("usage", None)
        for start in range(0, len(text), PIECE_CHARS):
            yield _chunk(request, {"content": text[start : start + PIECE_CHARS]}, None)
        calls = message.get("tool_calls") or []
        if calls:
            message["tool_calls"] = [{"index": number, **call} for number, call in enumerate(calls)]
        yield _chunk(request, message, "tool_calls" if calls else "stop") | ({"usage": usage} if usage else {})

    async def keep_prompt(self, step_id: str, messages: Sequence[dict[str, Any]]) -> None:
        """Does nothing: `requests` has the messages."""

    async def write(self, entry: Entry) -> None:
        # Through JSON, as in a log: what does not survive it must not survive a test.
        self.entries.append(Entry(entry.kind, json.loads(json.dumps(entry.data))))

    async def store(self, entry: Entry) -> None:
        await self.write(entry)

    async def open(self, question: dict[str, Any], refused: str) -> None:
        """Raises: AssertionError if an answer of a mapping was refused: it would be asked for again without end."""
        text = question["question"]
        assert not (refused and isinstance(self.inputs, Mapping)), f"the input for {text!r} does not fit: {refused}"

    async def ask(self, question: dict[str, Any], is_idle: Callable[[], bool]) -> str | None:  # noqa: ARG002
        """Raises: AssertionError if no input is left."""
        text = question["question"]
        if isinstance(self.inputs, Mapping):
            assert text in self.inputs, f"the test has no answer for the question {text!r}"
            value = self.inputs[text]
        else:
            number = self._asked
            self._asked += 1
            assert number < len(self.inputs), f"the test has only {len(self.inputs)} inputs; asked was {text!r}"
            value = self.inputs[number]
        return None if value is NOBODY else json.dumps({"value": value, "by": "test"})

    def now(self) -> float:
        return time.time()

    def _choose(self, request: dict[str, Any], name: str) -> Answer:
        given: Any = self.answers
        if callable(given):
            answer: Answer = given(request)
            return answer
        if isinstance(given, Mapping):
            assert name in given, f"the test has no answer for step '{name}'"
            given = given[name]
            if isinstance(given, str | Mapping | GenerationError):
                return given
        else:
            name = ""
        number = self._counts.get(name, 0)
        self._counts[name] = number + 1
        place = f"step '{name}'" if name else "the models"
        assert number < len(given), f"the test has only {len(given)} answers for {place}"
        chosen: Answer = given[number]
        return chosen


async def run_script(
    script: Script[T],
    text: str = "",
    *,
    answers: Answers = (),
    inputs: Inputs = (),
    max_calls: int = MAX_CALLS,
    **request: Any,
) -> Rehearsal[T]:
    """Runs a script on what the user says. `request` are further fields of the caller's body.

    Raises: whatever the script raises.
    """
    host = ScriptedHost(answers, inputs)
    body = {"messages": [{"role": "user", "content": text}], **request}
    result = await perform(script, body, host, head=HEAD, max_calls=max_calls)
    return Rehearsal(answer_of(host.entries), result, _steps(host.entries), tuple(host.requests), tuple(host.entries))


HEAD: Mapping[str, Any] = {"id": "chatcmpl-test", "object": "chat.completion.chunk", "created": 0, "model": "test"}


def calls(*wanted: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The message of a model that calls tools: each a name and its arguments."""
    return {
        "tool_calls": [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for number, (name, arguments) in enumerate(wanted, 1)
        ]
    }


def fails(message: str = "The provider is down.", code: str = "upstream_error") -> GenerationError:
    """The error of a provider, in place of an answer."""
    error = {"code": code, "message": message, "type": "provider_error", "param": None}
    return GenerationError({**error, "retryable": True, "http_status": None})


def answer_of(entries: Sequence[Entry]) -> str:
    """The text of the answer in a log."""
    folding = Folding()
    for entry in entries:
        if entry.kind == "restart":
            folding = Folding()
        elif entry.kind == "chunk":
            folding.add(entry.data)
    return to_text(folding.finish())


def _steps(entries: Sequence[Entry]) -> tuple[Step, ...]:
    told = [entry.data for entry in entries if entry.kind == "step"]
    begun = {data["id"]: data for data in told if data["state"] == "begin"}
    steps = []
    for end in told:
        if end["state"] == "end":
            begin = begun[end["id"]]
            text = to_text(end["message"]) if end.get("message") else str(end.get("result", ""))
            steps.append(Step(end["id"], begin["kind"], begin["name"], begin["parent"], text))
    return tuple(steps)


def _chunk(request: Mapping[str, Any], delta: Mapping[str, Any], finish_reason: str | None) -> Chunk:
    choice = {"index": 0, "delta": dict(delta), "finish_reason": finish_reason}
    return {**HEAD, "model": request.get("model", "default"), "choices": [choice]}
