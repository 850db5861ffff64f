"""Bad input gets a clear answer in OpenAI's error shape, and starts nothing."""

import json
from typing import Any

import httpx2
import pytest

from contract.connection import call_redis, command_client
from contract.job_queue import JobQueue
from tests.broker import Broker
from tests.redis_keys import KEYS
from tests.stack import Gateway, closing_all
from tests.system.conftest import Stack, start_stream
from tests.topologies import topology_kind
from tests.viewers import question, read_events

HELLO = [{"role": "user", "content": "hello"}]
BODIES: dict[str, tuple[bytes, int, str, str | None]] = {
    "not JSON": (b"{", 400, "invalid_json", None),
    "not UTF-8": (b'{"messages":"\xff"}', 400, "invalid_json", None),
    "nested too deeply": (b"[" * 100_000, 400, "invalid_json", None),
    "not an object": (b"[]", 400, "invalid_json", None),
    "NaN": (b'{"messages":[{"role":"user"}],"temperature":NaN}', 400, "invalid_json", None),
    "no messages": (b"{}", 400, "missing_required_parameter", "messages"),
    "messages of the wrong type": (b'{"messages":"hi"}', 400, "invalid_type", "messages"),
    "no message": (b'{"messages":[]}', 400, "empty_array", "messages"),
    "a message that is no object": (b'{"messages":["hi"]}', 400, "invalid_type", "messages[0]"),
    "a message without a role": (b'{"messages":[{"content":"hi"}]}', 400, "invalid_type", "messages[0].role"),
    "model of the wrong type": (b'{"model":1,"messages":[{"role":"user"}]}', 400, "invalid_type", "model"),
    "an unknown word of ours": (
        b'{"messages":[{"role":"user"}],"manycast":{"x":1}}',
        400,
        "unknown_parameter",
        "manycast.x",
    ),
    "a patience of no seconds": (
        b'{"messages":[{"role":"user"}],"manycast":{"when_unwatched":{"cancel_after_s":0}}}',
        400,
        "invalid_value",
        "manycast.when_unwatched",
    ),
    "more than anybody should read": (
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"%b"}]},{"role":"user","content":"%b"}]}'
        % (b"x" * 250_000, b"\xc3\xa4" * 250_001),
        400,
        "context_length_exceeded",
        "messages",
    ),
    "too large": (b'{"messages":[{"role":"user","content":"%b"}]}' % (b"x" * (20 << 20)), 413, "body_too_large", None),
}


async def count_jobs(stack: Stack) -> int:
    """How many were ever queued."""
    client = command_client(stack.broker.url)
    try:
        # The worker may not have opened all lines yet.
        await JobQueue(client, 1).open()
        lines = [KEYS.queue(partition).jobs for partition in range(stack.partitions)]
        infos: list[Any] = [await call_redis(client, "XINFO", "STREAM", line) for line in lines]
        return sum(info[info.index(b"entries-added") + 1] for info in infos)
    finally:
        await client.aclose()


def check_error(answer: httpx2.Response, status: int, code: str, param: str | None) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]


@pytest.mark.parametrize("case", BODIES)
async def test_a_bad_body_is_refused_and_starts_nothing(http: httpx2.AsyncClient, stack: Stack, case: str) -> None:
    body, status, code, param = BODIES[case]
    stream_id = await start_stream(http, stack, "demo-fast")
    # A run that waits for its caller's turn joins its line later.
    await read_events(http, stack.events_url(stream_id))
    before = await count_jobs(stack)
    answer = await http.post(f"{stack.gateways[0].url}/v1/streams", content=body)
    check_error(answer, status, code, param)
    assert await count_jobs(stack) == before


async def test_a_body_that_is_nested_however_deeply_is_no_error_of_ours(http: httpx2.AsyncClient, stack: Stack) -> None:
    for depth in range(50, 2000, 50):
        nested = b"[" * depth + b"]" * depth
        body = b'{"model":"demo-fast","messages":[{"role":"user","content":%b}]}' % nested
        answer = await http.post(f"{stack.gateways[0].url}/v1/streams", content=body)
        assert answer.status_code in (201, 400), depth


async def test_pictures_are_not_counted_as_text(http: httpx2.AsyncClient, stack: Stack) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "x" * 600_000}}
    content = [{"type": "text", "text": "What is this?"}, picture]
    body = {**question("demo-fast"), "messages": [{"role": "user", "content": content}]}
    assert (await http.post(f"{stack.gateways[0].url}/v1/streams", json=body)).status_code == 201


