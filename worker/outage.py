"""Logs the beginning and the end of an outage of Redis once each, instead of every failed try."""

import logging


class Outage:
    """Each task that uses Redis has its own. `what` says what does not work during the outage."""

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._is_on = False

    def record(self, error: Exception) -> None:
        """Call it after each failure."""
        level = logging.DEBUG if self._is_on else logging.WARNING
        self._is_on = True
        self._logger.log(level, "%s: %s", self._what, str(error) or "Redis does not answer in time")

    def end(self) -> None:
        """Call it after each success."""
        if self._is_on:
            self._is_on = False
            self._logger.info("%s: resolved", self._what)
