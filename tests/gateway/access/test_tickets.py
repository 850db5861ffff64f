"""Rights to one stream: given, handed on, exchanged for a cookie, revoked. And every ticket that must not open."""

import asyncio
import base64
import contextlib
import json
import re
import time
from typing import Any

import httpx2
import jwt
import pytest

from contract.connection import Client, call_redis
from contract.sse import FrameReader
from manycast.client.text_frame import TextFrame
from tests.gateway.access.conftest import BODY, PRIVATE, Door, bearer, code
from tests.gateway.joint import Joint, query, read_joint
from tests.redis_keys import stream_keys
from tests.viewers import Response, read_events, until

WATCHED = ("", "/events", "/completion")


async def start(http: httpx2.AsyncClient, key: dict[str, str], body: dict[str, Any] = PRIVATE) -> dict[str, Any]:
    answer = await http.post("/v1/streams", json=body, headers=key)
    assert answer.status_code == 201, answer.text
    run: dict[str, Any] = answer.json()
    return run


async def may_watch(http: httpx2.AsyncClient, run: dict[str, Any], **how: Any) -> bool:
    """Whether all ways to watch are open, or all are closed."""
    statuses = set()
    for path in WATCHED:
        method = "HEAD" if path == "/events" else "GET"
        statuses.add((await http.request(method, f"/v1/streams/{run['id']}{path}", **how)).status_code)
    assert statuses in ({200, 409}, {403})  # 409: it has not finished
    return 200 in statuses


async def ask_ticket(http: httpx2.AsyncClient, run: dict[str, Any], key: dict[str, str], **wish: Any) -> str:
    answer = await http.post(f"/v1/streams/{run['id']}/tickets", json=wish, headers=key)
    assert answer.status_code == 201, answer.text
    ticket: str = answer.json()["ticket"]
    return ticket


def read_expiry(ticket: str) -> int:
    """In Unix seconds."""
    expires_at: int = jwt.decode(ticket, options={"verify_signature": False})["exp"]
    return expires_at


async def test_a_private_stream_is_seen_by_its_owner_and_with_a_ticket(
    http: httpx2.AsyncClient, key: dict[str, str], other_key: dict[str, str]
) -> None:
    run = await start(http, key)
    assert run["visibility"] == "private"
    assert await may_watch(http, run, headers=key)
    assert not await may_watch(http, run)
    assert not await may_watch(http, run, headers=other_key)
    for ticket in run["tickets"].values():
        assert await may_watch(http, run, params={"ticket": ticket})
        assert await may_watch(http, run, headers=bearer(ticket))


async def test_the_urls_of_a_start_work_as_they_stand(http: httpx2.AsyncClient, key: dict[str, str]) -> None:
    for body in (BODY, PRIVATE):
        run = await start(http, key, body)
        urls = run["urls"]
        assert (await http.head(urls["events"])).status_code == 200
        assert (await http.get(urls["status"])).json()["visibility"] == run["visibility"]
        assert "ticket" not in str((await http.get(urls["status"])).json()["urls"])
        assert urls["page"].partition("#")[2].split(".")[0] == run["id"]
        assert (await http.post(urls["cancel"])).json() == {"id": run["id"], "status": "cancelled"}


async def test_an_unlisted_stream_is_seen_by_everyone_and_stopped_by_its_owner_alone(
    http: httpx2.AsyncClient, key: dict[str, str], other_key: dict[str, str]
) -> None:
    run = await start(http, key, BODY)
    assert await may_watch(http, run)
    cancel = f"/v1/streams/{run['id']}/cancel"
    assert code(await http.post(cancel)) == (403, "ticket_missing")
    assert code(await http.post(cancel, headers=other_key)) == (403, "ticket_missing")
    view = await ask_ticket(http, run, key)
    assert code(await http.post(cancel, headers=bearer(view))) == (403, "ticket_scope")
    assert (await http.post(cancel, headers=key)).json()["status"] == "cancelled"


async def test_who_may_only_view_neither_gives_nor_revokes_tickets(
    http: httpx2.AsyncClient, key: dict[str, str]
) -> None:
    run = await start(http, key)
    tickets = f"/v1/streams/{run['id']}/tickets"
    for method in ("POST", "DELETE"):
        assert code(await http.request(method, tickets)) == (403, "ticket_missing")
        assert code(await http.request(method, tickets, headers=bearer(run["tickets"]["view"]))) == (
            403,
            "ticket_scope",
        )
        assert (await http.request(method, tickets, headers=bearer(run["tickets"]["control"]))).status_code in (
            200,
            201,
        )


