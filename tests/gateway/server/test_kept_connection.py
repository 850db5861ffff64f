"""A connection outlasts a streamed answer, whichever way wrote it. The bytes say when an answer ends."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress

import httpx2
import pytest

from gateway.server.address_count import AddressCount
from gateway.server.send_timeouts import SendTimeouts
from gateway.server.taken_connection import TakenConnection
from tests.author import Author, Run
from tests.broker import Broker
from tests.gateway.dialects.test_registry import BODY
from tests.gateway.server.raw_line import RawLine
from tests.stack import Gateway, closing_all
from tests.viewers import until, until_nobody_watches

pytestmark = pytest.mark.usefixtures("emptied")

END = b"\r\n0\r\n\r\n"
"""How a chunked body ends that has a piece before."""
FOR_EVER = {"MANYCAST_KEEP_ALIVE_S": "600", "MANYCAST_DRAIN_TIMEOUT_S": "90"}
"""So that a connection which is closed was closed for another reason."""
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = HEALTH.replace(b"Host", b"Connection: close\r\nHost")
OPENAI = "?dialect=openai"
"""Such a request is read by uvicorn's parser. One without a query is not, if the gateway has the stream in memory."""


@pytest.fixture(scope="module", params=["direct", "httptools"])
def patient(request: pytest.FixtureRequest, broker: Broker) -> Iterator[Gateway]:
    gateway = Gateway(broker.url, MANYCAST_HTTP_PROTOCOL=request.param, **FOR_EVER)
    with closing_all(gateway):
        yield gateway
        assert "Traceback" not in gateway.output


def ask(run: Run, query: str = "", fields: bytes = b"", version: bytes = b"1.1") -> bytes:
    path = f"/v1/streams/{run.stream_id}/events{query}".encode()
    return b"GET %b HTTP/%b\r\nHost: localhost\r\n%b\r\n" % (path, version, fields)


async def new_run(author: Author, *texts: str) -> Run:
    run = await author.start()
    await run.begin()
    for text in texts:
        await run.say(text)
    return run


async def ended_run(author: Author, gateway: Gateway) -> Run:
    """The gateway has it in memory."""
    run = await new_run(author, "word")
    await run.end()
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        await http.get(f"/v1/streams/{run.stream_id}/events")
    return run


async def next_answer(line: RawLine) -> bytes:
    """The answer whose beginning may have come; forgets it."""
    await asyncio.to_thread(line.read_until, END)
    answer, line.received = line.received, b""
    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.endswith(END)
    assert b"connection: close" not in answer.lower()
    return answer


@pytest.mark.parametrize("query", [OPENAI, ""])
async def test_answer_after_answer_comes_on_one_connection(patient: Gateway, author: Author, query: str) -> None:
    with RawLine(patient) as line:
        for text in ("one", "two", "three"):
            run = await new_run(author, text)
            line.send(ask(run, query))
            await asyncio.to_thread(line.read_until, text.encode())
            await run.end()
            await next_answer(line)
        # The same for answers that had ended before, and for what is not a stream.
        for _ in range(3):
            line.send(ask(run, query))
            assert b"three" in await next_answer(line)
        await asyncio.to_thread(check_health, line)
        line.send(ask(run, query))
        assert b"three" in await next_answer(line)


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/v1/responses"])
async def test_so_does_call_after_call_of_an_sdk(patient: Gateway, author: Author, path: bytes) -> None:
    body = json.dumps({**BODY, "input": "word", "stream": True}).encode()
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (path, len(body))
    with RawLine(patient) as line:
        for text in ("one", "two"):
            line.send(head + body)
            run = await author.take()
            await run.begin()
            await run.say(text)
            await run.end()
            assert text.encode() in await next_answer(line)


async def test_a_kept_connection_is_no_viewer(patient: Gateway, author: Author) -> None:
    run = await ended_run(author, patient)
    with RawLine(patient) as line:
        line.send(ask(run))
        await next_answer(line)
        await until_nobody_watches(patient.url)


