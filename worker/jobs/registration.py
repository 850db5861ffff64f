"""Keeps this worker and its models registered in Redis."""

import asyncio
import logging

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.worker_registry import LIFETIME_MS, Model, WorkerOffer, announce, leave
from worker.default_model import DefaultModel
from worker.generations.pool import GenerationPool
from worker.outage import Outage
from worker.providers.source import Source

logger = logging.getLogger(__name__)

ANNOUNCE_EVERY_S = 1.0
"""Viewers are told that a worker is silent when it has missed an announcement or two."""
LIST_EVERY_S = 10.0
LEAVE_TIMEOUT_S = 2.0


class Registration:
    """One task of a worker."""

    def __init__(  # noqa: PLR0917 - created in one place
        self,
        client: Client,
        source: Source,
        worker: str,
        default_model: DefaultModel,
        generator: str,
        scripts: tuple[Model, ...],
        pool: GenerationPool,
    ) -> None:
        """`generator`: for the operator, see WorkerOffer. `scripts` are offered besides the models of the source."""
        self._client = client
        self._source = source
        self._worker = worker
        self._default_model = default_model
        self._generator = generator
        self._scripts = scripts
        self._pool = pool
        self._models: tuple[Model, ...] = ()
        self._outage = Outage(logger, "this worker is not registered")

    async def run(self) -> None:
        """Runs until cancelled."""
        listing = asyncio.create_task(self._keep_listing())
        try:
            while True:
                try:
                    await announce(self._client, self._worker, LIFETIME_MS, self._offer())
                    self._outage.end()
                except (BrokerUnavailableError, BrokerRefusedError) as error:
                    self._outage.record(error)
                await asyncio.wait([listing], timeout=ANNOUNCE_EVERY_S)
                if listing.done():
                    listing.result()
        finally:
            listing.cancel()

    def _offer(self) -> WorkerOffer:
        return WorkerOffer(
            models=(*self._models, *self._scripts),
            default_model=self._default_model.name,
            generator=self._generator,
            providers=self._source.describe(),
            runs=len(self._pool.generations),
            slots=self._pool.streams,
        )

    async def leave(self) -> None:
        """Removes this worker from the registry. If Redis is unavailable, the entry expires by itself."""
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await leave(self._client, self._worker)
        except (BrokerUnavailableError, BrokerRefusedError, TimeoutError):
            logger.warning("Redis is unavailable: the entry of this worker expires in %g seconds", LIFETIME_MS / 1000)

    async def _keep_listing(self) -> None:
        while True:
            models = await self._source.list_models()
            self._models = models or self._models
            self._default_model.choose_from(self._models)
            await asyncio.sleep(LIST_EVERY_S)
