"""Several processes of one service: started together, replaced when one dies, stopped together.

For a machine with more cores than one process can use. The processes share no memory.
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
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


class Processes:
    """Runs `serve` in `count` processes. They all get SIGTERM for each SIGTERM or SIGINT that this process gets.

    The argument of `serve` is a file descriptor that reaches end of file when this process, their parent, dies.
    """

    def __init__(self, count: int, serve: Callable[[int], None]) -> None:
        self._count = count
        self._serve = serve
        self._lifeline, self._parent_end = os.pipe()
        # By process id: when the process started, in monotonic seconds.
        self._alive: dict[int, float] = {}
        self._stopping = False

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT, and then until all processes have ended."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, lambda *_: self._stop())
        for _ in range(self._count):
            self._begin()
        while self._alive:
            pid, status = os.wait()
            lived_s = time.monotonic() - self._alive.pop(pid)
            if self._stopping:
                continue
            logger.error("process %d exited with %d; starting another one", pid, os.waitstatus_to_exitcode(status))
            # Avoid a hot loop if processes cannot start.
            time.sleep(max(0.0, MIN_LIFE_S - lived_s))
            self._begin()

    def _begin(self) -> None:
        # A child inherits the handler that stops all its siblings: block signals until the child has reset it.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        if not self._stopping:
            pid = os.fork()
            if not pid:
                self._run_child()
            self._alive[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _run_child(self) -> NoReturn:
        os.close(self._parent_end)
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        self._serve(self._lifeline)
        sys.exit()

    def _stop(self) -> None:
        self._stopping = True
        for pid in self._alive:
            os.kill(pid, signal.SIGTERM)
