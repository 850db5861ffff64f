"""Those who may watch an answer see its question, unless its caller hides it."""

from typing import Any

import httpx2
import pytest

from contract.limits import QUESTION_LIMIT_CHARS
from tests.gateway.access.conftest import bearer
from tests.gateway.access.test_tickets import start

SAID = [
    {"role": "system", "content": "A system prompt"},
    {"role": "user", "content": "First"},
    {"role": "assistant", "content": "An answer"},
    {"role": "user", "content": [{"type": "text", "text": "Why?"}, {"type": "image_url", "image_url": {"url": "x"}}]},
]


@pytest.mark.parametrize(
    ("options", "shown"),
    [({}, "Why?"), ({"question": "hidden"}, None), ({"visibility": "private"}, "Why?")],
)
async def test_a_viewer_sees_the_question_unless_its_caller_hides_it(
    http: httpx2.AsyncClient, key: dict[str, str], options: dict[str, Any], shown: str | None
) -> None:
    run = await start(http, key, {"model": "demo", "messages": SAID, "manycast": options})
    answer = await http.get(f"/v1/streams/{run['id']}", headers=bearer(run["tickets"].get("view", "none")))
    assert (answer.status_code, answer.json()["question"]) == (200, shown)


async def test_a_long_question_is_cut(http: httpx2.AsyncClient, key: dict[str, str]) -> None:
    run = await start(http, key, {"messages": [{"role": "user", "content": "x" * 9000}]})
    assert (await http.get(f"/v1/streams/{run['id']}")).json()["question"] == "x" * QUESTION_LIMIT_CHARS


@pytest.mark.parametrize(("options", "shown"), [({}, None), ({"question": "shown"}, "Why?")])
async def test_the_question_of_a_response_is_its_owners_unless_the_owner_shows_it(
    http: httpx2.AsyncClient, key: dict[str, str], options: dict[str, Any], shown: str | None
) -> None:
    body = {"model": "demo", "input": "Why?", "background": True, "manycast": options}
    response = await http.post("/v1/responses", json=body, headers=key)
    stream_id = response.headers["x-stream-id"]
    assert (await http.get(f"/v1/streams/{stream_id}")).json()["question"] == shown
