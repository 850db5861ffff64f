"""The terminal shows the answers of providers that differ from OpenAI."""

import json

import pytest

from manycast.client.answer_text import Answer
from simulator.quirks import QUIRKS, Quirk
from tests.quirks import EXPECTED, chunks_of_quirk


@pytest.mark.parametrize("quirk", QUIRKS.values(), ids=QUIRKS)
async def test_the_text_and_the_tool_calls_are_the_providers(quirk: Quirk) -> None:
    answer, expected = Answer(), EXPECTED[quirk.name]
    text = "".join([answer.take(chunk) for chunk in await chunks_of_quirk(quirk)]) + answer.end()
    assert text == expected.content
    shown = [f"{name}({json.dumps(arguments, separators=(',', ':'))})" for name, arguments in expected.calls]
    assert answer.tool_calls == shown
