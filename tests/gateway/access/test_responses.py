"""A response contains its request, so nobody but its owner and whoever has a control ticket gets it."""

import asyncio
from typing import Any

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.event import Status
from tests.author import Author
from tests.gateway.fanout.recording import attempt, chunk_of, done
from tests.redis_keys import JOBS
from tests.responses import read_events

BODY: dict[str, Any] = {"model": "demo", "input": "The secret.", "background": True}
CALLS = [("GET", ""), ("GET", "?stream=true"), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")]


@pytest.mark.parametrize("visibility", ["unlisted", "private"])
@pytest.mark.parametrize("call", CALLS)
async def test_another_callers_response_is_like_none(
    http: httpx2.AsyncClient, key: dict[str, str], other_key: dict[str, str], visibility: str, call: tuple[str, str]
) -> None:
    method, rest = call
    body = {**BODY, "manycast": {"visibility": visibility}}
    started = (await http.post("/v1/responses", json=body, headers=key)).json()
    none = started["id"][:-1] + ("a" if started["id"][-1] != "a" else "b")
    for headers in (other_key, {}):
        refused, missing = [
            await http.request(method, f"/v1/responses/{name}{rest}", headers=headers) for name in (started["id"], none)
        ]
        assert refused.status_code == missing.status_code == 404
        assert refused.json()["error"]["code"] == "response_not_found"
        assert refused.text.replace(started["id"], none) == missing.text
    assert (await http.get(f"/v1/responses/{started['id']}", headers=key)).status_code == 200


async def test_a_control_ticket_opens_it(http: httpx2.AsyncClient, key: dict[str, str]) -> None:
    started = await http.post("/v1/responses", json=BODY, headers=key)
    url = f"/v1/responses/{started.json()['id']}"
    assert (await http.get(url, params={"ticket": started.headers["x-stream-ticket"]})).status_code == 200
    wrong = await http.get(url, params={"ticket": "eyJ.wrong.ticket"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "ticket_invalid")


async def test_another_caller_cannot_continue_it_nor_name_its_items(
    http: httpx2.AsyncClient, client: Client, key: dict[str, str], other_key: dict[str, str]
) -> None:
    started = (await http.post("/v1/responses", json=BODY, headers=key)).json()
    run = await Author(client, client).take()
    await run.write([*attempt([chunk_of({"content": "Yes"}, "stop")]), done()], Status.COMPLETED)
    ended = (await http.get(f"/v1/responses/{started['id']}", headers=key)).json()
    continued = {**BODY, "previous_response_id": started["id"]}
    named = {**BODY, "input": [{"type": "item_reference", "id": ended["output"][0]["id"]}]}
    for body in (continued, named):
        assert (await http.post("/v1/responses", json=body, headers=key)).status_code == 200
        assert (await http.post("/v1/responses", json=body, headers=other_key)).status_code == 404


async def test_without_a_key_nothing_is_started(http: httpx2.AsyncClient) -> None:
    refused = await http.post("/v1/responses", json=BODY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "missing_api_key")


async def test_revoking_the_ticket_sends_its_viewer_away(http: httpx2.AsyncClient, key: dict[str, str]) -> None:
    started = await http.post("/v1/responses", json=BODY, headers=key)
    query = {"stream": "true", "ticket": started.headers["x-stream-ticket"]}
    url = f"/v1/responses/{started.json()['id']}"
    async with asyncio.timeout(60), http.stream("GET", url, params=query) as watched:
        pieces = watched.aiter_text()
        text = await anext(pieces)
        await http.delete(f"/v1/streams/{started.headers['x-stream-id']}/tickets", headers=key)
        text += "".join([piece async for piece in pieces])
    assert read_events(text.encode())[-1]["code"] == "ticket_revoked"


async def test_a_response_that_is_not_stored_is_not_listed(
    http: httpx2.AsyncClient, client: Client, key: dict[str, str]
) -> None:
    streamed = {**BODY, "background": False, "store": False, "stream": True}
    asked = asyncio.create_task(http.post("/v1/responses", json=streamed, headers=key))
    async with asyncio.timeout(60):
        while not await call_redis(client, "EXISTS", JOBS):
            await asyncio.sleep(0.01)
    stored = (await http.post("/v1/responses", json=BODY, headers=key)).json()
    listed = (await http.get("/v1/streams", headers=key)).json()["data"]
    assert [f"resp_{run['id']}" for run in listed] == [stored["id"]]
    asked.cancel()
