"""Chats of the AI SDK, through a real gateway, with a worker that writes what the test says."""

import asyncio
import json
from secrets import token_hex
from typing import Any

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.errors import RunError
from contract.event import Chunk, Status
from gateway.dialects.ai_sdk_replay import replay_message
from tests.author import Author, Entry
from tests.gateway.dialects.test_ai_sdk_request import ASSISTANT_UI, QUESTION
from tests.gateway.dialects.test_openai import read_frames
from tests.gateway.fanout.recording import attempt, chunk_of, done

pytestmark = pytest.mark.usefixtures("emptied")


def question(chat: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"id": chat, "messages": list(entries) or [QUESTION], "trigger": "submit-message"}


async def answer(http: httpx2.AsyncClient, author: Author, body: dict[str, Any], last: Entry, *chunks: Chunk) -> str:
    """Asks, lets a worker answer, and returns what the page that asked got."""
    async with http.stream("POST", "/api/chat", content=json.dumps(body)) as response:
        assert response.status_code == 200
        run = await author.take()
        await run.write([*attempt(chunks), last], Status(last[2]["status"]))
        return without_pings((await response.aread()).decode())


async def resume(http: httpx2.AsyncClient, chat: str) -> str:
    response = await http.get(f"/api/chat/{chat}/stream")
    assert response.status_code == 200
    return without_pings(response.text)


def without_pings(text: str) -> str:
    return text.replace(": ping\n\n", "")


@pytest.mark.parametrize(
    ("last", "part"),
    [(done(), "finish"), (done("failed", RunError("x", "It broke.")), "error"), (done("cancelled"), "abort")],
)
async def test_an_answer_that_has_ended_is_replayed_whole(
    http: httpx2.AsyncClient, author: Author, last: Entry, part: str
) -> None:
    chat = token_hex(8)
    told = await answer(http, author, question(chat), last, chunk_of({"content": "Hel"}), chunk_of({"content": "lo"}))
    assert f'"type":"{part}"' in told
    for _ in range(2):
        assert await resume(http, chat) == told


async def test_a_newer_turn_replaces_the_answer(http: httpx2.AsyncClient, author: Author) -> None:
    chat = token_hex(8)
    await answer(http, author, question(chat), done(), chunk_of({"content": "first"}, "stop"))
    newer = await answer(http, author, question(chat), done(), chunk_of({"content": "second"}, "stop"))
    assert await resume(http, chat) == newer


async def test_an_answer_that_is_no_longer_kept_is_not_replayed(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    chat = token_hex(8)
    await answer(http, author, question(chat), done(), chunk_of({"content": "first"}, "stop"))
    for key in await call_redis(client, "KEYS", "mc:{p00}:s_*"):
        await call_redis(client, "DEL", key)
    # The gateway keeps an answer in memory for a moment after its last viewer has left.
    async with asyncio.timeout(60):
        while (response := await http.get(f"/api/chat/{chat}/stream")).status_code != 204:
            assert "first" in response.text
            await asyncio.sleep(0.2)


async def test_stopping_an_answer_that_has_ended_changes_nothing(http: httpx2.AsyncClient, author: Author) -> None:
    chat = token_hex(8)
    told = await answer(http, author, question(chat), done(), chunk_of({"content": "first"}, "stop"))
    for name in (chat, token_hex(8)):
        assert (await http.delete(f"/api/chat/{name}/stream")).status_code == 204
    assert await resume(http, chat) == told


CALLED = {
    "id": "earlier",
    "role": "assistant",
    "parts": [
        {"type": "step-start"},
        {"type": "tool-weather", "toolCallId": "a", "state": "output-available", "input": {}, "output": 20},
    ],
}


async def test_an_answer_after_the_result_of_a_tool_is_replayed_with_its_earlier_steps(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    chat = token_hex(8)
    told = await answer(http, author, question(chat, QUESTION, CALLED), done(), chunk_of({"content": "20"}, "stop"))
    assert read_frames(told.encode())[:2] == [{"type": "start"}, {"type": "start-step"}]
    replayed = await resume(http, chat)
    assert replayed == replay_message(CALLED).decode() + told
    assert read_frames(replayed.encode())[0] == {"type": "start", "messageId": "earlier"}
    # What is kept of a chat expires with its answer.
    (key,) = await call_redis(client, "KEYS", "mc:{*}:chat")
    assert await call_redis(client, "PTTL", key) > 0
    newer = await answer(http, author, question(chat), done(), chunk_of({"content": "newer"}, "stop"))
    assert await resume(http, chat) == newer


async def messages(http: httpx2.AsyncClient, chat: str) -> Any:
    response = await http.get(f"/api/chat/{chat}/messages")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["id"] == chat
    return response.json()["messages"]


async def test_another_browser_gets_the_question_and_what_was_said_before(
    http: httpx2.AsyncClient, author: Author
) -> None:
    chat = f"a/b {token_hex(8)} ü"
    assert await messages(http, chat) == []
    asked = {**QUESTION, "metadata": {"by": "ü \ud83d"}}
    await answer(http, author, question(chat, asked), done(), chunk_of({"content": "first"}, "stop"))
    assert await messages(http, chat) == [asked]
    # The replay contains the message that the answer continues.
    await answer(http, author, question(chat, asked, CALLED), done(), chunk_of({"content": "20"}, "stop"))
    assert await messages(http, chat) == [asked]
    said: list[dict[str, Any]] = [asked, CALLED, {**QUESTION, "id": "2"}]
    await answer(http, author, question(chat, *said), done(), chunk_of({"content": "second"}, "stop"))
    assert await messages(http, chat) == said


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
        ({"messages": [QUESTION, {**CALLED, "metadata": float("inf")}], "id": "c"}, None),
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
