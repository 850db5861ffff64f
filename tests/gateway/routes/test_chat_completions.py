"""OpenAI's own call, byte by byte, with a worker that the test controls."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.errors import BrokerError, RunError
from contract.event import Status, parse_json
from contract.job_queue import JobQueue, Lease
from contract.run_record import RunRecord, read_run
from contract.stream_log import WriteStatus
from tests.author import Author, Run
from tests.broker import Broker
from tests.gateway.dialects.test_openai import read_frames
from tests.gateway.fanout.recording import USAGE, attempt, chunk_of, done
from tests.gateway.runs.test_completion import nested, unnested
from tests.redis_keys import stream_keys
from tests.stack import Gateway, closing_all

BODY = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
STREAMED = {**BODY, "stream": True}
HELLO = [chunk_of({"role": "assistant", "content": "Hel"}), chunk_of({"content": "lo"}, "stop")]
REFUSAL = RunError("rate_limit_exceeded", "Slow down.", "requests", param="model", retryable=True, http_status=429)


@pytest.fixture(scope="module")
def impatient(broker: Broker) -> Iterator[Gateway]:
    """A gateway that lets no caller wait for the status of a response."""
    with closing_all(gateway := Gateway(broker.url, MANYCAST_HEAD_WAIT_S="0.05", MANYCAST_PING_INTERVAL_S="0.05")):
        yield gateway


def post(http: httpx2.AsyncClient, body: dict[str, Any], **headers: str) -> "asyncio.Task[httpx2.Response]":
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.create_task(http.post("/v1/chat/completions", json=body, headers=named))


async def until_run(client: Client, stream_id: str, is_so: Callable[[RunRecord], bool]) -> RunRecord:
    async with asyncio.timeout(60):
        while (record := await read_run(client, stream_id)) is None or not is_so(record):
            await asyncio.sleep(0.01)
    return record


async def cancel_is_asked(client: Client, stream_id: str) -> bool:
    return bool(await call_redis(client, "HEXISTS", stream_keys(stream_id).meta, "cancel"))


async def until_cancel_is_asked(client: Client, stream_id: str) -> None:
    async with asyncio.timeout(60):
        while not await cancel_is_asked(client, stream_id):
            await asyncio.sleep(0.01)


async def begin(author: Author) -> Run:
    """Takes the next job and writes the first chunk: the client's status waits for it."""
    run = await author.take()
    await run.write(attempt(HELLO[:1]))
    return run


async def until_drains(gateway: Gateway) -> None:
    gateway.signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        while "Shutting down" not in gateway.output:
            await asyncio.sleep(0.01)


async def test_a_streamed_completion_names_the_stream_it_can_be_watched_on(
    http: httpx2.AsyncClient, author: Author
) -> None:
    answer = post(http, STREAMED)
    run = await author.take()
    await run.write([*attempt(HELLO), done()], Status.COMPLETED)
    response = await answer
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert read_frames(response.content.replace(b": ping\n\n", b"")) == [*HELLO, "[DONE]"]
    stream_id = response.headers["x-stream-id"]
    assert stream_id == response.headers["x-request-id"] == run.stream_id
    assert f'</v1/streams/{stream_id}/events>; rel="monitor"' in response.headers["link"]
    assert f"</watch#{stream_id}>" in response.headers["link"]


@pytest.mark.parametrize("asked", [True, False])
async def test_usage_is_sent_only_if_requested(http: httpx2.AsyncClient, author: Author, asked: bool) -> None:
    answer = post(http, {**STREAMED, "stream_options": {"include_usage": asked}})
    last = {**chunk_of({}), "choices": [], "usage": USAGE}
    await (await author.take()).write([*attempt([*HELLO, last]), done()], Status.COMPLETED)
    assert (b'"total_tokens"' in (await answer).content) is asked
    assert (b'"usage":null' in (await answer).content) is asked


