"""The latest runs, by id, with the beginning of what was asked: for developers. Nothing relies on it being whole.

Not a part of starting a run: a gateway that lists runs notes each after it was queued.
"""

from dataclasses import dataclass

from contract.connection import Client, call_redis
from contract.keys import RECENT
from contract.scripts import Call, run_call

KEPT_RUNS = 200
PROMPT_LIMIT_CHARS = 200


@dataclass(frozen=True, slots=True)
class RecentRun:
    """`prompt` is cut to PROMPT_LIMIT_CHARS."""

    stream_id: str
    prompt: str


async def add_recent_run(client: Client, run: RecentRun, lifetime_ms: int) -> None:
    """What was asked is kept no longer than the answer. Raises: BrokerUnavailableError, BrokerRefusedError."""
    # A caller's text may hold half a surrogate pair, which is no UTF-8.
    prompt = run.prompt[:PROMPT_LIMIT_CHARS].encode(errors="replace")
    await run_call(client, Call("add_recent_run", (RECENT,), (run.stream_id, prompt, KEPT_RUNS, lifetime_ms)))


async def read_recent_runs(client: Client, limit: int) -> list[RecentRun]:
    """The newest first; some may have expired. Raises: BrokerUnavailableError, BrokerRefusedError."""
    entries = await call_redis(client, "XREVRANGE", RECENT, "+", "-", "COUNT", limit)
    runs: dict[str, RecentRun] = {}
    for _, fields in entries:
        stream_id, prompt = (fields[name].decode() for name in (b"id", b"prompt"))
        runs.setdefault(stream_id, RecentRun(stream_id, prompt))  # redis-py may have sent one twice
    return list(runs.values())
