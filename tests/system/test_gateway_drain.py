"""A gateway that is told to stop sends its viewers to the others, and cuts nobody."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.author import open_run
from tests.broker import Broker, valkey_binary
from tests.crowd import NewCrowd
from tests.stack import Gateway, closing_all

VIEWERS = 1000


@pytest.fixture
def frozen_broker() -> Iterator[Broker]:
    """A server of this test alone, which may freeze it."""
    broker = Broker(valkey_binary())
    yield broker
    broker.close()


@pytest.mark.parametrize("protocol", ["direct", "httptools"])
async def test_a_thousand_viewers_are_sent_away_and_miss_nothing(
    workerless_broker: Broker, crowd_of: NewCrowd, protocol: str
) -> None:
    settings = {"MANYCAST_HTTP_PROTOCOL": protocol, "MANYCAST_DRAIN_RETRY_WINDOW_MS": "2000"}
    leaving, staying = Gateway(workerless_broker.url, **settings), Gateway(workerless_broker.url)
    async with open_run(workerless_broker.url) as run:
        with closing_all(leaving, staying):
            path = f"/v1/streams/{run.stream_id}/events"
            crowd = crowd_of(leaving.url + path, VIEWERS)
            await run.begin()
            await run.say("before")
            crowd.read_until(lambda: crowd.everyone_has(b"before"))
            leaving.signal(signal.SIGTERM)
            told_at = time.monotonic()
            await run.say("while it drains")
            crowd.read_until(lambda: crowd.everyone_is_through)
            assert leaving.wait() == 0
            assert time.monotonic() - told_at < 10, "longer than its grace"

            assert all(member.is_whole for member in crowd.members), "a response was cut"
            farewells = [member.retries_ms[-1] for member in crowd.members]
            assert max(farewells) <= 2000
            assert len({retry // 100 for retry in farewells}) > 10, "the returns are not spread"
            assert "ERROR" not in leaving.output
            assert "Traceback" not in leaving.output

            await run.end()
            lasts = {member.ids[-1] for member in crowd.members}
            for last in lasts:
                rest = crowd_of(staying.url + path, 1, after=last)
                rest.read_until(lambda rest=rest: rest.everyone_is_through)
                seen = next(member for member in crowd.members if member.ids[-1] == last).ids + rest.members[0].ids
                assert seen == [f"1-{seq}" for seq in range(1, len(run.lines) + 1)]


async def test_viewers_that_read_nothing_do_not_hold_it_up(workerless_broker: Broker, crowd_of: NewCrowd) -> None:
    gateway = Gateway(workerless_broker.url, MANYCAST_DRAIN_TIMEOUT_S="8")
    async with open_run(workerless_broker.url) as run:
        with closing_all(gateway):
            crowd_of(f"{gateway.url}/v1/streams/{run.stream_id}/events", 5, stalled=True)
            await run.begin()
            async with httpx2.AsyncClient(base_url=gateway.url) as http:
                while "manycast_viewers 5.0" not in (await http.get("/metrics")).text:
                    await asyncio.sleep(0.05)
            for _ in range(40):
                await run.say("x" * 200_000)
            gateway.signal(signal.SIGTERM)
            assert gateway.wait() == 0
            assert "ERROR" not in gateway.output, gateway.output


@pytest.mark.parametrize("protocol", ["direct", "httptools"])
async def test_a_request_that_waits_for_redis_until_its_end_is_told_so(frozen_broker: Broker, protocol: str) -> None:
    settings = {"MANYCAST_DRAIN_TIMEOUT_S": "1", "MANYCAST_HTTP_PROTOCOL": protocol}
    with closing_all(gateway := Gateway(frozen_broker.url, **settings)):
        with frozen_broker.frozen():
            body = b'{"model":"demo","messages":[{"role":"user","content":"?"}]}'
            reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
            head = f"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            async with httpx2.AsyncClient(base_url=gateway.url) as http:
                # It is answered after the first request has been read.
                await http.get("/")
            gateway.signal(signal.SIGTERM)
            answer = await reader.read()
            writer.close()
            assert gateway.wait() == 0
        head_lines, _, error = answer.partition(b"\r\n\r\n")
        assert head_lines.startswith(b"HTTP/1.1 503 "), answer
        assert b"retry-after: 1" in head_lines.lower()
        assert json.loads(error)["error"]["code"] == "gateway_stopping"
        assert "Traceback" not in gateway.output, gateway.output


async def test_while_it_drains_nobody_new_comes_in(workerless_broker: Broker) -> None:
    """The viewer here reads nothing, so that the gateway cannot be done before the test has looked."""
    gateway = Gateway(workerless_broker.url)
    with closing_all(gateway):
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            assert (await http.get("/healthz")).status_code == 200
            gateway.signal(signal.SIGTERM)
            deadline = time.monotonic() + 5
            refused = False
            while not refused and time.monotonic() < deadline:
                try:
                    async with httpx2.AsyncClient(base_url=gateway.url) as newcomer:
                        refused = (await newcomer.get("/readyz")).status_code == 503
                except httpx2.ConnectError:
                    refused = True
            assert refused
        assert gateway.wait() == 0
