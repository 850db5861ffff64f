"""The latest runs with the beginning of their prompts, for developers. The list may be incomplete.

A gateway that lists runs adds each run after it was queued.
"""

from dataclasses import dataclass

from contract.connection import Client
from contract.partitions import agree_on_partitions
from contract.scripts import Call, run_call, run_every_call

KEPT_RUNS = 200
PROMPT_LIMIT_CHARS = 200


@dataclass(frozen=True, slots=True)
class RecentRun:
    """`prompt` is cut to PROMPT_LIMIT_CHARS."""

    stream_id: str
    prompt: str


async def add_recent_run(client: Client, run: RecentRun, lifetime_ms: int) -> None:
    """The prompt expires with the answer. Raises: BrokerUnavailableError, BrokerRefusedError."""
    # A caller's text may hold a lone surrogate.
    prompt = run.prompt[:PROMPT_LIMIT_CHARS].encode(errors="replace")
    recent = client.key_space.queue_of(run.stream_id).recent
    await run_call(client, Call("add_recent_run", (recent,), (run.stream_id, prompt, KEPT_RUNS, lifetime_ms)))


async def read_recent_runs(client: Client, limit: int) -> list[RecentRun]:
    """The runs, newest first. Some streams may have expired. Raises: BrokerUnavailableError, BrokerRefusedError."""
    partitions = await agree_on_partitions(client)
    calls = [Call("read_recent_runs", (client.key_space.queue(at).recent,), (limit,)) for at in range(partitions.count)]
    entries = [entry for reply in await run_every_call(client, calls) for entry in reply]
    # The name of an entry begins with the time.
    entries.sort(key=lambda entry: tuple(map(int, entry[0].split(b"-"))), reverse=True)
    runs: dict[str, RecentRun] = {}
    for _, fields in entries[:limit]:
        _, stream_id, _, prompt = (part.decode() for part in fields)
        runs.setdefault(stream_id, RecentRun(stream_id, prompt))  # redis-py may have sent an entry twice
    return list(runs.values())
