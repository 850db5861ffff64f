"""Which stream a chat of the AI SDK was answered by last. In Redis, so that every gateway knows."""

from hashlib import sha256
from typing import NamedTuple

from contract.connection import Client, call_redis
from contract.keys import chat_key


class LastAnswer(NamedTuple):
    """The stream, and the dialect it was begun in."""

    stream_id: str
    dialect: str


async def remember_answer(client: Client, chat: str, answer: LastAnswer, lifetime_ms: int) -> None:
    """Raises: BrokerUnavailableError, BrokerRefusedError."""
    await call_redis(client, "SET", _key(chat), f"{answer.stream_id} {answer.dialect}", "PX", lifetime_ms)


async def find_answer(client: Client, chat: str) -> LastAnswer | None:
    """None where this chat was never answered, or long ago. Raises: BrokerUnavailableError, BrokerRefusedError."""
    value: bytes | None = await call_redis(client, "GET", _key(chat))
    if value is None:
        return None
    stream_id, _, dialect = value.decode().partition(" ")
    return LastAnswer(stream_id, dialect)


def _key(chat: str) -> str:
    # A page's own text, which may hold anything that JSON can.
    return chat_key(sha256(chat.encode("utf-8", "surrogatepass")).hexdigest())