@pytest.mark.parametrize("depth", [480, 5_000])
async def test_a_vendor_field_may_be_nested_at_any_depth(http: httpx2.AsyncClient, author: Author, depth: int) -> None:
    answer = post(http, BODY)
    run = await author.take()
    chunks = [chunk_of({"role": "assistant", "content": "Hello", **nested(depth, "innermost")}, "stop")]
    await run.write([*attempt(chunks), done()], Status.COMPLETED)
    for response in (await answer, await http.get(f"/v1/streams/{run.stream_id}/completion")):
        assert response.status_code == 200
        message = parse_json(response.content)["choices"][0]["message"]
        assert message["content"] == "Hello"
        assert unnested(message["x_vendor"]) == (depth, "innermost")


async def test_a_whole_completion_is_rebuilt_from_the_log(http: httpx2.AsyncClient, author: Author) -> None:
    answer = post(http, BODY)
    run = await author.take()
    assert b'"stream":true' not in run.claim.request
    last = {**chunk_of({}, obfuscation="xx"), "choices": [], "usage": USAGE}
    await run.write([*attempt([*HELLO, last]), done()], Status.COMPLETED)
    whole = (await answer).json()
    assert whole["object"] == "chat.completion"
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "Hello", "refusal": None}
    assert whole["usage"] == USAGE
    assert "obfuscation" not in whole
    assert (await answer).headers["x-stream-id"] == run.stream_id


@pytest.mark.parametrize("body", [BODY, STREAMED], ids=["whole", "streamed"])
async def test_a_refusal_before_the_first_chunk_has_the_providers_status_and_body(
    http: httpx2.AsyncClient, author: Author, body: dict[str, Any]
) -> None:
    answer = post(http, body)
    await (await author.take()).write([done("failed", REFUSAL, "1-1")], Status.FAILED)
    response = await answer
    assert response.status_code == 429
    told = {"message": "Slow down.", "type": "requests", "param": "model", "code": "rate_limit_exceeded"}
    assert response.json() == {"error": told}
    assert response.headers["x-stream-id"]
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("upstream_timeout", 504),
        ("upstream_disconnected", 502),
        ("worker_lost", 503),
        ("odd", 502),
        ("answer_too_large", 502),
        ("run_too_long", 504),
    ],
)
async def test_a_failure_without_a_providers_answer_is_a_server_error(
    http: httpx2.AsyncClient, author: Author, code: str, status: int
) -> None:
    answer = post(http, STREAMED)
    await (await author.take()).write([done("failed", RunError(code, "x"), "1-1")], Status.FAILED)
    assert (await answer).status_code == status


@pytest.mark.parametrize(
    "code", ["upstream_truncated", "upstream_timeout", "worker_lost", "stream_lost", "run_too_long"]
)
async def test_no_failed_run_is_retried(http: httpx2.AsyncClient, author: Author, code: str) -> None:
    """The worker has retried what is worth it. SDKs would retry a 5xx, and each run may be billed."""
    for body in (STREAMED, BODY):
        answer = post(http, body)
        await (await author.take()).write([done("failed", RunError(code, "x"), "1-1")], Status.FAILED)
        assert (await answer).headers["x-should-retry"] == "false"


async def test_a_failure_after_the_first_chunk_is_a_frame_if_streamed_and_else_a_status(
    http: httpx2.AsyncClient, author: Author
) -> None:
    for body in (STREAMED, BODY):
        answer = post(http, body)
        error = RunError("upstream_truncated", "It ended too early.")
        await (await author.take()).write([*attempt(HELLO), done("failed", error)], Status.FAILED)
        response = await answer
        assert response.status_code == (200 if body is STREAMED else 502)
        assert b'"code":"upstream_truncated"' in response.content
        assert b"[DONE]" not in response.content


async def test_a_run_cancelled_elsewhere_gets_a_status_that_no_sdk_retries(
    http: httpx2.AsyncClient, author: Author
) -> None:
    answer = post(http, STREAMED)
    run = await author.take()
    await run.write([done("cancelled")], Status.CANCELLED)
    assert (await answer).status_code == 499
    assert (await answer).json()["error"]["code"] == "cancelled"


async def test_a_worker_lost_before_the_first_chunk_goes_unnoticed(http: httpx2.AsyncClient, author: Author) -> None:
    answer = post(http, STREAMED)
    second = await (await author.take()).lose()
    await second.write([*attempt(HELLO, 2), done()], Status.COMPLETED)
    assert read_frames((await answer).content) == [*HELLO, "[DONE]"]


