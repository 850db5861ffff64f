"""Who somebody is, as the gateways hear it through Caddy: from a proxy that is set as trusted, and from nobody else."""

import json
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from tests.compose.conftest import GATEWAYS, WORKERS
from tests.compose.stack import Stack, docker

BODY = {"model": "demo-fast", "messages": [{"role": "user", "content": "Hello"}], "manycast": {"visibility": "private"}}
ALICE = {"X-Forwarded-User": "alice"}
FORGERIES = [
    ALICE,
    {"x-forwarded-user": "alice", "X-Forwarded-For": "127.0.0.1"},
    {**ALICE, "X-Forwarded-For": "192.0.2.7", "X-Real-IP": "192.0.2.7", "Forwarded": "for=192.0.2.7"},
    {**ALICE, "Connection": "X-Forwarded-For"},
]


@pytest.fixture(scope="module")
def named(stack: Stack) -> Iterator[Stack]:
    """People are let in by name here, and no proxy is set as trusted. Afterwards it is as it was."""
    named = stack.set_up(MANYCAST_USER_HEADER="true")
    named.up(1, 1)
    yield named
    stack.up(GATEWAYS, WORKERS)


@pytest.fixture(scope="module")
def neighbour(named: Stack) -> str:
    """The address that this test has where `web` looks."""
    (network,) = json.loads(docker("network", "inspect", f"{named.project}_edge"))
    address: str = network["IPAM"]["Config"][0]["Gateway"]
    return address


@pytest.fixture
async def http(named: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=named.address(), timeout=30) as http:
        yield http


@pytest.mark.parametrize("forged", FORGERIES)
async def test_a_stranger_does_not_become_somebody_by_saying_so(
    http: httpx2.AsyncClient, forged: dict[str, str]
) -> None:
    answer = await http.post("/v1/streams", json=BODY, headers=forged)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_api_key")
    assert (await http.get("/v1/session", headers=forged)).json()["caller"] is None


async def test_a_trusted_proxy_says_who_somebody_is_and_where_they_come_from(named: Stack, neighbour: str) -> None:
    """The last one here: it sets the test up as such a proxy."""
    trusting = named.set_up(MANYCAST_TRUSTED_PROXIES=f"203.0.113.9 {neighbour}", MANYCAST_USER_HEADER="true")
    trusting.up(1, 1)
    async with httpx2.AsyncClient(base_url=trusting.address(), timeout=30) as http:
        answer = await http.post("/v1/streams", json=BODY, headers=ALICE)
        assert answer.status_code == 201, answer.text
        path = f"/v1/streams/{answer.json()['id']}"
        assert (await http.get(path, headers=ALICE)).status_code == 200
        assert (await http.get(path, headers={"X-Forwarded-User": "bob"})).status_code == 403
        # What is counted by address is counted by that of the one in front of the proxy.
        wrong = {"secret": "mc-00000000-wrong"}
        spread = [{"X-Forwarded-For": f"203.0.113.{number}, 203.0.113.9"} for number in range(100, 115)]
        assert {(await http.post("/v1/session", json=wrong, headers=from_)).status_code for from_ in spread} == {401}
        alike = [{"X-Forwarded-For": f"198.51.100.{number}, 203.0.113.50"} for number in range(100, 115)]
        assert 429 in {(await http.post("/v1/session", json=wrong, headers=from_)).status_code for from_ in alike}
