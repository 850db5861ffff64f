"""Redis's absence, told once in the log, and its return. Pure but for the log."""

import logging


class Outage:
    """One for each duty that talks to Redis: what cannot be done meanwhile is its `what`."""

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._is_on = False

    def record(self, error: Exception) -> None:
        """It failed, or fails still."""
        level = logging.DEBUG if self._is_on else logging.WARNING
        self._is_on = True
        self._logger.log(level, "%s for now: %s", self._what, str(error) or "Redis does not answer in time")

    def end(self) -> None:
        """It went well."""
        if self._is_on:
            self._is_on = False
            self._logger.info("%s: over", self._what)