async def test_a_lost_worker_does_not_affect_a_whole_answer(http: httpx2.AsyncClient, author: Author) -> None:
    answer = post(http, BODY)
    run = await author.take()
    await run.write(attempt([chunk_of({"content": "lost"})]))
    await (await run.lose()).write([*attempt(HELLO, 2, 2), done()], Status.COMPLETED)
    assert (await answer).json()["choices"][0]["message"]["content"] == "Hello"


async def test_keep_alives_are_sent_while_a_slow_provider_is_awaited(broker: Broker, author: Author) -> None:
    """Once the status is sent, an error can only be a frame."""
    impatient = {"MANYCAST_HEAD_WAIT_S": "0.2", "MANYCAST_PING_INTERVAL_S": "0.4"}
    with closing_all(gateway := Gateway(broker.url, **impatient)):
        async with (
            httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http,
            http.stream("POST", "/v1/chat/completions", json=STREAMED) as response,
        ):
            assert response.status_code == 200
            run = await author.take()
            pieces = response.aiter_bytes()
            assert (await anext(pieces)).startswith(b": ping\n\n")
            await run.write([done("failed", REFUSAL, "1-1")], Status.FAILED)
            rest = b"".join([piece async for piece in pieces])
    (frame,) = read_frames(rest.replace(b": ping\n\n", b""))
    assert frame["error"]["code"] == "rate_limit_exceeded"


async def test_the_same_key_attaches_to_the_running_run_and_replays_it(
    http: httpx2.AsyncClient, author: Author
) -> None:
    first = post(http, STREAMED, Idempotency_Key="k")
    run = await author.take()
    await run.write(attempt(HELLO[:1]))
    url, headers = "/v1/chat/completions", {"Idempotency-Key": "k"}
    async with http.stream("POST", url, json=STREAMED, headers=headers) as second:
        assert (second.status_code, second.headers["x-stream-id"]) == (200, run.stream_id)
        await run.write([*attempt(HELLO)[2:], done()], Status.COMPLETED)
        replayed = await second.aread()
    assert read_frames(replayed.replace(b": ping\n\n", b"")) == [*HELLO, "[DONE]"]
    assert read_frames((await first).content.replace(b": ping\n\n", b"")) == [*HELLO, "[DONE]"]


async def test_a_finished_run_answers_its_key_at_once(http: httpx2.AsyncClient, author: Author) -> None:
    first = post(http, STREAMED, Idempotency_Key="once")
    run = await author.take()
    await run.write([*attempt(HELLO), done()], Status.COMPLETED)
    again = await post(http, STREAMED, Idempotency_Key="once")
    assert again.headers["x-stream-id"] == (await first).headers["x-stream-id"] == run.stream_id
    assert again.content == (await first).content.replace(b": ping\n\n", b"")
    other = await post(http, {**STREAMED, "n": 2}, Idempotency_Key="once")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_mismatch")


async def test_a_failed_run_answers_its_key_with_the_same_refusal(http: httpx2.AsyncClient, author: Author) -> None:
    first = post(http, BODY, Idempotency_Key="refused")
    await (await author.take()).write([done("failed", REFUSAL, "1-1")], Status.FAILED)
    again = await post(http, BODY, Idempotency_Key="refused")
    assert again.status_code == (await first).status_code == 429
    assert again.json() == (await first).json()
    assert again.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("body", [BODY, STREAMED], ids=["whole", "streamed"])
async def test_an_sdks_retry_without_a_key_joins_the_run_under_way(
    http: httpx2.AsyncClient, author: Author, body: dict[str, Any]
) -> None:
    first = post(http, body, X_Stainless_Retry_Count="0")
    run = await author.take()
    first.cancel()
    retry = post(http, body, X_Stainless_Retry_Count="1")
    await run.write([*attempt(HELLO), done()], Status.COMPLETED)
    assert (await retry).headers["x-stream-id"] == run.stream_id
    late = await post(http, body, X_Stainless_Retry_Count="2")
    assert late.headers["x-stream-id"] == run.stream_id


