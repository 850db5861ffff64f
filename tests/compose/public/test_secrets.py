"""All that opens a door is used, rightly and wrongly, and the stack breaks meanwhile: no log has any of it."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping

import httpx2
import pytest

from tests.compose.public.conftest import Secrets
from tests.compose.stack import Stack, docker
from tests.compose.viewer import Viewer

WRONG_PASSWORD = "guessed-" + secrets.token_hex(8)
WRONG_KEY = "mc-0123abcd-" + secrets.token_urlsafe(32)
ASKED = {"messages": [{"role": "user", "content": "Count the ways"}]}
BRIEF = {**ASKED, "model": "demo-fast"}
LONG = {**ASKED, "model": "demo-long", "simulator": {"chunks": 4000, "chunks_per_s": 40, "first_chunk_ms": 100}}
PRIVATE = {"manycast": {"visibility": "private"}}


class UsedSecrets(dict[str, str]):
    """The secrets that the test has used, by their kind."""

    def note(self, what: str, secret: str) -> str:
        assert len(secret) > 15
        self[what] = secret
        return secret


@pytest.fixture
def used(known: Secrets) -> UsedSecrets:
    right = {"key": known.key, "hash": json.loads(known.key_line)["hash"], "password": known.password}
    return UsedSecrets(
        **right, **{"signing secret": known.signing, "wrong key": WRONG_KEY, "wrong password": WRONG_PASSWORD}
    )


@pytest.fixture
async def http(site: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=site.address(), timeout=60) as http:
        yield http


def as_program(used: UsedSecrets) -> dict[str, str]:
    return {"Authorization": f"Bearer {used['key']}"}


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def start(http: httpx2.AsyncClient, used: UsedSecrets, what: str, body: Mapping[str, object]) -> dict[str, str]:
    """The addresses of a new stream, which its tickets stand in."""
    answer = await http.post("/v1/streams", json=body, headers=as_program(used))
    assert answer.status_code == 201, answer.text
    told = answer.json()
    used.note(f"{what} stream", told["id"])
    for scope, ticket in told["tickets"].items():
        used.note(f"{what} {scope} ticket", ticket)
    urls: dict[str, str] = told["urls"]
    return urls


async def sign_in(http: httpx2.AsyncClient, used: UsedSecrets) -> None:
    assert (await http.post("/v1/session", json={"secret": WRONG_PASSWORD})).status_code == 401
    answer = await http.post("/v1/session", json={"secret": used["password"]})
    used.note("session", answer.cookies["manycast_session"])
    assert (await http.get("/v1/session")).json()["may_start"]
    wrong = {"Authorization": f"Bearer {WRONG_KEY}"}
    assert refusal(await http.post("/v1/streams", json=BRIEF, headers=wrong)) == (401, "invalid_api_key")
    http.cookies.clear()


async def use_tickets(http: httpx2.AsyncClient, used: UsedSecrets) -> None:
    urls = await start(http, used, "private", {**BRIEF, **PRIVATE})
    path, view, control = urls["status"].partition("?")[0], "private view ticket", "private control ticket"
    await Viewer().watch(http, urls["events"])
    assert (await http.post(f"{path}/cookie", params={"ticket": used[view]})).status_code == 204
    used.note("ticket cookie", http.cookies["manycast_ticket"])
    await Viewer().watch(http, f"{path}/events")
    http.cookies.clear()
    assert refusal(await http.get(path)) == (403, "ticket_missing")
    forged = used.note("forged ticket", used[view][:-8] + "AAAAAAAA")
    assert refusal(await http.get(path, params={"ticket": forged})) == (403, "ticket_invalid")
    answer = await http.delete(f"{path}/tickets", params={"ticket": used[control]})
    used.note("new control ticket", answer.json()["tickets"]["control"])
    assert refusal(await http.get(urls["events"])) == (403, "ticket_revoked")


async def use_ids(http: httpx2.AsyncClient, used: UsedSecrets) -> None:
    urls = await start(http, used, "open", BRIEF)
    await Viewer().watch(http, urls["events"])
    assert (await http.get(urls["completion"])).is_success
    ticket, unknown = used["private view ticket"], used.note("unknown stream", "s_" + secrets.token_urlsafe(16))
    for path in (f"/v1/streams/{unknown}/events", f"/nothing/{unknown}", f"//v1//streams/{unknown}", f"/V1/{unknown}"):
        assert (await http.get(path, params={"ticket": ticket})).status_code == 404
    assert (await http.get(f"/v1/streams/{unknown}%20x", params={"ticket": ticket})).status_code == 400
    chat = used.note("chat", secrets.token_hex(8))
    parts = [{"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]
    body = {"id": chat, "messages": parts, "model": "demo-fast"}
    assert (await http.post("/api/chat", json=body, headers=as_program(used))).is_success
    assert (await http.get(f"/api/chat/{chat}/stream", headers=as_program(used))).is_success


async def lose_the_gateways(site: Stack, http: httpx2.AsyncClient, used: UsedSecrets) -> None:
    """A viewer hangs up, another is cut, a third finds nobody; then all is well again and the run is stopped."""
    urls = await start(http, used, "long", {**LONG, **PRIVATE})
    async with http.stream("GET", urls["events"]) as hangs_up:
        await anext(hangs_up.aiter_lines())
    async with http.stream("GET", urls["events"]) as cut:
        await anext(lines := cut.aiter_lines())
        await asyncio.to_thread(docker, "kill", *site.containers("gateway"))
        with contextlib.suppress(httpx2.TransportError):
            async for _ in lines:
                pass
    assert (await http.get(urls["events"])).status_code in (502, 503)
    await asyncio.to_thread(site.up, 2, 1)
    assert (await http.post(urls["cancel"])).is_success


async def test_no_log_holds_a_secret(site: Stack, http: httpx2.AsyncClient, used: UsedSecrets) -> None:
    await sign_in(http, used)
    await use_tickets(http, used)
    await use_ids(http, used)
    await lose_the_gateways(site, http, used)
    await asyncio.to_thread(site.compose, "stop", "worker")
    logs = await asyncio.to_thread(site.compose, "logs", "--no-color")
    assert [what for what, secret in used.items() if secret in logs] == []
    # That they were all there to be seen: Caddy's requests and errors, the gateways' and the worker's words on a run.
    for told in ('"msg":"handled request"', '"logger":"http.log.error', '"msg":"aborting with incomplete response"'):
        assert told in logs
    assert f"/v1/streams/{used['long stream'][:10]}/events" in logs
    assert f"run {used['long stream'][:10]}" in logs


async def test_no_inspection_of_a_container_shows_a_secret_from_a_file(site: Stack, known: Secrets) -> None:
    containers = (await asyncio.to_thread(site.compose, "ps", "--all", "--quiet")).split()
    shown = "".join([await asyncio.to_thread(docker, "inspect", container) for container in containers])
    assert known.password not in shown
    assert known.signing not in shown
