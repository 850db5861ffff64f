"""How large a request may be, and how much of all requests a process holds."""

import json
from collections.abc import Iterator
from contextlib import closing

import httpx2
import pytest

from tests.broker import Broker
from tests.gateway.server.raw_line import RawLine
from tests.stack import Gateway

PHOTO = "data:image/jpeg;base64," + "A" * 900_000
BUDGET_BYTES = 3_000_000


@pytest.fixture(scope="module")
def gateway(broker: Broker) -> Iterator[Gateway]:
    limits = {"MANYCAST_BODY_LIMIT_BYTES": "2000000", "MANYCAST_BODY_BUDGET_BYTES": str(BUDGET_BYTES)}
    with closing(Gateway(broker.url, **limits)) as gateway:
        yield gateway


def body_of(size: int) -> bytes:
    fields = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}], "padding": ""}
    return json.dumps(fields | {"padding": "x" * (size - len(json.dumps(fields)))}).encode()


def test_a_chat_with_many_photos_fits_the_default(broker: Broker) -> None:
    """Chats send all their images again with each turn."""
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PHOTO}}]
    body = {"model": "demo", "messages": [{"role": "user", "content": content}] * 20}
    with closing(Gateway(broker.url)) as gateway:
        assert httpx2.post(f"{gateway.url}/v1/streams", json=body).status_code == 201


def test_the_error_names_the_limit_and_its_setting(gateway: Gateway) -> None:
    for path in ("/v1/streams", "/v1/chat/completions", "/api/chat"):
        refused = httpx2.post(gateway.url + path, content=body_of(2_000_001))
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "body_too_large")
        assert "2000000 bytes" in refused.json()["error"]["message"]
        assert "MANYCAST_BODY_LIMIT_BYTES" in refused.json()["error"]["message"]


@pytest.mark.parametrize("ends", ["completes", "disconnects"])
def test_requests_over_the_budget_are_refused_until_there_is_room(gateway: Gateway, ends: str) -> None:
    large = body_of(1_900_000)
    url = f"{gateway.url}/v1/streams"
    with RawLine(gateway) as line:
        head = b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        line.send(head % len(large) + large[:-1])
        refused = _until_status(url, large, 503)
        assert (refused.json()["error"]["code"], refused.headers["retry-after"]) == ("gateway_busy", "2")
        assert "MANYCAST_BODY_BUDGET_BYTES" in refused.json()["error"]["message"]
        if ends == "completes":
            line.send(large[-1:])
            line.read_to_end()
            assert line.status == 201
    _until_status(url, large, 201)


def _until_status(url: str, body: bytes, status: int) -> httpx2.Response:
    """Repeats the request until it has this status: the gateway reads and forgets bodies in its own time."""
    for _ in range(100):
        answer = httpx2.post(url, content=body)
        if answer.status_code == status:
            return answer
    raise AssertionError(answer.text)
