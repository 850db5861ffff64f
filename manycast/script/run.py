"""The run that a script gets: its conversation with models, and everything that it takes from outside.

All calls of a run that must not happen twice go through here, so that a worker that takes the run over can replay them
from the record (`manycast.script.record`).
"""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar, cast, overload

from manycast.script.definition import Script
from manycast.script.errors import GenerationError, InputTimeoutError, ScriptFailedError, ScriptLimitError, ToolError
from manycast.script.host import Entry, Host
from manycast.script.message import Chunk, Folding, Message, to_answer, to_content, to_text
from manycast.script.record import EMITTING, INPUT, VALUE, Record
from manycast.script.schema import InvalidValueError, Tool, json_schema, parse, read_input, response_format

T = TypeVar("T")
Content = str | Message[Any] | Sequence[Mapping[str, Any]]
"""What a message contains: a text, also as a model has answered it, or OpenAI's list of parts."""
Turns = list[dict[str, Any]]

ROUNDS = 10
"""How often in a row a model may call tools."""
REFUSALS = 20
"""How many answers to one question may not fit."""
AT_ONCE = (
    "The script makes two calls at once. Start parts that run at once with run.gather, not with asyncio.gather, and "
    "await each call."
)
_USAGE = ("prompt_tokens", "completion_tokens", "total_tokens")


@dataclass(slots=True)
class Scope:
    """The part of a script that makes calls now, one after the other. `step` is the id of the step that it belongs
    to."""

    prefix: str = ""
    step: str | None = None
    calls: int = 0
    is_calling: bool = False

    @contextmanager
    def call(self) -> Iterator[str]:
        """The id of the next call, while it is under way. Raises: ScriptFailedError if another one is.

        The ids of calls at once would depend on which one happens to be first, and the run could be parked while one of
        them is under way, which would then be made, and paid for, again.
        """
        if self.is_calling:
            raise ScriptFailedError(AT_ONCE)
        self.calls += 1
        self.is_calling = True
        try:
            yield f"{self.prefix}{self.calls}"
        finally:
            self.is_calling = False


_scope: ContextVar[Scope] = ContextVar("manycast_scope")
_branches: ContextVar[Mapping["Run", Turns]] = ContextVar("manycast_branches")
"""The conversations of runs inside `gather`."""


@dataclass(slots=True)
class Execution:
    """What all parts of one run share. `head`: the fields of each chunk of its answer."""

    host: Host
    record: Record
    head: Mapping[str, Any]
    max_calls: int
    passed: Mapping[str, Any] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    """What steps say last, by their id, if a developer has changed it."""
    calls: int = 0
    parts: int = 1
    """How many parts of the script run side by side."""
    waiting: int = 0
    """How many of them wait for people."""
    usage: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def call(self) -> Iterator[str]:
        """The id of the next call, while it is under way. Raises: ScriptLimitError, ScriptFailedError."""
        self.calls += 1
        if self.calls > self.max_calls:
            raise ScriptLimitError(f"The script has made more than {self.max_calls} calls.")
        with _scope.get().call() as place:
            yield place

    def is_idle(self) -> bool:
        """Whether all parts wait for people."""
        return self.waiting >= self.parts

    async def say(self, place: str, choices: list[dict[str, Any]]) -> None:
        await self.host.write(Entry("chunk", {**self.head, "choices": choices, "manycast": {"step": place}}))

    async def begin(self, place: str, kind: str, name: str, **details: Any) -> None:
        if self.record.begun(place, kind, name):
            # Only a step of its own starts again. What merely contains others goes on.
            if details.pop("starts_again", False):
                await self.host.write(Entry("step", {"id": place, "state": "restart"}))
            return
        details.pop("starts_again", None)
        begin = {"id": place, "state": "begin", "kind": kind, "name": name, "parent": _scope.get().step}
        await self.host.write(Entry("step", {**begin, **details}))

    async def end(self, place: str, since: float, **details: Any) -> None:
        took = max(0, round((self.host.now() - since) * 1000))
        await self.host.store(Entry("step", {"id": place, "state": "end", "ms": took, **details}))

    async def close(self, place: str, since: float, *, failed: bool) -> None:
        """Ends a step that contains others, once."""
        if self.record.ended(place) is None:
            await self.end(place, since, failed=failed)

    def count_usage(self, usage: Mapping[str, Any]) -> None:
        for name in _USAGE:
            if isinstance(usage.get(name), int):
                self.usage[name] = self.usage.get(name, 0) + usage[name]


