"""The stream of the last answer in a chat of the AI SDK. In Redis, so that every gateway can find it."""

from typing import NamedTuple

from contract.connection import Client, call_redis
from contract.digest import digest_name
from contract.keys import chat_key


class LastAnswer(NamedTuple):
    """The stream, and the dialect in which it was first sent."""

    stream_id: str
    dialect: str


async def remember_answer(client: Client, caller: str, chat: str, answer: LastAnswer, lifetime_ms: int) -> None:
    """`caller` owns the chat: two callers may use the same chat id.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    await call_redis(client, "SET", _key(caller, chat), f"{answer.stream_id} {answer.dialect}", "PX", lifetime_ms)


async def find_answer(client: Client, caller: str, chat: str) -> LastAnswer | None:
    """None if the chat has no answer, or only an expired one. Raises: BrokerUnavailableError, BrokerRefusedError."""
    value: bytes | None = await call_redis(client, "GET", _key(caller, chat))
    if value is None:
        return None
    stream_id, _, dialect = value.decode().partition(" ")
    return LastAnswer(stream_id, dialect)


def _key(caller: str, chat: str) -> str:
    # NUL separates the two: a caller's name cannot contain it.
    return chat_key(digest_name(f"{caller}\0{chat}"))
