"""How much somebody may ask for: requests a minute, runs at once; told as OpenAI tells it, and fair to the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.event import Status
from contract.questions import Questions
from contract.settings import MalformedSettingError, read_settings
from gateway.access.api_keys import make_key
from gateway.settings import Settings
from tests.author import open_run
from tests.broker import Broker
from tests.gateway.access.conftest import BODY, PASSWORD, bearer, code, lines
from tests.gateway.fanout.recording import attempt, chunk_of, done
from tests.stack import Gateway

PER_MINUTE = 20
AT_ONCE = 3


Limited = tuple[list[httpx2.AsyncClient], dict[str, dict[str, str]]]
"""A client of each gateway, and the headers by the name of the key."""


@pytest.fixture
async def limited(broker: Broker, client: Client) -> AsyncIterator[Limited]:
    """Two gateways with the same keys, and the headers that the holder of each key sends."""
    made = {
        "a": make_key("a", requests_per_minute=PER_MINUTE, runs_at_once=0),
        "b": make_key("b", requests_per_minute=PER_MINUTE, runs_at_once=0),
        "few": make_key("few", requests_per_minute=0, runs_at_once=AT_ONCE),
        "free": make_key("free", requests_per_minute=0, runs_at_once=0),
    }
    settings = {"MANYCAST_KEYS": lines(*(key for _, key in made.values())), "MANYCAST_REQUESTS_PER_MINUTE": "5"}
    with closing(Gateway(broker.url, **settings)) as one, closing(Gateway(broker.url, **settings)) as two:
        # A hundred connections at once on a busy machine: this is a deadline, not an expectation.
        async with (
            httpx2.AsyncClient(base_url=one.url, timeout=60.0) as first,
            httpx2.AsyncClient(base_url=two.url, timeout=60.0) as second,
        ):
            yield [first, second], {name: bearer(secret) for name, (secret, _) in made.items()}


async def flood(gateways: list[httpx2.AsyncClient], headers: dict[str, str], count: int) -> list[httpx2.Response]:
    asked = (gateways[at % 2].post("/v1/streams", json=BODY, headers=headers) for at in range(count))
    return await asyncio.gather(*asked)


async def test_two_keys_that_flood_get_the_same_share_over_all_gateways(limited: Limited) -> None:
    gateways, keys = limited
    floods = await asyncio.gather(flood(gateways, keys["a"], 60), flood(gateways, keys["b"], 60))
    for answers in floods:
        started = [answer for answer in answers if answer.status_code == 201]
        # What comes back while they flood is some more, and no key's share grows by the other's.
        assert PER_MINUTE <= len(started) <= PER_MINUTE + 5
        for answer in answers:
            assert answer.headers["x-ratelimit-limit-requests"] == str(PER_MINUTE)
            assert int(answer.headers["x-ratelimit-remaining-requests"]) < PER_MINUTE
            assert answer.headers["x-ratelimit-reset-requests"].endswith("s")
        refused = next(answer for answer in answers if answer.status_code != 201)
        assert code(refused) == (429, "rate_limit_exceeded")
        assert 1 <= int(refused.headers["retry-after"]) <= 3


async def test_a_key_without_limits_is_told_of_none(limited: Limited) -> None:
    gateways, keys = limited
    answers = await flood(gateways, keys["free"], 40)
    assert {answer.status_code for answer in answers} == {201}
    assert not any("x-ratelimit-limit-requests" in answer.headers for answer in answers)


async def test_a_key_has_no_more_runs_at_once_than_it_may(limited: Limited) -> None:
    gateways, keys = limited
    answers = await flood(gateways, keys["few"], 10)
    started = [answer.json() for answer in answers if answer.status_code == 201]
    assert len(started) == AT_ONCE
    refused = next(answer for answer in answers if answer.status_code != 201)
    assert code(refused) == (429, "too_many_runs")
    assert int(refused.headers["retry-after"]) > 0
    assert (await gateways[0].post(started[0]["urls"]["cancel"])).json()["status"] == "cancelled"
    assert (await gateways[1].post("/v1/streams", json=BODY, headers=keys["few"])).status_code == 201


async def test_people_have_no_more_runs_at_once_than_they_may(broker: Broker, client: Client) -> None:
    settings = {
        "MANYCAST_PASSWORD": PASSWORD,
        "MANYCAST_USER_HEADER": "true",
        "MANYCAST_TRUSTED_PROXIES": "127.0.0.1",
        "MANYCAST_HOSTS": "127.0.0.1",
        "MANYCAST_RUNS_AT_ONCE": "2",
    }
    with closing(Gateway(broker.url, **settings)) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            for user in ("ada", "bob"):
                answers = [await http.post("/v1/streams", json=BODY, headers={"X-Forwarded-User": user}) for _ in "123"]
                assert [answer.status_code for answer in answers] == [201, 201, 429]
                assert code(answers[-1]) == (429, "too_many_runs")
            await http.post("/v1/session", json={"secret": PASSWORD})
            answers = [await http.post("/v1/streams", json=BODY) for _ in "123"]
            assert [answer.status_code for answer in answers] == [201, 201, 429]


async def test_a_key_cannot_fill_redis_and_nobody_can_fill_it_whole(broker: Broker, client: Client) -> None:
    (secret, made), (other, other_made) = make_key("team"), make_key("other")
    settings = {"MANYCAST_KEYS": lines(made, other_made), "MANYCAST_CALLER_LIMIT_BYTES": "150000"}
    large = {"model": "demo", "messages": [{"role": "user", "content": "m" * 100_000}]}
    with closing(Gateway(broker.url, **settings)) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            assert (await http.post("/v1/streams", json=large, headers=bearer(secret))).status_code == 201
            refused = await http.post("/v1/streams", json=large, headers=bearer(secret))
            assert code(refused) == (429, "storage_limit_exceeded")
            assert int(refused.headers["retry-after"]) > 0
            assert (await http.post("/v1/streams", json=large, headers=bearer(other))).status_code == 201
            # So much that the buffers of Redis, which come and go, do not matter.
            await call_redis(client, "SETRANGE", "ballast", 40_000_000, "x")
            used = (await call_redis(client, "INFO", "memory"))["used_memory"]
            await call_redis(client, "CONFIG", "SET", "maxmemory", used * 100 // 85)
            try:
                refused = await http.post("/v1/streams", json=BODY, headers=bearer(other))
            finally:
                await call_redis(client, "CONFIG", "SET", "maxmemory", 0)
                await call_redis(client, "DEL", "ballast")
            assert code(refused) == (503, "storage_full")
            assert int(refused.headers["retry-after"]) > 0
            assert (await http.post("/v1/streams", json=BODY, headers=bearer(other))).status_code == 201


async def test_a_missing_right_in_redis_is_not_taken_for_a_full_database(broker: Broker, client: Client) -> None:
    secret, made = make_key("team", runs_at_once=AT_ONCE)
    await call_redis(client, "ACL", "SETUSER", "narrow", "reset", "on", ">pw", "~*", "&*", "+@all")
    url = broker.url.replace("redis://", "redis://narrow:pw@")
    with closing(Gateway(url, MANYCAST_KEYS=lines(made))) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            assert (await http.post("/v1/streams", json=BODY, headers=bearer(secret))).status_code == 201
            await call_redis(client, "ACL", "SETUSER", "narrow", "-zadd")
            for _ in range(5):
                refused = await http.post("/v1/streams", json=BODY, headers=bearer(secret))
                assert code(refused) == (503, "broker_unavailable")
        assert gateway.output.count("Redis refuses a command: this user of Redis lacks the right to ZADD") == 1
    await call_redis(client, "ACL", "DELUSER", "narrow")


async def test_an_sdk_is_told_by_the_headers_of_its_own_call(limited: Limited) -> None:
    gateways, keys = limited
    # Nobody works here: what is looked at is the refusal.
    await flood(gateways, keys["a"], PER_MINUTE)
    refused = await gateways[0].post("/v1/chat/completions", json=BODY, headers=keys["a"])
    assert code(refused) == (429, "rate_limit_exceeded")
    assert refused.json()["error"]["type"] == "requests"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


async def test_one_address_cannot_knock_for_ever(limited: Limited) -> None:
    gateways, _ = limited
    codes = [code(answer)[1] for answer in await flood(gateways, bearer("mc-wrong"), 12)]
    assert codes.count("invalid_api_key") in (5, 6)
    assert codes.count("rate_limit_exceeded") >= 6
    elsewhere = bearer("mc-wrong") | {"X-Forwarded-For": "203.0.113.7"}
    assert code(await gateways[0].post("/v1/streams", json=BODY, headers=elsewhere)) == (401, "invalid_api_key")


async def test_people_share_what_their_address_may(broker: Broker, client: Client) -> None:
    settings = {"MANYCAST_PASSWORD": PASSWORD, "MANYCAST_REQUESTS_PER_MINUTE": "5"}
    with closing(Gateway(broker.url, **settings)) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            await http.post("/v1/session", json={"secret": PASSWORD})
            answers = [await http.post("/v1/streams", json=BODY) for _ in range(8)]
    assert [answer.status_code for answer in answers].count(201) in (5, 6)
    assert answers[0].headers["x-ratelimit-limit-requests"] == "5"


async def guess(http: httpx2.AsyncClient, addresses: list[str]) -> list[str]:
    """The code of the answer to a wrong password from each of these addresses."""
    answers = await asyncio.gather(
        *(http.post("/v1/session", json={"secret": "wrong"}, headers={"X-Forwarded-For": each}) for each in addresses)
    )
    return [code(answer)[1] for answer in answers]


@pytest.mark.parametrize(
    ("near", "far"),
    [
        ([f"2001:db8:7:{number:x}::1" for number in range(40)], "2001:db8:8::1"),
        ([f"198.51.100.{number}" for number in range(40)], "198.51.101.1"),
    ],
    ids=["IPv6 /48", "IPv4 /24"],
)
async def test_a_network_guesses_no_more_than_it_may_from_all_its_addresses(
    broker: Broker, client: Client, near: list[str], far: str
) -> None:
    with closing(Gateway(broker.url, MANYCAST_PASSWORD=PASSWORD)) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
            codes = await guess(http, near)
            assert codes.count("rate_limit_exceeded") > 0
            assert codes.count("wrong_secret") >= 30
            assert await guess(http, [far]) == ["wrong_secret"]


async def test_all_networks_together_guess_no_more_than_the_limit(broker: Broker, client: Client) -> None:
    with closing(Gateway(broker.url, MANYCAST_PASSWORD=PASSWORD)) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
            codes: list[str] = []
            # Each from a network of its own. Tokens come back while this runs, so send until none is left.
            async with asyncio.timeout(60):
                while "rate_limit_exceeded" not in codes:
                    count = len(codes)
                    codes += await guess(
                        http, [f"10.{each // 250}.{each % 250}.1" for each in range(count, count + 50)]
                    )
            assert codes.count("wrong_secret") >= 300


def test_a_short_password_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYCAST_PASSWORD", "hunter2")
    with pytest.raises(MalformedSettingError, match=r"^MANYCAST_PASSWORD: it is shorter than 12 char") as caught:
        read_settings(Settings)
    assert "hunter2" not in str(caught.value)


# Reading completions


async def test_one_address_reads_only_so_many_completions_a_minute(broker: Broker, client: Client) -> None:
    secret, key = make_key("team")
    settings = {
        "MANYCAST_KEYS": key.model_dump_json(),
        "MANYCAST_TRUSTED_PROXIES": "127.0.0.1",
        "MANYCAST_COMPLETIONS_PER_MINUTE": "3",
    }
    async with open_run(broker.url) as run:
        await run.write([*attempt([chunk_of({"content": "all"})]), done()], Status.COMPLETED)
        path = f"/v1/streams/{run.stream_id}/completion"
        with closing(Gateway(broker.url, **settings)) as gateway:
            async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
                near, far = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}
                answers = [await http.get(path, headers=near) for _ in range(4)]
                assert [answer.status_code for answer in answers[:3]] == [200] * 3
                assert code(answers[3]) == (429, "rate_limit_exceeded")
                assert int(answers[3].headers["retry-after"]) > 0
                assert (await http.get(path, headers=far)).status_code == 200
                # What a browser has kept costs nothing.
                kept = await http.get(path, headers={**near, "If-None-Match": answers[0].headers["etag"]})
                assert kept.status_code == 304
                assert (await http.get(path, headers=bearer(secret))).status_code == 200


# Answers to scripts


async def test_a_key_and_an_address_answer_scripts_only_so_often_a_minute(broker: Broker, client: Client) -> None:
    """Starts of runs have a limit of their own, and everybody else may still answer."""
    (secret, key), (other, other_key) = make_key("a", requests_per_minute=3), make_key("b", requests_per_minute=3)
    settings = {
        "MANYCAST_KEYS": lines(key, other_key),
        "MANYCAST_PASSWORD": PASSWORD,
        "MANYCAST_TRUSTED_PROXIES": "127.0.0.1",
        "MANYCAST_HOSTS": "127.0.0.1",
        "MANYCAST_REQUESTS_PER_MINUTE": "3",
    }
    async with open_run(broker.url) as run:
        await Questions(client).ask(run.stream_id, 1, {"id": "1", "state": "asked", "question": "Sure?"}, "")
        with closing(Gateway(broker.url, **settings)) as gateway:
            async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
                await http.post("/v1/session", json={"secret": PASSWORD})
                cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in http.cookies.items())}
                http.cookies.clear()
                near, far = ({**cookie, "X-Forwarded-For": address} for address in ("203.0.113.7", "203.0.113.8"))
                for headers, others in ((bearer(secret), bearer(other)), (near, far)):
                    path = f"/v1/streams/{run.stream_id}/input"
                    answers = [await http.post(path, json={"id": "1", "value": "x"}, headers=headers) for _ in "1234"]
                    assert {answer.status_code for answer in answers[:3]} <= {200, 409}
                    assert code(answers[3]) == (429, "rate_limit_exceeded")
                    assert int(answers[3].headers["retry-after"]) > 0
                    elsewhere = await http.post(path, json={"id": "1", "value": "x"}, headers=others)
                    assert elsewhere.status_code in (200, 409)
                    started = await http.post("/v1/streams", json=BODY, headers=headers)
                    assert started.status_code == 201
                    assert started.headers["x-ratelimit-remaining-requests"] == "2"


async def test_on_this_computer_answers_have_no_limit(
    local_http: httpx2.AsyncClient, broker: Broker, client: Client
) -> None:
    async with open_run(broker.url) as run:
        for _ in range(70):
            answer = await local_http.post(f"/v1/streams/{run.stream_id}/input", json={"id": "1", "value": "x"})
            assert code(answer) == (404, "no_such_question")