@pytest.mark.parametrize("query", [OPENAI, ""])
@pytest.mark.parametrize(
    ("fields", "version"),
    [(b"Connection: close\r\n", b"1.1"), (b"Connection: keep-alive, Close\r\n", b"1.1"), (b"", b"1.0")],
)
async def test_a_client_that_wants_one_answer_gets_its_end(
    patient: Gateway, author: Author, query: str, fields: bytes, version: bytes
) -> None:
    run = await ended_run(author, patient)
    with RawLine(patient) as line:
        line.send(ask(run, query, fields, version))
        answer = await asyncio.to_thread(line.read_to_end)
        assert b"word" in answer
        assert answer.endswith(END)
        assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("query", [OPENAI, ""])
async def test_what_comes_before_the_end_of_an_answer_spoils_neither(
    patient: Gateway, author: Author, query: str
) -> None:
    """The gateway may answer the second request afterwards, or close the connection."""
    run = await new_run(author, "word")
    with RawLine(patient) as first, RawLine(patient) as second:
        # The second one's request is for a stream in memory.
        for line in (first, second):
            line.send(ask(run, query))
            await asyncio.to_thread(line.read_until, b"word")
            line.send(LAST)
        await run.say("more")
        for line in (first, second):
            await asyncio.to_thread(line.read_until, b"more")
        await run.end()
        for line in (first, second):
            with suppress(ConnectionResetError):
                await asyncio.to_thread(line.read_to_end)
            _, ended, rest = line.received.partition(END)
            assert ended
            assert not rest or rest.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("body", [b"word", b"-" + HEALTH])
async def test_the_rest_of_a_body_is_no_request(patient: Gateway, author: Author, body: bytes) -> None:
    run = await ended_run(author, patient)
    with RawLine(patient) as line:
        line.send(ask(run, fields=b"Content-Length: %d\r\n" % len(body)) + body[:1])
        await asyncio.to_thread(line.read_until, END)
        # The gateway may have closed the connection.
        with suppress(ConnectionError):
            line.send(body[1:] + LAST)
            await asyncio.to_thread(line.read_to_end)
        assert b"400 Bad Request" not in line.received, "a part of the body was taken for a request"
        assert line.received.count(b"HTTP/1.1 ") <= 2, "a part of the body was answered"


@pytest.mark.parametrize("query", [OPENAI, ""])
async def test_a_kept_connection_is_closed_when_nothing_comes(broker: Broker, author: Author, query: str) -> None:
    gateway = Gateway(broker.url, MANYCAST_KEEP_ALIVE_S="1", MANYCAST_HEAD_TIMEOUT_S="600")
    with closing_all(gateway), RawLine(gateway) as line:
        line.send(ask(await ended_run(author, gateway), query))
        await next_answer(line)
        assert await asyncio.to_thread(line.read_to_end) == b""


async def test_the_next_request_has_the_time_of_a_head_from_its_first_byte(broker: Broker, author: Author) -> None:
    gateway = Gateway(broker.url, MANYCAST_KEEP_ALIVE_S="600", MANYCAST_HEAD_TIMEOUT_S="2")
    with closing_all(gateway):
        run = await ended_run(author, gateway)
        with RawLine(gateway) as line:
            line.send(ask(run))
            await next_answer(line)
            assert line.is_silent_for(3)
            line.send(HEALTH[:9])
            await asyncio.to_thread(line.read_to_end)
            assert (line.status, line.error["code"]) == (408, "request_timeout")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has every address of 127.0.0.0/8")