async def test_a_ticket_is_for_one_stream(http: httpx2.AsyncClient, key: dict[str, str]) -> None:
    run, other = await start(http, key), await start(http, key)
    for ticket in other["tickets"].values():
        assert code(await http.get(f"/v1/streams/{run['id']}", params={"ticket": ticket})) == (403, "ticket_invalid")
        cancel = f"/v1/streams/{run['id']}/cancel"
        assert code(await http.post(cancel, params={"ticket": ticket})) == (403, "ticket_invalid")


async def test_a_ticket_expires_at_its_time_and_not_before(http: httpx2.AsyncClient, key: dict[str, str]) -> None:
    run = await start(http, key)
    ticket = await ask_ticket(http, run, key, expires_in_s=1)
    async with asyncio.timeout(60):
        while (refused := await http.get(f"/v1/streams/{run['id']}", params={"ticket": ticket})).status_code == 200:
            pass
    assert code(refused) == (403, "ticket_expired")
    assert time.time() >= read_expiry(ticket)
    assert not await may_watch(http, run, params={"ticket": ticket})
    assert not await may_watch(http, run, headers={"Cookie": f"manycast_ticket={ticket}"})
    exchanged = await http.post(f"/v1/streams/{run['id']}/cookie", headers=bearer(ticket))
    assert code(exchanged) == (403, "ticket_expired")


def forge(run: dict[str, Any], secret: str = "n" * 40, headers: dict[str, str] | None = None, **claims: Any) -> str:
    """A ticket as the gateway makes them, but for what is given."""
    permission = {"sub": run["id"], "scope": "control", "revoked": 0, "aud": "manycast.ticket", "exp": time.time() + 60}
    what = {name: value for name, value in {**permission, **claims}.items() if value is not None}
    return jwt.encode(what, secret, "HS256", headers={"kid": "now"} if headers is None else headers)


def unsigned(run: dict[str, Any], algorithm: str) -> str:
    head, payload, _ = forge(run).split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": "now"}).encode()).decode().rstrip("=")
    return f"{head}.{payload}."


async def test_what_is_signed_by_another_or_not_at_all_opens_nothing(
    http: httpx2.AsyncClient, key: dict[str, str]
) -> None:
    run = await start(http, key)
    head, payload, signature = forge(run).split(".")
    view = await ask_ticket(http, run, key)
    forged = {
        "another secret": forge(run, "x" * 40),
        "another kid": forge(run, headers={"kid": "nobody"}),
        "no kid": forge(run, headers={}),
        "the other secret's kid": forge(run, "b" * 40),
        "alg none": unsigned(run, "none"),
        "alg None": unsigned(run, "None"),
        "alg HS512": unsigned(run, "HS512"),
        "alg RS256": unsigned(run, "RS256"),
        "no signature": f"{head}.{payload}.",
        "half a signature": f"{head}.{payload}.{signature[: len(signature) // 2]}",
        "another's signature": f"{head}.{payload}.{view.rpartition('.')[2]}",
        "a session": forge(run, aud="manycast.session"),
        "no audience": forge(run, aud=None),
        "no expiry": forge(run, exp=None),
        "no subject": forge(run, sub=None),
        "another scope": forge(run, scope="everything"),
        "no scope": forge(run, scope=None),
        "no count": forge(run, revoked=None),
        "ey": "ey",
        "garbage": "eyJ" + "x" * 200,
        "not ASCII": "eyé.é.é",
    }
    opened = [name for name, ticket in forged.items() if await may_watch(http, run, params={"ticket": ticket})]
    assert opened == []
    # The same, made as it should be: the test forges what would be taken.
    assert await may_watch(http, run, params={"ticket": forge(run)})
    assert await may_watch(http, run, params={"ticket": forge(run, "b" * 40, {"kid": "before"})})


