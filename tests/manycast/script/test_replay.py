"""A second attempt at a run, after every entry at which the first one can end."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from manycast.script import GenerationError, Run, Script, ScriptChangedError, script
from manycast.script.host import Entry
from manycast.script.message import Folding, to_text
from manycast.script.perform import perform
from manycast.script.testing import HEAD, Answer, ScriptedHost, answer_of, calls, fails
from tests.manycast.script.chains import everything, haiku

THREE: Mapping[str, Answer] = {
    "draft": "Leaves fall, and",
    "critique": "Line one is weak.",
    "final": "Leaves drift far",
}
ANSWERS: Mapping[str, Any] = {
    **THREE,
    "ask one": "What is one?",
    "answer one": "The first number",
    "ask two": "What is two?",
    "answer two": "The second number",
    "verdict": '{"line": "one", "score": 7}',
}
REQUEST = {"messages": [{"role": "user", "content": "autumn"}]}


class Adding(ScriptedHost):
    """Asked for a sum, its model calls the tool first. It notes the steps that it was asked for."""

    def __init__(self) -> None:
        super().__init__(ANSWERS)
        self.asked: list[str] = []

    def _choose(self, request: dict[str, Any], name: str) -> Answer:
        self.asked.append(name)
        if name == "sum":
            has_result = request["messages"][-1]["role"] == "tool"
            return f"It is {request['messages'][-1]['content']}." if has_result else calls(("add", {"left": 1}))
        return super()._choose(request, name)


async def attempt(chain: Script[Any], past: list[Entry]) -> Adding:
    host = Adding()
    await perform(chain, REQUEST, host, head=HEAD, past=past)
    return host


def texts(entries: list[Entry]) -> dict[str, str]:
    """The text of each step as a viewer builds it from the events, by id."""
    folds: dict[str, Folding] = {}
    for kind, data in entries:
        if kind == "step" and data["state"] in {"begin", "restart"}:
            folds[data["id"]] = Folding()
        elif kind == "step" and data["state"] == "chunk":
            folds[data["id"]].add(data)
    return {place: to_text(fold.finish()) for place, fold in folds.items()}


def names_of(entries: list[Entry], state: str) -> list[str]:
    names = {data["id"]: data["name"] for kind, data in entries if kind == "step" and data["state"] == "begin"}
    kinds = {data["id"]: data["kind"] for kind, data in entries if kind == "step" and data["state"] == "begin"}
    told = (data["id"] for kind, data in entries if kind == "step" and data["state"] == state)
    return [names[place] for place in told if kinds[place] == "generate"]


@pytest.mark.parametrize("chain", [haiku, everything], ids=lambda chain: chain.name)
async def test_a_second_attempt_goes_on_after_any_entry_and_pays_for_no_finished_step_again(chain: Script[Any]) -> None:
    whole = (await attempt(chain, [])).entries
    for cut in range(len(whole) + 1):
        past = whole[:cut]
        host = await attempt(chain, past)
        log = past + host.entries
        if chain is haiku:
            assert answer_of(log) == answer_of(whole), f"cut after {cut}"
        else:
            # A random number that was not recorded is another one.
            assert answer_of(log).rpartition(" 7 ")[0] == answer_of(whole).rpartition(" 7 ")[0], f"cut after {cut}"
        assert sorted(host.asked + names_of(past, "end")) == sorted(names_of(whole, "end")), f"cut after {cut}"
        assert texts(log) == texts(whole), f"cut after {cut}"


async def test_recorded_values_are_found_again() -> None:
    whole = (await attempt(everything, [])).entries
    values = [entry for entry in whole if entry.kind == "value"]
    again = await attempt(everything, whole[: whole.index(values[-1]) + 1])
    assert answer_of(whole) == answer_of(whole[: whole.index(values[-1]) + 1] + again.entries)


async def test_only_the_step_under_way_starts_again() -> None:
    whole = (await attempt(haiku, [])).entries
    critique = [at for at, entry in enumerate(whole) if entry.data.get("id") == "2" and entry.data["state"] == "chunk"]
    again = (await attempt(haiku, whole[: critique[0] + 1])).entries
    assert again[0] == Entry("step", {"id": "2", "state": "restart"})
    assert not any(entry.kind == "restart" for entry in again)


async def test_the_answer_begins_again_only_if_it_has_text_of_the_step_under_way() -> None:
    whole = (await attempt(haiku, [])).entries
    said = [at for at, entry in enumerate(whole) if "manycast" in entry.data]
    again = (await attempt(haiku, whole[: said[0] + 1])).entries
    assert [entry.kind for entry in again[:2]] == ["restart", "step"]


async def test_a_third_attempt_reads_what_both_others_wrote() -> None:
    whole = (await attempt(everything, [])).entries
    for first in range(0, len(whole), 7):
        second = whole[:first] + (await attempt(everything, whole[:first])).entries
        for cut in range(first, len(second), 5):
            third = second[:cut] + (await attempt(everything, second[:cut])).entries
            assert texts(third) == texts(whole), (first, cut)


async def test_a_failed_generation_fails_again_without_a_call() -> None:
    @script
    async def patient(run: Run) -> str:
        try:
            await run.generate("Hello", name="first")
        except GenerationError as error:
            return error.code
        return ""

    host = ScriptedHost([fails(code="overloaded")])
    await perform(patient, REQUEST, host, head=HEAD)
    again = ScriptedHost([])
    await perform(patient, REQUEST, again, head=HEAD, past=host.entries[:-2])
    assert (answer_of(host.entries[:-2] + again.entries), again.requests) == ("overloaded", [])


@script(name="haiku")
async def renamed(run: Run) -> None:
    await run.generate("A haiku", name="sketch")


@script(name="haiku")
async def shortened(run: Run) -> None:
    await run.generate("A haiku", name="draft")


@script(name="haiku")
async def talkative(run: Run) -> None:
    await run.say("Well.")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (renamed, "step 'sketch' is where step 'draft' was"),
        (shortened, "a text that it says is where step 'critique' was"),
        (talkative, "a text that it says is where step 'draft' was"),
    ],
    ids=["renamed", "shortened", "talkative"],
)
async def test_a_script_that_makes_other_calls_than_before_fails(changed: Script[None], words: str) -> None:
    whole = (await attempt(haiku, [])).entries
    with pytest.raises(ScriptChangedError, match=words):
        await attempt(changed, whole)


async def test_a_script_that_makes_fewer_calls_than_before_fails() -> None:
    @script(name="haiku")
    async def silent(run: Run) -> object:
        return await run.generate("A haiku", name="draft", say=True)

    past = (await attempt(haiku, [])).entries
    past = [entry for entry in past if entry.data.get("id") != "3" and "manycast" not in entry.data]
    with pytest.raises(ScriptChangedError, match="step 'critique' is missing"):
        await attempt(silent, past)


def test_ids_of_calls_do_not_repeat() -> None:
    import asyncio

    entries = asyncio.run(attempt(everything, [])).entries
    begun = [data["id"] for kind, data in entries if kind == "step" and data["state"] == "begin"]
    assert all(one != other for one, other in pairwise(sorted(begun)))
