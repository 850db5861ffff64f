"""What gateways share of sessions: which ones their owners have ended before their time."""

from contract.connection import Client, call_redis
from contract.digest import digest_name


async def end_session(client: Client, session_id: str, lifetime_s: int) -> None:
    """Remembers for `lifetime_s` that the session has ended: after that, its cookie has expired anyway.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    await call_redis(
        client, "SET", client.key_space.ended_session(digest_name(session_id)), "1", "EX", max(1, lifetime_s)
    )


async def has_ended(client: Client, session_id: str) -> bool:
    """Raises: BrokerUnavailableError, BrokerRefusedError."""
    found: bytes | None = await call_redis(client, "GET", client.key_space.ended_session(digest_name(session_id)))
    return found is not None
