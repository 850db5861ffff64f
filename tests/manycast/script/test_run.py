"""What a script can do, against models whose answers the test gives."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from manycast.script import (
    GenerationError,
    Run,
    Script,
    ScriptFailedError,
    ScriptLimitError,
    ToolError,
    script,
)
from manycast.script.host import Entry
from manycast.script.perform import perform
from manycast.script.testing import HEAD, ScriptedHost, calls, fails, run_script
from manycast.script.threads import run_in_thread
from tests.manycast.script.chains import Verdict, haiku

THREE = ["Leaves fall", "Line one is weak.", "Leaves drift and gather"]


async def test_a_conversation_grows_with_each_generation() -> None:
    told = await run_script(haiku, "autumn", answers=THREE)
    assert [turn["content"] for turn in told.requests[-1]["messages"]] == [
        "You write haiku.",
        "A haiku about autumn",
        "Leaves fall",
        "Find its weakest line: Leaves fall",
        "Line one is weak.",
        "Write it again, better.",
    ]
    assert [request.get("model") for request in told.requests] == [None, "critic", None]


async def test_only_what_a_script_says_or_returns_is_its_answer() -> None:
    told = await run_script(haiku, "autumn", answers=THREE)
    assert told.answer == THREE[-1]
    assert [(step.name, step.text) for step in told.steps] == list(
        zip(["draft", "critique", "final"], THREE, strict=True)
    )


@pytest.mark.parametrize(
    ("result", "answer"),
    [("text", "text"), (None, ""), ({"a": [1]}, '{"a": [1]}'), (Verdict(line="x"), '{"line":"x","score":0}')],
)
async def test_the_result_is_the_answer(result: object, answer: str) -> None:
    @script
    async def give(run: Run) -> object:
        return result

    assert (await run_script(give)).answer == answer


@pytest.mark.parametrize("what", ["text", 5, None, {"a": [1]}, Verdict(line="x")])
async def test_what_is_said_is_a_text(what: object) -> None:
    @script
    async def tell(run: Run) -> None:
        await run.say(what)

    @script
    async def give(run: Run) -> object:
        return what

    assert (await run_script(tell)).answer == (await run_script(give)).answer


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, ""), (5, ""), ({"text": "x"}, ""), ([5, {"text": 5}, {"type": "text", "text": "in a part"}], "in a part")],
)
async def test_what_the_user_said_is_read_from_any_message(content: object, text: str) -> None:
    @script
    async def repeat(run: Run) -> str:
        return run.text

    assert (await run_script(repeat, messages=[{"role": "user", "content": content}, "no message"])).answer == text


async def test_a_message_that_was_not_said_is_the_answer_when_it_is_returned() -> None:
    @script
    async def give(run: Run) -> object:
        return await run.generate("Hello")

    assert (await run_script(give, answers=["Good day"])).answer == "Good day"


async def test_an_async_generator_says_its_items() -> None:
    @script
    async def count(run: Run) -> AsyncIterator[object]:
        yield "one "
        yield {"choices": [{"index": 0, "delta": {"content": "two "}, "finish_reason": "stop"}]}
        yield await run.generate("Three")

    assert (await run_script(count, answers=["three"])).answer == "one two three"


async def test_a_fork_hears_what_was_said_before_it_and_nothing_later() -> None:
    @script
    async def branch(run: Run) -> None:
        await run.generate("one")
        other = run.fork()
        await run.generate("two")
        await other.generate("three")

    told = await run_script(branch, answers=["1", "2", "3"])
    assert [turn["content"] for turn in told.requests[-1]["messages"]] == ["one", "1", "three"]


async def test_parts_of_a_gathering_do_not_hear_each_other() -> None:
    @script
    async def both(run: Run) -> str:
        run.system("Count.")
        parts = await run.gather(*(run.generate(word, name=word) for word in ("one", "two")))
        await run.generate("end")
        return " ".join(part.text for part in parts)

    told = await run_script(both, answers={"one": "1", "two": "2", "generate": "3"})
    assert told.answer == "1 2"
    assert [[turn["content"] for turn in one["messages"]] for one in told.requests] == [
        ["Count.", "one"],
        ["Count.", "two"],
        ["Count.", "end"],
    ]


async def test_a_failed_part_cancels_the_others_of_its_gathering() -> None:
    ended: list[str] = []

    @script
    async def both(run: Run) -> None:
        await run.gather(wait(run), run.generate("fails"))

    async def wait(run: Run) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    with pytest.raises(GenerationError):
        await run_script(both, answers=[fails()])
    assert ended == ["cancelled"]


async def test_a_model_calls_tools_until_it_answers() -> None:
    @script
    async def agent(run: Run) -> object:
        @run.tool
        def add(left: int, right: int = 2) -> int:
            """Adds two numbers."""
            return left + right

        return await run.generate("What is 1 + 2?")

    told = await run_script(agent, answers=[calls(("add", {"left": 1})), "Three."])
    assert told.answer == "Three."
    (tool,) = told.requests[0]["tools"]
    assert (tool["function"]["name"], tool["function"]["description"]) == ("add", "Adds two numbers.")
    assert tool["function"]["parameters"]["required"] == ["left"]
    assert told.requests[1]["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "3"}


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("divide", {"left": "x"}, "The arguments do not fit: left: Input should be a valid integer"),
        ("nothing", {}, "There is no tool 'nothing'. There are: divide."),
        ("divide", {"left": 0}, "Not by zero."),
    ],
)
async def test_a_model_reads_what_is_wrong_with_its_call(name: str, arguments: dict[str, object], result: str) -> None:
    @script
    async def agent(run: Run) -> None:
        async def divide(left: int) -> str:
            raise ToolError("Not by zero.")

        run.tool(divide)
        await run.generate("Go")

    told = await run_script(agent, answers=[calls((name, arguments)), "Done."])
    assert str(told.requests[1]["messages"][-1]["content"]).startswith(result)


async def test_a_model_cannot_call_tools_for_ever() -> None:
    @script
    async def agent(run: Run) -> None:
        run.tool(ping)
        await run.generate("Go", rounds=3)

    def ping() -> str:
        return "pong"

    with pytest.raises(ScriptLimitError, match="more than 3 times"):
        await run_script(agent, answers=lambda _: calls(("ping", {})))


async def test_a_script_cannot_make_calls_for_ever() -> None:
    @script
    async def loop(run: Run) -> None:
        while True:
            await run.generate("again")

    with pytest.raises(ScriptLimitError, match="more than 5 calls"):
        await run_script(loop, answers=lambda _: "yes", max_calls=5)


async def test_an_answer_is_parsed_into_the_object_that_was_asked_for() -> None:
    @script
    async def judge(run: Run) -> int:
        verdict = await run.generate("Judge.", parse=Verdict)
        return verdict.parsed.score

    told = await run_script(judge, answers=['{"line": "one", "score": 7}'])
    assert told.result == 7
    wanted = told.requests[0]["response_format"]["json_schema"]
    assert (wanted["strict"], wanted["schema"]["required"]) == (True, ["line", "score"])
    assert wanted["schema"]["additionalProperties"] is False


async def test_a_schema_that_is_open_is_not_strict() -> None:
    class Open(BaseModel):
        words: dict[str, int]

    @script
    async def count(run: Run) -> object:
        return (await run.generate("Count.", parse=Open)).parsed.words

    told = await run_script(count, answers=['{"words": {"a": 1}}'])
    assert told.result == {"a": 1}
    assert told.requests[0]["response_format"]["json_schema"]["strict"] is False


async def test_an_answer_that_does_not_fit_is_an_error_that_names_its_step() -> None:
    @script
    async def judge(run: Run) -> None:
        await run.generate("Judge.", name="verdict", parse=Verdict)

    with pytest.raises(GenerationError, match=r"step 'verdict' does not fit Verdict: line: Field required") as caught:
        await run_script(judge, answers=["{}"])
    assert caught.value.code == "invalid_output"


async def test_a_script_may_go_on_after_a_failed_generation() -> None:
    @script
    async def patient(run: Run) -> str:
        try:
            await run.generate("Hello", name="first")
        except GenerationError as error:
            return f"{error.code}: {(await run.generate('Hello', name='second')).text}"
        return ""

    told = await run_script(patient, answers=[fails("Down.", "upstream_error"), "Here"])
    assert told.answer == "upstream_error: Here"
    assert len(told.requests[1]["messages"]) == 1


async def test_steps_inside_parts_and_scripts_belong_to_them() -> None:
    @script
    async def outer(run: Run) -> None:
        async with run.step("part"):
            await run.call(haiku, "snow")

    told = await run_script(outer, answers=THREE)
    parents = {step.id: step.parent for step in told.steps}
    assert [(step.kind, step.name, parents.get(step.parent or "", "-")) for step in told.steps] == [
        ("generate", "draft", "1"),
        ("generate", "critique", "1"),
        ("generate", "final", "1"),
        ("script", "haiku", None),
        ("part", "part", "-"),
    ]


async def test_events_of_a_script_carry_its_data() -> None:
    @script
    async def progress(run: Run) -> None:
        await run.emit("progress", {"done": 1})
        await run.emit("progress", {"done": 2})

    assert (await run_script(progress)).emitted("progress") == [{"done": 1}, {"done": 2}]


async def test_usage_of_all_steps_adds_up() -> None:
    @script
    async def twice(run: Run) -> None:
        await run.generate("one")
        await run.generate("two")

    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    told = await run_script(twice, answers=[{"content": "1", "usage": usage}, {"content": "2", "usage": usage}])
    assert told.entries[-1].data["usage"] == {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}


async def test_a_script_fails_with_words_of_its_own() -> None:
    @script
    async def refuse(run: Run) -> None:
        raise ScriptFailedError("Ask for something else.")

    with pytest.raises(ScriptFailedError, match="Ask for something else"):
        await run_script(refuse)


def test_a_function_that_is_no_script_is_refused() -> None:
    def plain(run: Run) -> None: ...
    async def without() -> None: ...

    for function, words in ((plain, r"plain is not: write `async def plain\(run\)`"), (without, "must take one")):
        with pytest.raises(TypeError, match=words):
            Script(function, "x")  # type: ignore[arg-type]


def test_a_script_has_the_name_of_its_function_if_the_decorator_names_none() -> None:
    @script()
    async def haiku(run: Run) -> None: ...

    @script(name="poem")
    async def other(run: Run) -> None: ...

    assert (haiku.name, other.name) == ("haiku", "poem")


async def test_what_a_model_has_answered_is_a_text_wherever_a_text_is_wanted() -> None:
    @script
    async def passes_on(run: Run) -> object:
        draft = await run.generate("one")
        run.system(draft)
        run.user(draft)
        run.assistant(draft)
        await run.say(draft)
        await run.input(draft)
        return await run.generate(draft)

    told = await run_script(passes_on, answers=["draft ", "end"], inputs={"draft ": "yes"})
    assert told.answer == "draft end"
    assert {turn["content"] for turn in told.requests[1]["messages"][1:]} == {"draft "}


async def test_a_script_says_values_as_it_returns_them() -> None:
    @script
    async def counts(run: Run) -> None:
        for value in (1, " ", [2.5], None, {"a": True}):
            await run.say(value)

    assert (await run_script(counts)).answer == '1 [2.5]{"a": true}'


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda run: run.say(run.generate("x")), "Run.generate is a call that was not awaited"),
        (lambda run: run.say({1, 2}), "set is not JSON"),
        (lambda run: run.generate(run.random()), "Run.random is a call that was not awaited"),
        (lambda run: run.generate(12), "and not int"),
        (lambda run: run.generate([{"role": "user", "content": "hi"}]), "run.user and run.assistant add"),
        (lambda run: run.input(run.now()), "Run.now is a call that was not awaited"),
        (lambda run: run.input("Sure?", choices="yes"), "choices is a list of texts"),
    ],
)
async def test_a_wrong_value_is_told_at_the_line_of_the_script_and_nobody_is_asked(
    mistake: Callable[[Any], Awaitable[object]], words: str
) -> None:
    @script
    async def wrong(run: Run) -> None:
        await mistake(run)

    host = ScriptedHost(answers=["x"], inputs=["x"])
    with pytest.raises(TypeError, match=words) as caught:
        await perform(wrong, {"messages": []}, host, head=HEAD)
    assert any(frame.name == "wrong" for frame in caught.traceback)
    assert not host.requests


async def test_a_script_that_returns_a_call_without_awaiting_it_is_told() -> None:
    @script
    async def hasty(run: Run) -> object:
        return run.generate("x")

    with pytest.raises(TypeError, match="write `await`"):
        await run_script(hasty)


def test_a_tool_needs_arguments_with_names() -> None:
    @script
    async def agent(run: Run) -> None:
        run.tool(lambda *parts: None)

    with pytest.raises(TypeError, match="by name"):
        asyncio.run(run_script(agent))


async def test_a_test_that_has_too_few_answers_says_so() -> None:
    with pytest.raises(AssertionError, match="only 1 answers"):
        await run_script(haiku, "autumn", answers=["one"])
    with pytest.raises(AssertionError, match="no answer for step 'critique'"):
        await run_script(haiku, "autumn", answers={"draft": "one"})


class TurningHost(ScriptedHost):
    """Lets others have their turn, as a host with a log must."""

    async def store(self, entry: Entry) -> None:
        await asyncio.sleep(0)
        await super().store(entry)


@pytest.mark.parametrize("kind", ["gather", "task"])
async def test_calls_at_once_without_gather_are_refused_before_they_cost_anything(kind: str) -> None:
    @script
    async def hasty(run: Run) -> None:
        if kind == "gather":
            await asyncio.gather(run.input("Your name?"), run.generate("Hello"))
        else:
            first = asyncio.create_task(run.generate("Hello", name="first"))
            await asyncio.sleep(0)
            try:
                await run.generate("Hello", name="second")
            finally:
                first.cancel()

    host = TurningHost(answers=["a", "b"], inputs=["Ada"])
    with pytest.raises(ScriptFailedError, match=r"run\.gather"):
        await perform(hasty, {"messages": []}, host, head=HEAD)
    assert len(host.requests) <= 1


async def test_a_call_may_be_awaited_in_another_task_and_given_up() -> None:
    @script
    async def patient(run: Run) -> object:
        await asyncio.wait_for(run.generate("one"), 20)
        async with run.step("part"):
            await asyncio.wait_for(run.generate("two"), 20)
        return await run.generate("three")

    told = await run_script(patient, answers=["1", "2", "3"])
    assert told.answer == "3"


async def test_tools_that_hang_keep_no_other_tool_from_its_thread() -> None:
    released, hanging = threading.Event(), threading.Semaphore(0)

    @script
    async def ask(run: Run) -> object:
        @run.tool
        def look_up(slowly: bool) -> str:
            hanging.release()
            return "late" if slowly and released.wait() else "at once"

        return await run.generate("Look it up")

    def rehearse(*, slowly: bool) -> asyncio.Task[Any]:
        return asyncio.create_task(run_script(ask, answers=[calls(("look_up", {"slowly": slowly})), "Found"]))

    stuck = [rehearse(slowly=True) for _ in range(100)]
    try:
        async with asyncio.timeout(60):
            for _ in stuck:
                while not hanging.acquire(blocking=False):
                    await asyncio.sleep(0.01)
            for task in stuck:
                task.cancel()
            assert (await rehearse(slowly=False)).answer == "Found"
    finally:
        released.set()


@pytest.mark.parametrize("error", [StopIteration, SystemExit, KeyboardInterrupt, ValueError])
async def test_what_a_tool_raises_in_its_thread_reaches_the_script(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("why")

    with pytest.raises(RuntimeError if error is StopIteration else error, match="why"):
        await run_in_thread(fail)
