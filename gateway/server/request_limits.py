"""The limits on requests and connections, and the error for each. No I/O."""

from dataclasses import dataclass
from http import HTTPStatus

from contract.event import encode_json
from gateway.http.errors import ApiError

URL_LIMIT_BYTES = 8 << 10
HEAD_LIMIT_BYTES = 32 << 10
HEADERS_LIMIT = 100
PIPELINE_LIMIT = 16
"""How many requests of one connection may wait for the answer to an earlier one. No browser or proxy pipelines."""
BODY_BYTES_PER_S = 16 << 10
"""A body that arrives at this rate is not too slow, however large it is."""
TOO_SLOW = ApiError(408, "request_timeout", "The request did not arrive in time.")
URL_TOO_LONG = ApiError(414, "url_too_long", f"The URL is longer than {URL_LIMIT_BYTES} bytes.")
HEAD_TOO_LARGE = ApiError(
    431,
    "headers_too_large",
    f"There are more than {HEADERS_LIMIT} headers, or they are larger than {HEAD_LIMIT_BYTES} bytes.",
)
PIPELINE_TOO_LONG = ApiError(
    429, "too_many_pipelined_requests", f"More than {PIPELINE_LIMIT} requests wait on this connection."
)
MALFORMED = ApiError(400, "invalid_http", "This is not HTTP/1.1.")
TOO_MANY_CONNECTIONS = ApiError(
    503,
    "too_many_connections",
    "This gateway has reached its connection limit.",
    type_="server_error",
    headers={"Retry-After": "5"},
)


TOO_MANY_FROM_ADDRESS = ApiError(
    429,
    "too_many_connections",
    "Your address has reached its limit of open connections (MANYCAST_ADDRESS_CONNECTION_LIMIT).",
    headers={"Retry-After": "5"},
)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """`head_timeout_s`: from the connection, or the first byte after a response, to a complete head.
    `body_timeout_s`: from there to the complete body, and again as long as the body arrives at BODY_BYTES_PER_S.
    `connections`: the largest number of open connections."""

    head_timeout_s: float
    body_timeout_s: float
    connections: int

    @property
    def body_step_bytes(self) -> float:
        """How much of a body must arrive within `body_timeout_s`."""
        return self.body_timeout_s * BODY_BYTES_PER_S


def write_refusal(refusal: ApiError) -> bytes:
    """The complete HTTP response to a request that never reaches the application."""
    content = encode_json(refusal.body)
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in (refusal.headers or {}).items()]
    lines += ["Cache-Control: no-store", "X-Content-Type-Options: nosniff"]
    lines += [f"Content-Length: {len(content)}", "Connection: close", "\r\n"]
    return "\r\n".join(lines).encode() + content
