"""Recognises plain requests, as browsers and proxies send them, without a parser. No I/O.

It takes nothing that two parsers could read differently: no body, no percent signs, no folded or empty fields. Whatever
else may be valid HTTP is left to uvicorn's parser.
"""

import re
from typing import NamedTuple

LIMIT_BYTES = 8 << 10
_FIELD = rb"[A-Za-z0-9-]+: [!-~](?:[ -~]*[!-~])?\r\n"
_FIELDS_LIMIT = 64
_OF_THE_CONNECTION = frozenset({b"connection", b"proxy-connection"})
_LEFT_TO_UVICORN = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})


class PlainRequest(NamedTuple):
    """A complete GET request. The names of `headers` are in lower case. `is_last`: the client wants the connection
    closed after the answer."""

    path: bytes
    headers: list[tuple[bytes, bytes]]
    is_last: bool


class PlainRequests:
    """Recognises requests whose path `path` matches: a regular expression of a path without a query string."""

    def __init__(self, path: bytes) -> None:
        fields = rb"((?:%b){1,%d})" % (_FIELD, _FIELDS_LIMIT)
        self._head = re.compile(rb"GET (%b) HTTP/1\.1\r\n%b\r\n" % (path, fields))

    def read(self, data: bytes) -> PlainRequest | None:
        """The request, if `data` is one such request and nothing more; else None."""
        if len(data) > LIMIT_BYTES or (found := self._head.fullmatch(data)) is None:
            return None
        headers, is_last = [], False
        for line in found[2].split(b"\r\n")[:-1]:
            name, _, value = line.partition(b": ")
            name = name.lower()
            if name in _LEFT_TO_UVICORN:
                return None
            if name in _OF_THE_CONNECTION and b"close" in value.lower():
                is_last = True
            headers.append((name, value))
        return PlainRequest(found[1], headers, is_last)
