"""The Responses API, with a worker that the test controls."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.errors import RunError
from contract.event import Status
from tests.author import Author, Run
from tests.broker import Broker
from tests.gateway.fanout.recording import USAGE, attempt, chunk_of, done
from tests.redis_keys import stream_keys
from tests.responses import Event, check_response, fold_events, read_events
from tests.stack import Gateway, closing_all

BODY: dict[str, Any] = {"model": "demo", "input": "Hello"}
HELLO = [chunk_of({"role": "assistant", "content": "Hel"}), chunk_of({"content": "lo"}, "stop")]
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
CALLS = [
    chunk_of({"role": "assistant", "reasoning_content": "I need f."}),
    chunk_of({"tool_calls": [CALL]}),
    chunk_of({}, "tool_calls"),
]


@pytest.fixture(scope="module")
def forgetful(broker: Broker) -> Iterator[Gateway]:
    """Another gateway, which keeps so little in memory that nearly all who resume read pages of the log."""
    with closing_all(gateway := Gateway(broker.url, MANYCAST_TAPE_LIMIT_BYTES="2000", MANYCAST_PING_INTERVAL_S="60")):
        yield gateway


@pytest.fixture(scope="module")
def impatient(broker: Broker) -> Iterator[Gateway]:
    with closing_all(gateway := Gateway(broker.url, MANYCAST_HEAD_WAIT_S="0.05", MANYCAST_PING_INTERVAL_S="0.05")):
        yield gateway


def post(http: httpx2.AsyncClient, **fields: Any) -> "asyncio.Task[httpx2.Response]":
    return asyncio.create_task(http.post("/v1/responses", json={**BODY, **fields}))


async def answer(
    http: httpx2.AsyncClient, author: Author, chunks: list[dict[str, Any]] | None = None, **fields: Any
) -> tuple[Event, dict[str, Any]]:
    """The response, and the provider's request, of a run that completes."""
    asked = post(http, **fields)
    run = await author.take()
    await run.write([*attempt(chunks or HELLO), done()], Status.COMPLETED)
    response = await asked
    assert response.status_code == 200, response.text
    return check_response(response.json()), json.loads(run.claim.request)


async def start(http: httpx2.AsyncClient, author: Author) -> Run:
    """A response in the background, whose run the author has."""
    answered = await http.post("/v1/responses", json={**BODY, "background": True})
    run = await author.take()
    assert answered.json()["id"] == f"resp_{run.stream_id}"
    return run


def url_of(run: Run) -> str:
    return f"/v1/responses/resp_{run.stream_id}"


async def read(http: httpx2.AsyncClient, url: str, after: int | None = None) -> list[Event]:
    query = {"stream": "true", **({} if after is None else {"starting_after": str(after)})}
    response = await http.get(url, params=query)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return read_events(response.content)


async def test_a_whole_response_repeats_its_request(http: httpx2.AsyncClient, author: Author) -> None:
    at, kind, last = done()
    asked = post(http, instructions="Be kind.", metadata={"a": "b"}, temperature=0.5, x_vendor=1)
    run = await author.take()
    await run.write([*attempt(HELLO), (at, kind, {**last, "usage": USAGE})], Status.COMPLETED)
    response = check_response((await asked).json())
    assert response["id"] == f"resp_{run.stream_id}"
    assert response["output"][0]["content"][0]["text"] == "Hello"
    assert (response["status"], response["usage"]["total_tokens"]) == ("completed", 5)
    repeated = ("model", "instructions", "metadata", "temperature", "tools", "store", "background")
    assert [response[name] for name in repeated] == ["demo", "Be kind.", {"a": "b"}, 0.5, [], True, False]
    assert json.loads(run.claim.request) == {
        "model": "demo",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
        "temperature": 0.5,
        "x_vendor": 1,
        "stream": True,
    }
    headers = (await asked).headers
    assert headers["x-stream-id"] == run.stream_id
    assert 'rel="monitor"' in headers["link"]
    assert check_response((await http.get(url_of(run))).json()) == response


async def test_a_streamed_response_can_be_watched_as_a_stream_too(http: httpx2.AsyncClient, author: Author) -> None:
    asked = post(http, stream=True)
    run = await author.take()
    await run.write([*attempt([*HELLO]), done()], Status.COMPLETED)
    response = await asked
    assert response.headers["x-stream-id"] == run.stream_id
    found = read_events(response.content)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert fold_events(found)["output"][0]["content"][0]["text"] == "Hello"
    text = await http.get(f"/v1/streams/{run.stream_id}/events", params={"dialect": "text"})
    assert text.text == "Hello\n"


