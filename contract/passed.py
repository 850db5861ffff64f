"""What the request of a job contains besides the caller's body. Pure: no I/O.

Some headers and query fields of the caller's HTTP request, which the provider may get; and the changed prompts of a
script that is run again. They travel in the field `manycast`. Callers cannot set it there: the gateway takes out
theirs.
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
    """`headers` and `query`: values by name, as the caller wrote them. `prompts`: texts that replace the last message
    of a script's step, by its id."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)

    def added_to(self, request: bytes) -> bytes:
        """`request`: the JSON of an object, without spaces."""
        if not self.headers and not self.query and not self.prompts:
            return request
        prompts = {"prompts": self.prompts} if self.prompts else {}
        value = encode_json({"headers": self.headers, "query": self.query, **prompts})
        comma = b"" if request == b"{}" else b","
        return b'{"%b":%b%b%b' % (FIELD.encode(), value, comma, request[1:])


def take_passed(request: dict[str, Any]) -> tuple[dict[str, Any], Passed]:
    """Splits the request of a job into the provider's body and the rest."""
    given = request.get(FIELD)
    if given is None:
        return request, Passed()
    body = {name: value for name, value in request.items() if name != FIELD}
    return body, Passed(given.get("headers", {}), given.get("query", {}), given.get("prompts", {}))


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
