"""What Redis knows of a run beside its log: the `meta` hash, read. Not written here: only the scripts write it."""

from dataclasses import dataclass
from typing import Any

from contract.connection import Client, call_redis
from contract.event import Status, parse_json
from contract.keys import StreamKeys
from contract.position import Position


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. Times are Unix milliseconds by Redis's clock; `done` is the data of the `done` event. `caller` is whose
    it is ("": nobody known), `revoked` how often its tickets were made void."""

    status: Status
    epoch: int
    last: Position
    model: str
    created_ms: int
    claimed_ms: int | None
    ended_ms: int | None
    caller: str
    revoked: int
    done: dict[str, Any] | None


async def read_run(client: Client, stream_id: str) -> RunRecord | None:
    """None where there is no such stream, or no longer. Raises: BrokerUnavailableError, BrokerRefusedError."""
    names = (
        "status",
        "epoch",
        "last",
        "model",
        "created_ms",
        "claimed_ms",
        "ended_ms",
        "done",
        "caller",
        "revoked",
    )
    values: list[bytes | None] = await call_redis(client, "HMGET", StreamKeys.of(stream_id).meta, *names)
    status, epoch, last, model, created, claimed, ended, done, caller, revoked = (
        None if value is None else value.decode() for value in values
    )
    if status is None or epoch is None or last is None or created is None:
        return None
    return RunRecord(
        status=Status(status),
        epoch=int(epoch),
        last=Position.parse(last),
        model=model or "",
        created_ms=int(created),
        claimed_ms=None if claimed is None else int(claimed),
        ended_ms=None if ended is None else int(ended),
        caller=caller or "",
        revoked=int(revoked or 0),
        done=None if done is None else parse_json(done.encode()),
    )
