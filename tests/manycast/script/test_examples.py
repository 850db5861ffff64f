"""The examples of docs/scripts.md, against answers that the test gives."""

import sys
from collections.abc import Iterator, Sequence
from types import ModuleType

import pytest

from manycast.chaos.examples import TEXTS, load_examples, read_blocks
from manycast.script import Script
from manycast.script.testing import Rehearsal, calls, run_script


@pytest.fixture
def examples() -> Iterator[dict[str, ModuleType]]:
    """The modules of the page, by name. The test of the first one imports it."""
    found = {}
    try:
        for name, block in read_blocks().items():
            module = sys.modules[name] = found[name] = ModuleType(name)
            exec(compile(block, f"{name}.py", "exec"), vars(module))
        yield found
    finally:
        for name in found:
            del sys.modules[name]


def test_each_script_has_a_text_that_a_load_may_begin_it_with() -> None:
    # The shopkeeper is a part of the party.
    assert {*TEXTS, "shopkeeper"} == load_examples().keys()


def test_draft_critique_final(examples: dict[str, ModuleType]) -> None:
    examples["test_haiku"].test_the_critic_reads_the_draft()


async def test_a_quiz_counts_the_right_answers_of_people(examples: dict[str, ModuleType]) -> None:
    question = '{"text": "The longest river?", "options": ["Nile", "Po"], "right": "Nile"}'
    told = await run(examples["quiz"].quiz, "", {"question": [question] * 3}, ["Rivers", "Nile", "Po", "Nile"])
    assert told.answer == "Nile: right\nPo: no, Nile\nNile: right\n2 of 3 points."


@pytest.mark.parametrize(
    ("approval", "result"), [("yes", "sent"), ("no", "The user does not want this mail to be sent.")]
)
async def test_a_person_approves_a_mail(examples: dict[str, ModuleType], approval: str, result: str) -> None:
    wanted = calls(("send_mail", {"to": "ada", "text": "Hello"}))
    told = await run(examples["secretary"].secretary, "Greet Ada", {"secretary": [wanted, "Done."]}, [approval])
    assert told.answer == "Done."
    assert told.requests[1]["messages"][-1]["content"] == result


async def test_a_long_text_is_read_in_parts(examples: dict[str, ModuleType]) -> None:
    told = await run(
        examples["summary"].summary, "word " * 2000, {"summary": "All.", "part 1": "A", "part 2": "B", "part 3": "C"}
    )
    assert told.answer == "All."
    assert told.requests[-1]["messages"][-1]["content"].endswith("A\nB\nC")
    assert told.emitted("progress") == [{"part": 1}, {"part": 2}, {"part": 3}]


async def test_an_agent_inside_another_script_uses_its_tool(examples: dict[str, ModuleType]) -> None:
    wanted = calls(("price_of", {"article": "tea"}), ("price_of", {"article": "beer"}))
    told = await run(examples["shop"].party, "", {"shopkeeper": [wanted, "Seven euros."], "invitation": "Come!"})
    assert told.answer == "Come!"
    assert [step.text for step in told.steps if step.kind == "tool"] == [
        "3",
        "We do not have beer. We have: tea, cake.",
    ]
    assert told.requests[-1]["messages"][-1]["content"] == "Invite me to a party that costs this: Seven euros."


async def test_a_judge_sends_a_draft_back(examples: dict[str, ModuleType]) -> None:
    verdicts = ['{"is_good": false, "advice": "Shorter."}', '{"is_good": true, "advice": ""}']
    told = await run(examples["careful"].careful, "Hello", {"draft": ["Long", "Short"], "judge": verdicts})
    assert told.answer == "Short"
    assert told.requests[2]["messages"][-1]["content"] == "Write it again: Shorter."


async def run(
    script: Script[object], text: str, answers: dict[str, object], inputs: Sequence[object] = ()
) -> Rehearsal[object]:
    return await run_script(script, text, answers=answers, inputs=inputs)  # type: ignore[arg-type]
