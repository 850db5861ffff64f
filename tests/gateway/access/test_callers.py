"""Who may start a run: by key, by session, by a proxy's word, or by being here. And everyone who may not."""

import asyncio
from contextlib import closing

import httpx2
import pytest

from contract.connection import Client, call_redis
from gateway.access.api_keys import make_key
from tests.broker import Broker
from tests.gateway.access.conftest import BODY, PASSWORD, PRIVATE, Door, bearer, code, lines
from tests.redis_keys import JOBS
from tests.stack import Gateway
from tests.viewers import Response, read_events, until

STARTS = [
    ("/v1/streams", BODY),
    ("/v1/chat/completions", {**BODY, "stream": True}),
    (
        "/api/chat",
        {"id": "c", "model": "demo", "messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}]},
    ),
]


async def queued(client: Client) -> int:
    count: int = await call_redis(client, "XLEN", JOBS)
    return count


@pytest.mark.parametrize(("path", "body"), STARTS)
async def test_nothing_is_started_without_a_right_key(
    http: httpx2.AsyncClient, client: Client, authenticator: Door, path: str, body: dict[str, object]
) -> None:
    assert code(await http.post(path, json=body)) == (401, "missing_api_key")
    for wrong in (
        authenticator.secret[:-1],
        authenticator.secret + "x",
        make_key("team")[0],
        "sk-anything",
        "mc-",
        "mc-00000000-x",
    ):
        assert code(await http.post(path, json=body, headers=bearer(wrong))) == (401, "invalid_api_key")
    send_one = "To ask questions here, send an API key or sign in."
    for malformed, words in (
        (f"Basic {authenticator.secret}", send_one),
        (authenticator.secret, "Send the API key behind the word Bearer: 'Authorization: Bearer mc-…'."),
        ("Bearer", send_one),
    ):
        refused = await http.post(path, json=body, headers={"Authorization": malformed})
        assert code(refused) == (401, "missing_api_key")
        assert refused.json()["error"]["message"] == words
    assert refused.headers["www-authenticate"] == "Bearer"
    assert await queued(client) == 0


async def test_a_stranger_is_refused_before_its_body_is_read(http: httpx2.AsyncClient) -> None:
    assert code(await http.post("/v1/streams", content=b"not JSON")) == (401, "missing_api_key")


async def test_a_right_key_starts_runs(http: httpx2.AsyncClient, client: Client, key: dict[str, str]) -> None:
    assert (await http.post("/v1/streams", json=BODY, headers=key)).status_code == 201
    assert await queued(client) == 1


async def test_a_key_that_is_taken_out_of_the_file_opens_no_more(
    broker: Broker, client: Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret, made = make_key("team")
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(lines(made))
    with closing(Gateway(broker.url, MANYCAST_KEYS_FILE=str(file))) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            assert (await http.post("/v1/streams", json=BODY, headers=bearer(secret))).status_code == 201
            answer = await http.post("/v1/session", json={"secret": secret})
            assert answer.json()["caller"] == "key:team"
            assert (await http.post("/v1/streams", json=BODY)).status_code == 201
            file.write_text("")
            assert code(await http.post("/v1/streams", json=BODY, headers=bearer(secret))) == (401, "invalid_api_key")
            # The session that it began is over with it.
            assert code(await http.post("/v1/streams", json=BODY)) == (401, "missing_api_key")


async def test_a_new_key_with_the_name_of_an_old_one_does_not_own_its_runs(
    broker: Broker, client: Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (old, old_line), (new, new_line) = make_key("team"), make_key("team")
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(lines(old_line))
    with closing(Gateway(broker.url, MANYCAST_KEYS_FILE=str(file), MANYCAST_LIST_RUNS="true")) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            path = f"/v1/streams/{(await http.post('/v1/streams', json=PRIVATE, headers=bearer(old))).json()['id']}"
            cookies = {"Cookie": f"manycast_session={await session_of(http, old)}"}
            assert (await http.get(path, headers=bearer(old))).status_code == 200
            file.write_text(lines(new_line))
            assert code(await http.get(path, headers=bearer(new))) == (403, "ticket_missing")
            assert (await http.get("/v1/streams", headers=bearer(new))).json()["data"] == []
            assert code(await http.get(path, headers=cookies)) == (403, "ticket_missing")
            file.write_text(lines(old_line.model_copy(update={"name": "renamed"})))
            assert (await http.get(path, headers=bearer(old))).status_code == 200


async def session_of(http: httpx2.AsyncClient, secret: str) -> str:
    """The cookie of a new session. The client does not keep it."""
    cookie = (await http.post("/v1/session", json={"secret": secret})).cookies["manycast_session"]
    http.cookies.clear()
    return cookie


@pytest.mark.parametrize("withdrawal", ["the key", "the key of the session", "signing out"])
async def test_who_watches_by_a_withdrawn_key_or_session_is_sent_away_and_nobody_else(
    broker: Broker, client: Client, tmp_path_factory: pytest.TempPathFactory, withdrawal: str
) -> None:
    (gone, gone_line), (kept, kept_line) = make_key("gone"), make_key("kept")
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(lines(gone_line, kept_line))
    with closing(Gateway(broker.url, MANYCAST_KEYS_FILE=str(file))) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
            headers = {"Cookie": f"manycast_session={await session_of(http, gone)}"}
            if withdrawal == "the key":
                headers = bearer(gone)
            ids = [
                (await http.post("/v1/streams", json=PRIVATE, headers=bearer(secret))).json()["id"]
                for secret in (gone, kept)
            ]
            sent_away, other = Response(), Response()
            async with (
                httpx2.AsyncClient(headers=headers, timeout=60) as first,
                httpx2.AsyncClient(headers=bearer(kept), timeout=20) as second,
            ):
                watching = [
                    asyncio.create_task(read_events(each, f"{gateway.url}/v1/streams/{run}/events", response=response))
                    for each, run, response in ((first, ids[0], sent_away), (second, ids[1], other))
                ]
                await until(lambda: bool(sent_away.states and other.states))
                if withdrawal == "signing out":
                    await http.delete("/v1/session", headers=headers)
                else:
                    file.write_text(lines(kept_line))
                async with asyncio.timeout(60):
                    await watching[0]
                assert not sent_away.logged
                refused = await http.get(f"/v1/streams/{ids[0]}", headers=headers)
                assert code(refused) == (403, "ticket_missing")
                await http.post(f"/v1/streams/{ids[1]}/cancel", headers=bearer(kept))
                await watching[1]
            assert other.done["status"] == "cancelled"


async def test_a_key_may_use_the_models_it_names(broker: Broker, client: Client) -> None:
    secret, made = make_key("team", models=["demo", "gpt-*"])
    with closing(Gateway(broker.url, MANYCAST_KEYS=lines(made))) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url, headers=bearer(secret)) as http:
            assert (await http.post("/v1/streams", json=BODY)).status_code == 201
            refused = await http.post("/v1/streams", json={**BODY, "model": "other"})
            assert code(refused) == (403, "model_not_allowed")
            nameless = {name: value for name, value in BODY.items() if name != "model"}
            refused = await http.post("/v1/streams", json=nameless)
            assert code(refused) == (403, "model_not_allowed")
            assert refused.json()["error"]["message"].startswith("This key may not use the default model.")


async def test_an_idempotency_key_belongs_to_its_caller(
    http: httpx2.AsyncClient, key: dict[str, str], other_key: dict[str, str]
) -> None:
    once = {"Idempotency-Key": "1"}
    first = (await http.post("/v1/streams", json=BODY, headers=key | once)).json()["id"]
    again = await http.post("/v1/streams", json=BODY, headers=key | once)
    other = await http.post("/v1/streams", json=BODY, headers=other_key | once)
    assert (again.status_code, again.json()["id"]) == (200, first)
    assert other.status_code == 201
    assert other.json()["id"] != first


async def test_a_chat_belongs_to_its_caller(
    http: httpx2.AsyncClient, client: Client, key: dict[str, str], other_key: dict[str, str]
) -> None:
    _, body = STARTS[2]
    async with http.stream("POST", "/api/chat", json=body, headers=key) as answer:
        stream_id = answer.headers["x-stream-id"]
    assert (await http.get("/api/chat/c/stream", headers=other_key)).status_code == 204
    assert (await http.get("/api/chat/c/messages", headers=other_key)).json()["messages"] == []
    assert len((await http.get("/api/chat/c/messages", headers=key)).json()["messages"]) == 1
    assert (await http.delete("/api/chat/c/stream", headers=other_key)).status_code == 204
    assert code(await http.get("/api/chat/c/stream")) == (401, "missing_api_key")
    assert code(await http.get("/api/chat/c/messages")) == (401, "missing_api_key")
    assert code(await http.delete("/api/chat/c/stream")) == (401, "missing_api_key")
    assert (await http.get(f"/v1/streams/{stream_id}")).json()["status"] == "queued"
    assert (await http.delete("/api/chat/c/stream", headers=key)).status_code == 204
    assert (await http.get(f"/v1/streams/{stream_id}")).json()["status"] == "cancelled"


async def test_runs_are_listed_to_those_who_started_them(
    http: httpx2.AsyncClient, key: dict[str, str], other_key: dict[str, str]
) -> None:
    mine = (await http.post("/v1/streams", json=BODY, headers=key)).json()["id"]
    theirs = (await http.post("/v1/streams", json=BODY, headers=other_key)).json()["id"]

    async def listed(headers: dict[str, str]) -> list[str]:
        return [run["id"] for run in (await http.get("/v1/streams", headers=headers)).json()["data"]]

    assert code(await http.get("/v1/streams")) == (401, "missing_api_key")
    assert await listed(key) == [mine]
    assert await listed(other_key) == [theirs]
    await http.post("/v1/session", json={"secret": PASSWORD})
    assert await listed({}) == [theirs, mine]


async def test_others_runs_take_no_room_in_the_list_and_private_prompts_are_their_owners(
    http: httpx2.AsyncClient, key: dict[str, str], other_key: dict[str, str]
) -> None:
    mine = (await http.post("/v1/streams", json=PRIVATE, headers=key)).json()["id"]
    for _ in range(3):
        await http.post("/v1/streams", json=BODY, headers=other_key)
    (run,) = (await http.get("/v1/streams?limit=1", headers=key)).json()["data"]
    assert (run["id"], run["prompt"]) == (mine, "Why?")
    await http.post("/v1/session", json={"secret": PASSWORD})
    seen = (await http.get("/v1/streams")).json()["data"]
    assert [run["prompt"] for run in seen] == ["Why?", "Why?", "Why?", ""]


async def test_models_are_for_everyone_but_a_wrong_key_is_told(http: httpx2.AsyncClient, key: dict[str, str]) -> None:
    assert (await http.get("/v1/models")).status_code == 200
    assert (await http.get("/v1/models", headers=key)).status_code == 200
    assert code(await http.get("/v1/models", headers=bearer("mc-wrong"))) == (401, "invalid_api_key")


async def test_a_proxy_names_a_user_and_a_stranger_does_not(http: httpx2.AsyncClient, client: Client) -> None:
    named = {"X-Forwarded-User": "ada"}
    stream_id = (await http.post("/v1/streams", json=BODY, headers=named)).json()["id"]
    cancel = f"/v1/streams/{stream_id}/cancel"
    assert code(await http.post(cancel, headers={"X-Forwarded-User": "bob"})) == (403, "ticket_missing")
    assert (await http.post(cancel, headers=named)).json()["status"] == "cancelled"


async def test_a_users_name_counts_only_where_it_is_set_up_and_from_a_listed_proxy(
    broker: Broker, client: Client
) -> None:
    named = {"X-Forwarded-User": "ada"}
    for settings in ({"MANYCAST_PASSWORD": "x" * 12}, {"MANYCAST_USER_HEADER": "1", "MANYCAST_HOSTS": "127.0.0.1"}):
        with closing(Gateway(broker.url, **settings)) as gateway:
            async with httpx2.AsyncClient(base_url=gateway.url) as http:
                assert code(await http.post("/v1/streams", json=BODY, headers=named)) == (401, "missing_api_key")


# Where nothing is set up


async def test_without_any_key_this_machine_may_start_runs_and_sdks_may_send_what_they_like(
    local: Gateway, client: Client
) -> None:
    async with httpx2.AsyncClient(base_url=local.url) as http:
        assert (await http.post("/v1/streams", json=BODY)).status_code == 201
        assert (await http.post("/v1/streams", json=BODY, headers=bearer("sk-any"))).status_code == 201
        assert (await http.post("/v1/streams", json=BODY, headers=bearer("mc-any"))).status_code == 201
    assert "Only this computer can ask questions" in local.output


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"X-Forwarded-For": "203.0.113.7"}, "not_this_machine"),
        ({"X-Forwarded-For": "127.0.0.1"}, "not_this_machine"),
        ({"Host": "evil.example"}, "not_this_machine"),
        ({"Origin": "https://evil.example"}, "cross_site"),
        ({"Sec-Fetch-Site": "cross-site"}, "cross_site"),
        ({"Origin": "null"}, "cross_site"),
    ],
)
async def test_without_any_key_nobody_else_may(
    local: Gateway, client: Client, headers: dict[str, str], why: str
) -> None:
    async with httpx2.AsyncClient(base_url=local.url) as http:
        for path, body in STARTS:
            assert code(await http.post(path, json=body, headers=headers)) == (403, why)
    assert await queued(client) == 0


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_without_any_key_a_page_of_another_site_reads_nothing_and_ours_reads_all(
    local: Gateway, client: Client, origin: str
) -> None:
    async with httpx2.AsyncClient(base_url=local.url, timeout=60) as http:
        run = (await http.post("/v1/streams", json=BODY)).json()["id"]
        paths = ("/v1/models", f"/v1/streams/{run}", f"/v1/streams/{run}/events", "/v1/session", "/metrics", "/readyz")
        for path in paths:
            for headers in ({"Origin": origin}, {"Origin": origin, "Sec-Fetch-Site": "cross-site"}):
                assert code(await http.get(path, headers=headers)) == (403, "cross_site"), path
        for headers in ({"Origin": local.url}, {"Origin": local.url, "Sec-Fetch-Site": "same-origin"}):
            assert (await http.get(f"/v1/streams/{run}", headers=headers)).status_code == 200
        # A link on another site.
        assert (await http.get("/v1/models", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200


async def test_a_published_gateway_does_not_take_for_near_what_another_proxy_has_passed_on(
    broker: Broker, client: Client
) -> None:
    settings = {"MANYCAST_PUBLISHED_ON": "127.0.0.1", "MANYCAST_TRUSTED_PROXIES": "*"}
    with closing(Gateway(broker.url, **settings)) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            for header in ("Forwarded", "X-Real-IP", "CF-Connecting-IP"):
                refused = await http.post("/v1/streams", json=BODY, headers={header: "203.0.113.7"})
                assert code(refused) == (403, "not_this_machine")


async def test_a_gateway_that_is_published_elsewhere_does_not_take_its_proxy_for_this_machine(
    broker: Broker, client: Client
) -> None:
    elsewhere = ("0.0.0.0", "chat.example.com", "0.0.0.0,127.0.0.1")
    for published, status in (("127.0.0.1", 201), *((each, 403) for each in elsewhere)):
        settings = {"MANYCAST_PUBLISHED_ON": published, "MANYCAST_TRUSTED_PROXIES": "*"}
        with closing(Gateway(broker.url, **settings)) as gateway:
            async with httpx2.AsyncClient(base_url=gateway.url) as http:
                answer = await http.post("/v1/streams", json=BODY, headers={"X-Forwarded-For": "172.18.0.1"})
                assert answer.status_code == status
