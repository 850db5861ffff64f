"""Embeddings, text completions and moderations, with a worker that the test controls."""

import asyncio
from typing import Any

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.event import Status
from tests.author import Author, Run
from tests.broker import Broker
from tests.gateway.dialects.test_openai import read_frames
from tests.gateway.fanout.recording import attempt, done
from tests.gateway.routes.test_chat_completions import REFUSAL, until_cancel_is_asked, until_run
from tests.redis_keys import stream_keys
from tests.stack import Gateway, closing_all

BODY = {"model": "demo", "input": ["Hello"]}
PIECES = ['{"data": ["', "é" * 20_000, "é" * 20_000, '"], "big": 1e400}']
ENDPOINTS = ("embeddings", "completions", "moderations")


def post(
    http: httpx2.AsyncClient, endpoint: str, body: dict[str, Any] | None = None, **headers: str
) -> "asyncio.Task[httpx2.Response]":
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.create_task(http.post(f"/v1/{endpoint}", json=body or BODY, headers=named))


async def complete(run: Run, pieces: list[str], epoch: int = 1, seq: int = 1) -> None:
    await run.write([*attempt([{"body": piece} for piece in pieces], epoch, seq), done()], Status.COMPLETED)


async def lifetime_ms(client: Client, stream_id: str) -> list[int]:
    keys = stream_keys(stream_id)
    return [await call_redis(client, "PTTL", key) for key in (keys.log, keys.meta)]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_the_answer_is_the_providers_own_text(http: httpx2.AsyncClient, author: Author, endpoint: str) -> None:
    answer = post(http, endpoint)
    run = await author.take()
    assert (run.claim.endpoint, run.claim.request) == (endpoint, b'{"model":"demo","input":["Hello"]}')
    await complete(run, PIECES)
    response = await answer
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.text == "".join(PIECES)
    assert response.headers["x-stream-id"] == response.headers["x-request-id"] == run.stream_id
    assert "link" not in response.headers


async def test_an_answer_of_many_pages_is_whole(http: httpx2.AsyncClient, author: Author) -> None:
    answer = post(http, "embeddings")
    pieces = [str(number) * 1000 for number in range(100)]
    await complete(await author.take(), pieces)
    assert (await answer).text == "".join(pieces)


async def test_a_lost_worker_does_not_affect_the_answer(http: httpx2.AsyncClient, author: Author) -> None:
    answer = post(http, "embeddings")
    run = await author.take()
    await run.write(attempt([{"body": "lost"}]))
    await complete(await run.lose(), PIECES, 2, 2)
    assert (await answer).text == "".join(PIECES)


async def test_a_streamed_completion_has_the_providers_chunks(http: httpx2.AsyncClient, author: Author) -> None:
    answer = post(http, "completions", {"model": "demo", "prompt": "p", "stream": True})
    chunks = [{"id": "c", "choices": [{"text": text, "index": 0, "finish_reason": None}]} for text in "ab"]
    await (await author.take()).write([*attempt(chunks), done()], Status.COMPLETED)
    response = await answer
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert read_frames(response.content.replace(b": ping\n\n", b"")) == [*chunks, "[DONE]"]


@pytest.mark.parametrize("body", [BODY, {"prompt": "p", "stream": True}], ids=["whole", "streamed"])
async def test_a_refusal_has_the_providers_status_and_body(
    http: httpx2.AsyncClient, author: Author, body: dict[str, Any]
) -> None:
    answer = post(http, "completions", body)
    await (await author.take()).write([done("failed", REFUSAL, "1-1")], Status.FAILED)
    response = await answer
    told = {"message": "Slow down.", "type": "requests", "param": "model", "code": "rate_limit_exceeded"}
    assert (response.status_code, response.json()) == (429, {"error": told})
    assert response.headers["x-should-retry"] == "false"


async def test_a_failure_after_some_pieces_sends_none_of_them(http: httpx2.AsyncClient, author: Author) -> None:
    answer = post(http, "embeddings")
    await (await author.take()).write([*attempt([{"body": "x"}]), done("failed", REFUSAL)], Status.FAILED)
    assert (await answer).json()["error"]["code"] == "rate_limit_exceeded"


