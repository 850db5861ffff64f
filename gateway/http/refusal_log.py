"""Says why Redis refuses commands, without a line for each of many requests."""

import asyncio
import logging
from collections.abc import Callable

SECONDS = 60.0
REASONS_LIMIT = 100
OTHERS = "other reasons"

logger = logging.getLogger(__name__)


class RefusalLog:
    """Logs each reason at once, and then how often it came again, once in `seconds` at most."""

    def __init__(self, seconds: float = SECONDS, log: Callable[..., None] = logger.error) -> None:
        self._seconds = seconds
        self._log = log
        self._again: dict[str, int] = {}
        """How often each reason has come since its last line."""

    def note(self, reason: str) -> None:
        """Call it inside the running event loop."""
        if reason not in self._again and len(self._again) >= REASONS_LIMIT:
            reason = OTHERS
        if reason in self._again:
            self._again[reason] += 1
            return
        self._log("Redis refuses a command: %s", reason)
        self._wait(reason)

    def _wait(self, reason: str) -> None:
        self._again[reason] = 0
        asyncio.get_running_loop().call_later(self._seconds, self._tell, reason)

    def _tell(self, reason: str) -> None:
        if count := self._again.pop(reason):
            self._log("Redis has refused %d more commands in %g s: %s", count, self._seconds, reason)
            self._wait(reason)
