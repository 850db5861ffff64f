"""A response is read the same, however its bytes come."""

import pytest

from manycast.chaos.http_response import MalformedResponseError, ResponseReader

BODY = b"retry: 1000\n\nid: 1-1\ndata: {}\n\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n5\r\nhello\r\n0\r\n\r\n" % (
    len(BODY),
    BODY,
)
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </watch.js>; rel=preload\r\n\r\n"
MEASURED = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"


def read(*pieces: bytes) -> tuple[int, bytes, bool]:
    reader = ResponseReader()
    body = b"".join(map(reader.feed, pieces))
    return reader.status, body, reader.is_whole


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (CHUNKED, (200, BODY + b"hello", True)),
        (MEASURED, (404, b"{}", True)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", True)),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", (200, b"to the end", False)),
        (EARLY_HINTS + CHUNKED, (200, BODY + b"hello", True)),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY_HINTS + MEASURED, (404, b"{}", True)),
        (EARLY_HINTS, (0, b"", False)),
    ],
    ids=["chunked", "measured", "empty", "endless", "interim first", "two interim first", "only interim"],
)
def test_a_response_cut_in_two_anywhere_or_into_bytes_is_the_same(
    response: bytes, expected: tuple[int, bytes, bool]
) -> None:
    assert read(response) == expected
    assert read(*(response[at : at + 1] for at in range(len(response)))) == expected
    for at in range(len(response)):
        assert read(response[:at], response[at:]) == expected


def test_the_part_before_a_cut_is_given_and_is_not_whole() -> None:
    status, body, is_whole = read(CHUNKED[:-14])
    assert (status, body.startswith(BODY), is_whole) == (200, True, False)


@pytest.mark.parametrize("response", [b"SSH-2.0\r\n\r\n", CHUNKED.replace(b"\r\nhello", b"\r\nhello!"), b"zz"])
def test_what_is_no_response_is_refused(response: bytes) -> None:
    if response == b"zz":
        response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    with pytest.raises(MalformedResponseError):
        read(response)