async def test_a_revoked_ticket_stays_revoked_and_a_new_one_opens(
    http: httpx2.AsyncClient, key: dict[str, str]
) -> None:
    run = await start(http, key)
    tickets = f"/v1/streams/{run['id']}/tickets"
    old = [*run["tickets"].values(), await ask_ticket(http, run, key)]
    control = (await http.delete(tickets, headers=bearer(run["tickets"]["control"]))).json()["tickets"]["control"]
    for _ in range(2):
        for ticket in old:
            refused = await http.get(f"/v1/streams/{run['id']}", params={"ticket": ticket})
            assert code(refused) == (403, "ticket_revoked")
            assert code(await http.delete(tickets, headers=bearer(ticket))) == (403, "ticket_revoked")
    assert await may_watch(http, run, params={"ticket": control})
    assert await may_watch(http, run, params={"ticket": await ask_ticket(http, run, bearer(control))})


async def test_a_cookie_expires_with_the_ticket_it_was_exchanged_for(
    http: httpx2.AsyncClient, key: dict[str, str]
) -> None:
    run = await start(http, key)
    path = f"/v1/streams/{run['id']}"
    ticket = await ask_ticket(http, run, key, expires_in_s=60)
    kept = await http.post(f"{path}/cookie", headers=bearer(ticket))
    cookie = kept.cookies["manycast_ticket"]
    max_age = re.search(r"max-age=(\d+);", kept.headers["set-cookie"].lower())
    assert max_age is not None
    assert 0 < int(max_age[1]) <= 60
    assert read_expiry(cookie) == read_expiry(ticket)
    again = await http.post(f"{path}/cookie", headers=bearer(cookie))
    assert read_expiry(again.cookies["manycast_ticket"]) == read_expiry(ticket)


async def test_whoever_missed_that_its_ticket_was_revoked_is_sent_away_all_the_same(
    http: httpx2.AsyncClient, key: dict[str, str], authenticator: Door, client: Client
) -> None:
    run = await start(http, key)
    watched = Response()
    url = f"{authenticator.gateway.url}{run['urls']['events']}"
    watching = asyncio.create_task(read_events(http, url, response=watched))
    await until(lambda: bool(watched.states))
    # As if the notice had been published while the gateway's subscription was cut.
    await call_redis(client, "HINCRBY", stream_keys(run["id"]).meta, "revoked", 1)
    await call_redis(client, "CLIENT", "KILL", "TYPE", "pubsub")
    async with asyncio.timeout(60):
        await watching
    assert not watched.logged


async def test_whoever_comes_in_while_its_ticket_is_revoked_is_sent_away(
    http: httpx2.AsyncClient, key: dict[str, str], authenticator: Door
) -> None:
    for delay_ms in range(0, 24, 3):
        run = await start(http, key)
        coming = asyncio.create_task(read_events(http, f"{authenticator.gateway.url}{run['urls']['events']}"))
        await asyncio.sleep(delay_ms / 1000)  # somewhere between its check and its first event
        await http.delete(f"/v1/streams/{run['id']}/tickets", headers=key)
        async with asyncio.timeout(60):
            with contextlib.suppress(AssertionError):  # it came too late, and was refused
                await coming


async def test_revoking_sends_away_who_watches_by_a_ticket_and_nobody_else(
    http: httpx2.AsyncClient, key: dict[str, str], authenticator: Door
) -> None:
    run, other = await start(http, key), await start(http, key)
    path = f"{authenticator.gateway.url}/v1/streams/"
    by_ticket, by_key, elsewhere = Response(), Response(), Response()
    async with httpx2.AsyncClient(headers=key, timeout=60) as owner:
        watching = [
            asyncio.create_task(read_events(client, url, response=response))
            for client, url, response in (
                (http, f"{path}{run['id']}/events?ticket={run['tickets']['view']}", by_ticket),
                (owner, f"{path}{run['id']}/events", by_key),
                (http, f"{path}{other['id']}/events?ticket={other['tickets']['view']}", elsewhere),
            )
        ]
        await until(lambda: all(response.states for response in (by_ticket, by_key, elsewhere)))
        await owner.delete(f"{path}{run['id']}/tickets")
        async with asyncio.timeout(60):
            await watching[0]
        assert not by_ticket.logged
        for each in (run, other):
            await owner.post(f"{path}{each['id']}/cancel")
        await asyncio.gather(*watching[1:])
    assert (by_key.done["status"], elsewhere.done["status"]) == ("cancelled", "cancelled")