async def test_a_kept_connection_has_one_place_and_gives_it_back(broker: Broker, author: Author) -> None:
    gateway = Gateway(
        broker.url,
        MANYCAST_ADDRESS_CONNECTION_LIMIT="2",
        MANYCAST_CONNECTION_LIMIT="3",
        MANYCAST_TRUSTED_PROXIES="127.0.0.1",
        **FOR_EVER,
    )
    with closing_all(gateway):
        run, running = await ended_run(author, gateway), await new_run(author, "word")
        for _ in range(3):
            with RawLine(gateway, "127.0.0.2") as one, RawLine(gateway, "127.0.0.2") as other:
                for line in (one, other):
                    for query in (OPENAI, "", "", OPENAI):
                        line.send(ask(run, query))
                        await next_answer(line)
                    line.send(ask(running))
                    await asyncio.to_thread(line.read_until, b"word")
                with RawLine(gateway, "127.0.0.2") as refused:
                    await asyncio.to_thread(refused.read_to_end)
                    assert refused.status == 429
            async with asyncio.timeout(60):
                while not await is_answered(gateway, at_once=2):
                    await asyncio.sleep(0.05)
        await running.end()
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
        assert "Traceback" not in gateway.output


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has every address of 127.0.0.0/8")
@pytest.mark.parametrize("protocol", ["direct", "httptools"])
@pytest.mark.parametrize(
    ("limit", "refusal"), [("MANYCAST_ADDRESS_CONNECTION_LIMIT", 429), ("MANYCAST_CONNECTION_LIMIT", 503)]
)
async def test_where_there_is_no_place_the_connection_that_was_idle_for_longest_is_closed(
    broker: Broker, author: Author, protocol: str, limit: str, refusal: int
) -> None:
    settings = {**FOR_EVER, limit: "3", "MANYCAST_HTTP_PROTOCOL": protocol, "MANYCAST_TRUSTED_PROXIES": "127.0.0.1"}
    ended, running = await new_run(author, "word"), await new_run(author, "word")
    await ended.end()
    gateway = Gateway(broker.url, **settings)
    with closing_all(gateway), ExitStack() as stack:

        def connect() -> RawLine:
            return stack.enter_context(RawLine(gateway, "127.0.0.2"))

        watching, streamed, plain = connect(), connect(), connect()
        watching.send(ask(running))
        await asyncio.to_thread(watching.read_until, b"word")
        streamed.send(ask(ended))
        await next_answer(streamed)
        await asyncio.to_thread(check_health, plain)
        later = connect()
        await asyncio.to_thread(check_health, later)
        assert await asyncio.to_thread(streamed.read_to_end) == b""
        # It is used again, so that the later one is idle for longer.
        await asyncio.to_thread(check_health, plain)
        last = connect()
        await asyncio.to_thread(check_health, last)
        assert await asyncio.to_thread(later.read_to_end) == b""
        for line in (plain, last):
            line.send(ask(running))
            await asyncio.to_thread(line.read_until, b"word")
        refused = connect()
        await asyncio.to_thread(refused.read_to_end)
        assert (refused.status, refused.error["code"]) == (refusal, "too_many_connections")
        await running.end()
        for line in (watching, plain, last):
            await next_answer(line)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has every address of 127.0.0.0/8")
@pytest.mark.parametrize("protocol", ["direct", "httptools"])
async def test_a_connection_whose_answer_was_read_late_gives_way_too(
    broker: Broker, author: Author, protocol: str
) -> None:
    """Its answer had ended before the client read it."""
    run = await new_run(author, "x" * 50_000)
    gateway = Gateway(
        broker.url,
        MANYCAST_HTTP_PROTOCOL=protocol,
        MANYCAST_CONNECTION_LIMIT="2",
        MANYCAST_SEND_BUFFER_BYTES="4608",
        **FOR_EVER,
    )
    with closing_all(gateway), RawLine(gateway, receive_buffer_bytes=4608) as late:
        late.send(ask(run))
        late.wait_for_answer()
        await run.end()
        await until_nobody_watches(gateway.url)
        await next_answer(late)
        async with asyncio.timeout(60):
            while not await is_answered(gateway, at_once=2):
                await asyncio.sleep(0.05)
        assert await asyncio.to_thread(late.read_to_end) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has every address of 127.0.0.0/8")
@pytest.mark.parametrize("protocol", ["direct", "httptools"])
async def test_a_client_that_is_refused_costs_no_other_client_its_connection(broker: Broker, protocol: str) -> None:
    settings = {"MANYCAST_CONNECTION_LIMIT": "2", "MANYCAST_ADDRESS_CONNECTION_LIMIT": "1"}
    gateway = Gateway(
        broker.url, **FOR_EVER, **settings, MANYCAST_HTTP_PROTOCOL=protocol, MANYCAST_TRUSTED_PROXIES="127.0.0.1"
    )
    with closing_all(gateway), RawLine(gateway, "127.0.0.2") as idle, RawLine(gateway, "127.0.0.3") as busy:
        await asyncio.to_thread(check_health, idle)
        busy.send(HEALTH[:9])
        with RawLine(gateway, "127.0.0.3") as refused:
            await asyncio.to_thread(refused.read_to_end)
            assert refused.status == 429
        await asyncio.to_thread(check_health, idle)


