"""A client that is slow, endless or wrong is told so, and takes nothing of others."""

import contextlib
import json
import signal
import sys
from collections.abc import Iterator

import httpx2
import pytest

from contract.event import Status
from gateway.server.request_limits import PIPELINE_LIMIT
from tests.author import Author, Run
from tests.broker import Broker
from tests.crowd import NewCrowd
from tests.gateway.dialects.test_registry import BODY, start
from tests.gateway.fanout.recording import attempt, chunk_of, done
from tests.gateway.server.raw_line import RawLine
from tests.stack import Gateway, closing_all
from tests.viewers import until, until_nobody_watches

pytestmark = pytest.mark.usefixtures("emptied")

CONNECTIONS = 20
BODY_LIMIT_BYTES = 20 << 20
OK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
READY = OK.replace(b"healthz", b"readyz")
LAST = OK + b"Connection: close\r\n\r\n"
ASK = b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = ASK + b"Transfer-Encoding: chunked\r\n"


def begin_hasty(broker: Broker, **settings: str) -> Gateway:
    """A gateway with little patience."""
    return Gateway(
        broker.url,
        **{
            "MANYCAST_HEAD_TIMEOUT_S": "0.4",
            "MANYCAST_BODY_TIMEOUT_S": "0.4",
            "MANYCAST_KEEP_ALIVE_S": "1",
            "MANYCAST_PING_INTERVAL_S": "0.3",
            "MANYCAST_SEND_TIMEOUT_S": "1",
            "MANYCAST_CONNECTION_LIMIT": str(CONNECTIONS),
            **settings,
        },
    )


@pytest.fixture(scope="module", params=["direct", "httptools"])
def hasty(request: pytest.FixtureRequest, broker: Broker) -> Iterator[Gateway]:
    gateway = begin_hasty(broker, MANYCAST_HTTP_PROTOCOL=request.param)
    with closing_all(gateway):
        yield gateway
        assert "Traceback" not in gateway.output


@pytest.fixture
def line(hasty: Gateway) -> Iterator[RawLine]:
    with RawLine(hasty) as line:
        yield line


@pytest.mark.parametrize("beginning", [b"G", OK, OK + b"X-Half: a hea", CHUNKED[:-1]])
def test_a_head_that_never_ends_is_given_up(line: RawLine, beginning: bytes) -> None:
    line.send(beginning)
    line.read_to_end()
    assert (line.status, line.error["code"]) == (408, "request_timeout")


def test_a_head_that_comes_byte_by_byte_is_given_up_all_the_same(line: RawLine) -> None:
    line.send(OK)
    with pytest.raises(ConnectionError):
        for _ in range(1 << 20):
            line.send(b"X")
    line.close()


def test_a_connection_that_says_nothing_is_closed_without_a_word(line: RawLine) -> None:
    assert line.read_to_end() == b""


@pytest.mark.parametrize("after", [b"", b"\r\n"])
def test_a_connection_that_has_had_its_answer_is_closed_when_idle(line: RawLine, after: bytes) -> None:
    line.send(OK + b"\r\n")
    line.read_until(b'{"draining":false}')
    line.send(after)
    assert line.read_to_end().count(b"HTTP/1.1") == (2 if after else 1)


@pytest.mark.parametrize(
    "beginning", [ASK + b"Content-Length: 100\r\n\r\n{", CHUNKED + b"\r\n", CHUNKED + b"\r\n1\r\n{\r\n1"]
)
def test_a_body_that_never_ends_is_given_up(line: RawLine, beginning: bytes) -> None:
    line.send(beginning)
    line.read_to_end()
    assert (line.status, line.error["code"]) == (408, "request_timeout")


