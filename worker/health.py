"""The health check of a container: whether a worker of this host is registered in Redis."""

import asyncio
import socket

from contract.connection import command_client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.keys import KeySpace
from contract.worker_registry import read_workers

TIMEOUT_S = 4.0


def host_prefix() -> str:
    """The prefix of the names of all workers on this host or in this container."""
    return f"{socket.gethostname()}:"


async def is_announced(redis_url: str, keys: KeySpace, name_prefix: str) -> bool:
    """Returns False also if Redis cannot be reached, because a worker without Redis does no work."""
    client = command_client(redis_url, keys)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return any(name.startswith(name_prefix) for name in await read_workers(client))
    except (BrokerUnavailableError, BrokerRefusedError, TimeoutError):
        return False
    finally:
        await client.aclose()
