"""A person's browser: signed in by a password or a key, known by a cookie, of no use to other sites."""

from contextlib import closing

import httpx2

from tests.broker import Broker
from tests.gateway.access.conftest import BODY, PASSWORD, SIGNING, Door, code
from tests.stack import Gateway


async def sign_in(http: httpx2.AsyncClient, secret: str = PASSWORD, **headers: str) -> httpx2.Response:
    return await http.post("/v1/session", json={"secret": secret}, headers=headers)


async def test_a_password_opens_and_signing_out_closes(http: httpx2.AsyncClient) -> None:
    before = (await http.get("/v1/session")).json()
    assert (before["caller"], before["may_start"], before["sign_in"]) == (None, False, True)
    assert "sign in" in before["message"]
    answer = await sign_in(http)
    told = {"caller": "person", "may_start": True, "sign_in": False, "message": None, "share_url": None}
    assert answer.json() == told
    assert (await http.get("/v1/session")).json() == answer.json()
    assert (await http.post("/v1/streams", json=BODY)).status_code == 201
    assert (await http.delete("/v1/session")).status_code == 204
    assert code(await http.post("/v1/streams", json=BODY)) == (401, "missing_api_key")


async def test_a_key_opens_a_session_of_its_own_name(http: httpx2.AsyncClient, authenticator: Door) -> None:
    assert (await sign_in(http, authenticator.secret)).json()["caller"] == "key:team"


async def test_a_cookie_is_out_of_reach_of_scripts_and_other_sites(http: httpx2.AsyncClient) -> None:
    flags = (await sign_in(http)).headers["set-cookie"].lower()
    assert all(flag in flags for flag in ("httponly", "samesite=strict", "path=/;", "max-age=43200"))
    assert "secure" not in flags
    for headers in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert code(await http.post("/v1/streams", json=BODY, headers=headers)) == (403, "cross_site")
        assert code(await http.delete("/v1/session", headers=headers)) == (403, "cross_site")
        assert code(await sign_in(http, **headers)) == (403, "cross_site")
    for headers in ({"Origin": str(http.base_url)}, {"Sec-Fetch-Site": "same-origin"}):
        assert (await http.post("/v1/streams", json=BODY, headers=headers)).status_code == 201
    assert "secure" in (await sign_in(http, **{"X-Forwarded-Proto": "https"})).headers["set-cookie"].lower()


async def test_a_cookie_that_is_none_of_ours_is_no_session(http: httpx2.AsyncClient) -> None:
    cookie = (await sign_in(http)).cookies["manycast_session"]
    http.cookies.clear()
    for wrong in ("", "x", cookie[:-2], cookie.replace(".", ".x", 1), "eyJhbGciOiJub25lIn0.e30."):
        refused = await http.post("/v1/streams", json=BODY, headers={"Cookie": f"manycast_session={wrong}"})
        assert code(refused) == (401, "missing_api_key")
    stream = await http.post("/v1/streams", json=BODY, headers={"Cookie": f"manycast_session={cookie}"})
    assert stream.status_code == 201


async def test_a_session_is_good_at_every_gateway_until_the_password_changes(
    http: httpx2.AsyncClient, broker: Broker
) -> None:
    cookie = {"Cookie": f"manycast_session={(await sign_in(http)).cookies['manycast_session']}"}
    for password, status in ((PASSWORD, 201), ("another password", 401)):
        gateway = Gateway(broker.url, MANYCAST_PASSWORD=password, MANYCAST_SIGNING_KEYS=SIGNING)
        try:
            async with httpx2.AsyncClient(base_url=gateway.url) as other:
                assert (await other.post("/v1/streams", json=BODY, headers=cookie)).status_code == status
        finally:
            gateway.close()


