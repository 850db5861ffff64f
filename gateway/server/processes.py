"""Several processes that serve the same port: started together, replaced when one dies, ended together.

For a machine with more cores than one process can use. The processes share nothing but the port.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

logger = logging.getLogger(__name__)

MIN_LIFE_S = 1.0
ENDING = {signal.SIGTERM, signal.SIGINT}


class Processes:
    """Each process runs `serve`. Its argument is a file that ends when this process, the parent, has died."""

    def __init__(self, count: int, serve: Callable[[int], None]) -> None:
        self._count = count
        self._serve = serve
        self._lifeline, self._held = os.pipe()
        self._alive: dict[int, float] = {}
        self._stopping = False

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT, and then until all processes have ended."""
        for signum in ENDING:
            signal.signal(signum, lambda *_: self._stop())
        for _ in range(self._count):
            self._begin()
        while self._alive:
            pid, status = os.wait()
            lived_s = time.monotonic() - self._alive.pop(pid)
            if self._stopping:
                continue
            logger.error("process %d has ended (%d); starting another one", pid, os.waitstatus_to_exitcode(status))
            # Avoid a hot loop if processes cannot start.
            time.sleep(max(0.0, MIN_LIFE_S - lived_s))
            self._begin()

    def _begin(self) -> None:
        # A signal between the fork and the child's own handlers would end its siblings.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        if not self._stopping:
            pid = os.fork()
            if not pid:
                self._become_one()
            self._alive[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)

    def _become_one(self) -> NoReturn:
        os.close(self._held)
        for signum in ENDING:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        self._serve(self._lifeline)
        sys.exit()

    def _stop(self) -> None:
        self._stopping = True
        for pid in self._alive:
            os.kill(pid, signal.SIGTERM)
