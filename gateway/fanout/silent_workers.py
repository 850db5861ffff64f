"""Tells viewers that the worker of their answer is silent, some seconds before its lease expires."""

import asyncio
import logging

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.run_record import read_owner
from contract.worker_registry import read_silent_workers, read_workers
from gateway.fanout.hub import Hub

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
QUIET_S = 1.0
"""A feed without events for this long may have lost its worker. Others need no check."""
SILENCE_MS = 2000
"""A worker announces itself every second. A viewer should know of its death within three."""
RUNS_AT_ONCE = 200
"""How many runs are looked up in one round."""


class SilentWorkers:
    """One task of a gateway. It only informs: Redis alone decides when a lease is over."""

    def __init__(self, client: Client, hub: Hub) -> None:
        self._client = client
        self._hub = hub

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                logger.debug("cannot look for silent workers: %s", error)

    async def look(self) -> None:
        """Looks once. Raises: BrokerUnavailableError, BrokerRefusedError."""
        now = asyncio.get_running_loop().time()
        quiet = [feed for feed in self._hub.feeds() if feed.awaits_worker and now - feed.notified_at >= QUIET_S]
        if not quiet:
            return
        silent = await read_silent_workers(self._client, SILENCE_MS)
        suspects = [feed for feed in quiet if silent or feed.worker_silent][:RUNS_AT_ONCE]
        if not suspects:
            return
        owners = await asyncio.gather(*(read_owner(self._client, feed.stream_id) for feed in suspects))
        registered = await read_workers(self._client)
        for feed, owner in zip(suspects, owners, strict=True):
            if owner in silent:
                feed.set_worker_silent(True)
            elif owner in registered:
                feed.set_worker_silent(False)
            # A worker that is not registered is dead or drains. We cannot tell which, so the feed keeps its state.
