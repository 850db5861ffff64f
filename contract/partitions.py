"""How many partitions a deployment has. Redis stores the number, so that all services agree.

A run lives in one partition, which its id names, so the number can grow without touching old runs. An idempotency key
is distributed by its hash among as many partitions as there were at the beginning: otherwise a repeated key would miss
the run that it made.
"""

import asyncio
import logging

from contract.connection import Client, call_redis, command_client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.keys import KeySpace, Partitions
from contract.scripts import Call, run_call

logger = logging.getLogger(__name__)


class PartitionsDisagreeError(BrokerRefusedError):
    """This service is set to another number of partitions than Redis has stored. The message says what to do."""


CHECK_TIMEOUT_S = 2.0
KEEP_EVERY_S = 2.0


def check_partitions(url: str, keys: KeySpace) -> None:
    """For the start of a service. Raises: PartitionsDisagreeError. If Redis does not answer, later calls ask again."""

    async def ask() -> None:
        client = command_client(url, keys)
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await agree_on_partitions(client)
        finally:
            await client.aclose()

    try:
        asyncio.run(ask())
    except PartitionsDisagreeError:
        raise
    except (BrokerUnavailableError, BrokerRefusedError, TimeoutError) as error:
        told = str(error) or "it does not answer in time"
        logger.warning("Redis (REDIS_URL) cannot be used yet, and is tried again: %s", told)


async def agree_on_partitions(client: Client) -> Partitions:
    """Asks Redis the first time. Raises: PartitionsDisagreeError, BrokerUnavailableError, BrokerRefusedError."""
    if client.partitions is None:
        wanted = client.key_space.wanted_partitions
        known = await _ask(client, wanted or client.usual_partitions)
        if wanted not in (None, known.count):
            raise PartitionsDisagreeError(
                f"Redis has {known.count} partitions, and MANYCAST_PARTITIONS is {wanted}. Leave it unset, or set it "
                f"to {known.count}. docs/operations.md says how to raise the number"
            )
        client.partitions = known
    return client.partitions


async def check_agreement(client: Client) -> Partitions:
    """After an outage: stores the number again, if Redis has lost it. Returns what Redis has.

    Raises: as `agree_on_partitions`; PartitionsDisagreeError also if another service has stored a smaller number since.
    The next call then goes by that one.
    """
    agreed = await agree_on_partitions(client)
    known = await _ask(client, agreed.count)
    if known.count < agreed.count:
        client.partitions = None
        raise PartitionsDisagreeError(
            f"Redis was emptied and has {known.count} partitions now; this service has used {agreed.count}"
        )
    return known


async def keep_agreement(client: Client) -> None:
    """For a service that submits runs: stores the number again soon after Redis has lost it. Runs until cancelled.

    A run in a partition that no worker knows would wait for ever. And a gateway that looks for an idempotency key in
    another partition than the others would begin a second run.
    """
    told = ""
    while True:
        await asyncio.sleep(KEEP_EVERY_S)
        try:
            known = await check_agreement(client)
        except PartitionsDisagreeError as error:
            if str(error) != told:
                told = str(error)
                logger.warning("%s", told)
        except (BrokerUnavailableError, BrokerRefusedError):
            continue
        else:
            told = ""
            if client.partitions is not None and client.partitions.keyed != known.keyed:
                # Keys are distributed anew. The next call asks how.
                client.partitions = None


async def read_partitions(client: Client) -> int | None:
    """How many there are. None: no service has started here. Stores nothing.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    count = await call_redis(client, "HGET", client.key_space.partitions, "count")
    return None if count is None else int(count)


async def _ask(client: Client, count: int) -> Partitions:
    """`count` is stored if Redis has no number."""
    count, keyed = map(int, await run_call(client, Call("agree", (client.key_space.partitions,), (count,))))
    return Partitions(count, keyed)
