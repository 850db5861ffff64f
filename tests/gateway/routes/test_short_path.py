"""The short paths to a stream's events answer as the framework does: each request is sent to a gateway of either kind.

A gateway takes them only where it writes to its connections itself (`MANYCAST_HTTP_PROTOCOL=direct`). The first request
of a stream goes through uvicorn; a later one, if it is plain, does not.
"""

import re
from collections.abc import Iterator, Sequence

import pytest

from contract.stream_id import new_stream_id
from gateway.access.api_keys import make_key
from tests.author import Author
from tests.broker import Broker
from tests.gateway.server.raw_line import RawLine
from tests.stack import Gateway, closing_all

pytestmark = pytest.mark.usefixtures("emptied")

SECRET, KEY = make_key("script")
SETTINGS = {
    "local": {},
    "with keys": {"MANYCAST_KEYS": KEY.model_dump_json()},
    "behind a proxy": {
        "MANYCAST_TRUSTED_PROXIES": "*",
        "MANYCAST_CORS_ORIGINS": "https://app.example.com",
        "MANYCAST_PATH_PREFIX": "/llm",
    },
    "for one host": {"MANYCAST_HOSTS": "chat.example.com"},
}
Request = tuple[str, str, str]
"""Method, target and further headers; in the target, ID is the stream."""
EVENTS = "/v1/streams/ID/events"
BROWSER = "User-Agent: Mozilla/5.0\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\nCookie: a=b\r\n"
REQUESTS: Sequence[Request] = [
    ("GET", EVENTS, ""),
    ("HEAD", EVENTS, ""),
    ("POST", EVENTS, "Content-Length: 0\r\n"),
    ("GET", EVENTS, "Content-Length: 2\r\n"),
    ("GET", f"{EVENTS}/", ""),
    ("GET", f"{EVENTS}%0A", ""),
    ("GET", f"{EVENTS}%2f..", ""),
    ("GET", "/v1/streams/%49D/events", ""),
    ("GET", "/v1/streams/ID/%65vents", ""),
    ("GET", "/v1/streams/short/events", ""),
    ("GET", f"/v1/streams/{'n' * 22}/events", ""),
    ("GET", f"/v1/streams/p_{'n' * 22}/events", ""),
    ("GET", EVENTS, "Last-Event-ID: 1-2\r\n"),
    ("GET", EVENTS, "Last-Event-ID: 1-4\r\n"),
    ("GET", EVENTS, "Last-Event-ID: 7-7\r\n"),
    ("GET", EVENTS, "Last-Event-ID: x\r\n"),
    ("GET", EVENTS, "Last-Event-ID: \xe9\r\n"),
    ("GET", EVENTS, "Last-Event-ID:\r\n"),
    ("GET", EVENTS, "Last-Event-ID: 1-2\r\nLast-Event-ID: 1-3\r\n"),
    ("GET", f"{EVENTS}?lastEventId=1-2", ""),
    ("GET", f"{EVENTS}?lastEventId=1-2&lastEventId=1-3", ""),
    ("GET", f"{EVENTS}?lastEventId=&after=1-3", ""),
    ("GET", f"{EVENTS}?lastEventId=1-2", "Last-Event-ID: 1-3\r\n"),
    ("GET", f"{EVENTS}?lastEventId=1-2&after=1-3", ""),
    ("GET", f"{EVENTS}?after=1-2", ""),
    ("GET", f"{EVENTS}?after=1-2", "Last-Event-ID: 1-3\r\n"),
    ("GET", f"{EVENTS}?after=%ff", ""),
    ("GET", f"{EVENTS}?dialect=text", ""),
    ("GET", f"{EVENTS}?dialect=openai&after=1-2", ""),
    ("GET", f"{EVENTS}?dialect=text&dialect=native", ""),
    ("GET", f"{EVENTS}?dialect=", ""),
    ("GET", f"{EVENTS}?dialect=klingon", ""),
    ("GET", f"{EVENTS}?unknown=1", ""),
    ("GET", EVENTS, f"Authorization: Bearer {SECRET}\r\n"),
    ("GET", EVENTS, "Authorization: Bearer mc-00000000-wrong\r\n"),
    ("GET", EVENTS, "Authorization: Bearer eyJx\r\n"),
    ("GET", f"{EVENTS}?ticket=eyJx", "X-Stream-Ticket: eyJy\r\n"),
    ("GET", EVENTS, "Cookie: manycast_session=eyJx\r\n"),
    ("GET", EVENTS, "Origin: https://app.example.com\r\n"),
    ("GET", EVENTS, "Origin: https://evil.example\r\n"),
    ("GET", EVENTS, "Sec-Fetch-Site: cross-site\r\n"),
    ("GET", EVENTS, "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: chat.example.com\r\nX-Forwarded-Prefix: /deep\r\n"),
    ("GET", f"/llm{EVENTS}", ""),
    ("GET", EVENTS, "Host: chat.example.com\r\n"),
    ("GET", EVENTS, "Host: a\r\nHost: b\r\n"),
    ("GET", EVENTS, "Host: \x7f\r\n"),
    ("GET", EVENTS, BROWSER),
    ("GET", EVENTS, f"{BROWSER}Last-Event-ID: 1-2\r\n"),
    ("GET", EVENTS, f"{BROWSER}Sec-Fetch-Site: same-origin\r\n"),
    ("GET", EVENTS, f"{BROWSER}Via: 1.1 Caddy\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: chat.example.com\r\n"),
    ("GET", EVENTS, "X-Forwarded-User: me\r\n"),
    ("GET", EVENTS, "Host: chat.example.com\r\nX-Forwarded-Proto: https\r\n"),
    ("GET", EVENTS, "Accept: text/html\r\nAccept-Encoding: gzip\r\nUpgrade: h2c\r\nConnection: upgrade, close\r\n"),
]
_OF_THE_CONNECTION = ("date", "connection", "transfer-encoding")
"""Header fields that say nothing of the stream."""


