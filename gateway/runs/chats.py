"""Which stream a chat of the AI SDK was answered by last. In Redis, so that every gateway knows."""

from typing import NamedTuple

from contract.connection import Client, call_redis
from contract.digest import digest_name
from contract.keys import chat_key


class LastAnswer(NamedTuple):
    """The stream, and the dialect it was begun in."""

    stream_id: str
    dialect: str


async def remember_answer(client: Client, caller: str, chat: str, answer: LastAnswer, lifetime_ms: int) -> None:
    """`caller` is whose chat it is: two may have chats of the same id.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    await call_redis(client, "SET", _key(caller, chat), f"{answer.stream_id} {answer.dialect}", "PX", lifetime_ms)


async def find_answer(client: Client, caller: str, chat: str) -> LastAnswer | None:
    """None where this chat was never answered, or long ago. Raises: BrokerUnavailableError, BrokerRefusedError."""
    value: bytes | None = await call_redis(client, "GET", _key(caller, chat))
    if value is None:
        return None
    stream_id, _, dialect = value.decode().partition(" ")
    return LastAnswer(stream_id, dialect)


def _key(caller: str, chat: str) -> str:
    # A NUL ends the name of a caller, which cannot hold one.
    return chat_key(digest_name(f"{caller}\0{chat}"))