async def test_a_client_that_leaves_cancels_the_run_if_it_asked_to(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    answer = post(http, "embeddings", X_On_Disconnect="cancel")
    run = await author.take()
    answer.cancel()
    await until_cancel_is_asked(client, run.stream_id)


async def test_the_answer_is_kept_only_for_a_retry(http: httpx2.AsyncClient, author: Author, client: Client) -> None:
    answer = post(http, "embeddings", X_Stainless_Retry_Count="0")
    run = await author.take()
    await complete(run, PIECES)
    await answer
    assert all(500_000 < left <= 600_000 for left in await lifetime_ms(client, run.stream_id))
    retry = await post(http, "embeddings", X_Stainless_Retry_Count="1")
    assert (retry.headers["x-stream-id"], retry.text) == (run.stream_id, "".join(PIECES))


async def test_with_a_key_the_answer_is_kept_as_long_as_the_key(broker: Broker, author: Author, client: Client) -> None:
    with closing_all(gateway := Gateway(broker.url, MANYCAST_RETRY_WINDOW_S="0", MANYCAST_RETENTION_S="3600")):
        async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
            for key, kept_ms in (("", 60_000), ("k", 600_000)):
                headers = {"Idempotency-Key": key} if key else {}
                answer = asyncio.create_task(http.post("/v1/embeddings", json=BODY, headers=headers))
                run = await author.take()
                await complete(run, PIECES)
                await answer
                assert all(kept_ms - 30_000 < left <= kept_ms for left in await lifetime_ms(client, run.stream_id))
            assert (await post(http, "embeddings", Idempotency_Key="k")).text == "".join(PIECES)


async def test_the_same_body_at_another_endpoint_is_no_retry(http: httpx2.AsyncClient, author: Author) -> None:
    first = post(http, "embeddings", X_Stainless_Retry_Count="0")
    await complete(await author.take(), ["{}"])
    second = post(http, "moderations", X_Stainless_Retry_Count="1")
    await complete(await author.take(), ['{"results":[]}'])
    assert (await first).text == "{}"
    assert (await second).text == '{"results":[]}'


async def test_a_long_wait_begins_with_white_space(broker: Broker, author: Author) -> None:
    impatient = {"MANYCAST_HEAD_WAIT_S": "0.05", "MANYCAST_PING_INTERVAL_S": "0.05"}
    with closing_all(gateway := Gateway(broker.url, **impatient)):
        async with (
            httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http,
            http.stream("POST", "/v1/embeddings", json=BODY) as response,
        ):
            pieces = response.aiter_bytes()
            received = await anext(pieces) + await anext(pieces)
            assert received.strip() == b""
            await complete(await author.take(), PIECES)
            received += b"".join([piece async for piece in pieces])
    assert received.strip().decode() == "".join(PIECES)


async def test_the_run_is_private_unlisted_and_no_chat(broker: Broker, author: Author, client: Client) -> None:
    with closing_all(gateway := Gateway(broker.url, MANYCAST_LIST_RUNS="1")):
        async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
            answer = post(http, "embeddings")
            run = await author.take()
            await complete(run, PIECES)
            ticket = {"Authorization": f"Bearer {(await answer).headers['x-stream-ticket']}"}
            await until_run(client, run.stream_id, lambda record: record.status.is_final)
            assert run.stream_id.startswith("p_")
            assert (await http.get("/v1/streams")).json()["data"] == []
            assert (await http.get(f"/v1/streams/{run.stream_id}", headers=ticket)).json()["status"] == "completed"
            completion = await http.get(f"/v1/streams/{run.stream_id}/completion", headers=ticket)
            assert (completion.status_code, completion.json()["error"]["code"]) == (409, "not_a_chat")


async def test_a_prompt_that_is_too_long_is_refused(broker: Broker) -> None:
    with closing_all(gateway := Gateway(broker.url, MANYCAST_PROMPT_LIMIT_CHARS="3")):
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            refused = await post(http, "completions", {"prompt": "long"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt")


async def test_a_lost_log_is_an_error_and_no_shorter_answer(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    answer = post(http, "embeddings", X_Stainless_Retry_Count="0")
    run = await author.take()
    await complete(run, PIECES)
    await answer
    await call_redis(client, "XDEL", stream_keys(run.stream_id).log, "1-3")
    retry = await post(http, "embeddings", X_Stainless_Retry_Count="1")
    assert (retry.status_code, retry.json()["error"]["code"]) == (500, "stream_lost")
