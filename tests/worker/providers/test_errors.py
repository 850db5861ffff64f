"""What providers say when they fail, in the words of `done`."""

from email.utils import formatdate
from typing import Any

import pytest

from worker.providers.errors import answered_error, retry_after_s, streamed_error, text_error

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
        ("<html>Bad Gateway</html>", "upstream_error", "Bad Gateway"),
        ("", "upstream_error", "The provider answered with status 502."),
        (None, "upstream_error", "The provider answered with status 502."),
        ([1, 2], "upstream_error", "The provider answered with status 502."),
        ({"error": {"message": {"nested": True}}}, "upstream_error", "The provider answered with status 502."),
    ],
)
def test_an_error_of_any_shape_gets_true_words(body: Any, code: str, message: str) -> None:
    error = answered_error(502, body)
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (401, False), (408, True), (409, True), (429, True), (500, True)]
)
def test_the_status_says_whether_trying_again_may_help(status: int, retryable: bool) -> None:
    assert answered_error(status, {}).retryable is retryable


def test_an_exhausted_quota_is_not_retried() -> None:
    assert not answered_error(429, {"error": {"code": "insufficient_quota"}}).retryable
    assert not answered_error(429, {"error": {"type": "insufficient_quota", "code": None}}).retryable


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


WORDS = "Too many requests"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"detail": WORDS}, WORDS),
        ({"detail": [{"loc": ["body", "n"], "msg": "Must be 1", "type": "value_error"}]}, "body.n: Must be 1"),
        ({"detail": {"error": {"message": WORDS}}}, WORDS),
        ([{"error": {"code": 429, "message": WORDS, "status": "RESOURCE_EXHAUSTED"}}], WORDS),
        ({"Message": WORDS}, WORDS),
        ({"message": WORDS, "statusCode": 429, "error": "Too Many"}, WORDS),
        ({"msg": WORDS, "code": 1302}, WORDS),
        ({"errors": [{"message": WORDS}, {"message": "Wait"}]}, f"{WORDS}; Wait"),
        ({"errors": [WORDS, WORDS]}, WORDS),
        ({"error": "invalid_request", "error_description": WORDS}, WORDS),
        ({"type": "error", "error": {"type": "overloaded_error", "message": WORDS}}, WORDS),
        ({"object": "error", "message": {"detail": [{"msg": WORDS}]}, "type": "invalid_request_error"}, WORDS),
        ({"error": {"message": '{"error":{"message":"Too many requests"}}'}}, WORDS),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": '{"detail":"Too many requests"}'}}},
            f"Provider returned error: {WORDS}",
        ),
        ('{"error":{"message":"Too many requests"}}', WORDS),
        ('\ufeff{"detail":"Too many requests"}', WORDS),
        (WORDS, WORDS),
        ("<!DOCTYPE html><html><head><title>Too many\n requests</title></head><body>x</body></html>", WORDS),
        ("<html><body><h1 class='x'>Too many requests</h1><p>nginx</p></body></html>", WORDS),
        ("<Error><Code>Slow</Code><Message>Too many requests</Message></Error>", WORDS),
        ("<html><body>Too many&nbsp;<b>requests</b></body></html>", WORDS),
        ({"error": {"message": "a\x1b[31mb\nc\u202ed\x00"}}, "a\\x1b[31mb c\\u202ed\\x00"),
        ({"error": {"message": "half \ud83d"}}, "half \\ud83d"),
    ],
)
def test_the_providers_words_are_found_in_any_shape(body: Any, message: str) -> None:
    assert answered_error(429, body).message == message
    assert streamed_error(body).message == message


@pytest.mark.parametrize("body", ["x" * 100_000, {"error": {"message": "\x00" * 100_000}}, "<" * 100_000])
def test_the_providers_words_are_cut(body: Any) -> None:
    assert len(answered_error(500, body).message) <= 500


def test_a_code_is_cut_and_has_no_control_characters() -> None:
    error = answered_error(500, {"error": {"code": "c\x1b" * 1000, "type": "t" * 1000, "param": "p\n" * 1000}})
    for text in (error.code, error.type, error.param or ""):
        assert 0 < len(text) <= 100
        assert text.isprintable()


def test_endlessly_nested_errors_get_true_words() -> None:
    body: Any = "innermost"
    for _ in range(100):
        body = {"error": {"message": body}}
    assert answered_error(500, body).message == "The provider answered with status 500."


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ({"error": {"code": 429, "message": WORDS}}, 429),
        ({"error": {"code": "429", "message": WORDS}}, 429),
        ({"error": {"message": WORDS, "status": 429}}, 429),
        ({"status_code": 429, "detail": WORDS}, 429),
        ({"error": {"code": "rate_limit_exceeded", "message": WORDS}}, 429),
        ({"error": {"type": "rate_limit_error", "message": WORDS}}, 429),
        ([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": WORDS}}], 429),
        ("429 Too Many Requests", 429),
        ("Error code: 429 - {'error': {'message': 'slow down'}}", 429),
        ({"error": {"message": "429 Too Many Requests"}}, 429),
        ({"error": {"code": 400, "message": WORDS}}, 400),
        ({"error": {"type": "authentication_error", "message": WORDS}}, 401),
        ({"error": {"code": 1302, "message": WORDS}}, None),
        ({"error": {"code": 200, "message": WORDS}}, None),
        ({"error": {"message": "There were 429 of them"}}, None),
    ],
)
def test_an_error_frame_has_the_status_that_it_names(value: Any, status: int | None) -> None:
    error = streamed_error(value)
    assert error.http_status == status
    assert error.retryable is (status in (None, 429))


def test_a_page_instead_of_an_answer_is_called_one() -> None:
    error = text_error("<html><head><title>Welcome to nginx!</title></head></html>")
    assert error.message == "The provider sent a web page instead of an answer: Welcome to nginx!"
    assert error.code == "upstream_invalid"