def test_a_large_body_that_arrives_steadily_is_taken(line: RawLine) -> None:
    """It takes three times MANYCAST_BODY_TIMEOUT_S, at twice the rate that is fast enough."""
    pieces, size = 12, 4 << 10
    body = json.dumps({**BODY, "padding": "x" * (pieces * size)}).encode()
    line.send(ASK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
    for offset in range(0, pieces * size, size):
        line.send(body[offset : offset + size])
        assert line.is_silent_for(0.1)
    line.send(body[pieces * size :])
    line.read_to_end()
    assert line.status == 201


def test_a_body_that_arrives_too_slowly_is_given_up(line: RawLine) -> None:
    line.send(ASK + b"Content-Length: 1000000\r\n\r\n")
    while line.is_silent_for(0.05):
        line.send(b"x" * 100)
    line.read_to_end()
    assert (line.status, line.error["code"]) == (408, "request_timeout")


def test_a_body_that_nobody_waits_for_any_more_is_given_up_too(line: RawLine) -> None:
    line.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    assert line.read_to_end().count(b"HTTP/1.1") == 1
    assert line.status == 200


@pytest.mark.parametrize(("then", "answers"), [(LAST, 2), (b"", 1)])
def test_an_answer_before_the_whole_body_leaves_the_connection_usable(line: RawLine, then: bytes, answers: int) -> None:
    line.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
    line.read_until(b'{"draining":false}')
    line.send(b"12345" + then)
    assert line.read_to_end().count(b"HTTP/1.1 200") == answers


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n", 414, "url_too_long"),
        (b"GET /" + b"x" * 2_000_000, 414, "url_too_long"),
        (OK + b"X-Long: " + b"x" * 40_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (OK + b"X-Endless: " + b"x" * 2_000_000, 431, "headers_too_large"),
        (OK + b"x" * 2_000_000, 431, "headers_too_large"),
        (OK + b"X: y\r\n" * 200 + b"\r\n", 431, "headers_too_large"),
        (OK + b"X: y\r\n" * 50_000, 431, "headers_too_large"),
        (b"\r\n" * 100_000, 431, "headers_too_large"),
        (CHUNKED + b"\r\n0\r\nX-Endless: " + b"x" * 2_000_000, 431, "headers_too_large"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "invalid_http"),
        (b"GET nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "invalid_http"),
        (CHUNKED + b"\r\nnot a size\r\n", 400, "invalid_http"),
        (ASK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "invalid_http"),
    ],
    ids=lambda value: f"{value[:24]!r}" if isinstance(value, bytes) else str(value),
)
def test_what_is_too_long_or_no_http_is_refused_in_openais_shape(
    line: RawLine, request_: bytes, status: int, code: str
) -> None:
    line.send(request_)
    line.read_to_end()
    assert (line.status, line.error["code"]) == (status, code)
    assert b"connection: close" in line.received.lower()


def test_a_client_that_reads_late_is_told_all_the_same(line: RawLine) -> None:
    line.send(OK + b"X-Long: " + b"x" * 40_000)
    line.wait_for_answer()
    for _ in range(10):
        line.send(b"x" * 1000)
    line.read_to_end()
    assert (line.status, line.error["code"]) == (431, "headers_too_large")


def test_a_head_within_the_limits_is_taken(line: RawLine) -> None:
    line.send(OK + b"X: y\r\n" * 90 + b"X-Long: " + b"x" * 20_000 + b"\r\nConnection: close\r\n\r\n")
    line.read_to_end()
    assert line.status == 200


@pytest.mark.parametrize("size", [BODY_LIMIT_BYTES + 1, 10**18])
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(line: RawLine, size: int) -> None:
    line.send(ASK + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % size)
    line.read_until(b"}}")
    assert (line.status, line.error["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("protocol", ["direct", "httptools"])
def test_a_client_that_sends_too_much_before_it_reads_gets_its_answer(broker: Broker, protocol: str) -> None:
    """With time for everything: a hasty gateway closes the connection while the test still makes this body."""
    patience = {f"MANYCAST_{name}_S": "60" for name in ("HEAD_TIMEOUT", "BODY_TIMEOUT", "KEEP_ALIVE")}
    gateway = begin_hasty(broker, MANYCAST_HTTP_PROTOCOL=protocol, **patience)
    size = 3 * BODY_LIMIT_BYTES
    request = ASK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size
    with closing_all(gateway), RawLine(gateway) as line:
        line.send(request)
        line.read_until(b"}}")
        assert (line.status, line.error["code"]) == (413, "body_too_large")


def test_nothing_is_written_into_another_answer(line: RawLine) -> None:
    """The request before is not answered yet: what is written now would be taken for its answer."""
    body = json.dumps({**BODY, "stream": False}).encode()
    line.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
        + b"\0garbage"
    )
    assert line.read_to_end() == b""


def test_pipelined_requests_are_answered_in_order(line: RawLine) -> None:
    line.send((OK + b"\r\n") * PIPELINE_LIMIT + LAST.replace(b"healthz", b"nothing"))
    line.read_to_end()
    assert line.received.count(b"HTTP/1.1 200") == PIPELINE_LIMIT
    assert line.received.rindex(b"HTTP/1.1 200") < line.received.index(b"HTTP/1.1 404")


def test_a_connection_with_too_many_pipelined_requests_is_closed(line: RawLine) -> None:
    # Requests that the gateway has not read when it closes make its system reset the connection.
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        line.send((OK + b"\r\n") * 1000)
        line.read_to_end()
    assert line.received.count(b"HTTP/1.1") < 1000


def test_what_follows_a_body_is_no_header(line: RawLine) -> None:
    """A proxy that vouches for headers looks at the head alone."""
    body = json.dumps(BODY).encode()
    trailer = b"Idempotency-Key: would be refused\r\n"
    line.send(CHUNKED + b"Connection: close\r\n\r\n%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailer))
    line.read_to_end()
    assert line.status == 201


def test_white_space_around_a_header_is_no_part_of_it(line: RawLine) -> None:
    line.send(b"GET /v1/streams/%b/events?after=9-9 HTTP/1.1\r\nHost: localhost \t\r\n" % (b"x" * 22))
    line.send(b"Last-Event-ID: \t 1-2 \t\r\nConnection: close \r\n\r\n")
    line.read_to_end()
    assert line.error["code"] == "stream_not_found"


def test_more_connections_than_allowed_are_turned_away_until_others_leave(hasty: Gateway) -> None:
    lines = [RawLine(hasty) for _ in range(CONNECTIONS)]
    with RawLine(hasty) as refused:
        refused.read_to_end()
        assert (refused.status, refused.error["code"]) == (503, "too_many_connections")
        assert b"Retry-After: " in refused.received
    for line in lines:
        line.read_to_end()
        line.close()
    with RawLine(hasty) as welcome:
        welcome.send(LAST)
        welcome.read_to_end()
        assert welcome.status == 200


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has every address of 127.0.0.0/8")
def test_an_address_with_too_many_connections_is_refused_and_others_are_not(broker: Broker) -> None:
    gateway = begin_hasty(broker, MANYCAST_ADDRESS_CONNECTION_LIMIT="2", MANYCAST_TRUSTED_PROXIES="127.0.0.1")
    with closing_all(gateway), RawLine(gateway, "127.0.0.2") as first, RawLine(gateway, "127.0.0.2") as second:
        for line in (first, second):
            line.send(OK)
        with RawLine(gateway, "127.0.0.2") as refused:
            refused.read_to_end()
            assert (refused.status, refused.error["code"]) == (429, "too_many_connections")
            assert b"Retry-After: " in refused.received
        for address in ("127.0.0.3", "127.0.0.1", "127.0.0.1", "127.0.0.1"):
            assert is_answered(gateway, address)
        first.read_to_end()
        first.close()
        assert is_answered(gateway, "127.0.0.2")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has every address of 127.0.0.0/8")
async def test_viewers_count_as_connections_of_their_address_until_they_leave(broker: Broker, author: Author) -> None:
    gateway = begin_hasty(broker, MANYCAST_ADDRESS_CONNECTION_LIMIT="2", MANYCAST_TRUSTED_PROXIES="127.0.0.1")
    with closing_all(gateway):
        run = await begin_run(author, gateway)
        with RawLine(gateway, "127.0.0.2") as first, RawLine(gateway, "127.0.0.2") as second:
            # The first viewer goes through uvicorn. The second one does not: its stream is in memory.
            for line in (first, second):
                line.send(f"GET /v1/streams/{run.stream_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                line.read_until(b"event: ping")
            assert not is_answered(gateway, "127.0.0.2")
            assert is_answered(gateway, "127.0.0.3")
        await until(lambda: are_two_accepted(gateway, "127.0.0.2"))
        assert "Traceback" not in gateway.output


def are_two_accepted(gateway: Gateway, address: str) -> bool:
    """Whether the gateway accepts two connections of the address at once."""
    with RawLine(gateway, address) as line:
        line.send(OK)
        return is_answered(gateway, address)


def is_answered(gateway: Gateway, address: str) -> bool:
    with RawLine(gateway, address) as line:
        line.send(LAST)
        line.read_to_end()
        return line.status == 200


async def test_a_client_that_reads_none_of_its_answers_is_let_go_of(hasty: Gateway, line: RawLine) -> None:
    # The answers are larger than the buffers between the gateway and its client.
    line.send(OK.replace(b"healthz", b"openapi.json") + b"\r\n")
    line.send((OK.replace(b"healthz", b"openapi.json") + b"\r\n") * PIPELINE_LIMIT)
    await until(lambda: "a client read nothing" in hasty.output)
    with contextlib.suppress(ConnectionError):
        line.read_to_end()


async def begin_run(author: Author, hasty: Gateway) -> Run:
    async with httpx2.AsyncClient(base_url=hasty.url) as http:
        return await start(http, author)


async def test_a_viewer_is_left_in_peace_however_long_it_stays(
    hasty: Gateway, author: Author, crowd_of: NewCrowd
) -> None:
    run = await begin_run(author, hasty)
    crowd = crowd_of(f"{hasty.url}/v1/streams/{run.stream_id}/events", 3)
    crowd.read_until(lambda: all(member.received.count(b"event: ping") > 5 for member in crowd.members))
    await run.write([*attempt([chunk_of({"content": "late"})]), done()], Status.COMPLETED)
    crowd.read_until(lambda: crowd.everyone_is_through)
    assert crowd.everyone_has(b"event: done")


async def test_who_has_said_all_may_wait_for_its_answer(hasty: Gateway, author: Author, crowd_of: NewCrowd) -> None:
    body = json.dumps({**BODY, "stream": False}).encode()
    with RawLine(hasty) as line:
        line.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(body))
        line.send(b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        line.read_until(b"100 Continue\r\n\r\n")
        line.received = b""
        line.send(body)
        run = await author.take()
        crowd = crowd_of(f"{hasty.url}/v1/streams/{run.stream_id}/events", 1)
        crowd.read_until(lambda: crowd.members[0].received.count(b"event: ping") > 5)
        await run.write([*attempt([chunk_of({"content": "late"}, "stop")]), done()], Status.COMPLETED)
        line.read_to_end()
        assert line.status == 200


SENT_ON = [b"\r\n%b\r\n", b"\r\nGET /half", b"Content-Length: 1000000\r\n\r\n" + b"x" * 500_000]


def ask_and_send_on(line: RawLine, run: Run, more: bytes) -> None:
    events = f"GET /v1/streams/{run.stream_id}/events HTTP/1.1\r\nHost: localhost\r\n".encode()
    line.send(events + more.replace(b"%b", events))
    line.read_until(b"event: ping")


async def test_a_viewer_whose_request_goes_wrong_in_its_body_is_refused_and_does_not_stay(
    hasty: Gateway, author: Author
) -> None:
    run = await begin_run(author, hasty)
    with RawLine(hasty) as line:
        head = f"GET /v1/streams/{run.stream_id}/events HTTP/1.1\r\nHost: localhost\r\n".encode()
        line.send(head + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n")
        line.read_to_end()
        assert (line.status, line.error["code"]) == (400, "invalid_http")
        # It stays to see whether anybody would still write to it.
        await begin_run(author, hasty)
    await until_nobody_watches(hasty.url)


@pytest.mark.parametrize("more", SENT_ON)
async def test_a_viewer_that_sends_on_is_seen_to_leave(hasty: Gateway, author: Author, more: bytes) -> None:
    run = await begin_run(author, hasty)
    with RawLine(hasty) as line:
        ask_and_send_on(line, run, more)
    await until_nobody_watches(hasty.url)


async def test_a_viewer_that_sends_on_is_seen_to_leave_before_anything_is_sent_to_it(
    broker: Broker, author: Author
) -> None:
    with closing_all(gateway := begin_hasty(broker, MANYCAST_PING_INTERVAL_S="600")):
        run = await begin_run(author, gateway)
        for more in SENT_ON[1:]:
            with RawLine(gateway) as line:
                ask_and_send_on(line, run, more)
                line.read_until(b'{"viewers":1}')
            await until_nobody_watches(gateway.url)


async def test_a_viewer_that_sends_on_is_not_cut(broker: Broker, author: Author) -> None:
    with closing_all(gateway := begin_hasty(broker)):
        run = await begin_run(author, gateway)
        for more in SENT_ON[1:]:
            with RawLine(gateway) as line:
                ask_and_send_on(line, run, more)
                while line.received.count(b"event: ping") < 5:
                    line.read_more()
        assert "Traceback" not in gateway.output


@pytest.fixture(params=["direct", "httptools"])
def leaving(request: pytest.FixtureRequest, broker: Broker) -> Iterator[Gateway]:
    """A gateway for one test, which ends it."""
    gateway = Gateway(broker.url, MANYCAST_HTTP_PROTOCOL=request.param)
    with closing_all(gateway):
        yield gateway
        assert gateway.wait() == 0
        assert "Traceback" not in gateway.output
        assert "ERROR" not in gateway.output


def drain(gateway: Gateway, idle: RawLine) -> None:
    """Ends the gateway; returns when it has begun to. `idle` is a connection that has had an answer."""
    idle.send(OK + b"\r\n")
    idle.read_until(b"}")
    gateway.signal(signal.SIGTERM)
    idle.read_to_end()


@pytest.mark.parametrize("before", [b"", b"GET /read"], ids=["nothing", "half a head"])
def test_a_request_that_comes_while_the_gateway_is_told_to_stop_is_answered(leaving: Gateway, before: bytes) -> None:
    with RawLine(leaving) as line, RawLine(leaving) as idle:
        line.send(before)
        drain(leaving, idle)
        line.send((READY + b"\r\n").removeprefix(before))
        line.read_to_end()
    assert line.status == 503
    assert b"connection: close" in line.received.lower()


def test_a_connection_that_asks_for_nothing_does_not_hold_up_the_end(leaving: Gateway) -> None:
    with RawLine(leaving) as line, RawLine(leaving) as idle:
        drain(leaving, idle)
        assert line.read_to_end() == b""
