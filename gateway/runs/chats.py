"""Remember the last turn of each chat of the AI SDK: what the page sent, and the stream of the answer. Redis holds it,
so that every gateway can find it."""

from typing import NamedTuple

from contract.accounts import Settlement, try_to_settle
from contract.connection import Client, call_redis
from contract.digest import digest_name
from contract.scripts import Call, run_every_call
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
    chat = _digest(caller, turn.chat_id)
    calls = [
        Call("note_chat", (client.key_space.stream(stream_id).meta,), (chat,)),
        Call("remember_answer", (client.key_space.chat(chat),), (lifetime_ms, *fields)),
    ]
    await run_every_call(client, calls)
    if caller:
        size = b"%d" % (len(turn.messages) + len(turn.continued or b""))
        await try_to_settle(client, [Settlement(digest_name(caller), chat, size, lifetime_ms)])


async def find_answer(client: Client, caller: str, chat: str) -> LastAnswer | None:
    """None if the chat has no answer, or only an expired one. Raises: BrokerUnavailableError, BrokerRefusedError."""
    names = ("stream", "dialect", "continued")
    stream_id, dialect, continued = await call_redis(
        client, "HMGET", client.key_space.chat(_digest(caller, chat)), *names
    )
    return None if stream_id is None else LastAnswer(stream_id.decode(), dialect.decode(), continued)


async def read_messages(client: Client, caller: str, chat: str) -> bytes:
    """The JSON array of the messages before the last answer; empty if the chat is not known, or no longer.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    messages: bytes | None = await call_redis(client, "HGET", client.key_space.chat(_digest(caller, chat)), "messages")
    return messages or b"[]"


def _digest(caller: str, chat: str) -> str:
    # NUL separates the two: a caller's name cannot contain it.
    return digest_name(f"{caller}\0{chat}")
