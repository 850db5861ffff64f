"""Remember the last turn of each chat of the AI SDK: what the page sent, and the stream of the answer. Redis holds it,
so that every gateway can find it."""

from typing import NamedTuple

from contract.connection import Client, call_redis
from contract.digest import digest_name
from contract.scripts import Call, run_call
from gateway.runs.chat_request import Turn


class LastAnswer(NamedTuple):
    """The stream of the answer, and the dialect in which the caller first got it. `continued`: the JSON of the message
    that the answer continues; None if it begins a message."""

    stream_id: str
    dialect: str
    continued: bytes | None


async def remember_answer(
    client: Client, caller: str, turn: Turn, *, stream_id: str, dialect: str, lifetime_ms: int
) -> None:
    """`caller` owns the chat: two callers may use the same chat id.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    fields: list[str | bytes] = ["stream", stream_id, "dialect", dialect, "messages", turn.messages]
    if turn.continued is not None:
        fields += ["continued", turn.continued]
    keys = [_key(client, caller, turn.chat_id), client.key_space.stream(stream_id).meta]
    if caller:
        keys.append(client.key_space.queue(0).stored(digest_name(caller)))
    await run_call(client, Call("remember_answer", tuple(keys), (lifetime_ms, *fields)))


async def find_answer(client: Client, caller: str, chat: str) -> LastAnswer | None:
    """None if the chat has no answer, or only an expired one. Raises: BrokerUnavailableError, BrokerRefusedError."""
    names = ("stream", "dialect", "continued")
    stream_id, dialect, continued = await call_redis(client, "HMGET", _key(client, caller, chat), *names)
    return None if stream_id is None else LastAnswer(stream_id.decode(), dialect.decode(), continued)


async def read_messages(client: Client, caller: str, chat: str) -> bytes:
    """The JSON array of the messages before the last answer; empty if the chat is not known, or no longer.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    messages: bytes | None = await call_redis(client, "HGET", _key(client, caller, chat), "messages")
    return messages or b"[]"


def _key(client: Client, caller: str, chat: str) -> str:
    # NUL separates the two: a caller's name cannot contain it.
    return client.key_space.queue(0).chat(digest_name(f"{caller}\0{chat}"))
