"""A caller: a person or program that may start runs, with its name and limits. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contract.rate_limit import TokenResult
from gateway.access.api_keys import ApiKey


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` is "" for a caller without a name, which owns no run. `key` has the limits of a caller with an API key.

    `headers` are for the response and tell the rest of the rate limit. `sees_all`: the caller may list the runs of
    others. The operator uses the command line on a computer where only local callers are admitted, and may do anything.
    """

    name: str
    key: ApiKey | None = None
    sees_all: bool = False
    is_operator: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def runs_at_once(self) -> int:
        """0 means any number."""
        return self.key.runs_at_once if self.key else 0

    def may_use(self, model: str) -> bool:
        return self.key is None or self.key.may_use(model)

    def owns(self, owner: str) -> bool:
        """Whether a stream of that owner belongs to this caller."""
        return self.is_operator or (self.name != "" and self.name == owner)


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
