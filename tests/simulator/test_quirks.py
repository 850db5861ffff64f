"""The models that send what real providers send: their bytes, exactly."""

import httpx2
import pytest

from simulator.quirks import QUIRKS, Quirk
from tests.simulator.process import body


@pytest.mark.parametrize("quirk", QUIRKS.values(), ids=QUIRKS)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_a_quirk_sends_its_bytes_whatever_is_asked(http: httpx2.AsyncClient, quirk: Quirk, stream: bool) -> None:
    answer = await http.post("/v1/chat/completions", json=body(quirk.model, stream=stream))
    assert (answer.status_code, answer.content) == (200, b"".join(quirk.pieces))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_a_quirk_counts_as_an_answer_that_was_played_to_its_end(http: httpx2.AsyncClient) -> None:
    before = (await http.get("/simulator/stats")).json()["models"].get("quirk-crlf", {}).get("completed", 0)
    await http.post("/v1/chat/completions", json=body("quirk-crlf", stream=True))
    after = (await http.get("/simulator/stats")).json()["models"]["quirk-crlf"]["completed"]
    assert after == before + 1
