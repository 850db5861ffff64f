"""A request that is read without uvicorn's parser is read as that parser reads it, or left to it."""

import random

import httptools
import pytest

from gateway.server.plain_request import PlainRequests

PLAIN = (
    b"GET /watch/me HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAccept-Language: en, de;q=0.5\r\n\r\n"
)
REQUESTS = PlainRequests(rb"/watch/[a-z]+")
CASES = 20_000


class Parsed:
    """What httptools reads."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False
        self.is_last = False
        self._parser = parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method = parser.get_method()
        self.version = parser.get_http_version()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_last = not self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        assert not self.is_complete, "there are two requests"
        self.is_complete = True


def test_a_browsers_request_is_read() -> None:
    request = REQUESTS.read(PLAIN)
    assert request is not None
    assert request.path == b"/watch/me"
    assert request.headers == [
        (b"host", b"localhost"),
        (b"accept", b"text/event-stream"),
        (b"accept-language", b"en, de;q=0.5"),
    ]


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (b"GET", b"HEAD"),
        (b"/watch/me", b"/other"),
        (b"/watch/me", b"/watch/me?a=b"),
        (b"/watch/me", b"/watch/m%65"),
        (b"/watch/me", b"http://localhost/watch/me"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"\r\n\r\n", b"\r\n"),
        (b"\r\n\r\n", b"\r\n\r\n\r\n"),
        (b"\r\n\r\n", b"\r\n\r\nGET /"),
        (b"\r\n", b"\n"),
        (b"Host: localhost", b"Host:localhost"),
        (b"Host: localhost", b"Host: localhost "),
        (b"Host: localhost", b"Host:  localhost"),
        (b"Host: localhost", b"Host : localhost"),
        (b"Host: localhost", b"Host: local\r\n host"),
        (b"Host: localhost", b"Host: \xe9"),
        (b"Host: localhost", b"Host:"),
        (b"Accept", b"Content-Length"),
        (b"Accept", b"TRANSFER-encoding"),
        (b"Accept", b"Expect"),
        (b"Accept", b"Upgrade"),
        (b"Accept", b"Ac_cept"),
        (b"text/event-stream", b"x" * 9_000),
        (b"Host: localhost\r\n", b"Host: localhost\r\n" * 65),
    ],
)
def test_anything_else_is_left_to_the_parser(part: bytes, other: bytes) -> None:
    assert REQUESTS.read(PLAIN) is not None
    assert REQUESTS.read(PLAIN.replace(part, other, 1)) is None


@pytest.mark.parametrize(
    ("field", "is_last"),
    [
        (b"Connection: close", True),
        (b"connection: keep-alive,  CLOSE ,x", True),
        (b"Connection: keep-alive", False),
        (b"Proxy-Connection: Close", True),
        (b"X-Connection: close", False),
    ],
)
def test_a_client_that_wants_one_answer_is_understood(field: bytes, is_last: bool) -> None:
    data = PLAIN.replace(b"Accept: text/event-stream", field)
    request = REQUESTS.read(data)
    assert request is not None
    assert request.is_last == Parsed(data).is_last == is_last


def test_whatever_is_read_the_parser_reads_too() -> None:
    chance = random.Random(18)
    read = 0
    for _ in range(CASES):
        data = bytearray(PLAIN)
        for _ in range(chance.choice([0, 1, 1, 2, 3])):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 2)] = bytes(
                chance.choices(b"\r\n\t :-aZ\x00\x7f\xff,/?%", k=chance.randint(0, 2))
            )
        request = REQUESTS.read(bytes(data))
        if request is not None:
            read += 1
            parsed = Parsed(bytes(data))
            assert (parsed.method, parsed.version, parsed.is_complete) == (b"GET", "1.1", True)
            assert (parsed.url, parsed.headers, parsed.is_last) == request
    assert read > CASES / 10
