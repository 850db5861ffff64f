"""What providers say when they fail, in the words of `done`."""

from email.utils import formatdate
from typing import Any

import pytest

from worker.providers.errors import answered_error, retry_after_s, streamed_error

NOW_UNIX_S = 1_700_000_000.0


def test_openais_error_keeps_its_four_fields_and_its_status() -> None:
    body = {"error": {"message": "No such model", "type": "invalid_request_error", "param": "model", "code": "gone"}}
    error = answered_error(404, body)
    assert (error.message, error.type, error.param, error.code) == (
        "No such model",
        "invalid_request_error",
        "model",
        "gone",
    )
    assert (error.http_status, error.retryable) == (404, False)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"message": "m", "type": "server_error"}}, "server_error", "m"),
        ({"message": "unwrapped", "code": "c"}, "c", "unwrapped"),
        ({"error": "only a text"}, "upstream_error", "only a text"),
        ({"error": {"code": 502, "message": "a number"}}, "502", "a number"),
        ("<html>Bad Gateway</html>", "upstream_error", "<html>Bad Gateway</html>"),
        ("", "upstream_error", "The provider answered with status 502."),
        (None, "upstream_error", "The provider answered with status 502."),
        ([1, 2], "upstream_error", "The provider answered with status 502."),
        ({"error": {"message": {"nested": True}}}, "upstream_error", "The provider answered with status 502."),
    ],
)
def test_whatever_shape_an_error_has_something_true_is_said(body: Any, code: str, message: str) -> None:
    error = answered_error(502, body)
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (401, False), (408, True), (409, True), (429, True), (500, True)]
)
def test_the_status_says_whether_trying_again_may_help(status: int, retryable: bool) -> None:
    assert answered_error(status, {}).retryable is retryable


def test_no_money_is_no_reason_to_try_again() -> None:
    assert not answered_error(429, {"error": {"code": "insufficient_quota"}}).retryable
    assert not answered_error(429, {"error": {"type": "insufficient_quota", "code": None}}).retryable


def test_a_page_of_html_is_cut() -> None:
    assert len(answered_error(500, "x" * 100_000).message) == 2000


def test_an_error_in_the_stream_has_no_status() -> None:
    error = streamed_error({"error": {"message": "overloaded", "type": "overloaded_error"}})
    assert (error.code, error.http_status, error.retryable) == ("overloaded_error", None, True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "later", "retry-after": "9"}, 9.0),
        ({"retry-after": formatdate(NOW_UNIX_S + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW_UNIX_S - 30, usegmt=True)}, 0.0),
    ],
)
def test_the_wait_a_provider_asks_for_is_understood(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW_UNIX_S) == seconds
