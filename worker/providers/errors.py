"""Turns a provider's failure into the error of a `done` event. Pure: no I/O; the caller passes the time.

docs/protocol.md, section 7, lists our own codes; a provider's code is passed on unchanged.
"""

import email.utils
import math
from collections.abc import Mapping
from typing import Any

from contract.errors import PROVIDER_ERROR, Code, RunError

MESSAGE_LIMIT_CHARS = 2000
_PASSING_STATUSES = frozenset({408, 409, 429})
# The status is 429, but waiting does not help: the account has no money left.
_LASTING_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})


def answered_error(status: int, body: object) -> RunError:
    """The error of a response whose status is not 2xx. `body` is parsed JSON, the error object in it, or text."""
    fields = _error_fields(body)
    code = _text(fields.get("code")) or _text(fields.get("type")) or Code.UPSTREAM_ERROR.value
    passing = status in _PASSING_STATUSES or status >= 500
    lasting = _LASTING_CODES & {_text(fields.get("code")), _text(fields.get("type"))}
    return RunError(
        code=code,
        message=_message(fields, body) or f"The provider answered with status {status}.",
        type=_text(fields.get("type")) or PROVIDER_ERROR,
        param=_text(fields.get("param")),
        retryable=passing and not lasting,
        http_status=status,
    )


def streamed_error(value: object) -> RunError:
    """The error of an error frame inside a stream, which has no HTTP status."""
    fields = _error_fields(value)
    code = _text(fields.get("code")) or _text(fields.get("type")) or Code.UPSTREAM_ERROR.value
    return RunError(
        code=code,
        message=_message(fields, value) or "The provider ended the answer with an error.",
        type=_text(fields.get("type")) or PROVIDER_ERROR,
        param=_text(fields.get("param")),
        retryable=code not in _LASTING_CODES and fields.get("type") != "invalid_request_error",
    )


def own_error(code: Code, message: str) -> RunError:
    """An error that we describe ourselves, because the provider sent no description."""
    return RunError(code=code.value, message=message, type=PROVIDER_ERROR, retryable=True)


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


def _error_fields(value: object) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        inner = value.get("error", value)
        if isinstance(inner, Mapping):
            return inner
        return {"message": inner} if isinstance(inner, str) else value
    return {}


def _message(fields: Mapping[str, Any], body: object) -> str:
    text = _text(fields.get("message"))
    if text is None and isinstance(body, str):
        text = body.strip()
    return (text or "")[:MESSAGE_LIMIT_CHARS]


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None
