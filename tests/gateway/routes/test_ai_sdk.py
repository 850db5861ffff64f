"""Chats of the AI SDK, through a real gateway, with a worker that writes what the test says."""

import json
from typing import Any

import httpx2
import pytest

from contract.event import Status
from tests.author import Author
from tests.gateway.dialects.test_ai_sdk_request import ASSISTANT_UI, QUESTION
from tests.gateway.fanout.recording import attempt, chunk_of, done

pytestmark = pytest.mark.usefixtures("emptied")


async def test_a_message_of_assistant_ui_starts_a_run(http: httpx2.AsyncClient, author: Author) -> None:
    async with http.stream("POST", "/api/chat", json={**ASSISTANT_UI, "messages": [QUESTION]}) as response:
        assert response.status_code == 200
        run = await author.take()
        await run.write([*attempt([chunk_of({"content": "Hello"}, "stop")]), done()], Status.COMPLETED)
        assert "Hello" in (await response.aread()).decode()
    asked = json.loads(run.claim.request)
    assert asked["messages"][0] == {"role": "system", "content": "Be brief."}
    assert asked["tools"][0]["function"]["name"] == "weather"
    assert {"callSettings", "config", "system", "metadata"}.isdisjoint(asked)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": "weather"}, "tools"),
        ({"tools": {"weather": "x"}}, "tools"),
        ({"tools": {"weather": {"parameters": []}}}, "tools"),
        ({"system": ["x"]}, "system"),
        ({"callSettings": 1}, "callSettings"),
        ({"temperature": float("nan")}, None),
        ({"config": "x"}, "config"),
        ({"config": {"modelName": 1}}, "config.modelName"),
        ({"id": 7}, "id"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
    ],
)
async def test_a_field_of_the_wrong_type_is_refused_by_name(
    http: httpx2.AsyncClient, fields: dict[str, Any], param: str | None
) -> None:
    body = json.dumps({"messages": [QUESTION], **fields})
    refused = await http.post("/api/chat", content=body)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