async def test_a_ticket_is_exchanged_for_a_cookie_of_that_stream_alone(
    http: httpx2.AsyncClient, key: dict[str, str], authenticator: Door
) -> None:
    run, other = await start(http, key), await start(http, key)
    async with httpx2.AsyncClient(base_url=authenticator.gateway.url) as browser:
        path = f"/v1/streams/{run['id']}"
        assert code(await browser.post(f"{path}/cookie")) == (403, "ticket_missing")
        kept = await browser.post(f"{path}/cookie", headers=bearer(run["tickets"]["view"]))
        assert kept.status_code == 204
        flags = kept.headers["set-cookie"].lower()
        assert all(flag in flags for flag in ("httponly", "samesite=strict", f"path={path}".lower(), "max-age="))
        assert "secure" not in flags  # this is plain HTTP
        assert await may_watch(browser, run)
        assert not await may_watch(browser, other)
        assert code(await browser.post(f"{path}/cancel")) == (403, "ticket_scope")
        assert (
            "secure"
            in (await browser.post(f"{path}/cookie", headers={"X-Forwarded-Proto": "https"}))
            .headers["set-cookie"]
            .lower()
        )
        await http.delete(f"{path}/tickets", headers=key)
        assert not await may_watch(browser, run)


async def test_a_cookie_is_no_use_to_another_site(
    http: httpx2.AsyncClient, key: dict[str, str], authenticator: Door
) -> None:
    run = await start(http, key)
    path = f"/v1/streams/{run['id']}"
    async with httpx2.AsyncClient(base_url=authenticator.gateway.url) as browser:
        await browser.post(f"{path}/cookie", headers=bearer(run["tickets"]["control"]))
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert code(await browser.post(f"{path}/cancel", headers=headers)) == (403, "cross_site")
        assert (await browser.post(f"{path}/cancel", headers={"Sec-Fetch-Site": "same-origin"})).status_code == 200


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"scope": "all"}, "scope"),
        ({"scope": []}, "scope"),
        ({"expires_in_s": 0}, "expires_in_s"),
        ({"expires_in_s": True}, "expires_in_s"),
        ({"expires_in_s": 10**9}, "expires_in_s"),
        ({"colour": 1}, "colour"),
    ],
)
async def test_a_wish_that_is_none_is_refused(
    http: httpx2.AsyncClient, key: dict[str, str], wish: dict[str, Any], param: str
) -> None:
    run = await start(http, key)
    answer = await http.post(f"/v1/streams/{run['id']}/tickets", json=wish, headers=key)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_stream_that_is_not_there_has_no_tickets(
    http: httpx2.AsyncClient, key: dict[str, str], client: Client
) -> None:
    for stream_id in ("p_nowhere_nowhere_nowhere", "s_nowhere_nowhere_nowhere"):
        path = f"/v1/streams/{stream_id}"
        for method, call in (("POST", "/tickets"), ("DELETE", "/tickets"), ("POST", "/cookie"), ("POST", "/cancel")):
            assert code(await http.request(method, path + call, headers=key)) == (404, "stream_not_found")
    assert code(await http.get("/v1/streams/p_nowhere_nowhere_nowhere/events")) == (404, "stream_not_found")


async def test_a_page_of_this_machine_needs_the_ticket_it_was_given(local_http: httpx2.AsyncClient) -> None:
    page = {"Sec-Fetch-Site": "same-origin"}
    run = (await local_http.post("/v1/streams", json=PRIVATE, headers=page)).json()
    assert not await may_watch(local_http, run, headers=page)
    assert code(await local_http.post(f"/v1/streams/{run['id']}/cancel", headers=page)) == (403, "ticket_missing")
    assert await may_watch(local_http, run, headers=page, params={"ticket": run["tickets"]["view"]})
    assert (await local_http.post(run["urls"]["cancel"], headers=page)).json()["status"] == "cancelled"


async def test_the_operator_of_this_machine_needs_none(local_http: httpx2.AsyncClient) -> None:
    run = (await local_http.post("/v1/streams", json=PRIVATE)).json()
    assert await may_watch(local_http, run)
    assert (await local_http.post(f"/v1/streams/{run['id']}/cancel")).json()["status"] == "cancelled"


