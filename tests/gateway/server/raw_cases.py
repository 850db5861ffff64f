"""Bytes for a fuzz: requests that are right, and what chance makes of them. The seed decides everything."""

import json
import random
from collections.abc import Callable

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
UI_CHAT = {"id": "c", "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}
PATHS = (
    *("/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/models", "/v1/models/x", "/v1/session", "/v1/streams"),
    *("/v1/streams/STREAM", "/v1/streams/STREAM/events", "/v1/streams/STREAM/events?dialect=openai&after=1-1"),
    *("/v1/streams/STREAM/completion", "/api/chat/c/stream", "/", "//x/..", "/%ff%00", "/v1/streams/%0a/events", "*"),
)
POSTS = (
    *("/v1/streams", "/v1/chat/completions", "/api/chat", "/v1/session", "/v1/streams/STREAM/cancel"),
    *("/v1/streams/STREAM/tickets", "/v1/streams/STREAM/cookie"),
)
UNKNOWN_ID = "0" * 22
NAMES = (
    *("Host", "Origin", "Authorization", "Cookie", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-User"),
    *("Forwarded", "Sec-Fetch-Site", "Content-Length", "Transfer-Encoding", "Content-Type", "Last-Event-ID", "Expect"),
    *(
        "Idempotency-Key",
        "X-On-Disconnect",
        "If-None-Match",
        "Connection",
        "Upgrade",
        "Range",
        "Accept",
        "TE",
        "Trailer",
    ),
)
VALUES = (
    *(
        b"",
        b"x",
        b"[",
        b"*",
        b"null",
        b"0",
        b"-1",
        b"5",
        b"99999999999999999999",
        b"chunked",
        b"gzip, chunked",
        b"close",
    ),
    *(b"keep-alive", b"websocket", b"h2c", b"100-continue", b"application/json", b"Bearer x", b"Bearer mc-x", b"\xff"),
    *(
        b"Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
        b'manycast_session=x; manycast_ticket="',
        b"1-1",
        b"1-",
        b"http://[::1",
        b"a" * 9000,
    ),
)


def _head(start: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join([start, b" HTTP/1.1\r\n", *(b"%b: %b\r\n" % header for header in headers), b"\r\n"])


class Cases:
    """An endless list of things to send."""

    def __init__(self, seed: int, stream_id: str) -> None:
        self._chance = random.Random(seed)
        self._stream_id = stream_id

    def next(self) -> bytes:
        kinds: list[Callable[[], bytes]] = [self._request, self._mutated, self._mutated, self._pipelined, self._garbage]
        kinds += [self._long, self._mangled_chunks, self._cut, self._cut]
        sent = self._chance.choice(kinds)()
        # This machine may delete the run that the test still needs.
        stream_id = UNKNOWN_ID if b"DELETE" in sent else self._stream_id
        return sent.replace(b"STREAM", stream_id.encode())

    def _request(self) -> bytes:
        chance = self._chance
        headers = [(b"Host", chance.choice(VALUES) if chance.random() < 0.1 else b"localhost")]
        headers += [(chance.choice(NAMES).encode(), chance.choice(VALUES)) for _ in range(chance.randrange(4))]
        if chance.random() < 0.5:
            method = chance.choice([b"GET", b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"PUT", b"CONNECT", b"X"])
            return _head(b"%b %b" % (method, chance.choice(PATHS).encode()), headers)
        body = json.dumps(chance.choice([CHAT, {**CHAT, "stream": True}, UI_CHAT, {}, [], "x", None])).encode()
        if chance.random() < 0.3:
            chunked = _head(b"POST " + chance.choice(POSTS).encode(), [*headers, (b"Transfer-Encoding", b"chunked")])
            return chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        length = (b"Content-Length", str(len(body)).encode())
        return _head(b"POST " + chance.choice(POSTS).encode(), [*headers, length]) + body

    def _mutated(self) -> bytes:
        data, chance = bytearray(self._request()), self._chance
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(data))
            match chance.randrange(5):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    data[at:at] = chance.randbytes(chance.randrange(1, 20))
                case 2:
                    del data[at : at + chance.randrange(1, 20)]
                case 3:
                    data[at:at] = data[at : at + chance.randrange(1, 200)]
                case _:
                    data[at:at] = chance.choice(
                        [b"\0", b"\r", b"\n", b"\r\n\r\n", b": ", b" ", b"%", b"\xf0\x9f\x98\x80"]
                    )
            data = data or bytearray(b"x")
        return bytes(data)

    def _cut(self) -> bytes:
        data = self._request()
        return data[: self._chance.randrange(len(data))]

    def _pipelined(self) -> bytes:
        return b"".join(
            self._chance.choice([self._request, self._mutated])() for _ in range(self._chance.randint(2, 6))
        )

    def _garbage(self) -> bytes:
        return self._chance.randbytes(self._chance.choice([1, 10, 1000, 100_000]))

    def _long(self) -> bytes:
        length = self._chance.choice([5_000, 50_000, 500_000])
        start = self._chance.choice([b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n", b"", b"\r\n"])
        return start + self._chance.choice([b"x", b"X: y\r\n", b"\r\n", b" ", b"%41", b"\xff"]) * length

    def _mangled_chunks(self) -> bytes:
        chance = self._chance
        sizes = [b"0", b"5", b"-1", b"ffffffffffffffff", b"5;x=" + b"y" * 10_000, b"x", b"", b"1" * 40]
        pieces = [b"%b\r\n%b\r\n" % (chance.choice(sizes), b"h" * chance.choice([0, 5, 6, 70_000])) for _ in range(5)]
        head = _head(b"POST /v1/streams", [(b"Host", b"localhost"), (b"Transfer-Encoding", b"chunked")])
        return head + b"".join(pieces) + chance.choice([b"", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n"])
