"""A gateway that a proxy publishes under a path: `/llm/v1/…` instead of `/v1/…`."""

from collections.abc import Iterator
from contextlib import closing

import httpx2
import pytest

from gateway.access.path_prefix import MalformedPrefixError, parse_prefix
from tests.broker import Broker
from tests.stack import Gateway

BODY = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**BODY, "manycast": {"visibility": "private"}}


@pytest.fixture(scope="module")
def published_under_llm(broker: Broker) -> Iterator[Gateway]:
    with closing(Gateway(broker.url, MANYCAST_PATH_PREFIX="/llm/", MANYCAST_LIST_RUNS="1")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def published_anywhere(broker: Broker) -> Iterator[Gateway]:
    with closing(Gateway(broker.url, MANYCAST_LIST_RUNS="1")) as gateway:
        yield gateway


def urls_in(client: httpx2.Client, path: str) -> list[str]:
    """Every URL that the API hands out. `path` is where the requests go."""
    started = client.post(f"{path}/v1/streams", json=STREAM)
    assert started.status_code == 201, started.text
    body = started.json()
    authorization = {"Authorization": f"Bearer {body['tickets']['control']}"}
    status = client.get(f"{path}/v1/streams/{body['id']}", headers=authorization)
    ticket = client.post(f"{path}/v1/streams/{body['id']}/tickets", headers=authorization)
    cookie = client.post(f"{path}/v1/streams/{body['id']}/cookie", headers=authorization)
    listed = client.get(f"{path}/v1/streams").json()["data"][0]
    with client.stream("POST", f"{path}/api/chat", json={"id": "c", "model": "demo", **CHAT}) as chat:
        assert chat.status_code == 200
    return [
        *body["urls"].values(),
        started.headers["location"],
        *status.json()["urls"].values(),
        *ticket.json()["urls"].values(),
        *listed["urls"].values(),
        cookie.headers["set-cookie"].partition("Path=")[2],
    ]


CHAT = {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}


@pytest.mark.parametrize("path", ["", "/llm"])
def test_every_url_has_the_configured_prefix(published_under_llm: Gateway, path: str) -> None:
    """Whether the proxy removes the prefix from the path or leaves it there."""
    with httpx2.Client(base_url=published_under_llm.url) as client:
        assert all(url.startswith(("/llm/v1/streams/", "/llm/watch#")) for url in urls_in(client, path))


@pytest.mark.parametrize("path", ["", "/a/b"])
def test_every_url_has_the_prefix_that_a_trusted_proxy_names(published_anywhere: Gateway, path: str) -> None:
    headers = {"X-Forwarded-Prefix": "/a/b", "X-Forwarded-Host": "localhost"}
    with httpx2.Client(base_url=published_anywhere.url, headers=headers) as client:
        assert all(url.startswith(("/a/b/v1/streams/", "/a/b/watch#")) for url in urls_in(client, path))


@pytest.mark.parametrize(
    "prefix", ["//evil.example", "/a//b", "/..", "llm", "/a b", "https://evil.example", "/v1", "/" * 300]
)
def test_a_forwarded_prefix_that_cannot_be_a_path_is_ignored(published_anywhere: Gateway, prefix: str) -> None:
    headers = {"X-Forwarded-Prefix": prefix, "X-Forwarded-Host": "localhost"}
    with httpx2.Client(base_url=published_anywhere.url, headers=headers) as client:
        assert all(url.startswith(("/v1/streams/", "/watch#")) for url in urls_in(client, ""))
        assert client.get("//evil.example", follow_redirects=False).status_code == 404


def test_an_untrusted_proxy_names_no_prefix(broker: Broker) -> None:
    with closing(Gateway(broker.url, MANYCAST_TRUSTED_PROXIES="192.0.2.1")) as gateway:
        headers = {"X-Forwarded-Prefix": "/a", "X-Forwarded-Host": "localhost"}
        assert httpx2.post(f"{gateway.url}/v1/streams", json=BODY, headers=headers).headers["location"][:4] == "/v1/"


def test_the_prefix_without_a_slash_leads_to_the_page(published_under_llm: Gateway) -> None:
    """The page's own addresses are relative to its folder."""
    answer = httpx2.get(f"{published_under_llm.url}/llm", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/llm/")
    assert httpx2.get(f"{published_under_llm.url}/llmx/v1/models").status_code == 404


@pytest.mark.parametrize("text", ["llm", "//llm", "/llm//x", "/llm?x", "/v1", "/api/x", "/.."])
def test_a_malformed_prefix_is_refused(text: str) -> None:
    with pytest.raises(MalformedPrefixError):
        parse_prefix(text)
    assert parse_prefix("/") == ""
    assert parse_prefix("/v10") == "/v10"