async def test_equal_requests_that_are_no_retries_start_a_run_each(http: httpx2.AsyncClient, author: Author) -> None:
    answers = [post(http, BODY), post(http, BODY), post(http, {**BODY, "n": 1}, X_Stainless_Retry_Count="1")]
    for _ in answers:
        await (await author.take()).write([*attempt(HELLO), done()], Status.COMPLETED)
    assert len({(await answer).headers["x-stream-id"] for answer in answers}) == 3


async def test_a_window_of_zero_lets_every_retry_start_a_run(broker: Broker, author: Author) -> None:
    with closing_all(gateway := Gateway(broker.url, MANYCAST_RETRY_WINDOW_S="0")):
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            answers = [post(http, BODY), post(http, BODY, X_Stainless_Retry_Count="1")]
            for _ in answers:
                await (await author.take()).write([*attempt(HELLO), done()], Status.COMPLETED)
            assert len({(await answer).headers["x-stream-id"] for answer in answers}) == 2


async def test_a_whole_answer_that_takes_long_begins_with_white_space(impatient: Gateway, author: Author) -> None:
    async with httpx2.AsyncClient(base_url=impatient.url, timeout=60) as http:
        waiting = asyncio.create_task(author.take())
        async with http.stream("POST", "/v1/chat/completions", json=BODY) as response:
            pieces = response.aiter_bytes()
            received = await anext(pieces) + await anext(pieces)
            assert received.strip() == b""
            run = await waiting
            assert response.headers["x-stream-id"] == run.stream_id
            await run.write([*attempt(HELLO), done()], Status.COMPLETED)
            received += b"".join([piece async for piece in pieces])
    assert parse_json(received)["choices"][0]["message"]["content"] == "Hello"


async def test_a_failure_after_white_space_cuts_the_answer_and_the_retry_gets_the_error(
    impatient: Gateway, author: Author
) -> None:
    async with httpx2.AsyncClient(base_url=impatient.url, timeout=60) as http:
        waiting = asyncio.create_task(author.take())
        with pytest.raises(httpx2.RemoteProtocolError):
            async with http.stream("POST", "/v1/chat/completions", json=BODY) as response:
                pieces = response.aiter_bytes()
                await anext(pieces)
                await (await waiting).write([done("failed", REFUSAL, "1-1")], Status.FAILED)
                assert b"".join([piece async for piece in pieces]).strip() == b""
        retry = await post(http, BODY, X_Stainless_Retry_Count="1")
        assert (retry.status_code, retry.headers["x-should-retry"]) == (429, "false")
    assert "ERROR" not in impatient.output


async def test_a_client_that_leaves_a_long_whole_answer_cancels_the_run_only_if_it_asked_to(
    impatient: Gateway, author: Author, client: Client
) -> None:
    async with httpx2.AsyncClient(base_url=impatient.url, timeout=60) as http:
        waiting = asyncio.create_task(author.take())
        headers = {"X-On-Disconnect": "cancel"}
        async with http.stream("POST", "/v1/chat/completions", json=BODY, headers=headers) as response:
            await anext(response.aiter_bytes())
        await until_cancel_is_asked(client, (await waiting).stream_id)


@pytest.mark.parametrize("body", [BODY, STREAMED], ids=["whole", "streamed"])
async def test_a_client_that_disconnects_while_waiting_cancels_the_run_only_if_it_asked_to(
    http: httpx2.AsyncClient, author: Author, client: Client, body: dict[str, Any]
) -> None:
    for policy in ("continue", "cancel"):
        answer = post(http, body, X_On_Disconnect=policy)
        run = await author.take()
        answer.cancel()
        if policy == "cancel":
            await until_cancel_is_asked(client, run.stream_id)
        else:
            await run.write([*attempt(HELLO), done()], Status.COMPLETED)
            await until_run(client, run.stream_id, lambda record: record.status is Status.COMPLETED)


