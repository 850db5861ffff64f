import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.answer import answer, answer_pieces
from simulator.flavours import FLAVOURS
from simulator.topic import read_topic

PROMPTS = ("How do I bake bread?", "Explain Redis streams to a child", "Wie geht das?", "", "日本語で答えて")


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("flavour", range(len(FLAVOURS)))
def test_every_answer_has_all_that_a_page_must_be_able_to_show(prompt: str, flavour: int) -> None:
    text = answer(prompt, seed=0, flavour=flavour)
    assert text.startswith("## ")
    assert re.search(r"^(- |1\. ).*\*\*", text, re.MULTILINE), "a list with bold"
    assert re.search(r"^\|---\|", text, re.MULTILINE), "a table"
    assert text.count("\n```") == 2, "a code block"
    assert re.search(r"\[[^]]+\]\(https://[^)\s]+\)", text), "a link"
    assert "simulator" in text.partition("###")[0], "it says what it is before all else"


def test_an_answer_takes_up_its_prompt() -> None:
    text = answer("How do I bake bread?", seed=0)
    assert "How do I bake bread?" in text
    assert "bread" in text.partition("\n")[2]


def test_different_prompts_get_different_kinds_of_answer_and_the_same_prompt_the_same() -> None:
    kinds = {answer(f"question {number}", seed=None).split("question")[0] for number in range(40)}
    assert len(kinds) == len(FLAVOURS)
    assert answer("again", seed=3) == answer("again", seed=3)


@given(st.text(st.characters(codec=None)), st.integers(0, 3))
def test_no_prompt_breaks_an_answer(prompt: str, flavour: int) -> None:
    text = answer(prompt, seed=None, flavour=flavour)
    text.encode()
    assert text.splitlines()[0].startswith("## ")
    assert len(set(read_topic(prompt).words)) == 4


def test_a_prompt_cannot_bring_markup_into_the_page() -> None:
    assert read_topic("<b>[x](javascript:y) `*_").title == "\\<b\\>\\[x\\](javascript:y) \\`\\*\\_"


@pytest.mark.parametrize("chunks", [1, 7, 500, 2_000])
def test_an_answer_is_cut_or_continued_to_the_number_of_chunks_asked_for(chunks: int) -> None:
    pieces = list(answer_pieces("How do I bake bread?", seed=1, chunks=chunks))
    assert len(pieces) == chunks
    assert "{" not in "".join(pieces[450:]), "no word is left to fill in"
