"""Who somebody is, as the gateways hear it through Caddy: from a proxy that is set as trusted, and from nobody else."""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest

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
def neighbour(site: Stack) -> str:
    """The address that this test has where `web` looks."""
    (network,) = json.loads(docker("network", "inspect", f"{site.project}_edge"))
    address: str = network["IPAM"]["Config"][0]["Gateway"]
    return address


@pytest.fixture
async def http(site: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=site.address(), timeout=60) as http:
        yield http


@pytest.mark.parametrize("forged", FORGERIES)
async def test_a_stranger_does_not_become_somebody_by_saying_so(
    http: httpx2.AsyncClient, forged: dict[str, str]
) -> None:
    answer = await http.post("/v1/streams", json=BODY, headers=forged)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_api_key")
    assert (await http.get("/v1/session", headers=forged)).json()["caller"] is None


async def test_a_trusted_proxy_says_who_somebody_is_and_where_they_come_from(site: Stack, neighbour: str) -> None:
    trusting = site.set_up(MANYCAST_TRUSTED_PROXIES=f"203.0.113.9 {neighbour}")
    trusting.up(2, 1)
    async with httpx2.AsyncClient(base_url=trusting.address(), timeout=60) as http:
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
    site.up(2, 1)
