"""Parses the address of a stream in every form that people share. No I/O."""

import re
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from contract.private_host import is_private_host

DEFAULT_BASE_URL = "http://127.0.0.1:8000"

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_WITH_TICKET = re.compile(r"(?P<id>[A-Za-z0-9_-]{20,64})\.(?P<ticket>[A-Za-z0-9_.-]+)")
_API_PATH = re.compile(r"(?P<prefix>.*?)/v1/streams/(?P<id>[A-Za-z0-9_-]{20,64})(?:/.*)?")
_ID = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{20,64}(?![A-Za-z0-9_-])")


class MalformedAddressError(ValueError):
    """The text is neither a stream's id nor its address."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is neither the id of an answer nor a link to one")


class Address(NamedTuple):
    """A server and one of its streams. `base_url` does not end with a slash; `ticket` is for a private stream."""

    base_url: str
    stream_id: str
    ticket: str | None = None


def with_scheme(address: str) -> str:
    """The address with `http://` or `https://` in front, if it has no scheme.

    On this computer and in private networks, servers rarely speak HTTPS. Elsewhere they do, and an API key must not
    travel unencrypted because somebody left out eight characters.
    """
    address = address.strip()
    if not address or _SCHEME.match(address):
        return address
    try:
        host = urlsplit(f"//{address}").hostname or ""
    except ValueError:
        return address
    return f"{'http' if is_private_host(host) else 'https'}://{address}"


def parse_address(text: str, base_url: str = DEFAULT_BASE_URL) -> Address:
    """Accepts an id (of a stream at `base_url`), a URL of the API, or the link of a watch page. URLs may lack a scheme.

    A ticket follows the id after a dot, or is in the query. Raises: MalformedAddressError.
    """
    text, base_url = text.strip(), with_scheme(base_url).rstrip("/")
    if _ID.fullmatch(text):
        return Address(base_url, text)
    if with_ticket := _WITH_TICKET.fullmatch(text):
        return Address(base_url, with_ticket["id"], with_ticket["ticket"])
    try:
        parts = urlsplit(with_scheme(text))
    except ValueError as error:
        raise MalformedAddressError(text) from error
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise MalformedAddressError(text)
    server = f"{parts.scheme}://{parts.netloc}"
    ticket = parse_qs(parts.query).get("ticket", [None])[0]
    if api := _API_PATH.fullmatch(parts.path):
        return Address(server + api["prefix"], api["id"], ticket)
    if parts.path.endswith("/watch"):
        server += parts.path.removesuffix("/watch")
    if with_ticket := _WITH_TICKET.fullmatch(parts.fragment):
        return Address(server, with_ticket["id"], with_ticket["ticket"])
    places = (parts.fragment, parts.query.replace(ticket or " ", ""), parts.path)
    found = next((ids[-1] for ids in map(_ID.findall, places) if ids), None)
    if found is None:
        raise MalformedAddressError(text)
    return Address(server, found, ticket)
