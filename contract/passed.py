"""What a provider may get of a caller's HTTP request besides its body: some headers and query fields. Pure: no I/O.

They travel in the request of a job, in the field `manycast`. Callers cannot set it there: the gateway takes out theirs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contract.event import encode_json

FIELD = "manycast"
VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
"""What a header may contain: visible ASCII characters, with spaces only between them."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NEVER_PASSED = re.compile(
    r"authorization|proxy-.*|(x-)?api-key|cookie|host|content-.*|transfer-encoding|connection|keep-alive|te|trailer"
    r"|upgrade|expect|accept-encoding",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Passed:
    """Values by name, as the caller wrote them."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def added_to(self, request: bytes) -> bytes:
        """`request`: the JSON of an object, without spaces."""
        if not self.headers and not self.query:
            return request
        value = encode_json({"headers": self.headers, "query": self.query})
        comma = b"" if request == b"{}" else b","
        return b'{"%b":%b%b%b' % (FIELD.encode(), value, comma, request[1:])


def take_passed(request: dict[str, Any]) -> tuple[dict[str, Any], Passed]:
    """Splits the request of a job into the provider's body and the rest."""
    given = request.get(FIELD)
    if given is None:
        return request, Passed()
    body = {name: value for name, value in request.items() if name != FIELD}
    return body, Passed(given.get("headers", {}), given.get("query", {}))


def check_header_name(name: str) -> str:
    """Raises: ValueError."""
    if _HEADER_NAME.fullmatch(name) is None:
        raise ValueError(f"'{name[:64]}' is not the name of a header")
    return name


def check_passed_header(name: str) -> str:
    """Raises: ValueError for a name that no header has, and for headers between the caller and the gateway only."""
    if _NEVER_PASSED.fullmatch(check_header_name(name)) is not None:
        raise ValueError(f"'{name}' is between the client and Manycast, and is never passed on")
    return name
