"""Every call of the API, asked by every kind of caller: who is refused. SECURITY.md says it in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from contract.connection import Client, call_redis
from tests.gateway.access.conftest import BODY, PASSWORD, Door, bearer

OWNER, OTHER, PERSON, PROXIED = "owner", "other key", "person", "proxied user"
STRANGER, WRONG_KEY = "stranger", "wrong key"
VIEW, CONTROL, ELSEWHERE = "view ticket", "control ticket", "control ticket of another stream"
FOREIGN_PAGE = "page of another site in the owner's browser"
KNOWN = {OWNER, OTHER, PERSON, PROXIED}
ALL = {*KNOWN, STRANGER, WRONG_KEY, VIEW, CONTROL, ELSEWHERE, FOREIGN_PAGE}

# A page of another site may send reads, like its user; the browser keeps the answers from it.
READERS = {*KNOWN, FOREIGN_PAGE}
PASSED_THROUGH = ("createEmbedding", "createCompletion", "createModeration")
STARTS = ("startRun", "createChatCompletion", "createResponse", "answerChat", *PASSED_THROUGH)
WATCHING = ("readRun", "readCompletion", "watchRun", "watchRuns")
CONTROLLERS = {OWNER, CONTROL}
VIEWERS = {OWNER, VIEW, CONTROL, FOREIGN_PAGE}
ADMITTED: Mapping[str, set[str]] = {
    **dict.fromkeys(STARTS, KNOWN),
    **dict.fromkeys(("readChat", "resumeChat", "listRuns", "readServer"), READERS),
    "stopChat": KNOWN,
    **dict.fromkeys(WATCHING, VIEWERS),
    **dict.fromkeys(("cancelRun", "deleteRun", "answerInput", "giveTicket", "revokeTickets"), CONTROLLERS),
    # Whoever sees the prompt of the run in the list.
    "runAgain": {OWNER},
    "readPrompts": {OWNER, FOREIGN_PAGE},
    "keepTicket": {VIEW, CONTROL},
    "readResponse": {OWNER, CONTROL, FOREIGN_PAGE},
    # It may have to read earlier responses, which a ticket for one stream does not open.
    "listInputItems": {OWNER, FOREIGN_PAGE},
    **dict.fromkeys(("deleteResponse", "cancelResponse"), CONTROLLERS),
    **dict.fromkeys(("signIn", "signOut"), ALL - {FOREIGN_PAGE}),
    **dict.fromkeys(("readSession", "isAlive", "isReady"), ALL),
    **dict.fromkeys(("listModels", "readModel"), ALL - {WRONG_KEY}),
}
"""By operationId: who is not refused, if the stream is private."""
UNLISTED: Mapping[str, set[str]] = {
    **dict.fromkeys(WATCHING, ALL),
    "answerInput": KNOWN | CONTROLLERS,
    "runAgain": {OWNER, PERSON},
    "readPrompts": {OWNER, PERSON, FOREIGN_PAGE},
}
"""What differs if the stream is unlisted."""


@dataclass
class Asked:
    """What a caller sends besides the call itself."""

    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)


async def sign_in(http: httpx2.AsyncClient, secret: str) -> str:
    (cookie,) = (await http.post("/v1/session", json={"secret": secret})).headers.get_list("set-cookie")
    http.cookies.clear()
    return cookie.partition(";")[0]


async def ask_as(http: httpx2.AsyncClient, door: Door, who: str, stream_id: str, control: str) -> Asked:
    """What this kind of caller sends, for a stream that the owner has just started."""
    owner = bearer(door.secret)
    sent = {
        WRONG_KEY: Asked(bearer(door.secret[:-1] + "x")),
        OWNER: Asked(owner),
        OTHER: Asked(bearer(door.other)),
        PROXIED: Asked({"X-Forwarded-User": "ada"}),
        CONTROL: Asked(query={"ticket": control}),
    }
    if who == VIEW:
        given = await http.post(f"/v1/streams/{stream_id}/tickets", json={"scope": "view"}, headers=owner)
        return Asked(query={"ticket": given.json()["ticket"]})
    if who == ELSEWHERE:
        other = (await http.post("/v1/streams", json=BODY, headers=owner)).json()
        return Asked(query={"ticket": other["tickets"]["control"]})
    return sent.get(who, Asked())


async def is_refused(http: httpx2.AsyncClient, call: tuple[str, str, str], asked: Asked, stream_id: str) -> bool:
    """`call`: operationId, method and path. Reads no more of an answer than its beginning."""
    operation, method, path = call
    path = path.format(stream_id=stream_id, response_id=f"resp_{stream_id}", chat="c", model_id="demo")
    query = {**asked.query, **({"stream": stream_id} if operation == "watchRuns" else {})}
    body: Any = None
    if operation in STARTS:
        # Who is admitted is told that this is no JSON, and nothing starts.
        body = b"?"
    elif operation == "signIn":
        body = b'{"secret":"%b"}' % PASSWORD.encode()
    async with http.stream(method, path, params=query, headers=asked.headers, content=body) as answer:
        begun = b""
        async for piece in answer.aiter_bytes():
            begun += piece
            break
    http.cookies.clear()
    assert answer.status_code < 500 or operation == "isReady", (call, answer.status_code)
    return answer.status_code in (401, 403) or b'"response_not_found"' in begun or b'"ticket_' in begun


@pytest.mark.parametrize("visibility", ["private", "unlisted"])
async def test_each_call_refuses_everybody_but_those_whom_the_table_admits(
    authenticator: Door, http: httpx2.AsyncClient, client: Client, visibility: str
) -> None:
    document = (await http.get("/openapi.json")).json()
    calls = [
        (details["operationId"], method.upper(), path)
        for path, methods in document["paths"].items()
        for method, details in methods.items()
    ]
    assert {operation for operation, _, _ in calls} == ADMITTED.keys(), (
        "the table has no row for a call, or one too many"
    )
    sessions = {
        PERSON: Asked({"Cookie": await sign_in(http, PASSWORD)}),
        FOREIGN_PAGE: Asked({"Cookie": await sign_in(http, authenticator.secret), "Origin": "https://evil.example"}),
    }
    wrong = []
    # The visibility of a stream changes nothing for calls that name none.
    for call in (each for each in calls if visibility == "private" or "_id}" in each[2] or each[0] in WATCHING):
        await call_redis(client, "FLUSHALL")
        for who in sorted(ALL):
            body = {"model": "demo", "input": "x", "background": True, "manycast": {"visibility": visibility}}
            begun = await http.post("/v1/responses", json=body, headers=bearer(authenticator.secret))
            stream_id = begun.headers["x-stream-id"]
            control = begun.headers["x-stream-ticket"]
            asked = sessions.get(who) or await ask_as(http, authenticator, who, stream_id, control)
            admitted = (UNLISTED if visibility == "unlisted" else {}).get(call[0], ADMITTED[call[0]])
            if await is_refused(http, call, asked, stream_id) == (who in admitted):
                wrong.append((call[0], who, "refused" if who in admitted else "admitted"))
    assert wrong == []
