"""Finds the words of a provider in an error of any shape. Pure: no I/O.

Providers, and the proxies in front of them, report errors as `{"error":{…}}`, `{"detail":…}`, `[{"error":…}]`,
`{"Message":…}`, JSON within JSON, plain text or a page of HTML.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from contract.printable import escape, shorten

MESSAGE_LIMIT_CHARS = 500
NAME_LIMIT_CHARS = 100
TEXT_LIMIT_CHARS = 1 << 16
"""How much of a text is looked at. A page's title is near its start."""
DEPTH_LIMIT = 8
LIST_LIMIT = 5

_WORDS = (
    "message",
    "Message",
    "msg",
    "detail",
    "details",
    "errors",
    "error_description",
    "error_message",
    "errorMessage",
)
"""Where providers put what a person should read, besides `error`."""
_STATUS_FIELDS = ("code", "status", "status_code", "statusCode", "http_status")
_SUCCESS = (0, "0", 200, "200")
_EMPTY_TYPES = frozenset({"error", "object"})
_STATUS_IN_TEXT = re.compile(r"(?:HTTP(?:/[\d.]+)?|error(?: code)?|status(?: code)?)?[:\s]*([45]\d\d)\b", re.IGNORECASE)
_TITLES = tuple(re.compile(rf"<{tag}(?:\s[^<>]*)?>([^<]*)", re.IGNORECASE) for tag in ("title", "h1", "message"))
_TAG = re.compile(r"<[^<>]*>")


@dataclass(slots=True)
class Said:
    """What a provider said about an error. `status` is an HTTP status that it names. All texts are bounded."""

    message: str = ""
    code: str | None = None
    type: str | None = None
    param: str | None = None
    status: int | None = None


def read_error(value: object) -> Said:
    """`value`: parsed JSON, or a text that may be JSON or HTML."""
    said = _read(value, 0)
    return Said(
        one_line(said.message, MESSAGE_LIMIT_CHARS),
        _name(said.code),
        _name(said.type),
        _name(said.param),
        said.status,
    )


def is_error(frame: Mapping[str, Any]) -> bool:
    """Whether a frame of a stream is an error: it says so, or it has words for people and nothing of an answer."""
    if frame.get("error") or frame.get("object") == "error":
        return True
    if "choices" in frame or "usage" in frame or frame.get("code") in _SUCCESS:
        return False
    return any(frame.get(name) for name in _WORDS)


def is_page(text: str) -> bool:
    """Whether a text is HTML or XML."""
    return text.lstrip("\ufeff \t\r\n")[:1] == "<"


def one_line(text: str, limit_chars: int) -> str:
    """The text in one line, without control characters, and not longer than the limit."""
    words = " ".join(text[: 4 * limit_chars].split())
    return shorten(escape(words), limit_chars)


def _name(text: str | None) -> str | None:
    return (one_line(text, NAME_LIMIT_CHARS) or None) if text else None


def _read(value: object, depth: int) -> Said:
    if depth > DEPTH_LIMIT:
        return Said()
    if isinstance(value, str):
        return _read_text(value, depth)
    if isinstance(value, list):
        found = [said for said in (_read(one, depth + 1) for one in value[:LIST_LIMIT]) if said.message]
        if not found:
            return Said()
        found[0].message = "; ".join(dict.fromkeys(said.message for said in found))
        return found[0]
    return _read_object(value, depth) if isinstance(value, Mapping) else Said()


def _read_text(text: str, depth: int) -> Said:
    if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
        try:
            said = _read(json.loads(text.lstrip("\ufeff")), depth + 1)
        except (ValueError, RecursionError):
            said = Said()
        if said.message:
            return said
    text = text[:TEXT_LIMIT_CHARS].strip()
    if is_page(text):
        return Said(_title_of(text))
    named = _STATUS_IN_TEXT.match(text)
    return Said(text, status=int(named[1]) if named else None)


def _title_of(page: str) -> str:
    for pattern in _TITLES:
        found = pattern.search(page)
        if found and found[1].strip():
            return html.unescape(found[1])
    return html.unescape(_TAG.sub(" ", page))


def _read_object(value: Mapping[str, Any], depth: int) -> Said:
    own = _own_fields(value)
    found = [said for said in (_read(inner, depth + 1) for inner in _inner_words(value)) if said != Said()]
    said = next((one for one in found if one.message), found[0] if found else Said())
    for field in fields(Said):
        # The inner object is more exact.
        setattr(own, field.name, getattr(said, field.name) or getattr(own, field.name))
    raw = value["metadata"].get("raw") if isinstance(value.get("metadata"), Mapping) else None
    cause = _read(raw, depth + 1).message if raw else ""
    if cause and cause != own.message:
        # OpenRouter's own message says only that the provider failed.
        own.message = f"{own.message}: {cause}"
    place = value.get("loc")
    if isinstance(place, list) and place:
        # FastAPI says which field of the body is wrong.
        own.param = str(place[-1])
        own.message = f"{'.'.join(map(str, place))}: {own.message}"
    return own


def _inner_words(value: Mapping[str, Any]) -> Iterator[object]:
    """What may contain the message, the likeliest first."""
    error = value.get("error")
    if not isinstance(error, str):
        yield error
    yield from (value[name] for name in _WORDS if value.get(name))
    if isinstance(error, str):
        yield error


def _own_fields(value: Mapping[str, Any]) -> Said:
    numbers = (_status(value.get(name)) for name in _STATUS_FIELDS)
    kind = _text(value.get("type"))
    kind = None if kind in _EMPTY_TYPES else kind
    code, status = _text(value.get("code")), _text(value.get("status"))
    error = _text(value.get("error"))
    words = (code, kind, status, error if error and " " not in error else None)
    # A name says more than a number.
    named = next((word for word in words if word and not word.isdigit()), None)
    return Said("", named or code, kind, _text(value.get("param")), next((one for one in numbers if one), None))


def _status(value: object) -> int | None:
    text = _text(value) or ""
    return int(text) if len(text) == 3 and text.isascii() and text.isdigit() and text[0] in "45" else None


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None
