"""Wakes parked runs whose time to wait for an answer is over."""

import asyncio
import logging

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.questions import Questions
from worker.outage import Outage

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class AlarmClock:
    """One task of a worker. Any worker may wake any run: Redis does it once."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._outage = Outage(logger, "no parked run is woken")

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                await self._questions.ring()
                self._outage.end()
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                self._outage.record(error)
            await asyncio.sleep(LOOK_EVERY_S)