def check_health(line: RawLine) -> None:
    line.send(HEALTH)
    line.read_until(b'"draining":false}')
    line.received = b""


async def is_answered(gateway: Gateway, at_once: int) -> bool:
    """Whether so many connections are."""
    lines = [RawLine(gateway, "127.0.0.2") for _ in range(at_once)]
    for line in lines:
        with suppress(ConnectionError):
            line.send(LAST)
            await asyncio.to_thread(line.read_to_end)
        line.close()
    return all(line.received.startswith(b"HTTP/1.1 200") for line in lines)


@pytest.mark.parametrize("query", [OPENAI, ""])
async def test_a_gateway_that_drains_keeps_no_connection(broker: Broker, author: Author, query: str) -> None:
    """The next request of the client would come to a gateway that refuses it."""
    gateway = Gateway(broker.url, **FOR_EVER)
    with closing_all(gateway):
        run = await new_run(author, "word")
        ended = await ended_run(author, gateway)
        with RawLine(gateway) as idle, RawLine(gateway) as watching, RawLine(gateway) as asking:
            idle.send(ask(ended, query))
            await next_answer(idle)
            asking.send(HEALTH)
            asking.read_until(b'"draining":false}')
            watching.send(ask(run, query))
            await asyncio.to_thread(watching.read_until, b"word")
            gateway.signal(signal.SIGTERM)
            for line in (idle, asking):
                await asyncio.to_thread(line.read_to_end)
            await run.end()
            answer = await asyncio.to_thread(watching.read_to_end)
            assert answer.endswith(END)
            assert gateway.wait() == 0
            assert "ERROR" not in gateway.output
            assert "Traceback" not in gateway.output


@pytest.mark.parametrize("fields", [b"", b"Connection: close\r\n"])
async def test_a_client_that_reads_nothing_of_an_ended_answer_is_let_go_of(
    broker: Broker, author: Author, fields: bytes
) -> None:
    """What is unsent is less than what makes a connection full."""
    gateway = Gateway(broker.url, MANYCAST_SEND_TIMEOUT_S="1", MANYCAST_SEND_BUFFER_BYTES="4608", **FOR_EVER)
    with closing_all(gateway), RawLine(gateway, receive_buffer_bytes=4608) as line:
        run = await new_run(author, "word")
        line.send(ask(run, fields=fields))
        line.wait_for_answer()
        await run.say("x" * 50_000)
        await run.end()
        await until(lambda: "a client read nothing" in gateway.output)
        with suppress(ConnectionError):
            await asyncio.to_thread(line.read_to_end)
        assert END not in line.received


class Parts:
    """The owner of a connection, and what gets it afterwards: writes down which of them was called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def on_full(self) -> None:
        self.called.append("full")

    def on_free(self) -> None:
        self.called.append("free")

    def on_lost(self) -> None:
        self.called.append("lost")

    def wait_on(self, transport: asyncio.Transport, counted_as: str | None) -> None:
        self.called.append("next")
        transport.set_protocol(asyncio.Protocol())


@pytest.mark.parametrize(("written", "called"), [(1, ["next", "lost"]), (8 << 20, ["full", "lost"])])
async def test_a_connection_that_is_full_is_closed(written: int, called: Sequence[str]) -> None:
    """Its buffer would not tell the next response that it is."""
    ours, theirs = socket.socketpair()
    parts = Parts()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    with closing(theirs), closing(transport):
        taken = TakenConnection(
            transport,
            b"",
            parts,
            SendTimeouts(60),
            connections=set(),
            addresses=AddressCount(0, lambda _: None),
            counted_as=None,
            next_requests=parts,
        )
        taken.write(b"x" * written)
        taken.finish()
        assert transport.is_closing() is ("full" in called)
        theirs.close()
        await until(lambda: "lost" in parts.called)
        assert [call for call in parts.called if call != "free"] == called
