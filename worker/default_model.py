"""The model of requests that name none: the configured one, or the first one that the provider lists."""

import asyncio
from collections.abc import Sequence

from contract.worker_registry import Model

LISTING_PATIENCE_S = 15.0


class DefaultModel:
    """One object for all runs of a worker. `fixed`: the configured model, or empty."""

    def __init__(self, fixed: str) -> None:
        self.name = fixed
        """Empty while it is not known."""
        self._is_fixed = bool(fixed)
        self._listed = asyncio.Event()

    def choose_from(self, models: Sequence[Model]) -> None:
        """Called after each listing, also if it has failed and `models` is empty."""
        if models and not self._is_fixed:
            self.name = models[0].id
        self._listed.set()

    async def find(self) -> str:
        """The name; empty if the provider lists no models. Waits for the first listing if the name depends on it."""
        if not self.name:
            try:
                async with asyncio.timeout(LISTING_PATIENCE_S):
                    await self._listed.wait()
            except TimeoutError:
                pass
        return self.name
