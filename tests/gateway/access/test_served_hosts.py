"""A gateway that knows its names answers to no other: a page that points its own name here gets nothing."""

from contextlib import closing

import httpx2
import pytest

from contract.settings import MalformedSettingError, read_settings
from gateway.access.served_hosts import MalformedHostError, ServedHosts
from gateway.settings import Settings
from tests.broker import Broker
from tests.gateway.access.conftest import BODY, code
from tests.stack import Gateway

NAMES = "chat.example.com, *.apps.example.com https://other.example:8443, [::1], 127.0.0.1"
SERVED = [
    *("chat.example.com", "CHAT.example.com:8443", "chat.example.com.", "a.apps.example.com", "a.b.apps.example.com:1"),
    *("other.example", "[::1]:8000", "[0:0:0:0:0:0:0:1]", "127.0.0.1:8000"),
]
FOREIGN = [
    *("", "evil.example", "example.com", "apps.example.com", "xapps.example.com", "chat.example.com.evil.example"),
    *("localhost", "127.0.0.2", "chat.example.com@evil.example", "[::1", "[::2]"),
]


@pytest.mark.parametrize("host", SERVED)
def test_a_name_that_is_listed_is_served(host: str) -> None:
    assert ServedHosts(NAMES).serves(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_a_name_that_is_not_listed_is_not_served(host: str) -> None:
    assert not ServedHosts(NAMES).serves(host)


@pytest.mark.parametrize("entry", ["*", "*.", "a*.example.com", "a.*.com", "*example.com", ":8080", "http://", "[::1"])
def test_an_entry_that_is_no_host_name_is_an_error(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MalformedHostError):
        ServedHosts(f"chat.example.com, {entry}")
    monkeypatch.setenv("MANYCAST_HOSTS", entry)
    with pytest.raises(MalformedSettingError, match=r"^MANYCAST_HOSTS="):
        read_settings(Settings)


@pytest.mark.parametrize("access", [{}, {"MANYCAST_USER_HEADER": "true", "MANYCAST_TRUSTED_PROXIES": "127.0.0.1"}])
async def test_a_page_that_points_its_name_here_gets_nothing(broker: Broker, access: dict[str, str]) -> None:
    with closing(Gateway(broker.url, MANYCAST_HOSTS="127.0.0.1, chat.example.com", **access)) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url, headers={"X-Forwarded-User": "alice"}) as http:
            rebound = {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}
            for refused in (
                await http.get("/v1/session", headers=rebound),
                await http.get("/v1/streams/s_x/events", headers=rebound),
                await http.post("/v1/streams", json=BODY, headers=rebound),
                await http.get("/metrics", headers=rebound),
            ):
                assert code(refused) == (421, "unknown_host")
                assert "evil.example" in refused.json()["error"]["message"]
                assert "MANYCAST_HOSTS" in refused.json()["error"]["message"]
            assert (await http.get("/healthz", headers=rebound)).status_code == 200
            served = await http.get("/v1/session", headers={"Host": "chat.example.com"})
            assert served.status_code == 200


def test_names_of_users_need_the_names_of_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYCAST_USER_HEADER", "true")
    with pytest.raises(MalformedSettingError, match=r"^MANYCAST_HOSTS=: MANYCAST_USER_HEADER needs it"):
        read_settings(Settings)


async def test_a_program_of_this_machine_does_not_name_users_unless_it_is_listed(broker: Broker) -> None:
    named = {"X-Forwarded-User": "alice"}
    settings = {"MANYCAST_USER_HEADER": "true", "MANYCAST_HOSTS": "127.0.0.1"}
    with closing(Gateway(broker.url, **settings)) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            assert code(await http.post("/v1/streams", json=BODY, headers=named)) == (401, "missing_api_key")
    with closing(Gateway(broker.url, **settings, MANYCAST_TRUSTED_PROXIES="127.0.0.1")) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            assert (await http.post("/v1/streams", json=BODY, headers=named)).status_code == 201
