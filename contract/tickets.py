"""What gateways share for tickets: the secret that signs them, and how often a stream's tickets were revoked."""

from contract.connection import Client, call_redis
from contract.scripts import Call, run_call


async def share_secret(client: Client, fresh: str) -> str:
    """The secret that all gateways on this Redis share. Stores `fresh` if there is none yet.

    The secret does not expire. Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    key = client.key_space.signing
    # It is nearly always there, and each start of a run waits for this.
    known: bytes | None = await call_redis(client, "GET", key)
    if known is None:
        await call_redis(client, "SET", key, fresh, "NX")
        known = await call_redis(client, "GET", key)
    return fresh if known is None else known.decode()


async def revoke_tickets(client: Client, stream_id: str) -> int | None:
    """Revokes the tickets of a stream. Returns how often that was done, or None if the stream does not exist.

    New tickets carry the returned number.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    keys = client.key_space.stream(stream_id)
    revoked: int | None = await run_call(client, Call("revoke", (keys.meta,), (), (keys.live,)))
    return revoked