async def test_gateways_without_keys_of_their_own_accept_each_others_tickets(
    local_http: httpx2.AsyncClient, another_local_http: httpx2.AsyncClient
) -> None:
    page = {"Sec-Fetch-Site": "same-origin"}
    run = (await local_http.post("/v1/streams", json=PRIVATE, headers=page)).json()
    assert await may_watch(another_local_http, run, headers=page, params={"ticket": run["tickets"]["view"]})


async def test_each_stream_of_a_joint_response_needs_its_own_right(
    http: httpx2.AsyncClient, key: dict[str, str], client: Client
) -> None:
    ours, foreign, public = await start(http, key), await start(http, key), await start(http, key, BODY)
    runs = [run["id"] for run in (ours, foreign, public)]
    other = await ask_ticket(http, foreign, key)
    for ways in (
        {"headers": {"X-Stream-Ticket": f"{ours['tickets']['view']}, {public['tickets']['control']}"}},
        {"in_url": f"&ticket={ours['tickets']['view']}&ticket={public['tickets']['control']}"},
    ):
        seen = await watch_a_moment(http, runs, **ways)
        assert seen.of(runs[1], "closed")[0]["error"]["code"] == "ticket_invalid"
        assert [bool(seen.of(run, "ping")) for run in runs] == [True, False, True]
    seen = await watch_a_moment(http, runs)
    assert [data["error"]["code"] for run in runs for data in seen.of(run, "closed")] == ["ticket_missing"] * 2
    seen = await watch_a_moment(http, runs, headers=key)
    assert [bool(seen.of(run, "ping")) for run in runs] == [True, True, True]
    seen = await watch_a_moment(http, runs, in_url=f"&ticket={other}x&ticket={ours['tickets']['view']}")
    assert [bool(seen.of(run, "ping")) for run in runs] == [True, False, True]


async def test_a_revoked_ticket_closes_its_stream_and_no_other(http: httpx2.AsyncClient, key: dict[str, str]) -> None:
    revoked, kept = await start(http, key), await start(http, key)
    seen = Joint([revoked["id"], kept["id"]])
    tickets = {"X-Stream-Ticket": f"{revoked['tickets']['view']},{kept['tickets']['view']}"}
    watching = asyncio.create_task(read_joint(http, "", seen, headers=tickets))
    await until(lambda: len([frame for frame in seen.frames if frame.event == "ping"]) == 2)
    await http.delete(f"/v1/streams/{revoked['id']}/tickets", headers=key)
    await until(lambda: seen.of(revoked["id"], "closed"))
    (closed,) = seen.of(revoked["id"], "closed")
    assert (closed["status"], closed["error"]["code"]) == (403, "ticket_revoked")
    await http.post(f"/v1/streams/{kept['id']}/cancel", headers=key)
    await watching
    assert seen.of(kept["id"], "done")[0]["status"] == "cancelled"
    assert (await read_joint(http, "", seen, headers=tickets)).status == 204


async def watch_a_moment(http: httpx2.AsyncClient, stream_ids: list[str], in_url: str = "", **ways: Any) -> Joint:
    """Watches streams until each of them has been answered with an event."""
    seen, reader = Joint(stream_ids), FrameReader()
    async with asyncio.timeout(60), http.stream("GET", query(stream_ids) + in_url, **ways) as answer:
        async for piece in answer.aiter_raw():
            for frame in reader.feed(piece):
                seen.take(TextFrame.decode(frame))
            if all(seen.of(each, "ping") or seen.of(each, "closed") for each in stream_ids):
                break
    return seen


async def test_a_ticket_makes_none_that_outlives_it(http: httpx2.AsyncClient, key: dict[str, str]) -> None:
    run = await start(http, key)
    brief = await ask_ticket(http, run, key, scope="control", expires_in_s=60)
    for scope in ("view", "control"):
        assert read_expiry(await ask_ticket(http, run, bearer(brief), scope=scope, expires_in_s=3600)) <= read_expiry(
            brief
        )
    made = await ask_ticket(http, run, bearer(brief), expires_in_s=10)
    assert read_expiry(made) < read_expiry(brief)
    answer = await http.delete(f"/v1/streams/{run['id']}/tickets", headers=bearer(brief))
    assert read_expiry(answer.json()["tickets"]["control"]) <= read_expiry(brief)
    assert read_expiry(await ask_ticket(http, run, key, scope="control", expires_in_s=3600)) > read_expiry(brief)