async def test_a_client_that_disconnects_while_streaming_cancels_the_run_only_if_it_asked_to(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    url, headers = "/v1/chat/completions", {"X-On-Disconnect": "cancel"}
    begun = asyncio.create_task(begin(author))
    async with http.stream("POST", url, json=STREAMED, headers=headers) as response:
        run = await begun
        assert await anext(response.aiter_bytes())
    await until_cancel_is_asked(client, run.stream_id)


async def renewed(client: Client, run: Run) -> WriteStatus | BrokerError:
    """What the worker of the run learns when it renews its lease."""
    lease = Lease(run.job, run.claim.epoch)
    return (await JobQueue(client, 600_000).renew("author", [lease]))[0]


@pytest.fixture(scope="module")
def short(broker: Broker) -> Iterator[Gateway]:
    """A gateway that gives up a run soon after its client has left."""
    with closing_all(gateway := Gateway(broker.url, MANYCAST_ABANDON_AFTER_S="2")):
        yield gateway


@pytest.mark.parametrize("body", [BODY, STREAMED], ids=["whole", "streamed"])
async def test_by_default_a_run_that_nobody_watches_ends_some_time_after_its_client_has_left(
    short: Gateway, author: Author, client: Client, body: dict[str, Any]
) -> None:
    async with httpx2.AsyncClient(base_url=short.url, timeout=60) as http:
        answer = post(http, body)
        run = await author.take()
        answer.cancel()
        while (status := await renewed(client, run)) is WriteStatus.OK:
            await asyncio.sleep(0.05)
    assert status is WriteStatus.CANCELLED


async def test_a_run_that_somebody_watches_when_its_time_is_over_goes_on_for_good(
    short: Gateway, author: Author, client: Client
) -> None:
    async with httpx2.AsyncClient(base_url=short.url, timeout=60) as http:
        answer = post(http, STREAMED)
        run = await author.take()
        meta = stream_keys(run.stream_id).meta
        async with http.stream("GET", f"/v1/streams/{run.stream_id}/events"):
            answer.cancel()
            async with asyncio.timeout(60):
                while not await call_redis(client, "HEXISTS", meta, "abandon_ms"):
                    await asyncio.sleep(0.02)
                while await call_redis(client, "HEXISTS", meta, "abandon_ms"):
                    assert await renewed(client, run) is WriteStatus.OK
                    await asyncio.sleep(0.02)
        async with asyncio.timeout(60):
            while (await http.get(f"/v1/streams/{run.stream_id}")).json()["viewers"]:
                await asyncio.sleep(0.02)
        assert await renewed(client, run) is WriteStatus.OK


@pytest.mark.parametrize("headers", [{"Idempotency_Key": "comes-back"}, {"X_On_Disconnect": "continue"}])
async def test_a_run_whose_caller_may_come_back_at_any_time_is_not_given_up(
    http: httpx2.AsyncClient, author: Author, client: Client, headers: dict[str, str]
) -> None:
    answer = post(http, BODY, **headers)
    run = await author.take()
    other = post(http, BODY)
    others = await author.take()
    for each in (answer, other):
        each.cancel()
    # The gateway writes what it does about both at the same time.
    async with asyncio.timeout(60):
        while not await call_redis(client, "HEXISTS", stream_keys(others.stream_id).meta, "abandon_ms"):
            await asyncio.sleep(0.02)
    assert not await call_redis(client, "HEXISTS", stream_keys(run.stream_id).meta, "abandon_ms")


async def test_reading_an_answer_to_its_end_cancels_nothing(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    answer = post(http, STREAMED, X_On_Disconnect="cancel")
    run = await author.take()
    await run.write([*attempt(HELLO), done()], Status.COMPLETED)
    await answer
    assert (await until_run(client, run.stream_id, lambda _: True)).status is Status.COMPLETED


async def test_an_unknown_disconnect_policy_is_refused_before_anything_starts(
    http: httpx2.AsyncClient, author: Author
) -> None:
    response = await post(http, BODY, X_On_Disconnect="explode")
    assert (response.status_code, response.json()["error"]["param"]) == (400, "X-On-Disconnect")


async def test_a_restart_after_the_first_chunk_ends_the_stream_with_an_error(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    answer = post(http, STREAMED, Idempotency_Key="lost", X_On_Disconnect="cancel")
    run = await author.take()
    await run.write(attempt(HELLO[:1]))
    async with http.stream("GET", f"/v1/streams/{run.stream_id}/events", params={"dialect": "openai"}) as watching:
        await anext(watching.aiter_bytes())
        second = await run.lose()
    frames = read_frames((await answer).content.replace(b": ping\n\n", b""))
    assert frames[0] == HELLO[0]
    assert frames[1]["error"]["code"] == "worker_lost"
    # We closed the connection, the client did not: its run is not cancelled.
    assert not await cancel_is_asked(client, run.stream_id)
    await second.write([*attempt(HELLO, 2, 2), done()], Status.COMPLETED)
    again = await post(http, STREAMED, Idempotency_Key="lost")
    assert read_frames(again.content) == [*HELLO, "[DONE]"]


async def test_a_stopping_gateway_lets_its_clients_read_to_the_end(broker: Broker, author: Author) -> None:
    with closing_all(stopped := Gateway(broker.url, MANYCAST_DRAIN_TIMEOUT_S="8")):
        async with httpx2.AsyncClient(base_url=stopped.url, timeout=60) as http:
            whole = post(http, BODY)
            whole_run = await author.take()
            begun = asyncio.create_task(begin(author))
            async with http.stream("POST", "/v1/chat/completions", json=STREAMED) as streamed:
                run = await begun
                pieces = streamed.aiter_bytes()
                read = await anext(pieces)
                await until_drains(stopped)
                await run.write([*attempt(HELLO)[2:], done()], Status.COMPLETED)
                await whole_run.write([*attempt(HELLO), done()], Status.COMPLETED)
                read += b"".join([piece async for piece in pieces])
            assert read_frames(read.replace(b": ping\n\n", b"")) == [*HELLO, "[DONE]"]
            assert (await whole).json()["choices"][0]["message"]["content"] == "Hello"
        assert stopped.wait() == 0


async def test_a_stopping_gateway_at_its_deadline_says_so_and_the_key_finds_the_run_again(
    http: httpx2.AsyncClient, broker: Broker, author: Author
) -> None:
    with closing_all(stopped := Gateway(broker.url, MANYCAST_DRAIN_TIMEOUT_S="2")):
        async with httpx2.AsyncClient(base_url=stopped.url, timeout=60) as first:
            whole = post(first, BODY, Idempotency_Key="moves")
            run = await author.take()
            begun = asyncio.create_task(begin(author))
            async with first.stream("POST", "/v1/chat/completions", json=STREAMED) as streamed:
                await begun
                pieces = streamed.aiter_bytes()
                await anext(pieces)
                await until_drains(stopped)
                assert b'"code":"gateway_stopping"' in b"".join([piece async for piece in pieces])
            assert ((await whole).status_code, (await whole).json()["error"]["code"]) == (503, "gateway_stopping")
            assert "x-should-retry" not in (await whole).headers
    again = post(http, BODY, Idempotency_Key="moves")
    await run.write([*attempt(HELLO), done()], Status.COMPLETED)
    assert (await again).headers["x-stream-id"] == run.stream_id


async def test_a_stopping_gateway_cancels_no_run(broker: Broker, author: Author, client: Client) -> None:
    """Its clients lose their connections, but they did not disconnect."""
    with closing_all(stopped := Gateway(broker.url, MANYCAST_DRAIN_TIMEOUT_S="2")):
        async with httpx2.AsyncClient(base_url=stopped.url, timeout=60) as http:
            waiting = post(http, BODY, X_On_Disconnect="cancel")
            waited_for = await author.take()
            begun = asyncio.create_task(begin(author))
            headers = {"X-On-Disconnect": "cancel"}
            async with http.stream("POST", "/v1/chat/completions", json=STREAMED, headers=headers) as streamed:
                run = await begun
                await until_drains(stopped)
                await streamed.aread()
            assert (await waiting).status_code == 503
        assert stopped.wait() == 0
    for still in (run, waited_for):
        assert not await cancel_is_asked(client, still.stream_id)
        assert not await call_redis(client, "HEXISTS", stream_keys(still.stream_id).meta, "abandon_ms")


async def test_a_client_that_waits_counts_as_a_viewer(http: httpx2.AsyncClient, author: Author) -> None:
    answer = post(http, BODY)
    run = await author.take()
    async with asyncio.timeout(60):
        while (await http.get(f"/v1/streams/{run.stream_id}")).json()["viewers"] != 1:
            await asyncio.sleep(0.02)
    await run.write([*attempt(HELLO), done()], Status.COMPLETED)
    assert (await answer).status_code == 200
