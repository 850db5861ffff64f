"""Questions to people, in a script's own tests and in a second attempt."""

from typing import Any

import pytest
from pydantic import BaseModel

from manycast.script import InputTimeoutError, Run, ScriptChangedError, ScriptLimitError, ToolError, script
from manycast.script.host import Entry
from manycast.script.perform import perform
from manycast.script.run import REFUSALS
from manycast.script.testing import HEAD, NOBODY, Answer, Inputs, ScriptedHost, answer_of, calls, run_script


class Order(BaseModel):
    article: str
    count: int


@script
async def guest(run: Run) -> str:
    name = await run.input("Your name?")
    await run.generate(f"Greet {name}", name="greeting")
    order = await run.input("What would you like?", schema=Order)
    return f"{name}: {order.count} {order.article}"


@script
async def approving(run: Run) -> object:
    @run.tool
    async def delete_file(name: str) -> str:
        if await run.input(f"Delete {name}?", choices=["yes", "no"]) == "no":
            raise ToolError("Not allowed.")
        await run.emit("deleted", name)
        return "deleted"

    answer = await run.generate("Tidy up.")
    await run.say(f"{answer.text} ")
    return await run.input("Well done?")


TEA = {"article": "tea", "count": 2}
ADA = {"Your name?": "Ada", "What would you like?": TEA, "Delete x?": "yes", "Well done?": "Yes"}
WANTS: list[Answer] = [calls(("delete_file", {"name": "x"})), "Done."]


async def test_answers_come_in_order_or_by_question() -> None:
    both: tuple[Inputs, ...] = (["Ada", TEA], ADA)
    for inputs in both:
        told = await run_script(guest, answers=["Hello"], inputs=inputs)
        assert told.answer == "Ada: 2 tea"
    assert told.requests[0]["messages"][0]["content"] == "Greet Ada"


async def test_an_answer_that_does_not_fit_is_asked_again() -> None:
    told = await run_script(guest, answers=["Hello"], inputs=["Ada", {"article": "tea"}, TEA])
    states = [entry.data["state"] for entry in told.entries if entry.kind == "input"]
    assert states == ["asked", "answered", "asked", "refused", "answered"]


async def test_a_script_may_go_on_if_nobody_answers() -> None:
    @script
    async def patient(run: Run) -> str:
        try:
            return await run.input("Anybody?", timeout_s=1)
        except InputTimeoutError:
            return "Nobody."

    assert (await run_script(patient, inputs=[NOBODY])).answer == "Nobody."


async def test_a_model_reads_that_a_person_has_refused() -> None:
    told = await run_script(approving, answers=WANTS, inputs=["no", "Yes"])
    assert told.requests[1]["messages"][-1]["content"] == "Not allowed."


class Late(ScriptedHost):
    """Answers each question only in the attempt after the one that asked it, as a parked run gets its answers."""

    async def ask(self, question: dict[str, Any], is_idle: Any) -> str | None:
        assert is_idle()
        if any(entry.kind == "input" and entry.data["id"] == question["id"] for entry in self.entries):
            raise WaitsError
        return await super().ask(question, is_idle)


class WaitsError(Exception):
    """The attempt has ended."""


@pytest.mark.parametrize(("chain", "answers"), [(guest, ["Hello"]), (approving, WANTS)], ids=["guest", "approving"])
async def test_each_answer_begins_an_attempt_that_repeats_nothing(chain: Any, answers: list[Any]) -> None:
    log: list[Entry] = []
    paid = 0
    for _ in range(10):
        host = Late(answers[paid:], ADA)
        try:
            await perform(chain, {}, host, head=HEAD, past=log)
        except WaitsError:
            log += host.entries
            paid += len(host.requests)
            continue
        log += host.entries
        paid += len(host.requests)
        break
    questions = [entry.data["question"] for entry in log if entry.kind == "input" and entry.data["state"] == "asked"]
    assert len(questions) == len(set(questions)) == 2
    assert paid == len(answers)
    assert answer_of(log) == ("Ada: 2 tea" if chain is guest else "Done. Yes")


async def test_a_question_in_the_place_of_another_call_is_a_change() -> None:
    @script
    async def changed(run: Run) -> None:
        await run.emit("begun")

    host = ScriptedHost(["Hello"], ADA)
    await perform(guest, {}, host, head=HEAD)
    with pytest.raises(ScriptChangedError, match="the event 'begun' is where a question was"):
        await perform(changed, {}, ScriptedHost(), head=HEAD, past=host.entries)


async def test_answers_that_do_not_fit_come_to_an_end() -> None:
    with pytest.raises(ScriptLimitError, match="What would you like"):
        await run_script(guest, answers=["Hello"], inputs=["Ada", *[{"article": "tea"}] * (REFUSALS + 1)])


async def test_a_second_attempt_goes_on_counting_answers_that_do_not_fit() -> None:
    host = ScriptedHost(answers=["Hello"], inputs=["Ada", *[{"article": "tea"}] * REFUSALS, NOBODY])
    with pytest.raises(InputTimeoutError):
        await perform(guest, {"messages": []}, host, head=HEAD)
    past = [entry for entry in host.entries if entry.data.get("state") != "timed_out"]
    again = ScriptedHost(inputs=[{"article": "tea"}])
    with pytest.raises(ScriptLimitError):
        await perform(guest, {"messages": []}, again, head=HEAD, past=past)
