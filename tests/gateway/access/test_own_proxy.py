"""A gateway with a proxy secret believes what carries it, and answers nobody else."""

from collections.abc import Iterator
from contextlib import closing

import httpx2
import pytest

from contract.settings import MalformedSettingError, read_settings
from gateway.settings import Settings
from tests.broker import Broker
from tests.gateway.access.conftest import BODY, PASSWORD, code
from tests.stack import Gateway

SECRET = "s" * 40
ALICE = {"X-Forwarded-User": "alice"}


@pytest.fixture(scope="module")
def behind_proxy(broker: Broker) -> Iterator[Gateway]:
    settings = {"MANYCAST_PROXY_SECRET": SECRET, "MANYCAST_USER_HEADER": "true", "MANYCAST_HOSTS": "127.0.0.1"}
    with closing(Gateway(broker.url, **settings)) as gateway:
        yield gateway


def client_of(gateway: Gateway) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=gateway.url, timeout=60)


@pytest.mark.parametrize("sent", [None, "", "s", "t" * 40, f"{SECRET}s", "\u00e9" * 40])
async def test_who_does_not_know_the_secret_gets_nothing(behind_proxy: Gateway, sent: str | None) -> None:
    proof = [] if sent is None else [(b"X-Manycast-Proxy", sent.encode("latin-1"))]
    async with client_of(behind_proxy) as http:
        for path in ("/v1/session", "/v1/streams", "/v1/models", "/openapi.json", "/", "//healthz"):
            refused = await http.get(path, headers=[(b"X-Forwarded-For", b"127.0.0.1"), *proof])
            assert code(refused) == (403, "not_from_proxy"), path
        assert code(await http.post("/v1/streams", json=BODY, headers=proof)) == (403, "not_from_proxy")
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await http.get(path)).status_code in (200, 503)


async def test_who_knows_the_secret_says_where_a_request_comes_from(behind_proxy: Gateway) -> None:
    async with client_of(behind_proxy) as http:
        http.headers["X-Manycast-Proxy"] = SECRET
        assert (await http.get("/v1/session", headers=ALICE)).json()["caller"] == "user:alice"
        assert (await http.post("/v1/streams", json=BODY, headers=ALICE)).status_code == 201
        assert code(await http.post("/v1/streams", json=BODY)) == (401, "missing_api_key")


@pytest.mark.parametrize("secret", ["hunter2", PASSWORD])
def test_a_short_secret_is_refused_and_not_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYCAST_PROXY_SECRET", secret)
    with pytest.raises(MalformedSettingError, match=r"^MANYCAST_PROXY_SECRET: it is shorter than 32") as caught:
        read_settings(Settings)
    assert secret not in str(caught.value)
