"""OpenAI's Python SDK at a gateway whose provider has a quirk: it reads what the provider meant."""

from typing import Any

import openai
import pytest

from simulator.quirks import QUIRKS, Quirk
from tests.quirks import EXPECTED, message_of
from tests.stack import ROOT

every_quirk = pytest.mark.parametrize("quirk", QUIRKS.values(), ids=QUIRKS)
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


def test_the_documentation_lists_every_quirk() -> None:
    rows = [f"| {quirk.what[0].upper()}{quirk.what[1:]} | `{quirk.model}` |" for quirk in QUIRKS.values()]
    assert "\n".join(rows) in (ROOT / "docs" / "use-it-with.md").read_text()


@every_quirk
async def test_a_stream_is_folded_by_the_sdk(ours: openai.AsyncOpenAI, quirk: Quirk) -> None:
    options: Any = {"include_usage": True}
    async with ours.chat.completions.stream(model=quirk.model, stream_options=options, **ASK) as stream:
        texts = [event.delta async for event in stream if event.type == "content.delta"]
        completion = await stream.get_final_completion()
    assert message_of({"usage": None, **completion.to_dict()}) == EXPECTED[quirk.name]
    assert "".join(texts) == EXPECTED[quirk.name].content


@every_quirk
async def test_every_chunk_can_be_read_as_openais_examples_do(ours: openai.AsyncOpenAI, quirk: Quirk) -> None:
    """They look at `choices[0].delta` of every chunk."""
    text = ""
    async for chunk in await ours.chat.completions.create(model=quirk.model, stream=True, **ASK):
        choice = chunk.choices[0]
        text += choice.delta.content or ""
        if choice.finish_reason is not None:
            assert choice.finish_reason == EXPECTED[quirk.name].finish_reason
    assert text == EXPECTED[quirk.name].content


@every_quirk
async def test_a_whole_answer_is_the_providers(ours: openai.AsyncOpenAI, quirk: Quirk) -> None:
    completion = await ours.chat.completions.create(model=quirk.model, **ASK)
    assert message_of({"usage": None, **completion.to_dict()}) == EXPECTED[quirk.name]
