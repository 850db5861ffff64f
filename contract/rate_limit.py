"""The rate limit: a token bucket in Redis, shared by all gateways."""

from dataclasses import dataclass
from typing import NamedTuple

from contract.connection import Client
from contract.digest import digest_name
from contract.scripts import Call, run_call

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`name` is the limited caller or address. `per_minute` requests may come at once; tokens refill evenly."""

    name: str
    per_minute: int


class TokenResult(NamedTuple):
    """Whether the request is granted, how many tokens are left, and the time to the next token and to a full bucket."""

    granted: bool
    left: int
    next_ms: int
    full_ms: int


async def take_token(client: Client, allowance: RateLimit) -> TokenResult:
    """Takes the token for one request. Raises: BrokerUnavailableError, BrokerRefusedError."""
    # A digest keeps addresses, which are personal data, out of Redis and its logs.
    key = client.key_space.bucket(digest_name(allowance.name))
    granted, left, next_ms, full_ms = await run_call(
        client, Call("take_token", (key,), (allowance.per_minute, _MINUTE_MS))
    )
    return TokenResult(granted == 1, left, next_ms, full_ms)
