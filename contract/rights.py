"""Tells at the start which rights on channels the user of Redis lacks.

Redis refuses a subscription or a script only when it comes; and since Redis 7 a new user has no right to any channel.
"""

import asyncio
import logging
from collections.abc import Sequence

from contract.connection import Client
from contract.errors import BrokerError, BrokerUnavailableError
from contract.keys import is_live
from contract.scripts import Call, run_everywhere
from contract.stream_id import new_stream_id
from contract.topology import describe

logger = logging.getLogger(__name__)

ASK_AGAIN_S = 1.0


def needed_rights(client: Client) -> tuple[str, ...]:
    """Pairs of a command and a channel, for either service."""
    live, control = client.key_space.stream(new_stream_id(private=False)).live, client.key_space.control
    assert is_live(live)
    subscribe = client.publish.replace("PUBLISH", "SUBSCRIBE")
    return (client.publish, live, subscribe, live, "PUBLISH", control, "SUBSCRIBE", control)


async def find_missing_rights(client: Client, needed: Sequence[str]) -> list[str]:
    """Each with its server. Raises: BrokerUnavailableError, BrokerRefusedError."""
    missing = []
    for place, reply in (await run_everywhere(client, Call("rights", (), needed))).items():
        if isinstance(reply, BrokerError):
            raise reply
        missing += [f"{one.decode()} at {place}" for one in reply]
    return missing


async def report_missing_rights(client: Client) -> None:
    """Logs the topology, and once Redis answers, what this service may not do there. Waits for Redis."""
    logger.info("Redis: %s", describe(client.topology))
    while True:
        try:
            missing = await find_missing_rights(client, needed_rights(client))
        except BrokerUnavailableError:
            await asyncio.sleep(ASK_AGAIN_S)
            continue
        except BrokerError as error:
            missing = [str(error)]
        for one in missing:
            logger.error(
                'this user of Redis lacks the right to %s: "Users of Redis" in docs/operations.md lists all', one
            )
        return
