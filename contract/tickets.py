"""What all gateways must agree on for tickets: the secret that signs them, and how often a stream's were revoked."""

from contract.connection import Client, call_redis
from contract.keys import SIGNING, StreamKeys
from contract.scripts import Call, run_call


async def share_secret(client: Client, fresh: str) -> str:
    """The secret of all gateways on this Redis: `fresh`, where there was none yet.

    It is kept for good. Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    await call_redis(client, "SET", SIGNING, fresh, "NX")
    known: bytes | None = await call_redis(client, "GET", SIGNING)
    return fresh if known is None else known.decode()


async def revoke_tickets(client: Client, stream_id: str) -> int | None:
    """How often this was done by now, which tickets from here on must say; None where there is no such stream.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    keys = StreamKeys.of(stream_id)
    revoked: int | None = await run_call(client, Call("revoke", (keys.meta, keys.live), ()))
    return revoked
