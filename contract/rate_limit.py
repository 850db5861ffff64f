"""How many requests somebody may make: a bucket of tokens in Redis, the same for all gateways."""

from dataclasses import dataclass
from typing import NamedTuple

from contract.connection import Client
from contract.digest import digest_name
from contract.keys import bucket_key
from contract.scripts import Call, run_call

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`name` says whose it is. A minute's worth may be used at once; it comes back evenly."""

    name: str
    per_minute: int


class TokenResult(NamedTuple):
    """Whether the request may pass; how many more may now; when one more may, and when all of them may again."""

    granted: bool
    left: int
    next_ms: int
    full_ms: int


async def take_token(client: Client, allowance: RateLimit) -> TokenResult:
    """One request's worth. Raises: BrokerUnavailableError, BrokerRefusedError."""
    # The digest of the name, not the name: an address in a log of Redis would be somebody's.
    key = bucket_key(digest_name(allowance.name))
    granted, left, next_ms, full_ms = await run_call(
        client, Call("take_token", (key,), (allowance.per_minute, _MINUTE_MS))
    )
    return TokenResult(granted == 1, left, next_ms, full_ms)
