"""A caller: a person or program that may start runs, with its name and limits. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contract.rate_limit import TokenResult
from gateway.access.api_keys import ApiKey


@dataclass(frozen=True, slots=True)
class Caller:
    """`name`, for people, is "" for a caller without a name, which owns no run. `key` is the caller's API key.
    `runs_at_once`: how many runs the caller may have at the same time; 0: any number.

    `sees_all`: the caller may list the runs of others. `is_operator`: the caller uses the command line on a computer
    where only local callers are admitted, and may do anything. `session_id`: of the session that admitted the caller,
    if one did. `headers`: for the response; they state what is left of the rate limit.
    """

    name: str
    key: ApiKey | None = None
    runs_at_once: int = 0
    sees_all: bool = False
    is_operator: bool = False
    session_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def may_use(self, model: str) -> bool:
        return self.key is None or self.key.may_use(model)

    @property
    def identity(self) -> str:
        """The caller's identity in Redis, which marks the runs it owns. A new key may get the name of a withdrawn one,
        but never its id."""
        return self.name if self.key is None else f"key:{self.key.id}"

    def owns(self, owner: str) -> bool:
        """Whether a stream belongs to this caller. `owner` is the identity of the caller that started it."""
        return self.is_operator or (self.identity != "" and self.identity == owner)


def rate_limit_headers(per_minute: int, taken: TokenResult) -> dict[str, str]:
    """OpenAI's rate-limit headers. Durations look like `1m30s` and `250ms`."""
    return {
        "x-ratelimit-limit-requests": str(per_minute),
        "x-ratelimit-remaining-requests": str(taken.left),
        "x-ratelimit-reset-requests": _duration(taken.full_ms),
    }


def _duration(ms: int) -> str:
    if ms < 1000:
        return f"{ms}ms"
    minutes, seconds = divmod(-(-ms // 1000), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