async def test_a_wrong_password_is_refused_and_cannot_be_tried_for_ever(http: httpx2.AsyncClient) -> None:
    for _ in range(10):
        assert code(await sign_in(http, "wrong")) == (401, "wrong_secret")
    refused = await sign_in(http)
    assert code(refused) == (429, "rate_limit_exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 6
    # Another address is not made to wait for it.
    assert (await sign_in(http, **{"X-Forwarded-For": "203.0.113.7"})).status_code == 200


async def test_what_is_no_secret_at_all_is_a_bad_request(http: httpx2.AsyncClient) -> None:
    for body in ({}, {"secret": ""}, {"secret": 1}, {"secret": "x" * 1025}):
        assert code(await http.post("/v1/session", json=body)) == (400, "invalid_value")
    assert code(await http.post("/v1/session", content=b"{")) == (400, "invalid_json")


async def test_attempts_are_counted_before_anything_of_them_is_read(http: httpx2.AsyncClient) -> None:
    codes = [code(await http.post("/v1/session", content=b"{" * 100)) for _ in range(10)]
    assert set(codes) == {(400, "invalid_json")}
    assert code(await sign_in(http)) == (429, "rate_limit_exceeded")


async def test_a_secret_is_no_longer_than_a_few_lines(http: httpx2.AsyncClient) -> None:
    assert code(await http.post("/v1/session", content=b" " * 10_000)) == (413, "body_too_large")


async def test_where_only_this_machine_may_start_runs_the_page_is_told_so(local_http: httpx2.AsyncClient) -> None:
    told = (await local_http.get("/v1/session")).json()
    assert (told["caller"], told["may_start"], told["sign_in"]) == (None, True, False)
    assert "Only this computer" in told["message"]
    told = (await local_http.get("/v1/session", headers={"X-Forwarded-For": "203.0.113.7"})).json()
    assert (told["may_start"], told["sign_in"]) == (False, False)
    assert code(await local_http.post("/v1/session", json={"secret": "x"})) == (401, "wrong_secret")


async def test_only_a_page_at_an_address_of_this_computer_is_told_the_one_for_other_devices(broker: Broker) -> None:
    with closing(Gateway(broker.url, MANYCAST_SHARE_URL="http://192.168.1.20:8000")) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            assert (await http.get("/v1/session")).json()["share_url"] == "http://192.168.1.20:8000/"
            far = await http.get("/v1/session", headers={"Host": "chat.example.com"})
            assert far.json()["share_url"] is None


async def test_a_copied_cookie_opens_no_more_after_its_owner_has_signed_out(
    http: httpx2.AsyncClient, broker: Broker
) -> None:
    copied = {"Cookie": f"manycast_session={(await sign_in(http)).cookies['manycast_session']}"}
    http.cookies.clear()
    kept = {"Cookie": f"manycast_session={(await sign_in(http)).cookies['manycast_session']}"}
    http.cookies.clear()
    assert (await http.post("/v1/streams", json=BODY, headers=copied)).status_code == 201
    assert (await http.delete("/v1/session", headers=copied)).status_code == 204
    with closing(Gateway(broker.url, MANYCAST_PASSWORD=PASSWORD, MANYCAST_SIGNING_KEYS=SIGNING)) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as other:
            for client in (http, other):
                assert code(await client.post("/v1/streams", json=BODY, headers=copied)) == (401, "missing_api_key")
                assert (await client.post("/v1/streams", json=BODY, headers=kept)).status_code == 201
    assert (await http.delete("/v1/session", headers={"Cookie": "manycast_session=x"})).status_code == 204


async def test_over_https_no_other_host_can_set_the_cookie(http: httpx2.AsyncClient) -> None:
    https = {"X-Forwarded-Proto": "https"}
    line = (await sign_in(http, **https)).headers["set-cookie"]
    name, _, value = line.partition(";")[0].partition("=")
    assert name == "__Host-manycast_session"
    assert "path=/;" in line.lower()
    assert "secure" in line.lower()
    assert "domain" not in line.lower()
    http.cookies.clear()
    assert (await http.get("/v1/session", headers=https | {"Cookie": f"{name}={value}"})).json()["may_start"]
    planted = https | {"Cookie": f"manycast_session={value}"}
    assert not (await http.get("/v1/session", headers=planted)).json()["may_start"]


async def test_under_a_path_prefix_the_cookie_stays_with_the_application(http: httpx2.AsyncClient) -> None:
    proxy = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/llm"}
    line = (await sign_in(http, **proxy)).headers["set-cookie"]
    name, _, value = line.partition(";")[0].partition("=")
    assert name == "__Secure-manycast_session"
    assert "path=/llm;" in line.lower()
    http.cookies.clear()
    assert (await http.get("/v1/session", headers=proxy | {"Cookie": f"{name}={value}"})).json()["may_start"]
