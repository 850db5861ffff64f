"""A run is deleted by its owner at once, with everything that is kept of it, and its viewers hear of it."""

import asyncio
from typing import Any

import httpx2
import pytest

from contract.connection import Client, call_redis
from tests.author import Author
from tests.gateway.access.conftest import BODY, code
from tests.gateway.access.test_tickets import ask_ticket, start
from tests.viewers import Response, read_events, until

MESSAGES = [{"id": "1", "role": "user", "content": "A secret?", "parts": [{"type": "text", "text": "A secret?"}]}]


async def dump(client: Client) -> str:
    """The names of all keys, and everything in hashes and streams."""
    held = []
    for key in await call_redis(client, "KEYS", "*"):
        kind = await call_redis(client, "TYPE", key)
        read = {b"hash": ("HGETALL", key), b"stream": ("XRANGE", key, "-", "+")}.get(kind, ("TYPE", key))
        held.append(f"{key} {await call_redis(client, *read)}")
    return "\n".join(held)


async def test_the_owner_deletes_a_run_and_nobody_else(
    http: httpx2.AsyncClient, key: dict[str, str], other_key: dict[str, str]
) -> None:
    run = await start(http, key)
    path = f"/v1/streams/{run['id']}"
    view = await ask_ticket(http, run, key)
    assert code(await http.delete(path)) == (403, "ticket_missing")
    assert code(await http.delete(path, headers=other_key)) == (403, "ticket_missing")
    assert code(await http.delete(path, params={"ticket": view})) == (403, "ticket_scope")
    deleted = await http.delete(path, headers=key)
    assert (deleted.status_code, deleted.json()) == (200, {"id": run["id"], "deleted": True})
    assert code(await http.delete(path, headers=key)) == (404, "stream_not_found")
    second = await start(http, key)
    control = {"ticket": second["tickets"]["control"]}
    assert (await http.delete(f"/v1/streams/{second['id']}", params=control)).status_code == 200


async def test_viewers_of_a_deleted_run_are_told_and_its_worker_writes_no_more(
    http: httpx2.AsyncClient, key: dict[str, str], author: Author
) -> None:
    run = await start(http, key, BODY)
    path = f"/v1/streams/{run['id']}"
    taken = await author.take(run["id"])
    await taken.begin()
    await taken.say("A secret")
    viewer = Response()
    watching = asyncio.create_task(read_events(http, f"{path}/events", response=viewer))
    await until(lambda: "A secret" in viewer.text)
    await http.delete(path, headers=key)
    await watching
    assert viewer.done["error"]["code"] == "stream_deleted"
    assert viewer.done["error"]["message"] == "This answer was deleted."
    with pytest.raises(AssertionError):  # the author asserts that Redis takes what it writes
        await taken.say("more")
    assert code(await http.get(f"{path}/events")) == (404, "stream_not_found")


async def test_a_deleted_run_is_gone_from_gateways_that_hold_it_in_memory(
    http: httpx2.AsyncClient, key: dict[str, str], author: Author
) -> None:
    run = await start(http, key, BODY)
    path = f"/v1/streams/{run['id']}"
    taken = await author.take(run["id"])
    await taken.begin()
    await taken.say("Kept")
    await taken.end()
    assert (await http.get(f"{path}/events")).status_code == 200
    await http.delete(path, headers=key)

    async def is_gone() -> bool:
        return (await http.get(f"{path}/events")).status_code == 404

    async with asyncio.timeout(60):
        while not await is_gone():
            pass
    assert (await http.get(f"{path}/completion")).status_code == 404


async def test_nothing_of_a_deleted_run_is_left(
    http: httpx2.AsyncClient, key: dict[str, str], client: Client, author: Author
) -> None:
    question: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "A secret?"}]}
    headers = {**key, "Idempotency-Key": "once"}
    run = (await http.post("/v1/streams", json=question, headers=headers)).json()
    async with http.stream("POST", "/api/chat", json={"id": "chat", "messages": MESSAGES}, headers=key) as response:
        chat = response.headers["x-stream-id"]
    for stream_id in (run["id"], chat):
        taken = await author.take(stream_id)
        await taken.begin()
        await taken.say("A secret!")
        await taken.end()
        assert "A secret" in await dump(client)
        assert (await http.delete(f"/v1/streams/{stream_id}", headers=key)).status_code == 200
        assert stream_id not in await dump(client)
    assert "A secret" not in await dump(client)
    assert (await http.get("/v1/streams", headers=key)).json()["data"] == []
    again = await http.post("/v1/streams", json=question, headers=headers)
    assert again.status_code == 201
