"""Reads the `meta` hash of a run: its state beside the log. Only the scripts write it."""

from dataclasses import dataclass
from typing import Any

from contract.connection import Client, call_redis
from contract.event import Status, parse_json
from contract.position import Position


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. Times are Unix milliseconds of Redis's clock; `done` is the data of the `done` event. `caller` started
    the run ("" if unknown); `revoked` is how often its tickets were revoked; `endpoint` is that of a pass-through call,
    "" for other runs; `expires_ms` is when a run that has ended expires (0 before); `lease_ms` is the lease time of its
    last worker (0 if unknown)."""

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
    endpoint: str = ""
    expires_ms: int = 0
    lease_ms: int = 0


async def read_run(client: Client, stream_id: str) -> RunRecord | None:
    """Returns None if the stream does not exist or has expired. Raises: BrokerUnavailableError, BrokerRefusedError."""
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
        "endpoint",
        "expires_ms",
        "lease_ms",
    )
    values: list[bytes | None] = await call_redis(client, "HMGET", client.key_space.stream(stream_id).meta, *names)
    status, epoch, last, model, created, claimed, ended, done, caller, revoked, endpoint, expires, lease = (
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
        endpoint=endpoint or "",
        expires_ms=int(expires or 0),
        lease_ms=int(lease or 0),
    )


async def read_owner(client: Client, stream_id: str) -> str:
    """The name of the worker that has the run; "" if none has. Raises: BrokerUnavailableError, BrokerRefusedError."""
    owner: bytes | None = await call_redis(client, "HGET", client.key_space.stream(stream_id).meta, "owner")
    return "" if owner is None else owner.decode()


async def read_response(client: Client, stream_id: str) -> bytes | None:
    """What the Responses API keeps of the request of this run; None if another call started the run, or it has expired.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    stored: bytes | None = await call_redis(client, "HGET", client.key_space.stream(stream_id).meta, "response")
    return stored


async def read_question(client: Client, stream_id: str) -> str:
    """The beginning of the user's last message, up to QUESTION_LIMIT_CHARS; "" if there is none or the run has expired.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    question: bytes | None = await call_redis(client, "HGET", client.key_space.stream(stream_id).meta, "question")
    return (question or b"").decode()