@pytest.mark.parametrize("path", ["", "/events", "/completion"])
async def test_a_stream_that_never_was_is_404_and_a_malformed_id_is_400(
    http: httpx2.AsyncClient, stack: Stack, path: str
) -> None:
    streams = f"{stack.gateways[0].url}/v1/streams"
    check_error(await http.get(f"{streams}/{'x' * 22}{path}"), 404, "stream_not_found", "id")
    check_error(await http.get(f"{streams}/x%0ay{path}"), 400, "invalid_stream_id", "id")


@pytest.mark.parametrize("position", ["x", "1", "1-", "-1", "1-2-3", "01-2", "1-2 ", "9" * 40 + "-1"])
async def test_a_malformed_position_is_400(http: httpx2.AsyncClient, stack: Stack, position: str) -> None:
    stream_id = await start_stream(http, stack, "demo-fast")
    url = stack.events_url(stream_id)
    answers = [await http.get(url, params={name: position}) for name in ("after", "lastEventId")]
    if position == position.strip():  # HTTP removes spaces around a header's value
        answers.append(await http.get(url, headers={"Last-Event-ID": position}))
    for answer in answers:
        check_error(answer, 400, "invalid_position", "Last-Event-ID")
    assert len({answer.json()["error"]["message"] for answer in answers}) == 1


async def test_an_unknown_dialect_is_400_and_names_those_there_are(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start_stream(http, stack, "demo-fast")
    answer = await http.get(stack.events_url(stream_id), params={"dialect": "klingon"})
    check_error(answer, 400, "unknown_dialect", "dialect")
    assert "native" in answer.json()["error"]["message"]


async def test_an_unknown_path_is_404_in_the_same_shape(http: httpx2.AsyncClient, stack: Stack) -> None:
    check_error(await http.get(f"{stack.gateways[0].url}/v1/nothing"), 404, "not_found", None)


async def test_a_full_queue_is_503_with_retry_after_and_takes_nothing_in(
    http: httpx2.AsyncClient, fragile_broker: Broker
) -> None:
    # The limit is divided among the partitions, and each gets 20 at least.
    settings = {"MANYCAST_QUEUE_LIMIT": "2", "MANYCAST_PARTITIONS": "1"}
    with closing_all(gateway := Gateway(fragile_broker.url, **settings)):
        answers = [await http.post(f"{gateway.url}/v1/streams", json=question("demo")) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 503]
        check_error(answers[2], 503, "queue_full", None)
        assert int(answers[2].headers["retry-after"]) > 0


async def test_without_a_worker_a_run_waits_and_readiness_says_so(
    http: httpx2.AsyncClient, fragile_broker: Broker
) -> None:
    with closing_all(gateway := Gateway(fragile_broker.url)):
        answer = await http.post(f"{gateway.url}/v1/streams", json=question("demo"))
        assert answer.status_code == 201
        assert answer.json()["status"] == "queued"
        readiness = await http.get(f"{gateway.url}/readyz")
        assert readiness.status_code == 503
        state = {"ready": False, "redis": True, "workers": 0, "draining": False, "topology": topology_kind()}
        assert readiness.json() == state


@pytest.mark.each_topology
async def test_an_idempotency_key_makes_one_stream_of_one_body(http: httpx2.AsyncClient, stack: Stack) -> None:
    key = {"Idempotency-Key": "a-key-of-the-caller"}
    ask = f"{stack.gateways[0].url}/v1/streams", f"{stack.gateways[1].url}/v1/streams"
    first = await http.post(ask[0], json=question("demo-fast"), headers=key)
    again = await http.post(ask[1], json=question("demo-fast"), headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = await http.post(ask[0], json=question("demo-long"), headers=key)
    check_error(other, 422, "idempotency_mismatch", "Idempotency-Key")
    malformed = await http.post(ask[0], json=question("demo-fast"), headers={"Idempotency-Key": "x" * 256})
    check_error(malformed, 400, "invalid_value", "Idempotency-Key")


async def test_fields_we_do_not_know_pass_through(http: httpx2.AsyncClient, stack: Stack) -> None:
    body = {**question("demo-fast"), "x_vendor": {"deep": [1, None, "\ud83d"]}}
    answer = await http.post(f"{stack.gateways[0].url}/v1/streams", content=json.dumps(body))
    assert answer.status_code == 201
