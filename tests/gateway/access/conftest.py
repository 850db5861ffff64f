"""Gateways with doors of every kind, on one broker without a worker: what is started there waits."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from contract.connection import Client, call_redis
from gateway.access.api_keys import ApiKey, make_key
from tests.broker import Broker
from tests.stack import Gateway

PASSWORD = "correct horse battery staple"
SIGNING = "now:" + "n" * 40 + ",before:" + "b" * 40
BODY = {"model": "demo", "messages": [{"role": "user", "content": "Why?"}]}
PRIVATE = {**BODY, "manycast": {"visibility": "private"}}


@dataclass
class Door:
    """A gateway that lets in two keys, and a password; the proxy on this machine may name users."""

    gateway: Gateway
    keys_file: Path
    secret: str
    other: str


def lines(*keys: ApiKey) -> str:
    return "".join(key.model_dump_json() + "\n" for key in keys)


@pytest.fixture(scope="package")
def authenticator(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    (secret, key), (other, other_key) = make_key("team"), make_key("others")
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(lines(key, other_key))
    settings = {
        "MANYCAST_KEYS_FILE": str(file),
        "MANYCAST_PASSWORD": PASSWORD,
        "MANYCAST_USER_HEADER": "true",
        "MANYCAST_TRUSTED_PROXIES": "127.0.0.1",
        "MANYCAST_HOSTS": "127.0.0.1",
        "MANYCAST_SIGNING_KEYS": SIGNING,
        "MANYCAST_LIST_RUNS": "true",
        "MANYCAST_REQUESTS_PER_MINUTE": "0",
    }
    with closing(Gateway(broker.url, **settings)) as gateway:
        yield Door(gateway, file, secret, other)


@pytest.fixture
async def client(client: Client) -> Client:
    """Nothing is left from the test before."""
    await call_redis(client, "FLUSHALL")
    return client


@pytest.fixture
async def http(authenticator: Door, client: Client) -> AsyncIterator[httpx2.AsyncClient]:
    """A stranger at that door."""
    async with httpx2.AsyncClient(base_url=authenticator.gateway.url, timeout=60) as http:
        yield http


@pytest.fixture
def key(authenticator: Door) -> dict[str, str]:
    """What the first key's holder sends."""
    return bearer(authenticator.secret)


@pytest.fixture
def other_key(authenticator: Door) -> dict[str, str]:
    return bearer(authenticator.other)


@pytest.fixture(scope="package")
def local(broker: Broker) -> Iterator[Gateway]:
    """A gateway as it is started without a word."""
    with closing(Gateway(broker.url)) as gateway:
        yield gateway


@pytest.fixture
async def local_http(local: Gateway, client: Client) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=local.url) as http:
        yield http


@pytest.fixture
async def another_local_http(broker: Broker, client: Client) -> AsyncIterator[httpx2.AsyncClient]:
    """At another such gateway on the same Redis."""
    with closing(Gateway(broker.url)) as gateway:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            yield http


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def code(answer: httpx2.Response) -> tuple[int, str]:
    """How a request was refused. All of them are OpenAI's shape."""
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return answer.status_code, error["code"]
