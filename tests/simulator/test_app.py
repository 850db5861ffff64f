"""What is at which address, and what is said where nothing is."""

import asyncio
from urllib.parse import urlsplit

import httpx2
import pytest

from simulator.app import MOST_BODY_BYTES
from tests.simulator.process import body, counts_of


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, None),
        ("GET", "/v1/models/none", 404, "model_not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_supported"),
        ("POST", "/v1/models", 405, "method_not_supported"),
        ("POST", "/v1/chat/completions", 400, None),
        ("GET", "/docs", 404, None),
    ],
)
async def test_every_error_has_openais_shape(
    http: httpx2.AsyncClient, method: str, path: str, status: int, code: str | None
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["message"]


async def test_a_body_above_the_limit_is_refused(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/v1/chat/completions", content=b" " * (MOST_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert "larger" in answer.json()["error"]["message"]


async def test_it_is_healthy_and_says_who_it_is(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/healthz")
    assert (answer.status_code, answer.json()["owned_by"]) == (200, "manycast-simulator")


async def test_a_client_that_leaves_while_it_still_sends_does_no_harm(http: httpx2.AsyncClient) -> None:
    url = urlsplit(str(http.base_url))
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await http.post("/v1/chat/completions", json=body("demo-fast"))).status_code == 200


async def test_two_hundred_streams_at_once_all_arrive_whole(http: httpx2.AsyncClient) -> None:
    asked = body("demo", stream=True, simulator={"first_chunk_ms": 0, "chunks_per_s": 200, "chunks": 30})
    limits = httpx2.Limits(max_connections=200)
    async with httpx2.AsyncClient(base_url=http.base_url, limits=limits, timeout=60) as many:
        answers = await asyncio.gather(*(many.post("/v1/chat/completions", json=asked) for _ in range(200)))
    assert {answer.text.count("data: ") for answer in answers} == {33}
    assert (await counts_of(http, "demo"))["open"] == 0
