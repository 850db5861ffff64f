"""Turns a provider's failure into the error of a `done` event. Pure: no I/O; the caller passes the time.

docs/protocol.md, section 7, lists our own codes; a provider's code is passed on unchanged.
"""

import email.utils
import math
from collections.abc import Mapping

from contract.errors import PROVIDER_ERROR, Code, RunError
from worker.providers.error_words import Said, is_page, read_error

_PASSING_STATUSES = frozenset({408, 409, 429})
# The status is 429, but waiting does not help: the account has no money left.
_LASTING_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_REDIRECTS = range(300, 400)
_STATUS_BY_NAME = {
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "too_many_requests": 429,
    "insufficient_quota": 429,
}
"""Names that say which status a provider would have answered with, in lower case."""


def answered_error(status: int, body: object) -> RunError:
    """The error of a response whose status is not 2xx. `body` is parsed JSON, the error object in it, or text."""
    said = read_error(body)
    message = f"The provider answered with status {status}."
    if status in _REDIRECTS:
        # The body of a redirect is a page for browsers, so leave it out.
        return _error(
            said, status, f"{message[:-1]}, a redirect, which is not followed. Set the new address as base URL."
        )
    return _error(said, status, said.message or message)


def streamed_error(value: object) -> RunError:
    """The error of a frame, or of a body with status 200. Its status is the one that it names, if any."""
    said = read_error(value)
    names = (_STATUS_BY_NAME.get(name.lower()) for name in (said.code, said.type) if name)
    status = said.status or next((one for one in names if one), None)
    return _error(said, status, said.message or "The provider ended the answer with an error.")


def text_error(text: str) -> RunError:
    """The error of a text that stands where an answer should be: plain words, or a page of HTML."""
    said = read_error(text)
    if said.status is not None:
        return _error(said, said.status, said.message)
    message = f"The provider sent a web page instead of an answer: {said.message}" if is_page(text) else said.message
    return own_error(Code.UPSTREAM_INVALID, message)


def _error(said: Said, status: int | None, message: str) -> RunError:
    passing = status is None or status in _PASSING_STATUSES or status >= 500
    return RunError(
        code=said.code or said.type or Code.UPSTREAM_ERROR.value,
        message=message,
        type=said.type or PROVIDER_ERROR,
        param=said.param,
        retryable=passing and not _LASTING_CODES & {said.code, said.type},
        http_status=status,
    )


def own_error(code: Code, message: str) -> RunError:
    """An error that we describe ourselves, because the provider sent no description."""
    return RunError(code=code.value, message=message, type=PROVIDER_ERROR, retryable=True)


def silent_provider(seconds: float) -> RunError:
    """The error of a provider that has sent nothing for so long."""
    return own_error(Code.UPSTREAM_TIMEOUT, f"The provider sent nothing for {seconds:g} seconds.")


def unknown_model(message: str) -> RunError:
    """The error of a request whose model no provider has, as OpenAI reports it."""
    return RunError("model_not_found", message, "invalid_request_error", "model", http_status=404)


def retry_after_s(headers: Mapping[str, str], now_unix_s: float) -> float | None:
    """Seconds that the provider asks us to wait; None if it does not say.

    RFC 9110, section 10.2.3, and OpenAI's own `retry-after-ms`.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is None and text is not None and (date := email.utils.parsedate_tz(text)) is not None:
        seconds = email.utils.mktime_tz(date) - now_unix_s
    return None if seconds is None else max(0.0, seconds)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
