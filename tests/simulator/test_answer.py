import ast
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.answer import answer, answer_pieces, rank
from simulator.sections import SECTIONS, Section
from simulator.topic import read_topic
from tests.house.tree import ROOT

PROMPTS = ("How do I bake bread?", "Explain Redis streams to a child", "Wie geht das?", "", "日本語で答えて")
PAGE = (ROOT / "web" / "pages" / "index.html").read_text()
SUGGESTIONS = re.findall(r'class="suggestion"[^>]*>([^<]+)<', PAGE)
QUESTIONS = {
    "How does one answer reach many screens?": "many screens",
    "What does a viewer see who joins late?": "late viewers",
    "I reload the page. What is missing?": "late viewers",
    "How do I stop an answer?": "stopping an answer",
    "What if a worker crashes?": "crashes",
    "When does an answer restart?": "crashes",
    "How does it scale?": "the cost of many viewers",
    "Why Redis streams and not only pub/sub?": "Redis streams and pub/sub",
    "Does it work with the OpenAI SDK for Python?": "the OpenAI SDK",
    "Who can see a private answer?": "private links",
    "How do I connect Ollama?": "a real model",
    "How do I run it with Docker?": "running it for other people",
    "What is in a chunk?": "the events on the wire",
}


@pytest.mark.parametrize("prompt", [*PROMPTS, *QUESTIONS])
@pytest.mark.parametrize("variant", range(4))
def test_every_answer_has_all_that_a_page_must_be_able_to_show(prompt: str, variant: int) -> None:
    text = answer(prompt, seed=0, variant=variant)
    assert "built-in demo, not a language model" in text.partition("\n")[0]
    assert re.search(r"^1\. \*\*.*\*\*", text, re.MULTILINE), "a list with bold"
    assert re.search(r"^\|---", text, re.MULTILINE), "a table"
    assert text.count("\n```") >= 2 and text.count("\n```") % 2 == 0, "code"
    assert re.search(r"\$[^$\n]+\$", text), "a formula"


@pytest.mark.parametrize(("question", "name"), QUESTIONS.items())
def test_a_question_gets_the_section_that_answers_it_first(question: str, name: str) -> None:
    (section,) = [section for section in SECTIONS if section.name == name]
    text = answer(question, seed=None)
    assert rank(question)[0] is section
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[0] == section.title


def test_the_page_suggests_three_questions_that_the_demo_can_answer() -> None:
    assert len({rank(question)[0].name for question in SUGGESTIONS}) == len(SUGGESTIONS) == 3


def test_a_question_about_something_else_is_told_so_and_every_section_is_offered_or_shown() -> None:
    text = answer("How do I bake bread?", seed=None)
    assert "The demo only knows Manycast" in text
    assert all(section.name in text or section.title in text for section in SECTIONS)
    assert "The demo only knows Manycast" not in answer("How do I stop an answer?", seed=None)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_the_code_of_a_section_can_be_read(section: Section) -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", section.text, re.DOTALL | re.MULTILINE)
    for language, code in blocks:
        if language == "python":
            ast.parse(code)
        if language == "json":
            json.loads(code)


def test_an_answer_takes_up_its_prompt() -> None:
    assert "“How do I bake bread?”" in answer("How do I bake bread?", seed=0)


def test_different_prompts_get_different_answers_and_the_same_prompt_the_same() -> None:
    kinds = {answer(f"question {number}", seed=None).split("\n## ", 1)[1] for number in range(40)}
    assert len(kinds) > 2
    assert answer("again", seed=3) == answer("again", seed=3)


@given(st.text(st.characters(codec=None)), st.integers(0, 3))
def test_no_prompt_breaks_an_answer(prompt: str, variant: int) -> None:
    text = answer(prompt, seed=None, variant=variant)
    text.encode()
    assert "\n## " in text
    assert len(set(read_topic(prompt).words)) == 4


def test_a_prompt_cannot_bring_markup_into_the_page() -> None:
    assert read_topic("<b>[x](javascript:y) `*_").title == "\\<b\\>\\[x\\](javascript:y) \\`\\*\\_"


@pytest.mark.parametrize("chunks", [1, 7, 500, 2_000])
def test_an_answer_is_cut_or_continued_to_the_number_of_chunks_asked_for(chunks: int) -> None:
    pieces = list(answer_pieces("How do I bake bread?", seed=1, chunks=chunks))
    assert len(pieces) == chunks
    assert "{" not in "".join(pieces[900:]), "no word is left to fill in"