REFUSAL = RunError("rate_limit_exceeded", "Slow down.", "requests", param="model", retryable=True, http_status=429)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_before_the_first_chunk_has_the_providers_status(
    http: httpx2.AsyncClient, author: Author, stream: bool
) -> None:
    asked = post(http, stream=stream)
    run = await author.take()
    await run.write([done("failed", REFUSAL, "1-1")], Status.FAILED)
    response = await asked
    assert (response.status_code, response.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert response.headers["x-should-retry"] == "false"
    failed = check_response((await http.get(url_of(run))).json())
    assert (failed["status"], failed["error"]) == ("failed", {"code": "rate_limit_exceeded", "message": "Slow down."})
    assert [event["type"] for event in await read(http, url_of(run))] == [
        "response.created",
        "response.in_progress",
        "response.failed",
    ]


async def test_a_slow_answer_begins_with_keep_alives(impatient: Gateway, author: Author) -> None:
    async with httpx2.AsyncClient(base_url=impatient.url, timeout=60) as http:
        url = "/v1/responses"
        async with http.stream("POST", url, json={**BODY, "stream": True}) as response:
            text = ""
            pieces = response.aiter_text()
            run = await author.take()
            while ": ping" not in text:
                text += await anext(pieces)
            assert text.startswith("event: response.created\n")
            await run.write([*attempt(HELLO), done()], Status.COMPLETED)
            text += "".join([piece async for piece in pieces])
        assert fold_events(read_events(text.encode()))["status"] == "completed"
        asked = post(http)
        run = await author.take()
        await asyncio.sleep(0)
        await run.write([*attempt(HELLO), done()], Status.COMPLETED)
        assert check_response((await asked).json())["status"] == "completed"


async def test_a_response_in_the_background_is_queued_then_in_progress_then_complete(
    http: httpx2.AsyncClient, author: Author
) -> None:
    queued = check_response((await http.post("/v1/responses", json={**BODY, "background": True})).json())
    assert (queued["status"], queued["background"], queued["output"]) == ("queued", True, [])
    run = await author.take()
    await run.write(attempt(HELLO[:1]))
    assert check_response((await http.get(url_of(run))).json())["status"] == "in_progress"
    await run.write([*attempt(HELLO)[2:], done()], Status.COMPLETED)
    assert check_response((await http.get(url_of(run))).json())["status"] == "completed"


async def test_a_streamed_response_in_the_background_names_itself_at_once(
    http: httpx2.AsyncClient, author: Author
) -> None:
    body = {**BODY, "background": True, "stream": True}
    async with http.stream("POST", "/v1/responses", json=body) as response:
        text = await anext(response.aiter_text())
    created, _ = read_events(text.encode())
    run = await author.take()
    assert created["response"]["id"] == f"resp_{run.stream_id}"
    await run.write([*attempt(HELLO), done()], Status.COMPLETED)
    found = await read(http, url_of(run), 1)
    assert found[0]["sequence_number"] == 2
    assert found[-1]["type"] == "response.completed"


# Resuming

LONG = [*CALLS[:1], *(chunk_of({"content": f"{number} " + "x" * 300}) for number in range(40)), *CALLS[1:]]


async def test_any_gateway_resumes_after_every_number(
    http: httpx2.AsyncClient, author: Author, forgetful: Gateway
) -> None:
    run = await start(http, author)
    entries = [*attempt(LONG), done()]
    for at in range(0, len(entries), 7):
        await run.write(entries[at : at + 7], Status.COMPLETED if at + 7 >= len(entries) else None)
    whole = await read(http, url_of(run))
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    fold_events(whole)
    async with httpx2.AsyncClient(base_url=forgetful.url, timeout=60) as other:
        for client in (http, other):
            rest = await asyncio.gather(*(read(client, url_of(run), number) for number in range(-1, len(whole))))
            assert rest == [whole[number + 1 :] for number in range(-1, len(whole))]
            beyond = await client.get(url_of(run), params={"stream": "true", "starting_after": len(whole)})
            assert (beyond.status_code, beyond.json()["error"]["param"]) == (400, "starting_after")


async def test_a_viewer_who_is_cut_off_continues_at_another_gateway_while_the_answer_grows(
    http: httpx2.AsyncClient, author: Author, forgetful: Gateway
) -> None:
    run = await start(http, author)
    # Each write makes an event: `start` the first two, the end of the calls none.
    *entries, reason = attempt(LONG)
    writes = [*([entry] for entry in entries), [reason, done()]]
    async with httpx2.AsyncClient(base_url=forgetful.url, timeout=60) as other:
        clients = [http, other]
        after, found = -1, []
        for at, write in enumerate(writes):
            await run.write(write, Status.COMPLETED if at == len(writes) - 1 else None)
            client = clients[at % 2]
            query = {"stream": "true", "starting_after": str(after)}
            async with asyncio.timeout(60), client.stream("GET", url_of(run), params=query) as response:
                text = ""
                async for piece in response.aiter_text():
                    text += piece
                    if "data: " in text and text.endswith("\n\n"):
                        break
            got = read_events(text.encode())
            found += got
            after = found[-1]["sequence_number"] if found else -1
        found += await read(http, url_of(run), after)
    assert found == await read(http, url_of(run))


async def test_a_restart_ends_the_stream_and_a_resume_gets_the_new_attempt(
    http: httpx2.AsyncClient, author: Author, forgetful: Gateway
) -> None:
    run = await start(http, author)
    await run.write(attempt(LONG[:9]))
    async with http.stream("GET", url_of(run), params={"stream": "true"}) as early:
        pieces = early.aiter_text()
        text = ""
        while "7 xxx" not in text:
            text += await anext(pieces)
        second = await run.lose()
        text += "".join([piece async for piece in pieces])
    lost = read_events(text.encode())
    assert (lost[-1]["type"], lost[-1]["response"]["error"]["code"]) == ("response.failed", "worker_lost")
    await second.write([*attempt(LONG, 2, 2), done()], Status.COMPLETED)
    async with httpx2.AsyncClient(base_url=forgetful.url, timeout=60) as other:
        again = await read(other, url_of(run))
        assert again[0]["type"] == "response.created"
        assert again[0]["sequence_number"] == lost[-1]["sequence_number"] + 1
        fold_events(again)
        for client in (http, other):
            for event in lost:
                assert await read(client, url_of(run), event["sequence_number"]) == again
            for place, event in enumerate(again):
                assert await read(client, url_of(run), event["sequence_number"]) == again[place + 1 :]


# Context


async def test_a_response_continues_the_one_before_without_its_items_being_sent_or_stored_again(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    first, _ = await answer(http, author, CALLS, input="What is f of 1?", instructions="Be brief.", tools=[tool])
    output = {"type": "function_call_output", "call_id": "call_1", "output": "4"}
    second, request = await answer(http, author, input=[output], previous_response_id=first["id"])
    call = {"id": "call_1", "type": "function", "function": CALL["function"]}
    context = [
        {"role": "user", "content": "What is f of 1?"},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "I need f."},
        {"role": "tool", "tool_call_id": "call_1", "content": "4"},
    ]
    assert request["messages"] == context
    _, request = await answer(http, author, input="Thanks.", previous_response_id=second["id"])
    assert request["messages"] == [
        *context,
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Thanks."},
    ]
    meta = stream_keys(second["id"].removeprefix("resp_")).meta
    stored = b"".join(await call_redis(client, "HVALS", meta))
    assert b"What is f of 1?" not in stored
    assert b"I need f." not in stored
    assert stored.count(b'"output":"4"') == 1


async def test_an_item_may_be_named_by_its_id(http: httpx2.AsyncClient, author: Author) -> None:
    first, _ = await answer(http, author, CALLS, input="What is f of 1?")
    items = (await http.get(f"/v1/responses/{first['id']}/input_items")).json()["data"]
    named = [{"type": "item_reference", "id": item["id"]} for item in (*items, *first["output"])]
    output = {"type": "function_call_output", "call_id": "call_1", "output": "4"}
    second, request = await answer(http, author, input=[*named, output])
    assert [message["role"] for message in request["messages"]] == ["user", "assistant", "tool"]
    listed = (await http.get(f"/v1/responses/{second['id']}/input_items", params={"order": "asc"})).json()["data"]
    assert listed[:3] == [*items, *first["output"]]
    missing = {"type": "item_reference", "id": "msg_" + first["id"].removeprefix("resp_") + "_1_9"}
    for unknown in (missing, {"type": "item_reference", "id": "msg_1"}):
        refused = await http.post("/v1/responses", json={**BODY, "input": [unknown]})
        assert (refused.status_code, refused.json()["error"]["param"]) == (404, "input[0].id")


async def test_input_items_come_in_pages(http: httpx2.AsyncClient, author: Author) -> None:
    texts = [{"role": "user", "content": f"{number}"} for number in range(5)]
    response, _ = await answer(http, author, input=texts)
    url = f"/v1/responses/{response['id']}/input_items"
    page = (await http.get(url, params={"limit": 2})).json()
    assert [item["content"][0]["text"] for item in page["data"]] == ["4", "3"]
    assert page["has_more"] is True
    rest = (await http.get(url, params={"limit": 9, "after": page["last_id"]})).json()
    assert [item["content"][0]["text"] for item in rest["data"]] == ["2", "1", "0"]
    assert rest["has_more"] is False


@pytest.mark.parametrize("previous", ["resp_s_0123456789012345678901", "resp_1", "", "s_0123456789012345678901"])
async def test_a_previous_response_that_does_not_exist_is_not_found(
    http: httpx2.AsyncClient, author: Author, previous: str
) -> None:
    refused = await http.post("/v1/responses", json={**BODY, "previous_response_id": previous})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (404, "previous_response_not_found")
    assert error["param"] == "previous_response_id"


async def test_a_response_that_is_being_written_cannot_be_continued(http: httpx2.AsyncClient, author: Author) -> None:
    run = await start(http, author)
    refused = await http.post("/v1/responses", json={**BODY, "previous_response_id": f"resp_{run.stream_id}"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "previous_response_id")


async def test_half_a_call_of_a_failed_response_is_not_continued(http: httpx2.AsyncClient, author: Author) -> None:
    run = await start(http, author)
    half = {**CALL, "function": {"name": "f", "arguments": '{"x'}}
    chunks = [*HELLO[:1], chunk_of({"tool_calls": [half]})]
    await run.write([*attempt(chunks), done("failed", RunError("x", "It broke."))], Status.FAILED)
    _, request = await answer(http, author, previous_response_id=f"resp_{run.stream_id}")
    assert [message.get("content") for message in request["messages"]] == ["Hello", "Hel", "Hello"]


# Ending


async def test_a_cancelled_response_says_so(http: httpx2.AsyncClient, author: Author) -> None:
    queued = (await http.post("/v1/responses", json={**BODY, "background": True})).json()
    cancelled = check_response((await http.post(f"/v1/responses/{queued['id']}/cancel")).json())
    assert (cancelled["id"], cancelled["status"]) == (queued["id"], "cancelled")
    assert (await http.post(f"/v1/responses/{queued['id']}/cancel")).json()["status"] == "cancelled"


async def test_a_deleted_response_is_gone_with_its_stream(http: httpx2.AsyncClient, author: Author) -> None:
    run = await start(http, author)
    await run.write(attempt(HELLO[:1]))
    async with http.stream("GET", url_of(run), params={"stream": "true"}) as watched:
        pieces = watched.aiter_text()
        text = await anext(pieces)
        deleted = await http.delete(url_of(run))
        text += "".join([piece async for piece in pieces])
    assert deleted.json() == {"id": f"resp_{run.stream_id}", "object": "response", "deleted": True}
    assert read_events(text.encode())[-1]["code"] == "stream_deleted"
    assert (await http.get(url_of(run))).status_code == 404
    assert (await http.get(f"/v1/streams/{run.stream_id}")).status_code == 404
    assert (await http.delete(url_of(run))).status_code == 404


async def test_a_response_that_is_not_stored_cannot_be_found_and_is_soon_gone(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    response, _ = await answer(http, author, store=False)
    url = f"/v1/responses/{response['id']}"
    for refused in (await http.get(url), await http.get(f"{url}/input_items"), await http.delete(url)):
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "response_not_found")
    refused = await http.post("/v1/responses", json={**BODY, "previous_response_id": response["id"]})
    assert refused.status_code == 404
    for key in stream_keys(response["id"].removeprefix("resp_"))[:2]:
        assert 0 < await call_redis(client, "PTTL", key) <= 60_000


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"conversation": "conv_1"}, "conversation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        ({"input": None}, "input"),
        ({"input": 7}, "input"),
        ({"input": []}, "messages"),
        ({"input": ["Hi"]}, "input[0]"),
        ({"background": True, "store": False}, "background"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"stream": "yes"}, "stream"),
    ],
)
async def test_what_cannot_be_served_is_refused_by_name_and_starts_nothing(
    http: httpx2.AsyncClient, author: Author, client: Client, fields: dict[str, Any], param: str
) -> None:
    refused = await http.post("/v1/responses", json={**BODY, **fields})
    error = refused.json()["error"]
    assert (refused.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    # The runs of earlier tests may still be counted as watched.
    assert await call_redis(client, "KEYS", "mc:*:meta") == []


async def test_an_idempotency_key_finds_the_response(http: httpx2.AsyncClient, author: Author) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {**BODY, "background": True}
    first, second = [(await http.post("/v1/responses", json=body, headers=headers)).json() for _ in range(2)]
    assert first["id"] == second["id"]


async def test_a_run_of_another_call_is_no_response(http: httpx2.AsyncClient, author: Author) -> None:
    chat = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
    started = (await http.post("/v1/streams", json=chat)).json()
    assert (await http.get(f"/v1/responses/resp_{started['id']}")).status_code == 404


async def test_many_requests_for_one_response_read_its_log_once(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    async def pages_read() -> int:
        stats = await call_redis(client, "INFO", "commandstats")
        return int(stats.get("cmdstat_xrange", {"calls": 0})["calls"])

    run = await start(http, author)
    await run.write([*attempt(HELLO), done()], Status.COMPLETED)
    before = await pages_read()
    answers = await asyncio.gather(*[http.get(url_of(run)) for _ in range(20)])
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert await pages_read() - before == 1