@pytest.fixture(scope="module", params=SETTINGS)
def two_gateways(broker: Broker, request: pytest.FixtureRequest) -> Iterator[list[Gateway]]:
    """The first one has the short path."""
    protocols = ("direct", "httptools")
    gateways = [Gateway(broker.url, MANYCAST_HTTP_PROTOCOL=name, **SETTINGS[request.param]) for name in protocols]
    with closing_all(*gateways):
        yield gateways
        assert all("Traceback" not in gateway.output for gateway in gateways)


async def test_the_short_path_answers_as_the_framework_does(two_gateways: list[Gateway], author: Author) -> None:
    run = await author.start()
    await run.begin()
    await run.say("one")
    await run.say("two")
    await run.end()
    answers = [[ask(gateway, run.stream_id, request) for request in REQUESTS] for gateway in two_gateways]
    for request, short, long in zip(REQUESTS, *answers, strict=True):
        assert short == long, request


async def test_events_that_follow_the_first_ones_arrive_too(two_gateways: list[Gateway], author: Author) -> None:
    run = await author.start()
    await run.begin()
    lines = [RawLine(gateway) for gateway in two_gateways]
    for line in lines:
        path = f"/v1/streams/{run.stream_id}/events"
        line.send(f"GET {path} HTTP/1.1\r\nHost: chat.example.com\r\nConnection: close\r\n\r\n".encode())
        line.read_until(b"id: 1-1\n")
    await run.say("one")
    await run.end()
    for line in lines:
        with line:
            text = line.read_to_end()
            assert [text.count(b"id: 1-%d\n" % seq) for seq in (1, 2, 3)] == [1, 1, 1]


async def test_a_stream_that_does_not_exist_is_an_error_of_the_api(two_gateways: list[Gateway]) -> None:
    head, body = ask(two_gateways[0], new_stream_id(private=False), ("GET", EVENTS, "Host: chat.example.com\r\n"))
    assert head[0].startswith("HTTP/1.1 404"), head
    assert "stream_not_found" in body


def ask(gateway: Gateway, stream_id: str, request: Request) -> tuple[list[str], str]:
    """The status line and the fields of the head, and the body; without what differs from one answer to the next."""
    method, target, fields = request
    fields = fields if "Host:" in fields else f"Host: 127.0.0.1\r\n{fields}"
    with RawLine(gateway) as line:
        path = target.replace("ID", stream_id).replace("%49D", f"%{ord(stream_id[0]):x}{stream_id[1:]}")
        rest = "" if "Connection:" in fields else "Connection: close\r\n"
        body = "{}" if "Content-Length: 2" in fields else ""
        # In one piece: a server that closes before it has read everything resets the connection.
        line.send(f"{method} {path} HTTP/1.1\r\n{fields}{rest}\r\n{body}".encode("latin-1"))
        text = line.read_to_end().decode("latin-1")
    head, _, body = text.partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    kept = sorted(line for line in lines if line.partition(":")[0].lower() not in _OF_THE_CONNECTION)
    body = re.sub(r"event: viewers\ndata: .*\n\n", "", re.sub(r"\r\n[0-9a-f]+\r\n|^[0-9a-f]+\r\n", "", body))
    return [status, *kept], body