class Run:
    """A conversation of a script. `text` is what the user said last, `request` the caller's whole body."""

    def __init__(self, execution: Execution, text: str, request: Mapping[str, Any]) -> None:
        self.text = text
        self.request = request
        self._execution = execution
        self._turns: Turns = []
        self._tools: dict[str, Tool] = {}

    @property
    def id(self) -> str:
        """The id of the stream. It stays the same if another worker takes the run over."""
        return self._execution.host.run_id

    # The conversation

    @property
    def messages(self) -> Turns:
        """A copy of the conversation so far, as OpenAI's API has it."""
        return list(self._here)

    @property
    def _here(self) -> Turns:
        return _branches.get().get(self, self._turns)

    def system(self, text: Content) -> None:
        """Adds instructions to the conversation. Raises: TypeError."""
        self._here.append({"role": "system", "content": to_content(text)})

    def user(self, content: Content) -> None:
        """Adds what the user says, without asking the model. Raises: TypeError."""
        self._here.append({"role": "user", "content": to_content(content)})

    def assistant(self, text: Content) -> None:
        """Adds an answer that no model has given, as an example. Raises: TypeError."""
        self._here.append({"role": "assistant", "content": to_content(text)})

    def fork(self) -> "Run":
        """A run with a copy of this conversation and its tools. What one says, the other does not hear."""
        twin = Run(self._execution, self.text, self.request)
        twin._turns = list(self._here)
        twin._tools = dict(self._tools)
        return twin

    # Models

    @overload
    async def generate(
        self,
        prompt: Content | None = None,
        *,
        parse: None = None,
        name: str = "generate",
        model: str = "",
        say: bool = False,
        rounds: int = ROUNDS,
        **options: Any,
    ) -> Message[None]: ...
    @overload
    async def generate(
        self,
        prompt: Content | None = None,
        *,
        parse: type[T],
        name: str = "generate",
        model: str = "",
        say: bool = False,
        rounds: int = ROUNDS,
        **options: Any,
    ) -> Message[T]: ...
    async def generate(
        self,
        prompt: Content | None = None,
        *,
        parse: type[Any] | None = None,
        name: str = "generate",
        model: str = "",
        say: bool = False,
        rounds: int = ROUNDS,
        **options: Any,
    ) -> Message[Any]:
        """Asks a model and returns its message. Viewers see the text arrive as the step `name`.

        `prompt` is what the user says next; without it the conversation goes as it is. The prompt and the message
        become a part of the conversation. `say`: the text is a part of the answer. `parse`: a Pydantic model that the
        text must fit. `options` go to the provider, for example `temperature`. If the run has tools, the model may
        call them up to `rounds` times in a row.

        Raises: GenerationError, ScriptLimitError, TypeError.
        """
        turns = self._here
        added: Turns = [] if prompt is None else [{"role": "user", "content": to_content(prompt)}]
        for _ in range(rounds + 1):
            with self._execution.call() as place:
                if place in self._execution.prompts:
                    _replace_last(added or turns, self._execution.prompts[place])
                message = await self._ask(place, [*turns, *added], options, name=name, model=model, say=say, kind=parse)
            added.append(dict(message.raw))
            if not message.tool_calls or not self._tools:
                turns += added
                return message
            for call in message.tool_calls:
                result = await self._call_tool(call.name, call.arguments)
                added.append({"role": "tool", "tool_call_id": call.id, "content": result})
        raise ScriptLimitError(f"The model called tools more than {rounds} times in a row in step '{name}'.")

    async def _ask(
        self,
        place: str,
        turns: Turns,
        options: Mapping[str, Any],
        *,
        name: str,
        model: str,
        say: bool,
        kind: type[Any] | None,
    ) -> Message[Any]:
        request = {**self._execution.passed, **options, "messages": turns}
        if model:
            request["model"] = model
        if kind is not None:
            request["response_format"] = response_format(kind)
        if self._tools:
            request.setdefault("tools", [tool.definition for tool in self._tools.values()])
        end = await self._generate(place, request, name, say=say)
        if end["error"] is not None:
            raise GenerationError(end["error"])
        raw, usage = end["message"], end["usage"] or {}
        self._execution.count_usage(usage)
        parsed: Any = None
        if kind is not None and not raw.get("tool_calls"):
            try:
                parsed = parse(kind, to_text(raw))
            except InvalidValueError as error:
                text = f"The model's answer in step '{name}' does not fit {kind.__name__}: {error}"
                raise GenerationError(_own_error("invalid_output", text)) from error
        return Message(to_text(raw), parsed, raw, end["model"], end["finish_reason"], usage, say)

    async def _generate(self, place: str, request: dict[str, Any], name: str, *, say: bool) -> Mapping[str, Any]:
        """Returns the `end` of the step, also of one that has failed."""
        execution = self._execution
        if execution.record.begun(place, "generate", name) and (ended := execution.record.ended(place)):
            if say and ended["message"] and not execution.record.is_said(place):
                await execution.say(place, [_choice(_spoken(ended["message"]))])
            return ended
        model = request.get("model")
        await execution.host.keep_prompt(place, request["messages"])
        await execution.begin(place, "generate", name, model=model, said=say, starts_again=True)
        since, folding = execution.host.now(), Folding()
        error: dict[str, Any] | None = None
        try:
            async with aclosing(execution.host.generate(request, name)) as chunks:
                async for chunk in chunks:
                    folding.add(chunk)
                    await self._show(place, chunk, say=say)
        except GenerationError as failure:
            error = failure.details
        told = {"model": folding.model, "usage": folding.usage or None, "finish_reason": folding.finish_reason}
        message = None if error else folding.finish()
        await execution.end(place, since, **told, message=message, error=error)
        return {**told, "message": message, "error": error}

    async def _show(self, place: str, chunk: Chunk, *, say: bool) -> None:
        choices = [one for one in chunk.get("choices") or () if one.get("index", 0) == 0]
        if not choices:
            return
        if not say:
            await self._execution.host.write(Entry("step", {"id": place, "state": "chunk", "choices": choices}))
        elif spoken := _spoken(choices[0].get("delta") or {}):
            await self._execution.say(place, [_choice(spoken)])

    # Tools

    def tool(self, function: Callable[..., T]) -> Callable[..., T]:
        """Offers a typed function to the model in every later `generate` of this conversation. Also a decorator.

        The model knows its name, docstring and annotations. Raises: TypeError.
        """
        tool = Tool(function)
        self._tools[tool.name] = tool
        return function

    async def _call_tool(self, name: str, arguments: str) -> str:
        with self._execution.call() as place:
            return await self._run_tool(place, name, arguments)

    async def _run_tool(self, place: str, name: str, arguments: str) -> str:
        execution = self._execution
        if execution.record.begun(place, "tool", name) and (ended := execution.record.ended(place)):
            return str(ended["result"])
        await execution.begin(place, "tool", name, arguments=arguments, starts_again=True)
        since = execution.host.now()
        # What the tool asks of the run belongs to it, and is not asked again once the tool has ended.
        token = _scope.set(Scope(f"{place}.", place))
        try:
            result, failed = await self._find_tool(name).call(arguments), False
        except ToolError as error:
            result, failed = str(error), True
        finally:
            _scope.reset(token)
        await execution.end(place, since, result=result, failed=failed)
        return result

    def _find_tool(self, name: str) -> Tool:
        if name not in self._tools:
            raise ToolError(f"There is no tool '{name}'. There are: {', '.join(self._tools)}.")
        return self._tools[name]

    # The answer, and events for pages

    async def say(self, what: object) -> None:
        """Adds a text to the answer: a text or a message as it is, any other value as JSON. Raises: TypeError."""
        text = to_answer(what)
        await self._say([_choice({"content": text})] if text else [])

    async def _say(self, choices: list[dict[str, Any]]) -> None:
        execution = self._execution
        with execution.call() as place:
            execution.record.check_saying(place)
            if choices and not execution.record.is_said(place):
                await execution.say(place, choices)

    async def emit(self, name: str, data: Any = None) -> None:
        """Sends an event of your own to all viewers. `data` is JSON."""
        execution = self._execution
        with execution.call() as place:
            if execution.record.single(place, EMITTING, name) is None:
                event = {"id": place, "name": name, "step": _scope.get().step, "data": data}
                await execution.host.write(Entry(EMITTING, event))

    # People

    @overload
    async def input(
        self, question: str | Message[Any], *, schema: type[T], choices: None = None, timeout_s: float | None = None
    ) -> T: ...
    @overload
    async def input(
        self,
        question: str | Message[Any],
        *,
        choices: Sequence[str],
        schema: None = None,
        timeout_s: float | None = None,
    ) -> str: ...
    @overload
    async def input(
        self,
        question: str | Message[Any],
        *,
        schema: Mapping[str, Any],
        choices: None = None,
        timeout_s: float | None = None,
    ) -> Any: ...
    @overload
    async def input(
        self, question: str | Message[Any], *, schema: None = None, choices: None = None, timeout_s: float | None = None
    ) -> str: ...
    async def input(
        self,
        question: str | Message[Any],
        *,
        schema: Any = None,
        choices: Sequence[str] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Asks everybody who watches and may write, and returns the first answer: a text, one of the `choices`, or a
        value that fits `schema` (a Pydantic model or another type, or a JSON schema).

        The run may wait for days. While it does, it occupies no worker.

        Raises: InputTimeoutError if nobody has answered after `timeout_s`; TypeError.
        """
        if isinstance(choices, str):
            raise TypeError("choices is a list of texts, and not one text")
        with self._execution.call() as place:
            return await self._ask_people(place, to_answer(question), schema, choices, timeout_s)

    async def _ask_people(
        self, place: str, question: str, schema: Any, choices: Sequence[str] | None, timeout_s: float | None
    ) -> Any:
        execution = self._execution
        asked = execution.record.question(place)
        if asked is None:
            expires_at = None if timeout_s is None else execution.host.now() + timeout_s
            wanted = {"question": question, "schema": json_schema(schema), "choices": choices and list(choices)}
            asked = {"id": place, "state": "asked", "step": _scope.get().step, **wanted, "expires_at": expires_at}
            # Nobody may read a question that cannot be answered yet.
            await execution.host.open(asked, "")
            await execution.host.store(Entry(INPUT, asked))
        ended = execution.record.answer(place)
        parsed: Any = None
        if ended is None:
            ended, parsed = await self._wait_for_person(asked, schema)
        elif ended["state"] == "answered":
            parsed = read_input(schema, ended["value"])
        if ended["state"] == "timed_out":
            raise InputTimeoutError(f"Nobody has answered in time: {question}")
        return parsed

    async def _wait_for_person(self, asked: dict[str, Any], schema: Any) -> tuple[dict[str, Any], Any]:
        """How the question has ended, and the answer as the script wants it."""
        execution = self._execution
        refused = execution.record.count_refusals(asked["id"])
        while True:
            if refused > REFUSALS:
                raise ScriptLimitError(f"More than {REFUSALS} answers did not fit the question: {asked['question']}")
            execution.waiting += 1
            try:
                given = await execution.host.ask(asked, execution.is_idle)
            finally:
                execution.waiting -= 1
            told = {"id": asked["id"], "state": "timed_out"}
            if given is None:
                await execution.host.store(Entry(INPUT, told))
                return told, None
            answer = json.loads(given)
            try:
                parsed = read_input(schema, answer["value"])
            except InvalidValueError as error:
                # The gateway knows the schema, but not what else the script's type demands.
                await execution.host.open(asked, given)
                await execution.host.store(Entry(INPUT, {**told, "state": "refused", "problem": str(error)}))
                refused += 1
                continue
            told |= {"state": "answered", **answer}
            await execution.host.store(Entry(INPUT, told))
            return told, parsed

    # Parts

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        """A named part of the script. The steps inside it belong to it."""
        async with self._part("part", name):
            yield

    @asynccontextmanager
    async def _part(self, kind: str, name: str) -> AsyncIterator[None]:
        execution = self._execution
        with execution.call() as place:
            await execution.begin(place, kind, name)
            since = execution.host.now()
            token = _scope.set(Scope(f"{place}.", place))
            try:
                yield
            except Exception:
                _scope.reset(token)
                await execution.close(place, since, failed=True)
                raise
            _scope.reset(token)
            await execution.close(place, since, failed=False)

    async def call(self, other: Script[T], text: str = "") -> T:
        """Runs another script as a step, with a conversation of its own, and returns its result."""
        inner = Run(self._execution, text, self.request)
        async with self._part("script", other.name):
            return await inner.perform(other)

    async def perform(self, script: Script[T]) -> T:
        """Runs a script on this conversation and returns its result. Scripts use `call`."""
        made: Any = script.function(self)
        result: Any = None
        if not isinstance(made, AsyncGenerator):
            result = await made
            return cast(T, result)
        async with aclosing(made) as items:
            async for item in items:
                if isinstance(item, Mapping):
                    await self._say([_choice(_spoken(one.get("delta") or {})) for one in item.get("choices") or ()])
                else:
                    await self.say(item)
        return cast(T, result)

    async def gather(self, *parts: Coroutine[Any, Any, T]) -> list[T]:
        """Runs several parts at once and returns their results in order. If one fails, the others are cancelled.

        Each part goes on from the conversation as it is now, and does not hear the others.
        """
        outer = _scope.get()
        with self._execution.call() as place:
            tasks = []
            for number, part in enumerate(parts, 1):
                context = copy_context()
                context.run(_scope.set, Scope(f"{place}.{number}.", outer.step))
                context.run(_branches.set, {**_branches.get(), self: list(self._here)})
                tasks.append(asyncio.create_task(_contain(part), context=context))
                tasks[-1].add_done_callback(self._end_part)
            self._execution.parts += len(tasks) - 1
            try:
                return list(await asyncio.gather(*tasks))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self._execution.parts += 1

    def _end_part(self, _: object) -> None:
        self._execution.parts -= 1

    # Values that a repeated attempt must find again

    async def now(self) -> datetime:
        """The time, in UTC. A worker that takes the run over gets the same."""
        return datetime.fromtimestamp(await self._value("time", self._execution.host.now), UTC)

    async def random(self) -> float:
        """A random number from 0 to 1, 1 excluded. A worker that takes the run over gets the same."""
        return float(await self._value("random", random.random))

    async def _value(self, name: str, take: Callable[[], float]) -> float:
        execution = self._execution
        with execution.call() as place:
            known = execution.record.single(place, VALUE, name)
            if known is not None:
                return float(known["value"])
            value = take()
            await execution.host.write(Entry(VALUE, {"id": place, "name": name, "value": value}))
            return value


def is_inside_script() -> bool:
    """Whether a script, or a task that it has started, runs now."""
    return _scope.get(None) is not None


def enter(execution: Execution, text: str, request: Mapping[str, Any]) -> Run:
    """The run of a script that begins in this task."""
    _scope.set(Scope())
    _branches.set({})
    return Run(execution, text, request)


async def _contain(part: Coroutine[Any, Any, T]) -> T:
    """Raises: RuntimeError in place of what would end the whole process, because it leaves a task."""
    try:
        return await part
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"a part of the script has raised {type(error).__name__}") from error


def _choice(delta: Mapping[str, Any]) -> dict[str, Any]:
    return {"index": 0, "delta": dict(delta), "finish_reason": None}


def _spoken(delta: Mapping[str, Any]) -> dict[str, Any]:
    """What of a message belongs into an answer: the script itself handles calls of tools."""
    return {
        name: value for name, value in delta.items() if value and name not in ("role", "tool_calls", "function_call")
    }


def _replace_last(turns: Turns, text: str) -> None:
    """Changes what was said last."""
    if turns:
        turns[-1] = {**turns[-1], "content": text}
    else:
        turns.append({"role": "user", "content": text})


def _own_error(code: str, message: str) -> dict[str, Any]:
    error = {"code": code, "message": message, "type": "server_error", "param": None}
    return {**error, "retryable": False, "http_status": None}
